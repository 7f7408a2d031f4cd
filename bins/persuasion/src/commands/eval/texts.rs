//! What can be told of generated replies without a judge: how long and how varied they are, and which copy.

use std::sync::Arc;

use command_line::Failure;
use esc_metrics::interval::{Interval, Resampling};
use esc_metrics::tokenize::WhiteSpaceLower;
use esc_metrics::{Distinct, Item, Measured, self_bleu};
use serde::Serialize;

use super::copying::Runs;

/// Texts that are compared with one another at most: the work grows with their square.
const MOST_COMPARED: usize = 500;

/// A text with what it replies to.
pub(super) struct Text<'a> {
    pub(super) group: &'a str,
    pub(super) prompt: &'a str,
    pub(super) text: &'a str,
    /// Whether it ended by itself; unknown of people's replies.
    pub(super) is_whole: Option<bool>,
}

/// What replies of one origin are like. Words are what stands between white space, in lower case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct TextReport {
    pub(super) name: String,
    pub(super) replies: usize,
    /// Replies without a word.
    pub(super) empty: usize,
    pub(super) words: Option<Interval>,
    /// Replies that ended by themselves and were not cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<Interval>,
    /// Different n-grams over all n-grams of all replies, n = 1, 2, 3.
    pub(super) distinct: Vec<f64>,
    /// Each reply's BLEU-2, -3 and -4 against the others, the mean; high where all say the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) self_bleu: Option<[f64; 3]>,
    /// Replies that have eight or more words in a row from their post.
    pub(super) copies_post: Option<Interval>,
    /// The same, from a reply that was learned from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) copies_training: Option<Interval>,
}

impl TextReport {
    /// Of these texts; `learned` are runs of words of the training's replies.
    pub(super) fn of(
        name: &str,
        texts: &[Text<'_>],
        learned: Option<&Runs>,
        resampling: &Resampling,
        seed: u64,
    ) -> Result<Self, Failure> {
        let by_text = |value: &dyn Fn(&Text<'_>) -> Option<f64>| {
            let values = texts.iter().filter_map(|text| Some((text.group, value(text)?)));
            Interval::by_group_with(values, resampling)
        };
        let share = |is_so: bool| Some(f64::from(u8::from(is_so)));
        let words = |text: &Text<'_>| text.text.split_whitespace().count();
        let items: Vec<Item> = texts.iter().map(|text| Item::new(text.text, "")).collect();
        let all: Vec<String> = texts.iter().map(|text| text.text.to_owned()).collect();
        let distinct = match items.is_empty() {
            true => Vec::new(),
            false => Measured::of(Arc::new(Distinct::corpus(Arc::new(WhiteSpaceLower))), &items)?.values(),
        };
        let self_bleu = match all.len() {
            0 | 1 => None,
            _ => Some(self_bleu(&all, &WhiteSpaceLower, MOST_COMPARED, seed)?.0),
        };
        Ok(Self {
            name: name.to_owned(),
            replies: texts.len(),
            empty: texts.iter().filter(|text| words(text) == 0).count(),
            words: by_text(&|text| Some(words(text) as f64)),
            ended: by_text(&|text| text.is_whole.and_then(share)),
            distinct,
            self_bleu,
            copies_post: by_text(&|text| share(Runs::of(text.prompt).occur_in(text.text))),
            copies_training: learned.and_then(|runs| by_text(&|text| share(runs.occur_in(text.text)))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_a_count_by_hand() {
        let post = "i say a b c d e f and no more";
        let texts = ["A b a", "he says i say a b c d e f and", ""].map(|text| Text {
            group: text,
            prompt: post,
            text,
            is_whole: Some(!text.is_empty()),
        });
        let mut learned = Runs::default();
        learned.add("we learned he says i say a b c d");
        let found = TextReport::of("model", &texts, Some(&learned), &Resampling::default(), 1).unwrap();
        assert_eq!((found.replies, found.empty), (3, 1));
        assert_eq!(found.words.unwrap().mean, 14.0 / 3.0);
        assert_eq!(found.ended.unwrap().mean, 2.0 / 3.0);
        // 14 words, of which a, b, he, says, i, say, c, d, e, f, and differ; 12 bigrams, of which "a b" occurs twice.
        assert_eq!(found.distinct[..2], [11.0 / 14.0, 11.0 / 12.0]);
        assert_eq!(found.copies_post.unwrap().mean, 1.0 / 3.0);
        assert_eq!(found.copies_training.unwrap().mean, 1.0 / 3.0);
    }

    #[test]
    fn no_replies_have_no_numbers() {
        let found = TextReport::of("model", &[], None, &Resampling::default(), 1).unwrap();
        assert_eq!((found.replies, found.words, found.self_bleu), (0, None, None));
    }
}
