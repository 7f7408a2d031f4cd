//! From a corpus to files of pairs with their reports.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::Path;

use llm_runtime::Tokenizer;
use serde::Serialize;
use strategy_prompting::write_atomically;

use super::bad_records::BadRecords;
use super::candidates::Candidates;
use super::convokit::read_convokit;
use super::error::CorpusError;
use super::funnel::Funnel;
use super::input::Input;
use super::jsonlist::read_jsonlists;
use super::leakage::{Leakage, drop_leaking, leakage};
use super::lengths::{Limits, PartLengths, lengths};
use super::negatives::Negatives;
use super::pair_file::write_pairs;
use super::pair_files::{PairFileRules, read_pair_files};
use super::pair_maker::{Example, PairMaker};
use super::pair_rules::{Depth, PairRules};
use super::part::Part;
use super::reddit::{Partitions, candidates_of};
use super::split::{SplitRng, SplitRule, groups_of};
use super::topic_folders::read_topic_folders;

/// The file that tells what was left out.
pub const FUNNEL_FILE: &str = "funnel.json";
/// The file that tells what stands in two parts.
pub const LEAKAGE_FILE: &str = "leakage.json";
/// The file that tells how long texts are.
pub const LENGTHS_FILE: &str = "lengths.json";

/// All that decides what is made of a corpus.
#[derive(Debug, Clone, Serialize)]
pub struct PrepareRules {
    /// What pairs are like.
    pub pairs: PairRules,
    /// How pair files are read.
    #[serde(skip)]
    pub pair_files: PairFileRules,
    /// Names of bots, in small letters.
    pub bots: Vec<String>,
    /// How groups are split; `None` keeps what the corpus says and, if it says nothing, takes the published shares.
    pub split: Option<SplitRule>,
    /// Who shuffles them.
    pub split_rng: SplitRng,
    /// What is done about what stands in two parts.
    pub leakage: LeakageRule,
    /// Whether bad records are left out and counted.
    pub skip_bad: bool,
}

/// What is done about what stands in two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LeakageRule {
    /// Nothing is made.
    Refuse,
    /// Pairs that share with a later part are left out.
    Drop,
    /// It is only reported.
    Allow,
}

/// Pairs in parts, and what was found on the way.
#[derive(Debug, Clone, Serialize)]
pub struct Prepared {
    /// The form of the corpus.
    pub form: &'static str,
    /// How it was split.
    pub split: SplitRule,
    /// What was left out, and why.
    pub funnel: Funnel,
    /// How long texts are, by part.
    pub lengths: BTreeMap<&'static str, PartLengths>,
    /// What stands in two parts.
    pub leakage: Leakage,
    /// What was asked for.
    pub rules: PrepareRules,
    /// The pairs, in the order of their files.
    #[serde(skip)]
    pub examples: Vec<Example>,
}

/// `funnel.json`.
#[derive(Serialize)]
struct FunnelFile<'a> {
    form: &'static str,
    split: SplitRule,
    #[serde(flatten)]
    funnel: &'a Funnel,
    /// Pairs and groups of each part.
    parts: BTreeMap<&'static str, (usize, usize)>,
    rules: &'a PrepareRules,
}

impl Prepared {
    /// Makes pairs of a corpus. `room` is a folder for files that are needed meanwhile.
    ///
    /// # Errors
    /// The rules make no sense for this corpus, it can't be read, nothing is left of it, or something stands in two parts.
    pub fn create(
        input: &Input,
        rules: PrepareRules,
        tokenizer: Option<(&Tokenizer, Limits)>,
        room: &Path,
    ) -> Result<Self, CorpusError> {
        rules.pairs.check()?;
        check_form(input, &rules)?;
        let mut funnel = Funnel::default();
        let mut maker = PairMaker::new(rules.pairs.clone());
        read(input, &rules, room, &mut maker, &mut funnel)?;
        let over_posts = maker.waiting_groups();
        let (examples, split) = if over_posts.is_empty() {
            split(maker.finish(None, &mut funnel), &rules)?
        } else {
            // Parts come first, so that replies are drawn within them.
            let split = rules.split.unwrap_or(SplitRule::PUBLISHED);
            let assignment = split.assign(over_posts, rules.split_rng, rules.pairs.seed)?;
            let mut examples = maker.finish(assignment.as_ref(), &mut funnel);
            assignment.iter().for_each(|assignment| assignment.apply(&mut examples));
            (examples, split)
        };
        Self::of(input.name(), examples, split, funnel, rules, tokenizer)
    }

    fn of(
        form: &'static str,
        mut examples: Vec<Example>,
        split: SplitRule,
        mut funnel: Funnel,
        rules: PrepareRules,
        tokenizer: Option<(&Tokenizer, Limits)>,
    ) -> Result<Self, CorpusError> {
        let dropped = if rules.leakage == LeakageRule::Drop { drop_leaking(&mut examples) } else { 0 };
        funnel.pairs.drop_many("shares with a later part", dropped);
        if examples.is_empty() {
            return Err(CorpusError::TooFew(format!("no pair is left: {}", in_words(&funnel))));
        }
        let leakage = Leakage { dropped, ..leakage(&examples) };
        if rules.leakage != LeakageRule::Allow {
            leakage.check()?;
        }
        let lengths = lengths(&examples, tokenizer)?;
        Ok(Self { form, split, funnel, lengths, leakage, rules, examples })
    }

