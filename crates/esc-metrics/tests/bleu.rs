//! BLEU and chrF against the COCO tools, NLTK and sacreBLEU.

use std::sync::Arc;

use esc_metrics::bleu::{CocoBleu, NltkBleu, ReferenceLength, SacreBleu, SacreSmoothing, Smoothing, sentence_bleu};
use esc_metrics::tokenize::{SacreBleuScheme, SacreBleuWords, WhiteSpace};
use esc_metrics::{Chrf, Item, Measured, Metric, Vocabulary};
use serde_json::Value;

use crate::goldens::{self, Golden, assert_close};

fn coco() -> Arc<dyn Metric> {
    Arc::new(CocoBleu::new(Arc::new(WhiteSpace), ReferenceLength::Closest))
}

fn nltk(smoothing: Smoothing) -> Arc<dyn Metric> {
    Arc::new(NltkBleu::new(Arc::new(WhiteSpace), smoothing).unwrap())
}

#[test]
fn golden_metrics_coco_bleu_of_items_and_corpora() {
    let Some(golden) = Golden::load() else { return };
    for set in golden.sets() {
        for tokens in ["nltk", "ptb_coco"] {
            let name = if tokens == "nltk" { "coco_nltk" } else { "coco_ptb" };
            let measured = Measured::of(coco(), &set.tokenised(tokens)).unwrap();
            goldens::assert_all_close(&measured.values(), &set.corpus[format!("{name}.bleu")], &set.name);
            for (at, pair) in set.pairs.iter().enumerate() {
                goldens::assert_all_close(&measured.values_of(at), &pair.expected[name]["bleu"], &pair.id);
            }
        }
    }
}

#[test]
fn golden_metrics_nltk_corpus_bleu_with_every_smoothing() {
    let Some(golden) = Golden::load() else { return };
    for set in golden.sets() {
        let items = set.tokenised("nltk");
        for method in 0..5 {
            let measured = Measured::of(nltk(Smoothing::from_number(method).unwrap()), &items).unwrap();
            let expected = &set.corpus[format!("nltk_corpus_bleu.m{method}")];
            goldens::assert_all_close(&measured.values(), expected, &format!("{} m{method}", set.name));
        }
        let measured = Measured::of(nltk(Smoothing::None), &items).unwrap();
        goldens::assert_all_close(&measured.values(), &set.corpus["nltk_corpus_bleu.none"], &set.name);
    }
}

#[test]
fn golden_metrics_nltk_sentence_bleu_with_every_smoothing() {
    let Some(golden) = Golden::load() else { return };
    for set in golden.sets() {
        for (pair, item) in set.pairs.iter().zip(set.tokenised("nltk")) {
            let tokens = Vocabulary::default().tokenize(&[item], &WhiteSpace).remove(0);
            for (method, expected) in pair.expected["nltk_sentence_bleu"].as_object().unwrap() {
                let smoothing = Smoothing::from_number(method[1..].parse().unwrap()).unwrap();
                for (order, expected) in [1, 2, 4].into_iter().zip(expected.as_array().unwrap()) {
                    let found = sentence_bleu(&tokens.hypothesis, &tokens.references, order, smoothing);
                    let what = format!("{} {method} BLEU-{order}", pair.id);
                    match expected {
                        Value::String(_) => assert!(found.is_err(), "{what}: {found:?}"),
                        _ => assert_close(found.unwrap(), expected, &what),
                    }
                }
            }
        }
    }
}

