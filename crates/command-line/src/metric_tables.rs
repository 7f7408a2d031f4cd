//! Where the tables of metrics lie.

use std::path::PathBuf;

use clap::Args;

/// Tables that are not part of a program.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tables of the metrics")]
pub struct MetricTables {
    /// Folder of NLTK's data, for its sentence splitter [default: where NLTK looks for it]
    #[arg(long, value_name = "DIR")]
    pub nltk_data: Option<PathBuf>,
    /// Folder of METEOR 1.5, for its paraphrases [default: SOLACE_METEOR]
    #[arg(long, value_name = "DIR")]
    pub meteor: Option<PathBuf>,
    /// Folder of WordNet 3.0's database [default: SOLACE_WORDNET]
    #[arg(long, value_name = "DIR")]
    pub wordnet: Option<PathBuf>,
}
