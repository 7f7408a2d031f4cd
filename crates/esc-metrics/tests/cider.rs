//! CIDEr against the COCO tools.

use std::sync::Arc;

use esc_metrics::tokenize::WhiteSpace;
use esc_metrics::{Cider, DocumentFrequencies, Item, Measured};

use crate::goldens::{Golden, assert_close};

#[test]
fn golden_metrics_cider_of_items_and_corpora() {
    let Some(golden) = Golden::load() else { return };
    for set in golden.sets() {
        for tokens in ["nltk", "ptb_coco"] {
            let name = if tokens == "nltk" { "coco_nltk" } else { "coco_ptb" };
            let cider = Measured::of(Arc::new(Cider::coco(Arc::new(WhiteSpace))), &set.tokenised(tokens)).unwrap();
            assert_close(cider.values()[0], &set.corpus[format!("{name}.cider")], &set.name);
            // What an item is worth depends on its company: values of items are those of the whole set.
            for (at, pair) in set.pairs.iter().enumerate().filter(|_| !set.is_subset) {
                assert_close(cider.values_of(at)[0], &pair.expected[name]["cider"], &pair.id);
            }
        }
    }
}

#[test]
fn one_item_alone_is_worth_nothing() {
    let cider = Arc::new(Cider::coco(Arc::new(WhiteSpace)));
    assert_eq!(Measured::of(cider, &[Item::new("a b", "a b")]).unwrap().values(), [0.0]);
}

#[test]
fn stored_frequencies_of_the_same_references_change_nothing() {
    let items: Vec<Item> = ["a b c d", "a c d e", "x y", "b c d e a"].map(|text| Item::new("a b c d e", text)).to_vec();
    let references: Vec<Vec<String>> = items.iter().map(|item| item.references.clone()).collect();
    let stored = DocumentFrequencies::of("four", &references, &WhiteSpace);
    let plain = Measured::of(Arc::new(Cider::coco(Arc::new(WhiteSpace))), &items).unwrap();
    let other = Measured::of(Arc::new(Cider::coco(Arc::new(WhiteSpace)).with_frequencies(stored)), &items).unwrap();
    for item in 0..items.len() {
        assert!((plain.values_of(item)[0] - other.values_of(item)[0]).abs() < 1e-12);
    }
    assert_eq!(other.metric.signature(), "cider-d|tok:ws|df:four");
}

#[test]
fn an_identical_text_has_the_highest_plain_cider() {
    let items = [Item::new("a b c d", "a b c d"), Item::new("e f g h", "x f g h")];
    let plain = Measured::of(Arc::new(Cider::plain(Arc::new(WhiteSpace))), &items).unwrap();
    assert!((plain.values_of(0)[0] - 10.0).abs() < 1e-9);
    assert!(plain.values_of(1)[0] < 10.0);
}
