//! ROUGE and unigram F1 against the COCO tools, the thu-coai code, rouge-score and ParlAI.

use std::sync::Arc;

use esc_metrics::tokenize::{RougeWords, WhiteSpace};
use esc_metrics::{Item, Measured, Metric, RougeL, RougeScore, UnigramF1};

use crate::goldens::{Golden, assert_close};

#[test]
fn golden_metrics_rouge_l_of_items_and_corpora() {
    let Some(golden) = Golden::load() else { return };
    for set in golden.sets() {
        for tokens in ["nltk", "ptb_coco"] {
            let name = if tokens == "nltk" { "coco_nltk" } else { "coco_ptb" };
            let rouge = Measured::of(Arc::new(RougeL::coco(Arc::new(WhiteSpace))), &set.tokenised(tokens)).unwrap();
            assert_close(rouge.values()[0], &set.corpus[format!("{name}.rouge_l")], &set.name);
            for (at, pair) in set.pairs.iter().enumerate() {
                assert_close(rouge.values_of(at)[0], &pair.expected[name]["rouge_l"], &pair.id);
            }
        }
    }
}

#[test]
fn golden_metrics_thu_coai_rouge_l_and_f1() {
    let Some(golden) = Golden::load() else { return };
    for set in golden.sets() {
        let items = set.tokenised("nltk");
        let rouge: Arc<dyn Metric> = Arc::new(RougeL::thu_coai(Arc::new(WhiteSpace)));
        let f1: Arc<dyn Metric> = Arc::new(UnigramF1::thu_coai(Arc::new(WhiteSpace)));
        for (metric, corpus, single) in [(rouge, "rouge-l", "rouge_l"), (f1, "f1", "f1")] {
            let measured = Measured::of(metric, &items).unwrap();
            assert_close(100.0 * measured.values()[0], &set.corpus["thu_coai"][corpus], &set.name);
            for (at, pair) in set.pairs.iter().enumerate() {
                assert_close(measured.values_of(at)[0], &pair.expected["thu_coai"][single], &pair.id);
            }
        }
    }
}

#[test]
fn an_empty_text_is_one_empty_token_in_the_coco_lineage() {
    let of = |metric: RougeL, hypothesis, reference| {
        Measured::of(Arc::new(metric), &[Item::new(hypothesis, reference)]).unwrap().values()[0]
    };
    assert_eq!(of(RougeL::coco(Arc::new(WhiteSpace)), "", ""), 1.0);
    assert_eq!(of(RougeL::coco(Arc::new(WhiteSpace)), "", "a"), 0.0);
    assert_eq!(of(RougeL::coco(Arc::new(WhiteSpace)), "a", ""), 0.0);
    assert_eq!(of(RougeL::thu_coai(Arc::new(WhiteSpace)), "", ""), 0.0);
}

#[test]
fn golden_metrics_rouge_score_with_and_without_stems() {
    let Some(golden) = Golden::load() else { return };
    const NAMES: [&str; 4] = ["rouge1", "rouge2", "rougeL", "rougeLsum"];
    for set in golden.sets().into_iter().filter(|set| !set.is_subset) {
        for (field, words) in [("rouge_score", RougeWords::default()), ("rouge_score_stem", RougeWords::stemmed())] {
            let measured = Measured::of(Arc::new(RougeScore::new(words)), &set.items()).unwrap();
            for (value, name) in measured.values().into_iter().zip(NAMES) {
                assert_close(value, &set.corpus[format!("{field}.{name}.mean_f")], &format!("{} {name}", set.name));
            }
            for (at, pair) in set.pairs.iter().enumerate() {
                for (value, name) in measured.values_of(at).into_iter().zip(NAMES) {
                    let expected = &pair.expected[field][name];
                    let f1 = expected.as_array().map_or(expected, |values| &values[2]);
                    assert_close(value, f1, &format!("{} {field} {name}", pair.id));
                }
            }
        }
    }
}

#[test]
fn golden_metrics_parlai_f1() {
    let Some(golden) = Golden::load() else { return };
    for set in golden.sets().into_iter().filter(|set| !set.is_subset) {
        let measured = Measured::of(Arc::new(UnigramF1::parlai()), &set.items()).unwrap();
        assert_close(measured.values()[0], &set.corpus["parlai_f1.mean"], &set.name);
        for (at, pair) in set.pairs.iter().enumerate() {
            assert_close(measured.values_of(at)[0], &pair.expected["parlai_f1"], &pair.id);
        }
    }
}
