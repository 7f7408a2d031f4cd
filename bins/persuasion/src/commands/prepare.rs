//! `persuasion prepare`: a corpus becomes pairs.

use std::process::ExitCode;

use command_line::{Failure, Format, output_place, print_json};
use dpo::PairColumns;
use llm_runtime::Tokenizer;
use persuasion::corpus::{
    Cleaning, CorpusError, Dump, Input, LEAKAGE_FILE, LeakageRule, Limits, LongerWins, Negatives, PairFileRules,
    PairRules, Part, PrepareRules, Prepared, Shared,
};
use tracing::warn;

use crate::prepare_arguments::Prepare;

/// The fewest words of a reply to a post; a pair was chosen by somebody already.
const MIN_WORDS: usize = 20;

pub(crate) fn run(options: &Prepare, format: Format) -> Result<ExitCode, Failure> {
    let input = match options.dump.posts.is_empty() {
        true => Input::find(&options.input)?,
        false => Input::Reddit(Dump { posts: options.dump.posts.clone(), comments: options.dump.comments.clone() }),
    };
    output_place::check_folder(&options.out)?;
    let tokenizer = options.tokenizer.as_deref().map(Tokenizer::open).transpose()?;
    let limits = Limits { prompt: options.max_prompt_length, whole: options.max_length };
    let measure = tokenizer.as_ref().map(|tokenizer| (tokenizer, limits));
    let prepared = Prepared::create(&input, rules(options, &input)?, measure, &options.out).map_err(failure)?;
    prepared.write(&options.out)?;
    match format {
        Format::Json => print_json(&prepared)?,
        Format::Text => print(&prepared, options),
    }
    Ok(ExitCode::SUCCESS)
}

fn rules(options: &Prepare, input: &Input) -> Result<PrepareRules, Failure> {
    let (texts, filters, parts) = (&options.texts, &options.filters, &options.parts);
    let is_pairs = matches!(input, Input::Pairs(_));
    let usual = if matches!(input, Input::Reddit(_)) { Negatives::Random } else { Negatives::Given };
    let columns = PairColumns::parse(&texts.columns).map_err(Failure::wrong_use)?;
    Ok(PrepareRules {
        pairs: PairRules {
            cleaning: Cleaning {
                is_on: !texts.no_clean,
                strip_edits: texts.strip_edits,
                strip_quotes: texts.strip_quotes,
            },
            prompt_template: texts.prompt_template.replace("\\n", "\n"),
            min_words: filters.min_words.unwrap_or(if is_pairs { 1 } else { MIN_WORDS }),
            max_words: filters.max_words,
            max_prompt_words: filters.max_prompt_words,
            min_score: filters.min_score,
            depth: filters.depth,
            negatives: filters.negatives.unwrap_or(usual),
            per_chosen: filters.per_chosen,
            seed: parts.seed,
        },
        pair_files: PairFileRules { columns, group_by: parts.group_by.clone() },
        bots: options.dump.bots.iter().map(|name| name.to_lowercase()).collect(),
        split: parts.split,
        split_rng: parts.split_rng,
        leakage: match (parts.drop_leakage, parts.allow_leakage) {
            (true, _) => LeakageRule::Drop,
            (false, true) => LeakageRule::Allow,
            (false, false) => LeakageRule::Refuse,
        },
        skip_bad: options.skip_bad,
    })
}

fn failure(error: CorpusError) -> Failure {
    match error {
        CorpusError::Setting(_) => Failure::wrong_use(error),
        error => error.into(),
    }
}

fn print(prepared: &Prepared, options: &Prepare) {
    for (name, stage) in prepared.funnel.stages() {
        println!("{name}: {} read, {} left", stage.read, stage.left);
        for (reason, count) in &stage.dropped {
            println!("  {count:>9}  {reason}");
        }
    }
    println!("split: {}", prepared.split);
    for part in Part::ALL {
        let Some(lengths) = prepared.lengths.get(part.name()) else {
            warn!("no pair is for {}", part.name());
            continue;
        };
        let words = &lengths.words;
        println!(
            "{}: {} pairs in {} groups; words on average: prompt {:.1}, chosen {:.1}, rejected {:.1}",
            options.out.join(part.file()).display(),
            lengths.pairs,
            lengths.groups,
            words.prompt.mean,
            words.chosen.mean,
            words.rejected.mean,
        );
        let LongerWins { accuracy, interval: (low, high), ties } = words.longer_wins;
        println!("  the longer reply wins: {accuracy:.3} [{low:.3}, {high:.3}], {ties} ties");
        if let Some(cut) = &lengths.cut {
            let (prompts, pairs) = (100.0 * cut.prompts, 100.0 * cut.pairs);
            let Limits { prompt, whole } = cut.limits;
            println!(
                "  will be cut: {prompts:.1} % of the prompts at {prompt} tokens, {pairs:.1} % of the pairs at {whole}"
            );
        }
    }
    print_leakage(prepared);
}

fn print_leakage(prepared: &Prepared) {
    let leakage = &prepared.leakage;
    let kinds: [(&str, &Shared); 6] = [
        ("groups", &leakage.groups),
        ("prompts", &leakage.prompts),
        ("replies", &leakage.replies),
        ("nearly the same prompts", &leakage.near_prompts),
        ("nearly the same replies", &leakage.near_replies),
        ("authors", &leakage.authors),
    ];
    let found: Vec<String> = kinds
        .iter()
        .filter(|(_, shared)| shared.count > 0)
        .map(|(kind, shared)| format!("{} {kind}", shared.count))
        .collect();
    match found.is_empty() {
        true => println!("in two parts: nothing"),
        false => println!("in two parts: {} (see {LEAKAGE_FILE})", found.join(", ")),
    }
}
