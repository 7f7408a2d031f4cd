//! Against scikit-learn, and what holds for any input.

use std::collections::BTreeSet;

use predictability::{
    Error, Features, LogisticOptions, LogisticRegression, NgramCounter, RidgeClassifier, grouped_folds, grouped_split,
    response_text, strengths,
};
use proptest::prelude::*;
use serde_json::Value;

fn reference() -> Value {
    serde_json::from_str(include_str!("data/sklearn.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    match value.as_array() {
        Some(values) => values.iter().flat_map(numbers).collect(),
        None => vec![value.as_f64().unwrap()],
    }
}

fn indices(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|value| value.as_u64().unwrap() as usize).collect()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance, "{found}, expected {expected}");
    }
}

fn vectors(reference: &Value) -> Vec<f32> {
    numbers(&reference["vectors"]).into_iter().map(|value| value as f32).collect()
}

#[test]
fn ngrams_are_those_of_the_library() {
    let expected = &reference()["ngrams"];
    let (texts, stop_words) = (strings(&expected["texts"]), strings(&expected["stop_words"]));
    let stop_words: Vec<&str> = stop_words.iter().map(String::as_str).collect();
    let most = expected["most_texts"].as_f64().unwrap();
    let counter = NgramCounter::fit(&texts, (2, 3), most, Some(&stop_words)).unwrap();
    assert_eq!(counter.names(), strings(&expected["names"]));
    let Features::Sparse { rows, width } = counter.count(&texts) else { panic!("counts are sparse") };
    for (row, expected) in rows.iter().zip(expected["counts"].as_array().unwrap()) {
        let mut dense = vec![0.0; width];
        row.iter().for_each(|(column, count)| dense[*column as usize] = f64::from(*count));
        assert_eq!(dense, numbers(expected));
    }
}

#[test]
fn logistic_regression_is_that_of_the_library() {
    let reference = reference();
    let features = Features::Dense { width: 6, values: vectors(&reference) };
    let labels = indices(&reference["labels"]);
    for expected in reference["logistic"].as_array().unwrap() {
        let options = LogisticOptions { c: expected["c"].as_f64().unwrap(), iterations: 2000, tolerance: 1e-10 };
        let model = LogisticRegression::fit(&features, &labels, 3, options).unwrap();
        assert!(model.converged);
        close(&model.weights, &numbers(&expected["weights"]), 1e-4);
        let mut intercepts = numbers(&expected["intercepts"]);
        let mean = intercepts.iter().sum::<f64>() / 3.0;
        intercepts.iter_mut().for_each(|intercept| *intercept -= mean);
        close(&model.intercepts, &intercepts, 1e-4);
        let found: Vec<f64> = (0..10).flat_map(|item| model.probabilities(&features, item)).collect();
        close(&found, &numbers(&expected["probabilities"]), 1e-5);
    }
}

#[test]
fn the_ridge_probe_is_that_of_the_library() {
    let reference = reference();
    let (vectors, labels) = (vectors(&reference), indices(&reference["labels"]));
    let mut probe = RidgeClassifier::new(6, 3, 1.0).unwrap();
    for (vectors, labels) in vectors.chunks(6 * 50).zip(labels.chunks(50)) {
        probe.push(vectors, labels).unwrap();
    }
    let model = probe.fit().unwrap();
    close(&model.weights, &numbers(&reference["ridge"]["weights"]), 1e-6);
    close(&model.intercepts, &numbers(&reference["ridge"]["intercepts"]), 1e-6);
    assert_eq!(model.predict(&vectors), indices(&reference["ridge"]["predicted"]));
}

