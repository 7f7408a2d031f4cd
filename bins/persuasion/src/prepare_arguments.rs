//! The command line of `persuasion prepare`.

use std::path::PathBuf;

use clap::Args;
use command_line::at_least_one;
use persuasion::corpus::{Depth, Negatives, SplitRng, SplitRule};

/// Make pairs of a persuasive and an unpersuasive reply out of a corpus
///
/// Reads files of pairs (JSON, JSON Lines, CSV; UKPConvArg1 is one), dumps of Reddit, and the winning-arguments corpus in ConvoKit's form, in its first form
/// (*.jsonlist) and as folders of topics. Writes train.jsonl, validation.jsonl and test.jsonl, which no post (or topic) stands in two of, and what was found on the
/// way: funnel.json (what was left out, and why), lengths.json (with what "the longer reply wins" is worth) and leakage.json.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  persuasion prepare --input ukpconvarg1 --out pairs
  persuasion prepare --input dpo_random_neg_op_comment_v001.json --split-rng python --group-by prompt --out pairs
  persuasion prepare --posts CMV_submissions.zst --comments CMV_comments.zst --negatives matched --strip-edits --out pairs
  persuasion prepare --input winning-args-corpus --tokenizer Llama-2-7b-hf --out pairs")]
pub(crate) struct Prepare {
    /// A folder, or files of one form: pairs (.json, .jsonl, .csv), *.jsonlist, ConvoKit's utterances.jsonl with conversations.json, or folders with op.json and
    /// pairs.json
    #[arg(long, num_args = 1.., required_unless_present = "posts", value_name = "DIR|FILE")]
    pub(crate) input: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) dump: DumpOptions,
    /// Where everything goes
    #[arg(long, default_value = "pairs", value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) texts: TextOptions,
    #[command(flatten)]
    pub(crate) filters: FilterOptions,
    #[command(flatten)]
    pub(crate) parts: PartOptions,
    /// Tokenizer file, or folder with one, to measure lengths in tokens with
    #[arg(long, help_heading = "Lengths", value_name = "FILE|DIR")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Tokens that a training leaves of a prompt; with --tokenizer the share that is cut is told
    #[arg(long, default_value_t = 1024, value_parser = at_least_one(), help_heading = "Lengths", value_name = "TOKENS")]
    pub(crate) max_prompt_length: usize,
    /// Tokens that a training leaves of a prompt with a reply
    #[arg(long, default_value_t = 1536, value_parser = at_least_one(), help_heading = "Lengths", value_name = "TOKENS")]
    pub(crate) max_length: usize,
    /// Leave records out that can't be read, and count them; without it the first one ends the work
    #[arg(long)]
    pub(crate) skip_bad: bool,
}

/// A dump of Reddit.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reddit")]
pub(crate) struct DumpOptions {
    /// Posts of a dump, JSON Lines (.gz and .zst are decompressed)
    #[arg(long, num_args = 1.., requires = "comments", conflicts_with = "input", value_name = "FILE")]
    pub(crate) posts: Vec<PathBuf>,
    /// Comments of the dump
    #[arg(long, num_args = 1.., requires = "posts", value_name = "FILE")]
    pub(crate) comments: Vec<PathBuf>,
    /// Authors who are no people
    #[arg(long, value_delimiter = ',', default_value = "DeltaBot,AutoModerator", value_name = "NAME,…")]
    pub(crate) bots: Vec<String>,
}

/// What texts become.
#[derive(Debug, Args)]
#[command(next_help_heading = "Texts")]
pub(crate) struct TextOptions {
    /// What a post's title and text become; \n is a line break
    #[arg(long, default_value = r"{title}\n\n{body}", value_name = "TEXT")]
    pub(crate) prompt_template: String,
    /// Leave texts as they are: entities, zero-width characters, the moderators' footnote, addresses of links
    #[arg(long, conflicts_with_all = ["strip_edits", "strip_quotes"])]
    pub(crate) no_clean: bool,
    /// Cut texts at a line that begins with "edit" or "update": it often names who won
    #[arg(long)]
    pub(crate) strip_edits: bool,
    /// Take out lines that quote others
    #[arg(long)]
    pub(crate) strip_quotes: bool,
    /// Names of a pair file's fields, where they are others
    #[arg(long = "column", value_parser = column, value_name = "prompt|chosen|rejected=NAME")]
    pub(crate) columns: Vec<(String, String)>,
}

/// Which replies become pairs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pairs")]
pub(crate) struct FilterOptions {
    /// Where rejected replies come from [default: the corpus' own pairs; of a dump random]
    ///
    /// `random` and `matched` (nearest in length, then in words) are of the same post, `same-author-depth` also by the same author at the same depth, `other-post`
    /// of other posts.
    #[arg(long, value_parser = Negatives::parse, value_name = "given|random|matched|same-author-depth|other-post")]
    pub(crate) negatives: Option<Negatives>,
    /// Rejected replies for each chosen one, at most
    #[arg(long, default_value_t = 1, value_parser = at_least_one(), value_name = "N")]
    pub(crate) per_chosen: usize,
    /// Fewest words of a reply [default: 20; of a pair file 1]
    #[arg(long, value_name = "N")]
    pub(crate) min_words: Option<usize>,
    /// Most words of a reply
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) max_words: Option<usize>,
    /// Most words of a prompt
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) max_prompt_words: Option<usize>,
    /// Least score of a reply
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    pub(crate) min_score: Option<i64>,
    /// How deep in the thread a reply may stand: replies to the post (top), so deep at most, or anywhere
    #[arg(long, default_value_t = Depth::Any, value_parser = Depth::parse, value_name = "any|top|N")]
    pub(crate) depth: Depth,
}

/// Training, validation, test.
#[derive(Debug, Args)]
#[command(next_help_heading = "Parts")]
pub(crate) struct PartOptions {
    /// Hundredths of the groups for training, validation and test, or the parts that the corpus has [default: keep if it has any, else 60-20-20]
    #[arg(long, value_parser = SplitRule::parse, value_name = "keep|60-20-20")]
    pub(crate) split: Option<SplitRule>,
    /// Who shuffles the groups: a stream of our own, or Python's random module, as in the published experiment
    #[arg(long, default_value_t = SplitRng::Own, value_parser = SplitRng::parse, value_name = "own|python")]
    pub(crate) split_rng: SplitRng,
    /// Field of a pair file that says which pairs belong together [default: group, else the prompt]
    #[arg(long, value_name = "FIELD")]
    pub(crate) group_by: Option<String>,
    /// All that is drawn at random is drawn by it
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,
    /// Leave out pairs whose group, prompt or reply stands in a later part as well, in the same or nearly the same words
    #[arg(long, conflicts_with = "allow_leakage")]
    pub(crate) drop_leakage: bool,
    /// Write pairs although a group, prompt or reply stands in two parts
    #[arg(long)]
    pub(crate) allow_leakage: bool,
}

fn column(text: &str) -> Result<(String, String), String> {
    let (field, name) = text.split_once('=').ok_or("expected prompt=NAME, chosen=NAME or rejected=NAME")?;
    if !["prompt", "chosen", "rejected"].contains(&field) {
        return Err(format!("`{field}`: expected prompt, chosen or rejected"));
    }
    if name.is_empty() { Err(format!("{field}=: expected a name")) } else { Ok((field.to_owned(), name.to_owned())) }
}
