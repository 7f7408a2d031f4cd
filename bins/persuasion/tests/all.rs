//! The library and the program as a user runs it: one test binary, a module per subject.

mod cleaning;
mod compare;
mod corpora;
mod prepare;
mod prepare_bad_input;
mod report;
mod report_browser;
mod report_folder;
mod threads;
mod train;
