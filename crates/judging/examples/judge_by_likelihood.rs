//! A small model judges two systems, and its taste for places shows. `cargo run -p judging --example judge_by_likelihood`
//!
//! The model's weights are random, so its verdicts mean nothing; that they do not follow the answers across the swap is what the report tells.

use std::error::Error;
use std::ops::ControlFlow;

use esc_metrics::judge::JudgeReport;
use judging::{Decision, JudgeTemplate, PairItem, PairJudgement, judge_pairs};
use llm_runtime::{Engine, LoadOptions, Message};

fn main() -> Result<(), Box<dyn Error>> {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/models/tiny-llama");
    let mut judge = Engine::load(&LoadOptions::new(model), &|_| ())?;
    let template = JudgeTemplate::by_name_or_path("strategy-following")?;
    let items: Vec<PairItem> = ["I failed my driving test again.", "Nobody answers my letters.", "I can't sleep."]
        .iter()
        .enumerate()
        .map(|(number, text)| PairItem {
            id: format!("pair-{number}"),
            conversation: format!("conversation-{number}"),
            strategy: "Offer Hope".into(),
            instruction: "Answer with the strategy \"Offer Hope\": say that things can get better.".into(),
            history: vec![Message::user(*text)],
            first: "It is hard now. It will not stay like this.".into(),
            second: "What exactly happened?".into(),
        })
        .collect();

    let mut judged: Vec<PairJudgement> = Vec::new();
    judge_pairs(&items, &template, &Decision::Likelihood, &mut judge, &mut |row| {
        judged.extend(row);
        Ok(ControlFlow::Continue(()))
    })?;
    for row in &judged {
        println!("{}: {:?}, swapped {:?}", row.id, row.forward.probabilities, row.swapped.probabilities);
    }
    let pairs: Vec<_> = judged.iter().map(PairJudgement::verdicts).collect();
    let JudgeReport { wins, ties, losses, positions, .. } = JudgeReport::of_verdicts(&pairs)?;
    println!("{wins} wins, {ties} ties, {losses} losses; {positions:?}");
    Ok(())
}
