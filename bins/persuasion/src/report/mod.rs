//! Reports of runs and studies: from the files of a folder to one page that needs nothing else, and the comparison of several runs.
//!
//! [`RunFiles`] reads what a run has left (also one that is going on), [`run_page`] makes the page; [`StudyFiles`] and [`study_page`] do so
//! for a search, [`Comparison`] and [`comparison_page`] for several runs. A page holds its styles, scripts, pictures and data; a policy
//! in it forbids every request and every script but its own. All texts are data: none becomes markup.

mod aims;
mod comparison;
mod comparison_page;
mod comparison_text;
mod data;
mod error;
mod evaluation;
mod figures;
mod json_lines;
mod markup;
mod page;
mod run_files;
mod run_page;
mod settings;
mod study;

pub use comparison::{At, Comparison, ComparisonOptions, Metric, PairedAccuracy, RunSummary};
pub use comparison_page::comparison_page;
pub use error::ReportError;
pub use run_files::{Ending, Generation, Pair, RunFiles, Sample};
pub use run_page::{SampleRows, run_page};
pub use settings::{Difference, Settings};
pub use study::{StudyFiles, study_page};

/// Writes a page, whole or not at all.
///
/// # Errors
/// The file can't be written.
pub fn write_page(path: &std::path::Path, page: &str) -> Result<(), ReportError> {
    llm_runtime::output_file::write(path, page).map_err(ReportError::io(path))
}
