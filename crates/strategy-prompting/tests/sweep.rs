//! Plans: what they choose, in which order, and with which ids and seeds.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use esconv_data::{cut, read_esconv};
use llm_runtime::{GenerationOptions, Prompt};
use strategy_prompting::{
    InstructionTemplate, Layout, PairSampling, Shard, SweepPlan, SweepSettings, SystemRole, UNCONDITIONAL,
};

use crate::sample_data::{example, examples, plan, settings, strategies};

fn ids(plan: &SweepPlan) -> BTreeSet<String> {
    plan.items().map(|item| item.id().unwrap()).collect()
}

#[test]
fn a_plan_has_every_layout_example_and_strategy_once() {
    let plan = plan(settings());
    // Two layouts, three conversations of three cut points, fifteen strategies.
    assert_eq!(plan.len(), 2 * 9 * 15);
    assert_eq!(ids(&plan).len(), plan.len());
    assert_eq!(plan.items().map(|item| item.seed()).collect::<HashSet<_>>().len(), plan.len());
    assert!(plan.items().all(|item| item.seed() < 1 << 53));
    assert!(plan.items().map(|item| item.key).eq(0..plan.len() as u64));
}

#[test]
fn history_first_keeps_one_cut_point_together_and_standard_one_strategy() {
    let plan = plan(settings());
    let order: Vec<(&str, &str, &str)> =
        plan.items().map(|item| (item.layout.name(), item.example.id.as_str(), item.strategy_name())).collect();
    assert_eq!(order[0], ("c1_hf", "anna-2", "Affirmation"));
    assert_eq!(order[1], ("c1_hf", "anna-2", "Avoid Judgment and Criticism"));
    assert_eq!(order[15], ("c1_hf", "anna-3", "Affirmation"));
    assert_eq!(order[45], ("c1_hf", "ben-2", "Affirmation"));
    assert_eq!(order[135], ("standard", "anna-2", "Affirmation"));
    assert_eq!(order[136], ("standard", "anna-3", "Affirmation"));
    assert_eq!(order[137], ("standard", "anna-4", "Affirmation"));
    assert_eq!(order[138], ("standard", "anna-2", "Avoid Judgment and Criticism"));
    assert_eq!(order[269], ("standard", "cleo-4", "Chit Chat"));
}

#[test]
fn conversations_stay_together_when_the_data_mixes_them() {
    let mut mixed = examples();
    mixed.sort_by_key(|example| std::cmp::Reverse(example.turn));
    let plan = SweepPlan::new(settings(), &strategies(), InstructionTemplate::default(), &mixed).unwrap();
    let conversations: Vec<&str> = plan.items().map(|item| item.example.conversation.as_str()).collect();
    let borders = conversations.windows(2).filter(|two| two[0] != two[1]).count();
    assert_eq!(borders, 2 * 3 - 1);
    let turns: Vec<usize> = plan.items().take(45).map(|item| item.example.turn).collect();
    assert!(turns.is_sorted());
}

#[test]
fn ids_and_seeds_do_not_depend_on_order_limit_or_shard() {
    let whole = plan(settings());
    let mut union = BTreeSet::new();
    for index in 0..4 {
        let share = plan(SweepSettings { shard: Shard::new(index, 4).unwrap(), ..settings() });
        assert!(ids(&share).is_disjoint(&union));
        union.extend(ids(&share));
    }
    assert_eq!(union, ids(&whole));
    assert!(ids(&plan(SweepSettings { limit: Some(2), ..settings() })).is_subset(&union));
    let mut reversed = settings();
    reversed.layouts.reverse();
    assert_eq!(ids(&plan(reversed)), union);
}

#[test]
fn whatever_decides_the_text_changes_the_id() {
    let whole = ids(&plan(settings()));
    let generation = GenerationOptions { top_k: 3, ..settings().generation };
    for changed in [
        SweepSettings { seed: 8, ..settings() },
        SweepSettings { generation, ..settings() },
        SweepSettings { history_format: strategy_prompting::HistoryFormat::Evaluation, ..settings() },
    ] {
        assert!(ids(&plan(changed)).is_disjoint(&whole));
    }
    let template = InstructionTemplate::built_in("t1").unwrap();
    let other = SweepPlan::new(settings(), &strategies(), template, &examples()).unwrap();
    assert!(ids(&other).is_disjoint(&whole));
    let mut reworded = strategies();
    reworded.strategies[0].description.push_str(" Really.");
    let other = SweepPlan::new(settings(), &reworded, InstructionTemplate::default(), &examples()).unwrap();
    assert_eq!(ids(&other).difference(&whole).count(), 18);
}

