//! Distinct, entropy, lengths and Self-BLEU.

use std::sync::Arc;

use esc_metrics::tokenize::WhiteSpace;
use esc_metrics::{Distinct, DistinctPerResponse, Entropy, Item, Length, Measured, Metric, TooShort, self_bleu};

use crate::goldens::{self, Golden, assert_close};

#[test]
fn golden_metrics_distinct_and_length() {
    let Some(golden) = Golden::load() else { return };
    for set in golden.sets() {
        let items = set.tokenised("nltk");
        let values = |metric: Arc<dyn Metric>| Measured::of(metric, &items).unwrap().values();
        let thu_coai = values(Arc::new(Distinct::thu_coai(Arc::new(WhiteSpace))));
        for (order, value) in (1..).zip(thu_coai) {
            assert_close(100.0 * value, &set.corpus["thu_coai"][format!("dist-{order}")], &set.name);
        }
        let length = values(Arc::new(Length::new(Arc::new(WhiteSpace))));
        assert_close(length[0], &set.corpus["thu_coai"]["length"], &set.name);
        let variants: [(&str, Arc<dyn Metric>); 3] = [
            ("corpus", Arc::new(Distinct::corpus(Arc::new(WhiteSpace)))),
            (
                "per_response_mean_zero_for_empty",
                Arc::new(DistinctPerResponse::new(Arc::new(WhiteSpace), TooShort::Zero)),
            ),
            ("per_response_mean_skip_empty", Arc::new(DistinctPerResponse::new(Arc::new(WhiteSpace), TooShort::Skip))),
        ];
        for (name, metric) in variants {
            for (order, value) in (1..).zip(values(metric)) {
                let expected = &set.corpus[format!("distinct.{name}.nltk.{order}")];
                if !expected.is_null() {
                    assert_close(value, expected, &format!("{} {name} {order}", set.name));
                }
            }
        }
    }
}

#[test]
fn golden_metrics_entropy_of_raw_texts() {
    let Some(golden) = Golden::load() else { return };
    for set in golden.sets().into_iter().filter(|set| !set.corpus["thu_coai.entropy_1to4"].is_null()) {
        let values = Measured::of(Arc::new(Entropy), &set.items()).unwrap().values();
        goldens::assert_all_close(&values[..4], &set.corpus["thu_coai.entropy_1to4"], &set.name);
        goldens::assert_all_close(&values[4..], &set.corpus["thu_coai.div_1to4"], &set.name);
    }
}

#[test]
fn the_last_n_gram_is_lost_in_the_thu_coai_variant() {
    let items = [Item::new("a b c", "x"), Item::new("a", "x")];
    let of = |metric: Distinct| Measured::of(Arc::new(metric), &items).unwrap().values();
    assert_eq!(of(Distinct::corpus(Arc::new(WhiteSpace))), [0.75, 1.0, 1.0]);
    assert_eq!(of(Distinct::thu_coai(Arc::new(WhiteSpace))), [1.0, 1.0, 0.0]);
}

#[test]
fn texts_that_say_the_same_have_the_highest_self_bleu() {
    let same: Vec<String> = vec!["i hear you and i care".into(); 5];
    let (scores, compared) = self_bleu(&same, &WhiteSpace, 4, 1).unwrap();
    assert_eq!(compared, 4);
    assert!(scores.iter().all(|score| (score - 1.0).abs() < 1e-12), "{scores:?}");
    let different: Vec<String> = ["a b c d e", "f g h i j", "k l m n o"].map(String::from).to_vec();
    let (other, _) = self_bleu(&different, &WhiteSpace, 10, 1).unwrap();
    assert_eq!(other, [0.0; 3]);
    assert!(self_bleu(&same[..1], &WhiteSpace, 4, 1).is_err());
}