    /// Writes `train.jsonl`, `validation.jsonl`, `test.jsonl`, [`FUNNEL_FILE`], [`LENGTHS_FILE`] and [`LEAKAGE_FILE`]; each appears whole or not at all. A part
    /// without pairs has no file: one of an earlier time is removed.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn write(&self, folder: &Path) -> Result<(), CorpusError> {
        std::fs::create_dir_all(folder).map_err(CorpusError::io(folder))?;
        for part in Part::ALL {
            let path = folder.join(part.file());
            let of_part = self.examples.iter().filter(|example| example.part == Some(part));
            let pairs: Vec<&dpo::PreferencePair> = of_part.map(|example| &example.pair).collect();
            if !pairs.is_empty() {
                write_pairs(&path, &pairs)?;
            } else if path.exists() {
                std::fs::remove_file(&path).map_err(CorpusError::io(&path))?;
            }
        }
        let parts = self.lengths.iter().map(|(name, part)| (*name, (part.pairs, part.groups))).collect();
        let funnel = FunnelFile { form: self.form, split: self.split, funnel: &self.funnel, parts, rules: &self.rules };
        write_json(&folder.join(FUNNEL_FILE), &funnel)?;
        write_json(&folder.join(LENGTHS_FILE), &self.lengths)?;
        write_json(&folder.join(LEAKAGE_FILE), &self.leakage)
    }
}

fn check_form(input: &Input, rules: &PrepareRules) -> Result<(), CorpusError> {
    let (is_pairs, negatives) = (matches!(input, Input::Pairs(_)), rules.pairs.negatives);
    let wrong = |problem: &str| Err(CorpusError::Setting(problem.to_owned()));
    if is_pairs && negatives != Negatives::Given {
        return wrong("files of pairs have their rejected replies already: --negatives is for posts with replies");
    }
    if is_pairs && (rules.pairs.min_score.is_some() || rules.pairs.depth != Depth::Any) {
        return wrong(
            "files of pairs tell neither scores nor depths: --min-score and --depth are for posts with replies",
        );
    }
    if matches!(input, Input::Reddit(_)) && negatives == Negatives::Given {
        return wrong("a dump makes no pairs itself: --negatives random, matched, same-author-depth or other-post");
    }
    if matches!(input, Input::Reddit(_)) && rules.split == Some(SplitRule::Keep) {
        return wrong("a dump has no parts that could be kept: --split 60-20-20, for instance");
    }
    Ok(())
}

fn read(
    input: &Input,
    rules: &PrepareRules,
    room: &Path,
    maker: &mut PairMaker,
    funnel: &mut Funnel,
) -> Result<(), CorpusError> {
    let mut bad = BadRecords::new(rules.skip_bad);
    let candidates: Vec<Candidates> = match input {
        Input::Reddit(dump) => {
            let bots: HashSet<String> = rules.bots.iter().cloned().collect();
            let partitions = Partitions::create(dump, room, &mut bad, funnel)?;
            return partitions.for_each(funnel, &mut |thread, funnel| {
                let candidates = candidates_of(&thread, &bots, &mut funnel.replies);
                maker.add_candidates(candidates, funnel);
                Ok(())
            });
        }
        Input::Pairs(files) => {
            for (pair, part) in read_pair_files(files, &rules.pair_files, &mut bad, funnel)? {
                maker.add_pair(pair, part, funnel);
            }
            return Ok(());
        }
        Input::ConvoKit(folder) => read_convokit(folder, &mut bad, funnel)?,
        Input::JsonLists(files) => read_jsonlists(files, &mut bad, funnel)?,
        Input::TopicFolders(folder) => read_topic_folders(folder, &mut bad, funnel)?,
    };
    candidates.into_iter().for_each(|candidates| maker.add_candidates(candidates, funnel));
    Ok(())
}

/// Splits as asked for; without being asked, what the corpus says is kept if it says it of all pairs.
fn split(mut examples: Vec<Example>, rules: &PrepareRules) -> Result<(Vec<Example>, SplitRule), CorpusError> {
    let is_split = !examples.is_empty() && examples.iter().all(|example| example.part.is_some());
    let usual = if is_split { SplitRule::Keep } else { SplitRule::PUBLISHED };
    let rule = rules.split.unwrap_or(usual);
    if rule == SplitRule::Keep && !is_split && !examples.is_empty() {
        return Err(CorpusError::Setting(
            "the corpus does not say of all pairs which part they are of: --split 60-20-20, for instance".into(),
        ));
    }
    if let Some(assignment) = rule.assign(groups_of(&examples), rules.split_rng, rules.pairs.seed)? {
        assignment.apply(&mut examples);
    }
    Ok((examples, rule))
}

/// What was left out, in a line.
pub(crate) fn in_words(funnel: &Funnel) -> String {
    let stage = |(name, stage): (&str, &super::funnel::Stage)| {
        let dropped: Vec<String> = stage.dropped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        format!("{} {name} read ({})", stage.read, dropped.join(", "))
    };
    funnel.stages().map(stage).collect::<Vec<_>>().join("; ")
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), CorpusError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| CorpusError::Text(error.to_string()))?;
    let problem = |source| strategy_prompting::Error::Io { path: path.to_owned(), source };
    Ok(write_atomically(path, |file| writeln!(file, "{text}").map_err(problem))?)
}
