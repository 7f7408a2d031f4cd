use std::path::PathBuf;
pub fn family(name: &str) -> Option<PathBuf> { Some(PathBuf::from("/work/shared/goldens").join(name)) }
