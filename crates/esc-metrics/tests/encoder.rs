//! Scores by an encoder, with one that is easy to follow: a token is a word, its embedding its letters.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use esc_metrics::bertscore::TokenEmbeddings;
use esc_metrics::{EncodedText, Encoder, Error, Item, MeanBertScore, Measured, Metric, SentenceSimilarity};
use proptest::prelude::*;

/// Counts of the letters a to z, and one for all else.
const WIDTH: usize = 27;
const FRAME: u32 = 0;

#[derive(Default)]
struct Letters {
    texts: AtomicUsize,
    fails_on: Option<&'static str>,
}

fn letters(word: &str) -> [f32; WIDTH] {
    let mut counts = [0.0; WIDTH];
    for letter in word.chars() {
        counts[if letter.is_ascii_lowercase() { letter as usize - 'a' as usize } else { WIDTH - 1 }] += 1.0;
    }
    counts
}

fn id(word: &str) -> u32 {
    word.bytes().fold(1, |id, byte| (id * 31 + u32::from(byte)) % 65_521)
}

impl Encoder for Letters {
    fn name(&self) -> String {
        "letters".to_owned()
    }

    fn layer(&self) -> usize {
        3
    }

    fn embed_tokens(&self, texts: &[&str]) -> Result<Vec<EncodedText>, Error> {
        self.texts.fetch_add(texts.len(), Ordering::Relaxed);
        texts.iter().map(|text| self.encoded(text)).collect()
    }

    fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Error> {
        Ok(texts.iter().map(|text| letters(text).to_vec()).collect())
    }
}

impl Letters {
    fn encoded(&self, text: &str) -> Result<EncodedText, Error> {
        if self.fails_on.is_some_and(|word| text.contains(word)) {
            return Err(Error::model("out of memory"));
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let tokens = [&[FRAME], words.iter().map(|word| id(word)).collect::<Vec<_>>().as_slice(), &[FRAME]].concat();
        let values =
            [vec![1.0; WIDTH], words.iter().flat_map(|word| letters(word)).collect(), vec![1.0; WIDTH]].concat();
        let weights = (0..tokens.len()).map(|at| if at == 0 || at == tokens.len() - 1 { 0.0 } else { 1.0 }).collect();
        Ok(EncodedText { embeddings: TokenEmbeddings::new(&values, WIDTH)?.with_weights(weights)?, tokens })
    }
}

fn values(metric: impl Metric + 'static, items: &[Item]) -> Vec<f64> {
    Measured::of(Arc::new(metric), items).unwrap().values()
}

#[test]
fn bert_scores_are_means_over_items_of_the_best_reference() {
    // `ab` lies at 45 degrees to `a`, and everything else is right or wrong.
    let mut one = Item::new("a c", "ab c");
    one.references.push("z".to_owned());
    let items = [one, Item::new("x", "x")];
    let found = values(MeanBertScore::new(Arc::new(Letters::default())), &items);
    let expected = (0.5_f64.sqrt() + 1.0) / 2.0;
    for value in found {
        assert!((value - (expected + 1.0) / 2.0).abs() < 1e-7, "{value}");
    }
    let idf = MeanBertScore::new(Arc::new(Letters::default())).with_idf_of(&["ab c", "c d"]).unwrap();
    assert_eq!(idf.signature(), "bertscore|encoder:letters|layer:3|idf:references|rescaled:no");
    // c stands in both references and weighs ln(3/3) = 0.
    let found = values(idf, &[Item::new("a c", "ab c")]);
    assert!((found[0] - 0.5_f64.sqrt()).abs() < 1e-7, "{found:?}");
}

#[test]
fn sentence_similarity_is_the_cosine_of_the_best_reference() {
    let mut item = Item::new("ab", "a");
    item.references.push("zz".to_owned());
    let metric = SentenceSimilarity::new(Arc::new(Letters::default()));
    assert_eq!(metric.signature(), "sentence-similarity|encoder:letters");
    assert!((values(metric, &[item, Item::new("", "a")])[0] - 0.5_f64.sqrt() / 2.0).abs() < 1e-9);
}

#[test]
fn a_failing_encoder_fails_the_scores_and_is_asked_no_more() {
    let encoder = Arc::new(Letters { fails_on: Some("bad"), ..Letters::default() });
    let mut items = vec![Item::new("good", "good"); 1000];
    items[10] = Item::new("bad", "good");
    let failed = Measured::of(Arc::new(MeanBertScore::new(encoder.clone())), &items);
    assert_eq!(failed.err().unwrap().to_string(), "the model that scores: out of memory");
    assert!(encoder.texts.load(Ordering::Relaxed) < 1000);
}

proptest! {
    #[test]
    fn identical_texts_have_the_best_score(texts in prop::collection::vec("[a-z]{1,4}( [a-z]{1,4}){0,5}", 1..6)) {
        let items: Vec<Item> = texts.iter().map(|text| Item::new(text, text)).collect();
        for value in values(MeanBertScore::new(Arc::new(Letters::default())), &items) {
            prop_assert!((value - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn no_text_panics(one in any::<String>(), two in any::<String>()) {
        values(MeanBertScore::new(Arc::new(Letters::default())), &[Item::new(&one, &two)]);
        values(SentenceSimilarity::new(Arc::new(Letters::default())), &[Item::new(&one, &two)]);
    }
}
