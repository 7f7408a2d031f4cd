//! The command line of `sra score`: that of `esc-metrics`, and models that score.

use clap::Args;
use command_line::{Runtime, Server};
use esc_metrics::front::ScoreArguments;

/// Score generated responses against references
///
/// HYP and REF are text files (a text a line), JSON Lines, or run folders. JSON rows are matched by their `example`, `id` or `index` where both
/// sides have one, else line by line. Every number is printed with its variant's signature; numbers of different signatures are
/// not comparable.
#[derive(Debug, Args)]
pub(crate) struct Score {
    #[command(flatten)]
    pub(crate) score: ScoreArguments,
    /// Also BERTScore and the similarity of sentence vectors, by this BERT or RoBERTa encoder: a Hugging Face folder or a hub id
    #[arg(long, value_name = "ENCODER")]
    pub(crate) encoder: Option<String>,
    /// Layer whose states BERTScore compares, 0 for the embeddings [default: the last]
    #[arg(long, value_name = "N", requires = "encoder")]
    pub(crate) encoder_layer: Option<usize>,
    /// Also the perplexity of the responses, each a text of its own, under this model: demo, a .gguf file, a Hugging Face folder, a
    /// hub id, or a server that scores (openai:NAME@URL)
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) server: Server,
}
