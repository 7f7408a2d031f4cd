//! One test binary; a module per subject.

mod pairs;
mod people;
mod scripted;
mod templates;
