//! Replies to the prompts of pairs, kept in a file as they come.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;

use command_line::{Failure, Progress, interrupt, output_place};
use dpo::{PairText, PreferencePair};
use llm_runtime::{GenerationOptions, Message, Prompt, Request, TextModel, output_file, sha256_of};
use serde::{Deserialize, Serialize};
use strategy_prompting::{RowFile, RowKind};

use crate::replies::{Reply, each_reply, finish_name};
use crate::subject::System;

/// How such rows are kept.
pub(crate) const REPLIES: RowKind<WrittenReply> = RowKind {
    name: "row of `persuasion generate`",
    beginning: r#"{"id":"#,
    id: |row| row.id.clone(),
    made_by: |row| &row.made_by,
};

/// A reply, with what it replies to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WrittenReply {
    /// Example, sample and system.
    pub(crate) id: String,
    pub(crate) example_id: String,
    pub(crate) group: String,
    /// The prompt's place among the different ones, from 0.
    pub(crate) sample_index: usize,
    /// Which of several replies, from 0.
    pub(crate) sample: usize,
    pub(crate) system: System,
    pub(crate) prompt: String,
    pub(crate) generated_text: String,
    pub(crate) chosen: String,
    pub(crate) rejected: String,
    pub(crate) finish_reason: String,
    pub(crate) new_tokens: usize,
    pub(crate) made_by: String,
}

/// A prompt that is to be replied to.
pub(crate) struct Asked {
    pub(crate) place: usize,
    pub(crate) pair: PreferencePair,
    pub(crate) prompt: Prompt,
    /// New tokens that there is room for.
    pub(crate) room: usize,
}

/// What is to be written, and where.
pub(crate) struct Commission<'a> {
    pub(crate) asked: &'a [Asked],
    pub(crate) systems: &'a [System],
    pub(crate) samples: usize,
    pub(crate) options: &'a GenerationOptions,
    /// All that decides a reply beside its prompt.
    pub(crate) made_by: &'a str,
    pub(crate) path: &'a Path,
    pub(crate) resume: bool,
}

/// What became of it.
pub(crate) struct Delivered {
    /// All replies of the file, in the order of prompts, samples and systems.
    pub(crate) rows: Vec<WrittenReply>,
    /// Replies of this call.
    pub(crate) fresh: usize,
    /// Requests that failed, and what the first of them was told.
    pub(crate) failed: usize,
    pub(crate) failure: String,
    /// Whether somebody interrupted.
    pub(crate) stopped: bool,
}

/// The first pairs with different prompts, at most `limit`.
pub(crate) fn distinct_prompts(pairs: Vec<PreferencePair>, limit: Option<usize>) -> Vec<PreferencePair> {
    let mut seen = HashSet::new();
    let mut kept = pairs;
    kept.retain(|pair| seen.insert(prompt_text(&pair.prompt)));
    kept.truncate(limit.unwrap_or(usize::MAX));
    kept
}

/// A prompt as one text.
pub(crate) fn prompt_text(prompt: &PairText) -> String {
    match prompt {
        PairText::Plain(text) => text.clone(),
        PairText::Chat(messages) => {
            let turn = |message: &Message| format!("{}: {}", message.role.as_str(), message.content);
            messages.iter().map(turn).collect::<Vec<_>>().join("\n\n")
        }
    }
}