#[test]
fn golden_metrics_sacrebleu_of_corpora_in_every_tokenisation() {
    let Some(golden) = Golden::load() else { return };
    let schemes = [SacreBleuScheme::V13a, SacreBleuScheme::International, SacreBleuScheme::Char, SacreBleuScheme::None];
    for set in golden.sets() {
        for scheme in schemes {
            for (case, words) in
                [("mixed", SacreBleuWords::new(scheme)), ("lc", SacreBleuWords::new(scheme).lowercase())]
            {
                let bleu = SacreBleu::new(words, SacreSmoothing::Exp);
                let expected = &set.corpus[format!("sacrebleu.{}.{case}", scheme.name())];
                let measured = Measured::of(Arc::new(bleu), &set.items()).unwrap();
                let what = format!("{} {} {case}", set.name, scheme.name());
                assert_close(measured.values()[0], &expected["score"], &what);
                let signature = expected["signature"].as_str().unwrap();
                let (_, decisive) = signature.split_once('|').unwrap();
                assert_eq!(bleu.signature(), format!("bleu|sacrebleu|{decisive}"), "{what}");
            }
        }
        for (name, smoothing) in SMOOTHINGS {
            let bleu = SacreBleu::new(SacreBleuWords::default(), smoothing);
            let measured = Measured::of(Arc::new(bleu), &set.items()).unwrap();
            let expected = &set.corpus[format!("sacrebleu.13a.smooth_{name}")];
            assert_close(measured.values()[0], expected, &format!("{} {name}", set.name));
        }
    }
}

const SMOOTHINGS: [(&str, SacreSmoothing); 4] = [
    ("none", SacreSmoothing::None),
    ("floor", SacreSmoothing::Floor),
    ("add-k", SacreSmoothing::AddK),
    ("exp", SacreSmoothing::Exp),
];

#[test]
fn golden_metrics_sacrebleu_of_sentences() {
    let Some(golden) = Golden::load() else { return };
    for set in golden.sets().into_iter().filter(|set| !set.is_subset) {
        for (name, smoothing) in SMOOTHINGS {
            let bleu = SacreBleu::new(SacreBleuWords::default(), smoothing).with_effective_order();
            let measured = Measured::of(Arc::new(bleu), &set.items()).unwrap();
            for (at, pair) in set.pairs.iter().enumerate() {
                let what = format!("{} {name}", pair.id);
                assert_close(measured.values_of(at)[0], &pair.expected["sacrebleu_sentence"][name], &what);
            }
        }
    }
}

#[test]
fn golden_metrics_chrf_of_items_and_corpora() {
    let Some(golden) = Golden::load() else { return };
    for set in golden.sets() {
        let chrf = Measured::of(Arc::new(Chrf::new()), &set.items()).unwrap();
        assert_close(chrf.values()[0], &set.corpus["sacrebleu.chrf2"], &set.name);
        for (at, pair) in set.pairs.iter().enumerate() {
            if !pair.expected["chrf2"].is_null() {
                assert_close(chrf.values_of(at)[0], &pair.expected["chrf2"], &pair.id);
            }
        }
        let with_words = Measured::of(Arc::new(Chrf::with_words()), &set.items()).unwrap();
        assert_close(with_words.values()[0], &set.corpus["sacrebleu.chrf2++"], &set.name);
    }
}

#[test]
fn an_identical_pair_has_the_highest_bleu() {
    let item = Item::new("a b c d e", "a b c d e");
    for metric in [coco(), nltk(Smoothing::None), nltk(Smoothing::Halving)] {
        for value in Measured::of(metric, std::slice::from_ref(&item)).unwrap().values() {
            assert!((value - 1.0).abs() < 1e-8, "{value}");
        }
    }
    let sacre = Arc::new(SacreBleu::new(SacreBleuWords::default(), SacreSmoothing::Exp));
    assert!((Measured::of(sacre, &[item]).unwrap().values()[0] - 100.0).abs() < 1e-9);
}

#[test]
fn a_perfect_pair_of_two_words_shows_the_constants_of_the_coco_tools() {
    let values = Measured::of(coco(), &[Item::new("thank you", "thank you")]).unwrap().values();
    assert!((values[2] - 0.01).abs() < 1e-6 && (values[3] - 0.001).abs() < 1e-6, "{values:?}");
}

#[test]
fn smoothing_of_single_sentences_is_refused_for_a_corpus() {
    let problem = NltkBleu::new(Arc::new(WhiteSpace), Smoothing::Neighbours).err().unwrap().to_string();
    assert!(problem.contains("smoothing 5 needs one sentence"), "{problem}");
}
