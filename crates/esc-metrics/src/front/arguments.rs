//! The command line of `score`.

use std::path::PathBuf;

use clap::Args;

use crate::suite::Preset;

/// Score generated responses against references
///
/// HYP and REF are text files (a text a line), JSON Lines, or run folders. JSON rows are matched by their `example`, `id` or `index` where both
/// sides have one, else line by line. Every number is printed with its variant's signature; numbers of different signatures are
/// not comparable.
#[derive(Debug, Clone, Args)]
pub struct ScoreArguments {
    /// Generated responses: a text file, JSON Lines, or a run folder
    #[arg(value_name = "HYP", required_unless_present = "list")]
    pub hypotheses: Option<PathBuf>,
    /// References; several files for several references of each response. May be left out if HYP's rows hold them
    #[arg(value_name = "REF")]
    pub references: Vec<PathBuf>,
    /// The numbers of a line of papers: default, thu-coai, nlg-eval, multiesc, magic
    #[arg(long, default_value = "default", value_name = "PRESET", value_parser = preset)]
    pub preset: Preset,
    /// These metrics instead of a preset's; several, separated by commas or repeated
    #[arg(long, value_delimiter = ',', value_name = "NAME", conflicts_with = "preset")]
    pub metric: Vec<String>,
    /// Print the names of all metrics
    #[arg(long)]
    pub list: bool,
    /// A second system's responses to the same references: compares the two
    #[arg(long, value_name = "HYP")]
    pub against: Option<PathBuf>,
    /// Only responses of this layout of a run; two, separated by a comma, for HYP and the one --against (which may be the same)
    #[arg(long, value_delimiter = ',', value_name = "LAYOUT")]
    pub layout: Vec<String>,
    /// Also print the values of each strategy, or of each value of another field of the rows
    #[arg(
        long,
        value_name = "FIELD",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "strategy",
        conflicts_with = "against"
    )]
    pub by: Option<String>,
    /// Bootstrap resamples for 95 % intervals and tests; whole conversations are drawn where the rows name them. 0 prints
    /// values only
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub resamples: usize,
    /// Seed of the resampling
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Tables of METEOR 1.5: its folder (meteor-1.5.jar, data/paraphrase-en.gz) [default: $SOLACE_METEOR]
    #[arg(long, value_name = "DIR")]
    pub meteor: Option<PathBuf>,
    /// NLTK's data folder, for its sentence splitter [default: $NLTK_DATA and NLTK's usual places, else the built-in one]
    #[arg(long, value_name = "DIR")]
    pub nltk_data: Option<PathBuf>,
    /// WordNet's folder, for NLTK's METEOR [default: $SOLACE_WORDNET and the usual places]
    #[arg(long, value_name = "DIR")]
    pub wordnet: Option<PathBuf>,
    /// Word vectors in GloVe's text format, for embedding average, extrema and greedy
    #[arg(long, value_name = "FILE")]
    pub vectors: Option<PathBuf>,
}

fn preset(name: &str) -> Result<Preset, String> {
    Preset::by_name(name).map_err(|error| error.to_string())
}