#[test]
fn the_best_strength_is_chosen_by_folds() {
    let reference = reference();
    let features = Features::Dense { width: 6, values: vectors(&reference) };
    let labels = indices(&reference["labels"]);
    let groups: Vec<String> = (0..120).map(|item| format!("g{}", item / 5)).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let folds = grouped_folds(&groups, 4, 1).unwrap();
    let strengths = strengths(10);
    close(&[strengths[0], strengths[9]], &[1e-4, 1e4], 1e-9);
    let options = LogisticOptions::default();
    let model = LogisticRegression::fit_best(&features, &labels, 3, &strengths, &folds, options).unwrap();
    assert!(strengths.contains(&model.c));
    let found = model.predict(&features);
    let right = found.iter().zip(&labels).filter(|(found, label)| found == label).count();
    assert!(right as f64 / labels.len() as f64 > 0.7);
}

#[test]
fn a_response_loses_its_frame_and_its_label() {
    let (text, has_form) =
        response_text("So: Assistant: Let us try Offer Hope. assistant: Offer Hope is here", "Offer Hope");
    assert_eq!((text.as_str(), has_form), (" is here", true));
    assert_eq!(response_text("Plain ANSWER", "x"), ("plain answer".to_owned(), false));
}

#[test]
fn bad_data_is_named() {
    let features = Features::Dense { width: 1, values: vec![0.0, f32::NAN] };
    let fit = |features: &Features, labels: &[usize], classes| {
        LogisticRegression::fit(features, labels, classes, LogisticOptions::default()).unwrap_err()
    };
    assert!(matches!(fit(&features, &[0, 1], 2), Error::Vector { item: 1, .. }));
    assert!(matches!(fit(&features, &[0], 2), Error::Lengths { items: 2, other: 1, .. }));
    assert!(matches!(fit(&features, &[0, 0], 1), Error::Labels(1)));
    assert!(matches!(fit(&features, &[0, 5], 2), Error::Vector { item: 1, .. }));
    assert!(matches!(NgramCounter::fit(&["a".into()], (2, 3), 0.9, None), Err(Error::NoFeatures)));
    assert!(matches!(grouped_split(&["a", "a"], 0.2, 0), Err(Error::Groups { found: 1, needed: 2 })));
    assert!(grouped_split(&["a", "b"], 1.5, 0).is_err());
    let mut probe = RidgeClassifier::new(2, 2, 1.0).unwrap();
    assert!(probe.push(&[1.0, f32::INFINITY], &[0]).is_err() && probe.push(&[1.0], &[0]).is_err());
    probe.push(&[1.0, 2.0], &[0]).unwrap();
    assert!(matches!(probe.fit(), Err(Error::Labels(1))));
}

proptest! {
    #[test]
    fn no_group_stands_on_both_sides(sizes in prop::collection::vec(1usize..9, 2..30), share in 0.05f64..0.95, seed: u64) {
        let groups: Vec<String> =
            sizes.iter().enumerate().flat_map(|(group, size)| vec![format!("g{group}"); *size]).collect();
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let sides = |split: &predictability::Split| {
            let of = |items: &[usize]| items.iter().map(|item| groups[*item]).collect::<BTreeSet<_>>();
            (of(&split.train), of(&split.test), split.train.len() + split.test.len())
        };
        let (train, test, count) = sides(&grouped_split(&groups, share, seed).unwrap());
        prop_assert!(train.is_disjoint(&test) && !train.is_empty() && !test.is_empty());
        prop_assert_eq!(count, groups.len());
        if sizes.len() >= 4 {
            let folds = grouped_folds(&groups, 4, seed).unwrap();
            prop_assert_eq!(folds.iter().map(|fold| fold.test.len()).sum::<usize>(), groups.len());
            for fold in &folds {
                let (train, test, _) = sides(fold);
                prop_assert!(train.is_disjoint(&test) && !test.is_empty());
            }
        }
    }

    #[test]
    fn any_text_is_counted(texts in prop::collection::vec(".{0,60}", 1..6)) {
        if let Ok(counter) = NgramCounter::fit(&texts, (1, 2), 1.0, None) {
            prop_assert_eq!(counter.count(&texts).len(), texts.len());
        }
    }
}
