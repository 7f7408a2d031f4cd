//! How well a label can be predicted from texts or vectors: simple classifiers, split by group so that nothing leaks.
//!
//! Made for one question: can the support strategy be read off a response? If a plain classifier finds the strategy that a model
//! was told, the model followed it. Texts become counts of n-grams ([`NgramCounter`]), vectors come from any encoder; both go through
//! [`LogisticRegression`]; very many vectors go through [`RidgeClassifier`]. [`grouped_split`] keeps conversations together,
//! because responses of one conversation resemble each other. Follows the analyses of arXiv
//! [2402.10453](https://arxiv.org/abs/2402.10453); fits are held against scikit-learn.
//!
//! ```
//! use esc_metrics::classification::Labelled;
//! use predictability::{Features, LogisticOptions, LogisticRegression, NgramCounter, grouped_split};
//!
//! let texts: Vec<String> = (0..40)
//!     .map(|number| if number % 2 == 0 { "brighter days ahead soon" } else { "makes sense feeling upset" }.to_owned())
//!     .collect();
//! let labels: Vec<usize> = (0..40).map(|number| number % 2).collect();
//! let groups: Vec<String> = (0..40).map(|number| format!("conversation {}", number / 4)).collect();
//! let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
//!
//! let split = grouped_split(&groups, 0.25, 1)?;
//! let of = |items: &[usize]| items.iter().map(|item| texts[*item].clone()).collect::<Vec<_>>();
//! let counter = NgramCounter::fit(&of(&split.train), (2, 3), 0.9, None)?;
//! let chosen: Vec<usize> = split.train.iter().map(|item| labels[*item]).collect();
//! let model = LogisticRegression::fit(&counter.count(&of(&split.train)), &chosen, 2, LogisticOptions::default())?;
//!
//! let expected: Vec<usize> = split.test.iter().map(|item| labels[*item]).collect();
//! let tested: Vec<&str> = split.test.iter().map(|item| groups[*item]).collect();
//! let names = ["hope".to_owned(), "validation".to_owned()];
//! let found = model.predict(&counter.count(&of(&split.test)));
//! let scores = Labelled::new(&names, &expected, &found)?.report_by_group(&tested)?;
//! assert_eq!((scores.report.accuracy, scores.groups), (1.0, 2));
//! # let _ = Features::Dense { width: 1, values: vec![0.0] };
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod features;
mod logistic;
mod ridge;
mod split;

pub use error::Error;
pub use features::{Features, NgramCounter, response_text};
pub use logistic::{LogisticOptions, LogisticRegression, strengths};
pub use ridge::{RidgeClassifier, RidgeModel};
pub use split::{Split, grouped_folds, grouped_split};
