//! Automatic scores of many responses.

use std::time::Instant;

use benches::Outcome;
use benches::spread::Spread;
use clap::Args;
use demo_corpus::{Generator, Split};
use esc_metrics::{Item, Preset, Resources, Suite};

#[derive(Debug, Args)]
pub(crate) struct MetricsArguments {
    /// Pairs of a response and a reference, made from the built-in dialogues
    #[arg(long, default_value_t = 10_000)]
    pairs: usize,
    /// Measured repetitions
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// Scores by name [default: those of nlg-eval: BLEU, METEOR, ROUGE-L and CIDEr]
    #[arg(long, value_delimiter = ',')]
    metrics: Vec<String>,
    /// Write the pairs to FOLDER/hypotheses.txt and FOLDER/references.txt, for benches/peers/metrics_python.py
    #[arg(long)]
    save: Option<std::path::PathBuf>,
}

/// Measures each score alone and prints a table.
pub(crate) fn run(arguments: &MetricsArguments) -> Outcome<()> {
    let pairs = pairs(arguments.pairs)?;
    if let Some(folder) = &arguments.save {
        save(folder, &pairs)?;
    }
    let names: Vec<String> = match arguments.metrics.is_empty() {
        true => Preset::NlgEval.metric_names().map(str::to_owned).collect(),
        false => arguments.metrics.clone(),
    };
    println!("{} pairs, {} repetitions", pairs.len(), arguments.repetitions);
    println!("{:<20}  {:>24}  {:>10}", "metric", "seconds (lowest–highest)", "pairs/s");
    let resources = Resources::find()?;
    for name in names {
        let suite = Suite::of_names(&[&name], &resources)?;
        let spread =
            Spread::of(&times(&suite, &pairs, arguments.repetitions)?).ok_or("repetitions must be at least 1")?;
        let Spread { median, min, max } = spread;
        println!(
            "{name:<20}  {:>24}  {:>10.0}",
            format!("{median:.3} ({min:.3}–{max:.3})"),
            pairs.len() as f64 / median
        );
    }
    Ok(())
}

fn times(suite: &Suite, pairs: &[(String, String)], repetitions: usize) -> Outcome<Vec<f64>> {
    let once = |_| {
        let items: Vec<Item> =
            pairs.iter().map(|(hypothesis, reference)| Item::new(&**hypothesis, &**reference)).collect();
        let begun = Instant::now();
        suite.score(items)?;
        Ok(begun.elapsed().as_secs_f64())
    };
    (0..repetitions).map(once).collect()
}

/// A reply of a dialogue is scored against another that the same turn could have had.
fn pairs(count: usize) -> Outcome<Vec<(String, String)>> {
    let generator = Generator::new(demo_corpus::SEED)?;
    let mut pairs = Vec::with_capacity(count);
    for index in 0.. {
        let dialogue = generator.conversation(Split::Train.index(index));
        pairs.extend(dialogue.pairs().into_iter().map(|pair| (pair.rejected, pair.chosen)));
        if pairs.len() >= count {
            break;
        }
    }
    pairs.truncate(count);
    Ok(pairs)
}

fn save(folder: &std::path::Path, pairs: &[(String, String)]) -> Outcome<()> {
    std::fs::create_dir_all(folder)?;
    let lines = |of: fn(&(String, String)) -> &String| {
        pairs.iter().map(|pair| of(pair).replace('\n', " ") + "\n").collect::<String>()
    };
    std::fs::write(folder.join("hypotheses.txt"), lines(|pair| &pair.0))?;
    Ok(std::fs::write(folder.join("references.txt"), lines(|pair| &pair.1))?)
}
