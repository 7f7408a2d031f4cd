//! What each subcommand does, one file each.

pub(crate) mod prepare;
