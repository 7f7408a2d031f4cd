//! ThTra: from a corpus to a model that looks ahead, knows the situation and is aligned to helpfulness, and to what it is worth.
//!
//! ThTra trains BlenderBot-small in three stages to answer in an emotional support conversation. In the first it also reads what the seeker will
//! say next, and so learns what answers lead to; in the second it has to tell the seeker's situation beside the answer; in the third, answers that
//! a model of helpfulness prefers are made likelier. Method: "Producing Considerate Responses: Progressive staged training for emotional
//! support conversation" (Lv, Li, Wang, Zhan, Zeng, 2024) on top of "Towards Emotional Support Dialog Systems" (ACL 2021, arXiv
//! [2106.01144](https://arxiv.org/abs/2106.01144)); the third stage is that of "Aligning Language Models with Human Preferences via a Bayesian
//! Approach" (NeurIPS 2023, arXiv [2310.05782](https://arxiv.org/abs/2310.05782)).
//!
//! This crate holds what the stages are made of; the program `thtra` puts it on the command line.
//!
//! - Data: [`SplitRule`] makes the [`Part`]s of a corpus, [`Dialogue`]s are its lines, [`rated_exchanges`] finds what seekers thought of the support,
//!   [`HelpfulnessData`] keeps that by parts and looks for leaks, [`EncodedDialogues`] lays dialogues out as [`Sample`]s, [`Prepared`] keeps these in files.
//! - Stages 1 and 2: [`SampleDataset`] and [`StageObjective`] train a [`Responder`].
//! - Stage 3: [`CandidateMaker`] and [`CandidateScorer`] make what [`ranking_data`] puts in order, and [`AlignObjective`] learns from it.
//! - Answers: [`Answerer`] chooses a strategy ([`StrategyMode`]) and speaks, [`Conversation`] keeps a chat, [`Evaluator`] says what answers are worth.
//!
//! ```
//! use esconv_data::{Conversation, Speaker, Utterance};
//! use thtra::rated_exchanges;
//!
//! let say = |speaker, text: &str, feedback| Utterance { speaker, content: text.into(), strategy: None, feedback };
//! let conversation = Conversation {
//!     dialog: vec![
//!         say(Speaker::Seeker, "I failed.", None),
//!         say(Speaker::Supporter, "What happened?", None),
//!         say(Speaker::Seeker, "I panicked.", Some(4)),
//!     ],
//!     ..Conversation::default()
//! };
//! let exchanges = rated_exchanges(&conversation);
//! assert_eq!((exchanges.len(), exchanges[0].response.as_str(), exchanges[0].score), (1, "What happened?", 4));
//! ```

// The program's own files name the library as everybody does.
extern crate self as thtra;

mod align_arguments;
mod align_objective;
mod answer_arguments;
mod answering;
mod arguments;
mod batching;
mod candidates;
mod commands;
mod conversation;
mod dialogue;
mod error;
mod evaluation;
mod feedback;
mod generations;
mod helpfulness_arguments;
mod helpfulness_data;
mod helpfulness_folder;
mod model_folder;
mod objective;
mod part;
mod prepared;
mod program;
mod ranking_data;
mod responder;
mod run_arguments;
mod sample;
mod scorer_context;
mod stage;
mod strategy;
mod strategy_mode;
mod tokenizer;
mod train_arguments;
mod white_space;

pub use align_objective::{
    AlignBatch, AlignDataset, AlignLimits, AlignObjective, BLEU_4, HELPFULNESS, HeldOutAnswers, HeldOutQuestion,
    Select, WORTH,
};
pub use answering::{Answer, Answerer, Question, StrategyPrediction, candidate_options, sampling_options};
pub use batching::{SampleBatch, SampleDataset, bucketed};
pub use candidates::{
    CANDIDATE_ROWS, CANDIDATES_FILE, CandidateMaker, CandidateRow, CandidateScorer, CandidateStrategies, SCORE_ROWS,
    SCORES_FILE, SampleInDialogue, ScoreRow, context_text, place_id,
};
pub use conversation::{Conversation, Exchange};
pub use dialogue::{Author, Dialogue, Turn};
pub use error::Error;
pub use evaluation::{
    Compared, Evaluated, Evaluation, Evaluator, Helpfulness, SampleScoreRow, StrategyScores, metric_names,
};
pub use feedback::{HELPFUL_LABEL, RATERS, RatedExchange, UNHELPFUL_LABEL, rated_exchanges, records_of};
pub use generations::{GENERATION_ROWS, Generation, Inference, QuestionSet, read_generations};
pub use helpfulness_data::{
    DEV_INDEX_FILE, HELPFULNESS_FOLDER, HelpfulnessData, SPLIT_FILE, check_leakage, read_split, record_file,
    write_split,
};
pub use helpfulness_folder::{ENCODER_FOLDER, helpfulness_folder, helpfulness_sha256, open_helpfulness};
pub use model_folder::TrainedModel;
pub use objective::{SITUATION_WEIGHT, SampleScores, StageObjective, ranked};
pub use part::{Part, SplitRule};
pub use prepared::{FileMeta, META_FILE, Prepared, PreparedMeta, SourceMeta, TokenizerMeta, Wanted, file_name};
pub use program::{program, step};
pub use ranking_data::{RankingRule, ranking_data};
pub use responder::{MODEL_FOLDER, Responder, Size};
pub use sample::{DecoderStream, Encoded, EncodedDialogues, Layout, Lengths, Sample, SampleCounts};
pub use scorer_context::{ContextTurn, ScorerContext};
pub use stage::Stage;
pub use strategy::Strategy;
pub use strategy_mode::StrategyMode;
pub use tokenizer::{DialogueTokenizer, TOKENIZER_FOLDER};
pub use white_space::normalised;
