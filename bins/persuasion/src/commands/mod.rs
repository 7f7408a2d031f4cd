//! What each subcommand does, one file each.

pub(crate) mod compare;
pub(crate) mod demo;
pub(crate) mod eval;
pub(crate) mod generate;
pub(crate) mod prepare;
pub(crate) mod report;
pub(crate) mod search;
pub(crate) mod threads;
pub(crate) mod train;