#[test]
fn an_unconditional_template_gives_one_item_per_example() {
    let template = InstructionTemplate::built_in("train-unconditional").unwrap();
    let plan = SweepPlan::new(settings(), &strategies(), template.clone(), &examples()).unwrap();
    assert_eq!(plan.len(), 2 * 9);
    assert!(plan.items().all(|item| item.strategy_name() == UNCONDITIONAL));
    let sampled = SweepSettings { sampling: PairSampling::Probability { p: 0.5 }, ..settings() };
    let error = SweepPlan::new(sampled, &strategies(), template, &examples()).unwrap_err().to_string();
    assert!(error.contains("train-unconditional"), "{error}");
}

#[test]
fn requests_carry_key_options_and_messages() {
    let plan = plan(settings());
    let item = plan.item(3).unwrap();
    let request = item.request(SystemRole::Native).unwrap();
    assert_eq!((request.key, request.options.seed), (3, item.seed()));
    assert_eq!(request.options.temperature, 0.7);
    let Prompt::Chat(messages) = request.prompt else { panic!("a chat was expected") };
    assert!(messages[0].content.contains("anna must {move} soon"));
    assert_eq!(messages[1].content, "anna says 3");
    assert!(plan.item(plan.len() as u64).is_none());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let refuse = |settings: SweepSettings, examples: &[esconv_data::Example], expected: &str| {
        let error =
            SweepPlan::new(settings, &strategies(), InstructionTemplate::default(), examples).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refuse(SweepSettings { layouts: vec![], ..settings() }, &examples(), "at least one layout");
    let twice = vec![Layout::Standard, Layout::Standard];
    refuse(SweepSettings { layouts: twice, ..settings() }, &examples(), "`standard` is named twice");
    let generation = GenerationOptions { top_p: 2.0, ..GenerationOptions::default() };
    refuse(SweepSettings { generation, ..settings() }, &examples(), "top_p");
    let sampling = PairSampling::Probability { p: 2.0 };
    refuse(SweepSettings { sampling, ..settings() }, &examples(), "2 is not in 0..=1");
    let one = example("anna", 2, false);
    refuse(settings(), &[one.clone(), one.clone()], "two examples have this id");
    let mut broken = one;
    broken.prev_speakers.pop();
    refuse(settings(), &[broken], "`prev_speakers` has 2");
}

#[test]
fn settings_go_through_json_and_name_unknown_fields() {
    let text = serde_json::to_string(&settings()).unwrap();
    assert!(text.contains("\"c1_hf\"") && text.contains("\"2..4\"") && text.contains("\"0/1\""), "{text}");
    assert_eq!(serde_json::from_str::<SweepSettings>(&text).unwrap(), settings());
    let error = serde_json::from_str::<SweepSettings>("{\"layout\": []}").unwrap_err().to_string();
    assert!(error.contains("layout"), "{error}");
}

#[test]
fn the_estimate_extrapolates_from_probes() {
    let plan = plan(settings());
    let mut asked = 0;
    let estimate = plan
        .estimate(SystemRole::Native, 10, &mut |_| {
            asked += 1;
            100
        })
        .unwrap();
    assert_eq!((asked, estimate.requests, estimate.examples), (10, 270, 9));
    assert_eq!((estimate.prompt_tokens, estimate.new_tokens_at_most), (27_000, 270 * 8));
    let empty = SweepSettings { turns: "90..91".parse().unwrap(), ..settings() };
    assert_eq!(crate::sample_data::plan(empty).estimate(SystemRole::Native, 10, &mut |_| 1).unwrap().requests, 0);
}

#[test]
fn the_real_corpus_gives_the_published_numbers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/esconv/ESConv.json");
    if !path.is_file() {
        println!("skipped: {} is absent", path.display());
        return;
    }
    let corpus = read_esconv(&path).unwrap();
    let examples: Vec<_> = corpus.conversations.iter().flat_map(|conversation| cut(conversation, 1)).collect();
    for (turns, exhaustive, continuations) in [("3..12", 9_354 * 15, 26_698), ("3..10", 8_715 * 15, 24_796)] {
        let make = |sampling| {
            let settings = SweepSettings { turns: turns.parse().unwrap(), sampling, ..SweepSettings::default() };
            SweepPlan::new(settings, &strategies(), InstructionTemplate::default(), &examples).unwrap()
        };
        assert_eq!(make(PairSampling::Exhaustive).len(), exhaustive);
        assert_eq!(make(PairSampling::PythonCompat { sample_prob: 0.3 }).len(), continuations);
    }
}
