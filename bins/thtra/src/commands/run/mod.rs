//! `thtra run`: all stages of a preset in one go, each a process of its own, and what they give side by side.
//!
//! A process for each stage gives back all memory when it ends, and makes the run nothing but a list of command lines that everybody can run by hand.

mod comparison;
mod plan;
mod preset;
mod record;

use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Instant;

use command_line::{Common, Failure, Format, console, hugging_face_folder, interrupt, print_json};

use self::plan::{Stage, Wanted};
use self::preset::Preset;
use self::record::Record;
use crate::run_arguments::Run;

/// Folders of the stages within that of the run.
const LOOK_AHEAD: &str = "look-ahead";
const SITUATION: &str = "situation";
const HELPFULNESS: &str = "helpfulness";
const LOGS: &str = "logs";

pub(crate) fn run(options: &Run, common: &Common) -> Result<ExitCode, Failure> {
    if options.show_preset {
        print!("{}", preset::text_of(&options.preset)?);
        return Ok(ExitCode::SUCCESS);
    }
    let (Some(input), Some(out)) = (&options.input, &options.out) else {
        return Err(Failure::wrong_use("--input and --out are needed"));
    };
    let preset = Preset::open(&options.preset)?;
    let folder = |given: &Option<String>, usual: &Option<String>| match given.as_ref().or(usual.as_ref()) {
        Some(model) if options.dry_run => Ok(Some(model.clone())),
        Some(model) => Ok(Some(hugging_face_folder(model, &options.machine)?.display().to_string())),
        None => Ok::<_, Failure>(None),
    };
    let (base, encoder) = (folder(&options.base, &preset.base)?, folder(&options.encoder, &preset.encoder)?);
    let stages = Wanted { preset: &preset, input, out, base, encoder }.stages()?;
    if options.dry_run {
        stages.iter().for_each(|stage| println!("{}", command_line_of(stage)));
        return Ok(ExitCode::SUCCESS);
    }
    std::fs::create_dir_all(out.join(LOGS)).map_err(Failure::at(out))?;
    let mut record = Record::open(out)?;
    record.check(&stages)?;
    interrupt::listen();
    tell(common, &format!("{}: {}", options.preset, preset.description));
    for (number, stage) in stages.iter().enumerate() {
        let place = format!("{} of {}", number + 1, stages.len());
        if record.of(stage).is_some() {
            tell(common, &format!("{place}: {} is done", stage.name));
            continue;
        }
        tell(common, &format!("{place}: {}", command_line_of(stage)));
        let begun = Instant::now();
        let status = work(stage, options, common, out)?;
        if status.success() {
            record.add(stage, begun.elapsed().as_secs_f64())?;
        }
        if interrupt::was_asked_to_end() || status.code() == Some(i32::from(interrupt::EXIT_CODE)) {
            console::tell(format_args!("interrupted: the same command goes on"));
            return Ok(ExitCode::from(interrupt::EXIT_CODE));
        }
        if !status.success() {
            return Err(Failure::work(format!("{} failed ({status}); its message is above", stage.name)));
        }
    }
    let compared = comparison::read(out, preset.models(), &stages, &record)?;
    match common.format {
        Format::Json => print_json(&compared)?,
        Format::Text => comparison::print(&compared),
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(common: &Common, message: &str) {
    if !common.quiet {
        console::tell(message);
    }
}

/// Does a stage. What it prints goes to its log.
fn work(stage: &Stage, options: &Run, common: &Common, out: &Path) -> Result<ExitStatus, Failure> {
    let log = out.join(LOGS).join(format!("{}.txt", stage.name));
    let file = File::create(&log).map_err(Failure::at(&log))?;
    let mut command = Command::new(std::env::current_exe().map_err(Failure::work)?);
    command.args(&stage.words).args(stage.resumes.then_some("--resume")).stdout(file);
    command.args(common.threads.map(|threads| format!("--threads={threads}"))).args(common.quiet.then_some("--quiet"));
    command.args(std::iter::repeat_n("--verbose", usize::from(common.verbose)));
    if stage.resumes {
        command.args(options.machine.words());
    }
    let mut child = command.spawn().map_err(Failure::work)?;
    interrupt::wait_for(&mut child).map_err(Failure::work)
}

/// As one could write it in a shell.
fn command_line_of(stage: &Stage) -> String {
    let quoted = |word: &String| match word.chars().all(|letter| letter.is_alphanumeric() || "-_=./:,".contains(letter))
    {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    format!("thtra {}", stage.words.iter().map(quoted).collect::<Vec<_>>().join(" "))
}
