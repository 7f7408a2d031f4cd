//! `sra generate`: answers to held-out chats, with an adapter or without.

use std::ops::ControlFlow;
use std::process::ExitCode;

use command_line::{AnyModel, Delivery, Failure, Format, Progress, interrupt, output_place};
use llm_runtime::seeded_stream;
use rand::seq::SliceRandom;
use serde_json::json;
use strategy_prompting::{AnswerOptions, AnswerSummary, answer_chats, read_chat_rows};

use crate::continuation::{generation_options, print_statistics};
use crate::training_arguments::Generate;

pub(crate) fn run(options: &Generate, format: Format) -> Result<ExitCode, Failure> {
    output_place::check_file(&options.out)?;
    let mut rows = read_chat_rows(&options.data)?;
    if let Some(limit) = options.limit {
        rows.shuffle(&mut seeded_stream(options.seed, "generate"));
        rows.truncate(limit);
    }
    let mut model = AnyModel::load(&options.model, &options.runtime, &options.server, Delivery::Whole)?;
    let mut generation = generation_options(&options.generation);
    generation.seed = options.seed;
    model.check(&generation)?;
    interrupt::listen();
    let mut bar = Progress::new("answering", 0, rows.len() as u64);
    let settings = AnswerOptions { layout: options.layout, generation };
    let summary = answer_chats(&rows, &mut model, &settings, &options.out, &mut |done| {
        bar.set(done as u64);
        if interrupt::was_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    bar.finish();
    report(options, &summary, format)?;
    Ok(match (summary.stopped, summary.failed) {
        (true, _) => ExitCode::from(interrupt::EXIT_CODE),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::FAILURE,
    })
}

fn report(options: &Generate, summary: &AnswerSummary, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return Ok(command_line::print_json(&json!({
            "path": options.out,
            "answered": summary.answered,
            "already_answered": summary.already_answered,
            "failed": summary.failed,
            "statistics": summary.statistics,
        }))?);
    }
    println!(
        "{}: {} answers ({} from before), {} failed",
        options.out.display(),
        summary.answered,
        summary.already_answered,
        summary.failed
    );
    print_statistics(&summary.statistics);
    Ok(())
}
