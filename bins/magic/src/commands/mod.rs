//! One file per subcommand.

pub(crate) mod bank;
pub(crate) mod build_prompts;
pub(crate) mod collect_motivations;
pub(crate) mod convert_checkpoint;
pub(crate) mod demo;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod finetune;
mod gaps;
pub(crate) mod generate;
pub(crate) mod infer_strategy;
pub(crate) mod parse_answers;
pub(crate) mod preprocess;
pub(crate) mod templates;
pub(crate) mod train;
