//! One file per subcommand.

pub(crate) mod align;
pub(crate) mod candidates;
pub(crate) mod chat;
pub(crate) mod demo;
pub(crate) mod eval;
pub(crate) mod helpfulness;
pub(crate) mod infer;
pub(crate) mod prepare;
pub(crate) mod process;
pub(crate) mod run;
pub(crate) mod scorer;
pub(crate) mod train;
