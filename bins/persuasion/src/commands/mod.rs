//! What each subcommand does, one file each.

pub(crate) mod compare;
pub(crate) mod prepare;
pub(crate) mod report;
