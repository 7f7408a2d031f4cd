//! Can a tone be read off short answers? `cargo run -p predictability --example read_the_tone`

use esc_metrics::classification::Labelled;
use predictability::{LogisticOptions, LogisticRegression, NgramCounter, grouped_folds, grouped_split, strengths};

const WARM: [&str; 3] =
    ["that sounds really hard today", "so sorry this happened yesterday", "your feelings make sense today"];
const PRACTICAL: [&str; 3] =
    ["call the office before noon", "write a short list first", "take the early train tomorrow"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut texts, mut labels, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    for conversation in 0..20 {
        for (label, answers) in [WARM, PRACTICAL].iter().enumerate() {
            texts.push(format!("{} {}", answers[conversation % 3], answers[(conversation + 1) % 3]));
            labels.push(label);
            groups.push(format!("conversation {conversation}"));
        }
    }
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let split = grouped_split(&groups, 0.2, 7)?;
    let pick = |items: &[usize]| items.iter().map(|item| texts[*item].clone()).collect::<Vec<String>>();
    let label = |items: &[usize]| items.iter().map(|item| labels[*item]).collect::<Vec<usize>>();
    let group = |items: &[usize]| items.iter().map(|item| groups[*item]).collect::<Vec<&str>>();

    let counter = NgramCounter::fit(&pick(&split.train), (2, 3), 0.9, None)?;
    let features = counter.count(&pick(&split.train));
    let folds = grouped_folds(&group(&split.train), 4, 7)?;
    let options = LogisticOptions::default();
    let model = LogisticRegression::fit_best(&features, &label(&split.train), 2, &strengths(10), &folds, options)?;

    let names = ["warm".to_owned(), "practical".to_owned()];
    let found = model.predict(&counter.count(&pick(&split.test)));
    let report = Labelled::new(&names, &label(&split.test), &found)?.report_by_group(&group(&split.test))?.report;
    println!("accuracy {:.2} on {} held-out answers (chance {:.2})", report.accuracy, report.items, report.chance);
    for (class, name) in names.iter().enumerate() {
        let top: Vec<&str> =
            model.top_columns(class, 3).iter().map(|(column, _)| counter.names()[*column].as_str()).collect();
        println!("{name}: {}", top.join(", "));
    }
    Ok(())
}
