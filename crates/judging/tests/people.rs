//! Tasks for annotators and what comes back, and the published comparison.

use std::path::Path;

use judging::{
    AnnotationTasks, LABELLING_VIEW, PairItem, PreferenceReport, SidedPair, read_annotations,
    read_published_comparison, within_usual_differences,
};
use llm_runtime::Message;

fn pair(number: usize) -> SidedPair {
    let strategies = ["Offer Hope", "Clarification", "Suggest Options"];
    SidedPair {
        item: PairItem {
            id: format!("example-{number}"),
            conversation: format!("conversation-{}", number / 3),
            strategy: strategies[number % 3].into(),
            instruction: "Do it.".into(),
            history: vec![Message::user("<b>Hello</b>")],
            first: format!("first answer {number}"),
            second: format!("second answer {number}"),
        },
        systems: ["tuned".into(), "plain".into()],
        values: Some([0.2, 0.1]),
    }
}

#[test]
fn tasks_are_blind_even_and_the_same_for_a_seed() {
    let pairs: Vec<SidedPair> = (0..60).map(pair).collect();
    let made = AnnotationTasks::new(&pairs, 12, 7);
    let tasks = made.tasks.as_array().unwrap();
    assert_eq!((tasks.len(), made.key.tasks.len()), (12, 12));
    assert!(!made.tasks.to_string().contains("tuned") && !made.tasks.to_string().contains("plain"));
    for strategy in ["Offer Hope", "Clarification", "Suggest Options"] {
        assert_eq!(tasks.iter().filter(|task| task["data"]["strategy"] == strategy).count(), 4, "{strategy}");
    }
    let left_is_first = tasks.iter().filter(|task| task["data"]["left"].as_str().unwrap().starts_with("first")).count();
    assert!((1..12).contains(&left_is_first), "sides are drawn");
    assert_eq!(made.tasks, AnnotationTasks::new(&pairs, 12, 7).tasks);
    assert_ne!(made.tasks, AnnotationTasks::new(&pairs, 12, 8).tasks);
    assert!(LABELLING_VIEW.contains("name=\"preference\""));
}

#[test]
fn annotations_come_back_with_what_stood_where() {
    let made = AnnotationTasks::new(&(0..9).map(pair).collect::<Vec<_>>(), 9, 1);
    let export: Vec<serde_json::Value> = made
        .tasks
        .as_array()
        .unwrap()
        .iter()
        .map(|task| {
            // Both annotators prefer the first system; the second one hesitates.
            let first_is_left = task["data"]["left"].as_str().unwrap().starts_with("first");
            let sign = if first_is_left { -1 } else { 1 };
            let annotation = |by: i32, strength: i32| {
                serde_json::json!({ "completed_by": by, "result": [{ "from_name": "preference", "type": "choices",
                    "value": { "choices": [(sign * strength).to_string()] } }] })
            };
            let cancelled = serde_json::json!({ "completed_by": 3, "was_cancelled": true, "result": [] });
            let empty = serde_json::json!({ "completed_by": 4, "was_cancelled": false, "result": [] });
            let annotations = [annotation(1, 4), annotation(2, 3), cancelled, empty];
            serde_json::json!({ "id": 1, "data": task["data"], "annotations": annotations })
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.json");
    std::fs::write(&path, serde_json::to_vec(&export).unwrap()).unwrap();
    let read = read_annotations(&path, &made.key).unwrap();
    assert_eq!((read.preferences.len(), read.unanswered), (18, 9));
    let report = PreferenceReport::new(&read.preferences).unwrap();
    assert_eq!((report.tasks, report.annotations), (9, 18));
    assert_eq!(report.systems["tuned"].win_rate, 1.0);
    assert_eq!(report.systems["plain"].win_rate, 0.0);
    // Values go along with preferences, whatever side answers stood on.
    assert!(report.pooled["1"].pearson.unwrap() > 0.99);
}

#[test]
fn exports_that_do_not_fit_say_where() {
    let made = AnnotationTasks::new(&[pair(0)], 1, 1);
    let name = made.key.tasks.keys().next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.json");
    let with = |annotation: &str| format!(r#"[{{"data":{{"task":"{name}"}},"annotations":[{annotation}]}}]"#);
    for (text, expected) in [
        ("{".to_owned(), "not a JSON array of tasks"),
        (r#"[{"data":{}}]"#.to_owned(), "row 1: the task has no `data.task`"),
        (r#"[{"data":{"task":"x"},"annotations":[]}]"#.to_owned(), "row 1: task x is not in the key"),
        (with("{}"), "row 1: an annotation has no `result`"),
        (with(r#"{"result":[{"from_name":"preference"}]}"#), "row 1: the preference is null"),
        (
            with(r#"{"result":[{"from_name":"preference","value":{"choices":["9"]}}]}"#),
            "expected a whole number from -4 to 4",
        ),
    ] {
        std::fs::write(&path, &text).unwrap();
        let problem = read_annotations(&path, &made.key).unwrap_err().to_string();
        assert!(problem.contains(expected), "{text}: {problem}");
    }
}

/// The numbers of the published comparison, recomputed from its rows.
#[test]
fn the_published_comparison_is_recomputed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/sra/annotation-results.json");
    if !path.exists() {
        return println!("skipped: {} is not here", path.display());
    }
    let rows = read_published_comparison(&path).unwrap();
    let all = PreferenceReport::new(&rows).unwrap();
    assert_eq!((all.tasks, all.annotations), (135, 264));
    let report = PreferenceReport::new(&within_usual_differences(&rows)).unwrap();
    assert_eq!(report.annotations, 260);
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 5e-5, "{found}, expected {expected}");
    close(report.alpha_interval.unwrap(), 0.9118);
    close(report.alpha_ordinal.unwrap(), 0.9237);
    let annotators: Vec<_> = report.pooled.values().collect();
    assert_eq!([annotators[0].annotations, annotators[1].annotations], [133, 127]);
    close(annotators[0].pearson.unwrap(), 0.8222);
    close(annotators[1].pearson.unwrap(), 0.8035);
    let c1_hf = &report.systems["exp6_70b_c1_hf_partial"];
    assert_eq!((c1_hf.wins, c1_hf.wins + c1_hf.ties + c1_hf.losses), (135, 170));
    // Pooled over pairs of layouts correlations are high because layouts differ in both; within a pair they are not.
    let within: Vec<f64> = report.pairs.values().map(|pair| pair.correlation.unwrap()).collect();
    for expected in [0.15, 0.35, 0.38] {
        assert!(within.iter().any(|found| (found - expected).abs() < 0.006), "{expected}: {within:?}");
    }
}
