//! MAGIC's data: samples, dialogue clips, prompts, motivations and inferred strategies.
//!
//! MAGIC answers in an emotional support conversation in two stages: a language model infers the next support strategy and says why
//! it fits (the *motivation*), and an encoder–decoder with a memory of earlier answers writes the response. The method is that of
//! "Memory-Enhanced Emotional Support Conversations with Motivation-Driven Strategy Inference" (ECML-PKDD 2024,
//! doi [10.1007/978-3-031-70362-1_13](https://doi.org/10.1007/978-3-031-70362-1_13)); its raw data is MultiESC's.
//!
//! This crate holds what both stages read and write, without a model: [`Dialogue`]s with checked [`Strategy`]s become [`Sample`]s of the
//! generator, and clips ([`collection_clips`], [`inference_clips`]) that a [`Template`] makes prompts of; [`collect_motivations`] asks any
//! [`llm_runtime::TextModel`] for motivations, [`StrategyInference`] asks a fine-tuned one for strategies, [`parse_answer`] reads what it
//! answered, [`strategy_report`] says how good that is, and [`fit_oldest_turns`] shortens prompts that are too long. The program `magic` puts it on the command line.
//!
//! ```
//! use magic::{Author, Dialogue, LetterCase, SampleRule, Strategy, Turn, samples};
//!
//! let say = |text: &str, author| Turn { text: text.into(), author };
//! let dialogue = Dialogue {
//!     situation: "I failed an exam .".into(),
//!     turns: vec![
//!         say("Hello .", Author::Supporter(Strategy::Greeting)),
//!         say("I ' m a failure .", Author::Seeker),
//!         say("What makes you say so ?", Author::Supporter(Strategy::Question)),
//!     ],
//! };
//! // The turn that opens the dialogue is no sample, but remembered.
//! let samples = samples(&[dialogue], SampleRule::AllTurns, LetterCase::default());
//! assert_eq!(samples.len(), 1);
//! assert_eq!(samples[0].context, ["I failed an exam .", "Hello .", "I am a failure ."]);
//! assert_eq!(samples[0].strategy_memory, [Strategy::Greeting]);
//! ```

// The program's own files name the library as everybody does.
extern crate self as magic;

mod answer;
mod arguments;
mod clip;
mod commands;
mod contraction;
mod dialogue;
mod encoding;
mod error;
mod evaluation;
mod example_fitting;
mod generator_arguments;
mod generator_folder;
mod inference;
mod inference_arguments;
mod inferred_answer;
mod json_file;
mod motivation;
mod offline;
mod program;
mod prompt_layout;
mod prompts;
mod response;
mod sample;
mod seeds;
mod smoothing;
mod strategy;
mod strategy_inference;
mod strategy_report;
mod strategy_tables;
mod template;
mod train_arguments;
mod truncation;

pub use answer::{ParseStatus, ParsedAnswer, count_by_status, parse_answer};
pub use clip::{CollectionClip, collection_clips, inference_clips};
pub use contraction::{LetterCase, expand_contractions};
pub use dialogue::{Author, Dialogue, SampleRule, Turn};
pub use encoding::{EncodingOptions, SampleEncoder, Truncate};
pub use error::Error;
pub use evaluation::{Evaluated, Evaluation, Evaluator, metric_names};
pub use example_fitting::{encode_dropping_turns, encode_proportionally};
pub use generator_folder::{
    GENERATOR_FOLDER, GeneratorSettings, Profile, ResponseGenerator, SETTINGS_FILE, generator_folder, save_generator,
};
pub use inference::{INFERENCE_FILES, Inference, read_inferences};
pub use inferred_answer::{
    Distribution, INFERENCE_JOURNAL, INFERRED_ROWS, InferenceItem, InferredAnswer, InferredRow, Split, rows_of,
};
pub use json_file::{Indent, read_array, write_json};
pub use motivation::{
    Collected, MOST_WORDS, MOTIVATION_JOURNAL, MOTIVATION_ROWS, MOTIVATIONS_FILE, MotivationChecks, MotivationItem,
    MotivationRow, collect_motivations, in_order, made_by, motivation_items, of_items,
};
pub use offline::OfflineModel;
pub use program::{program, step};
pub use prompt_layout::{LaidPrompt, PromptLayout, TokenLayout};
pub use prompts::{PROMPT_FILES, TrainingPrompt, read_motivations, read_prompts, training_prompts};
pub use response::{RESPONSE_ROWS, Remembered, ResponseRow, input_sha256, response_id};
pub use sample::{Sample, StrategySource, add_inferences, read_samples, samples, write_samples};
pub use smoothing::smoothed_curve;
pub use strategy::Strategy;
pub use strategy_inference::{Decoding, InferenceOptions, InferenceSink, Inferred, StrategyInference};
pub use strategy_report::{GoldStrategy, StrategyReport, gold_strategies, read_gold_strategies, strategy_report};
pub use template::{TEMPLATE_FILES, Task, Template};
pub use truncation::{FittedPrompt, KeptTokens, fit_oldest_turns, proportional_cut};
