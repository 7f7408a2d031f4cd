//! Answers compared and rated: by a language model, by people, and how well the two agree.
//!
//! A model judges pairs of answers to the same conversation ([`judge_pairs`]) or rates single answers ([`rate`]); what it is told stands in a [`JudgeTemplate`] that can be
//! edited. Each pair is shown in both orders, and only a verdict that follows the answer across the swap counts as a win. People judge the same pairs as tasks
//! for Label Studio ([`AnnotationTasks`]), whose export is read back as [`Preference`]s. Verdicts become win rates in
//! [`esc_metrics::judge`]. Follows the evaluation of arXiv [2402.10453](https://arxiv.org/abs/2402.10453), §5.
//!
//! ```
//! use esc_metrics::judge::{JudgeReport, Verdict, VerdictPair};
//! use judging::{JudgeTemplate, Question, parse_verdict};
//!
//! let template = JudgeTemplate::by_name_or_path("strategy-following")?;
//! assert_eq!(template.question(), Question::Pair);
//!
//! let verdict = parse_verdict("Reply A asks first, as the instruction wants.\n[[A]]");
//! let swapped = parse_verdict("Reply B asks first.\n[[B]]");
//! let pair = VerdictPair { first_as_a: verdict, second_as_a: swapped };
//! assert_eq!((verdict, swapped), (Some(Verdict::A), Some(Verdict::B)));
//! assert_eq!(JudgeReport::of_verdicts(&[pair])?.win_rate, 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ask;
mod error;
mod item;
mod pairs;
mod people;
mod ratings;
mod template;
mod verdict;

pub use ask::Decision;
pub use error::Error;
pub use item::{PairItem, RatingItem};
pub use pairs::{Opinion, PairJudgement, judge_name, judge_pairs};
pub use people::{
    AnnotationKey, AnnotationTasks, Annotations, KeyEntry, LABELLING_VIEW, PairReport, Preference, PreferenceReport,
    SidedPair, ValueCorrelation, read_annotations, read_published_comparison, within_usual_differences,
};
pub use ratings::{Rating, rate, rater_name};
pub use template::{JudgeTemplate, Question};
pub use verdict::{HIGHEST_RATING, VERDICTS, parse_rating, parse_verdict, written_rating, written_verdict};
