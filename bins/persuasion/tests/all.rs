//! The library and the program as a user runs it: one test binary, a module per subject.

mod corpora;
mod prepare;
