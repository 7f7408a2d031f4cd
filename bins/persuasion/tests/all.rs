//! The library and the program as a user runs it: one test binary, a module per subject.

mod compare;
mod report;
mod report_browser;
mod report_folder;
