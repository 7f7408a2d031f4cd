//! Where golden files are.

use std::path::{Path, PathBuf};

/// The workspace's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder of a golden family: `$SOLACE_GOLDENS`, else `../shared/goldens`, else `fixtures/goldens`. An absent family
/// is skipped with a printed line.
pub(crate) fn family(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("SOLACE_GOLDENS").map(PathBuf::from);
    let places = given.into_iter().chain([root().join("../shared/goldens"), root().join("fixtures/goldens")]);
    let found = places.map(|place| place.join(name)).find(|folder| folder.is_dir());
    if found.is_none() {
        println!("skipped: the golden family `{name}` is not here");
    }
    found
}
