//! Sweeps against a model that answers from the prompt's hash: order, journal, resume, failures.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

use esconv_data::{Example, Speaker, StrategySet};
use llm_runtime::{
    ChatTemplate, Completion, Event, FinishReason, ModelIdentity, Prompt, PromptReport, Request, RequestError,
    RunStatistics, Score, ScoreRequest, TextModel,
};
use strategy_prompting::{
    CONTINUATIONS, ExistingRun, FAILURES, InstructionTemplate, Journal, Layout, OnFailure, RunManifest, SweepPlan,
    SweepSettings, TornLine, read_records, run_sweep,
};

/// Answers every prompt with a text made from it; fails requests whose prompt holds a marked word.
struct Echo;

impl TextModel for Echo {
    fn identity(&self) -> ModelIdentity {
        ModelIdentity { name: "echo".into(), sha256: "00".into(), dtype: "none".into(), template_sha256: String::new() }
    }

    fn template(&self) -> Option<&ChatTemplate> {
        None
    }

    fn generate(
        &mut self,
        requests: &mut dyn Iterator<Item = Request>,
        sink: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<RunStatistics, llm_runtime::Error> {
        let mut statistics = RunStatistics::default();
        for request in requests {
            let Prompt::Chat(messages) = &request.prompt else { panic!("a chat was expected") };
            let text: String = messages.iter().map(|message| message.content.as_str()).collect();
            let event = if text.contains("UNSPEAKABLE") {
                Event::Failed { key: request.key, error: RequestError::EmptyPrompt }
            } else {
                let answer = format!(" answer to {} letters with seed {}", text.len(), request.options.seed);
                Event::Finished(Completion {
                    key: request.key,
                    text: answer,
                    tokens: vec![1, 2],
                    finish_reason: FinishReason::EndOfSequence,
                    logprobs: Vec::new(),
                    hypotheses: Vec::new(),
                    prompt: PromptReport { text, tokens: vec![3; 7], reused: 2, spans: Vec::new() },
                })
            };
            statistics.requests += 1;
            if sink(event).is_break() {
                break;
            }
        }
        Ok(statistics)
    }

    fn score(&mut self, _: &[ScoreRequest]) -> Result<Vec<Result<Score, RequestError>>, llm_runtime::Error> {
        Ok(Vec::new())
    }
}

fn example(conversation: &str, turn: usize, word: &str) -> Example {
    let turns = 2 * turn - 1;
    let speakers = [Speaker::Seeker, Speaker::Supporter].into_iter().cycle();
    Example {
        id: format!("{conversation}-{turn}"),
        conversation: conversation.into(),
        emotion_type: "fear".into(),
        problem_type: "exam".into(),
        situation: format!("{conversation} {word}"),
        dialog_history: (0..turns).map(|number| format!("turn {number}")).collect(),
        prev_speakers: speakers.take(turns).collect(),
        prev_strategies: vec![vec![String::new()]; turns],
        strategy: vec!["Question".into()],
        response: "Why?".into(),
        turn,
    }
}

fn plan(seed: u64, word: &str) -> SweepPlan {
    let examples: Vec<Example> = ["a", "b"]
        .iter()
        .flat_map(|name| (3..=5).map(|turn| example(name, turn, if turn == 4 { word } else { "" })))
        .collect();
    let layouts = vec![Layout::parse("c1_hf").unwrap(), Layout::Standard];
    let settings = SweepSettings { layouts, seed, ..SweepSettings::default() };
    let set = StrategySet::built_in("esconv8").unwrap();
    SweepPlan::new(settings, &set, InstructionTemplate::default(), &examples).unwrap()
}

fn run(folder: &Path, plan: &SweepPlan, existing: ExistingRun, stop_after: usize) -> strategy_prompting::RunSummary {
    let mut model = Echo;
    let manifest = RunManifest::new(plan, &model.identity()).unwrap();
    let mut journal = Journal::open(folder, &manifest, existing).unwrap();
    let mut seen = 0;
    let summary = run_sweep(plan, &mut model, &mut journal, OnFailure::Skip, &mut |_| {
        seen += 1;
        if seen > stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let summary = summary.unwrap();
    journal.finish().unwrap();
    summary
}

fn lines(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(CONTINUATIONS)).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_run_in_pieces_gives_the_records_of_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, pieces) = (folder.path().join("whole"), folder.path().join("pieces"));
    let plan = plan(1, "");
    assert_eq!(run(&whole, &plan, ExistingRun::Refuse, usize::MAX).finished, 96);
    for stop_after in [3, 10, 25, 40, usize::MAX] {
        run(&pieces, &plan, ExistingRun::Resume, stop_after);
    }
    assert_eq!(lines(&pieces), lines(&whole));
    let ids: HashSet<String> =
        read_records(&whole.join(CONTINUATIONS), TornLine::Refuse).unwrap().map(|record| record.unwrap().id).collect();
    assert_eq!(ids.len(), 96, "every record has its own id");
}

#[test]
fn items_run_in_the_order_that_shares_most() {
    let plan = plan(1, "");
    let order: Vec<(String, String, String)> = plan
        .items()
        .map(|item| (item.layout.to_string(), item.example.id.clone(), item.strategy_name().to_owned()))
        .collect();
    assert!(order[..8].iter().all(|(layout, example, _)| layout == "c1_hf" && example == "a-3"));
    let standard: Vec<&str> =
        order.iter().filter(|(layout, ..)| layout == "standard").map(|(_, example, _)| example.as_str()).collect();
    assert_eq!(standard[..4], ["a-3", "a-4", "a-5", "a-3"]);
}

#[test]
fn seeds_belong_to_the_item_and_not_to_the_order() {
    let of = |plan: &SweepPlan| -> HashSet<(String, u64)> {
        plan.items().map(|item| (item.id().unwrap(), item.seed())).collect()
    };
    assert_eq!(of(&plan(1, "")), of(&plan(1, "")));
    assert!(of(&plan(1, "")).is_disjoint(&of(&plan(2, ""))));
}

#[test]
fn failures_are_listed_and_the_others_finish() {
    let folder = tempfile::tempdir().unwrap();
    let summary = run(folder.path(), &plan(1, "UNSPEAKABLE"), ExistingRun::Refuse, usize::MAX);
    assert_eq!((summary.finished, summary.failed), (64, 32));
    let failures = std::fs::read_to_string(folder.path().join(FAILURES)).unwrap();
    assert_eq!(failures.lines().count(), 32);
    assert!(failures.contains("the prompt is empty"));
}

#[test]
fn two_processes_cannot_write_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = RunManifest::new(&plan(1, ""), &Echo.identity()).unwrap();
    let _first = Journal::open(folder.path(), &manifest, ExistingRun::Refuse).unwrap();
    assert!(Journal::open(folder.path(), &manifest, ExistingRun::Resume).is_err());
}

#[test]
fn another_plan_is_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &plan(1, ""), ExistingRun::Refuse, 5);
    let manifest = RunManifest::new(&plan(2, ""), &Echo.identity()).unwrap();
    let error = Journal::open(folder.path(), &manifest, ExistingRun::Resume).unwrap_err().to_string();
    assert!(error.contains("seed"), "{error}");
}
