//! One file per subcommand.

pub(crate) mod chat;
pub(crate) mod eval;
pub(crate) mod helpfulness;
pub(crate) mod infer;
pub(crate) mod prepare;
pub(crate) mod process;
pub(crate) mod train;
