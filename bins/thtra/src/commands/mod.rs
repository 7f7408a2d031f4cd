//! One file per subcommand.

pub(crate) mod infer;
pub(crate) mod prepare;
pub(crate) mod process;
pub(crate) mod train;