impl Commission<'_> {
    /// Writes what is not in the file yet. `models` gives the model as each system.
    ///
    /// # Errors
    /// The file can't be used, or a model fails as a whole.
    pub(crate) fn fulfil(
        &self,
        mut generate: impl FnMut(System, &mut dyn FnMut(&mut dyn TextModel) -> Result<(), Failure>) -> Result<(), Failure>,
    ) -> Result<Delivered, Failure> {
        let file = RowFile::open(self.path, self.resume, self.made_by, REPLIES)?;
        let pending = self.systems.iter().map(|system| (*system, self.pending(*system, &file))).collect::<Vec<_>>();
        let wanted: usize = pending.iter().map(|(_, places)| places.len()).sum();
        let mut work = Work::new(file, wanted);
        for (system, places) in pending.iter().filter(|(_, places)| !places.is_empty()) {
            if !interrupt::was_asked() {
                generate(*system, &mut |model| self.write(*system, places, model, &mut work))?;
            }
        }
        work.bar.finish();
        let Work { file, fresh, failed, failure, .. } = work;
        let stopped = interrupt::was_asked() && fresh + failed < wanted;
        let kept = file.rows();
        let mut rows = kept.to_vec();
        rows.sort_by_key(|row| (row.sample_index, row.sample, row.system));
        if !stopped && rows != kept {
            write_rows(self.path, &rows)?;
        }
        Ok(Delivered { rows, fresh, failed, failure, stopped })
    }

    fn pending(&self, system: System, file: &RowFile<WrittenReply>) -> Vec<(usize, usize)> {
        let all = (0..self.asked.len()).flat_map(|at| (0..self.samples).map(move |sample| (at, sample)));
        all.filter(|(at, sample)| !file.contains(&id(&self.asked[*at].pair, *sample, system))).collect()
    }

    fn write(
        &self,
        system: System,
        pending: &[(usize, usize)],
        model: &mut dyn TextModel,
        work: &mut Work,
    ) -> Result<(), Failure> {
        let mut requests = pending.iter().zip(0..).map(|((at, sample), key)| {
            let Asked { pair, prompt, room, .. } = &self.asked[*at];
            let options = GenerationOptions {
                max_new_tokens: self.options.max_new_tokens.min(*room),
                seed: seed(self.options.seed, &pair.id, *sample),
                ..self.options.clone()
            };
            Request::new(key, prompt.clone(), options)
        });
        let mut broken = None;
        each_reply(model, &mut requests, &mut |known| {
            let kept = match known {
                Some((key, Ok(reply))) => match pending.get(key as usize) {
                    Some((at, sample)) => work.keep(self.row(&self.asked[*at], *sample, system, reply)),
                    None => Ok(()),
                },
                Some((_, Err(error))) => {
                    work.fail(&error.to_string());
                    Ok(())
                }
                None => Ok(()),
            };
            if let Err(error) = kept {
                broken = Some(error);
            }
            if broken.is_some() || interrupt::was_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        broken.map_or(Ok(()), Err)
    }

    fn row(&self, asked: &Asked, sample: usize, system: System, reply: Reply) -> WrittenReply {
        let Asked { place, pair, .. } = asked;
        WrittenReply {
            id: id(pair, sample, system),
            example_id: pair.id.clone(),
            group: pair.group.clone(),
            sample_index: *place,
            sample,
            system,
            prompt: prompt_text(&pair.prompt),
            generated_text: reply.text,
            chosen: pair.chosen.clone(),
            rejected: pair.rejected.clone(),
            finish_reason: finish_name(reply.finish_reason).to_owned(),
            new_tokens: reply.new_tokens,
            made_by: self.made_by.to_owned(),
        }
    }
}

/// Rows that are there, and how it goes.
struct Work {
    file: RowFile<WrittenReply>,
    bar: Progress,
    fresh: usize,
    failed: usize,
    failure: String,
}

impl Work {
    fn new(file: RowFile<WrittenReply>, wanted: usize) -> Self {
        let done = file.rows().len();
        let bar = Progress::new("replying", done as u64, (done + wanted) as u64);
        Self { bar, file, fresh: 0, failed: 0, failure: String::new() }
    }

    fn keep(&mut self, row: WrittenReply) -> Result<(), Failure> {
        self.file.append(row)?;
        self.fresh += 1;
        self.bar.set((self.file.rows().len() + self.failed) as u64);
        Ok(())
    }

    fn fail(&mut self, reason: &str) {
        self.failed += 1;
        if self.failed == 1 {
            reason.clone_into(&mut self.failure);
        }
        self.bar.set((self.file.rows().len() + self.failed) as u64);
    }
}

/// Puts whole rows in the place of a file.
pub(crate) fn write_rows<R: Serialize>(path: &Path, rows: &[R]) -> Result<(), Failure> {
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, row)?;
        text.push(b'\n');
    }
    write_file(path, &text)
}

/// Writes a file whole or not at all.
pub(crate) fn write_file(path: &Path, contents: &[u8]) -> Result<(), Failure> {
    output_file::write(path, contents).map_err(Failure::at(path))
}

/// Makes the folder of a new file, and refuses one that is there unless it is to be gone on with.
pub(crate) fn make_place(path: &Path, resume: bool) -> Result<(), Failure> {
    let shown = path.display();
    if path.exists() && !path.is_dir() && !resume {
        return Err(Failure::work(format!(
            "{shown}: the file exists already: go on with --resume, or choose another --out"
        )));
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(Failure::at(folder))?;
    }
    output_place::check_file(path)
}

/// Replies beside each other: with the adapter, and that of the base model if it was asked too.
pub(crate) fn beside_each_other(rows: &[WrittenReply]) -> Vec<(&WrittenReply, Option<&WrittenReply>)> {
    let key = |row: &WrittenReply| (row.sample_index, row.sample);
    let base: HashMap<_, &WrittenReply> =
        rows.iter().filter(|row| row.system == System::Base).map(|row| (key(row), row)).collect();
    let model = rows.iter().filter(|row| row.system == System::Model);
    model.map(|row| (row, base.get(&key(row)).copied())).collect()
}

fn id(pair: &PreferencePair, sample: usize, system: System) -> String {
    format!("{}#{sample}/{}", pair.id, system.name())
}

/// The seed of one reply: the same whatever else is asked for, and below 2^53, so that servers read it exactly.
fn seed(base: u64, id: &str, sample: usize) -> u64 {
    let digits = sha256_of(format!("{base}\u{1f}{sample}\u{1f}{id}"));
    u64::from_str_radix(&digits[..13], 16).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reply_draws_from_a_stream_of_its_own() {
        let seeds = [seed(0, "a", 0), seed(0, "a", 1), seed(0, "b", 0), seed(1, "a", 0)];
        assert_eq!(seeds.iter().collect::<HashSet<_>>().len(), 4);
        assert!(seeds.iter().all(|seed| *seed < 1 << 53));
        assert_eq!(seed(0, "a", 0), seeds[0]);
    }
}
