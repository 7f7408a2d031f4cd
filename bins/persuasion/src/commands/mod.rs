//! What each subcommand does, one file each.
