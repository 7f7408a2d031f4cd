//! A place in a dialogue where a supporter answers, as each of the systems reads it.

use std::collections::HashSet;
use std::path::Path;

use command_line::{Failure, dialogues};
use esconv_data::{Example, Speaker};
use strategy_prompting::{Dialogue, TurnRange};

use crate::strategies::{magic_strategy, thtra_strategy};

/// A place to be answered at.
pub(crate) struct Point {
    pub(crate) example: Example,
    /// What was said before, as it is prompted.
    pub(crate) dialogue: Dialogue,
}

/// The places of a corpus within a range of supporter turns, at most `limit` of them, the first ones.
///
/// # Errors
/// The corpus can't be read, two places have one id, or nothing is left.
pub(crate) fn read(data: &Path, turns: TurnRange, limit: Option<usize>) -> Result<Vec<Point>, Failure> {
    let examples = dialogues::examples(data)?.into_iter().filter(|example| turns.contains(example.turn));
    let points = examples.take(limit.unwrap_or(usize::MAX)).map(Point::new).collect::<Result<Vec<_>, _>>()?;
    if points.is_empty() {
        return Err(Failure::work(format!("{}: no supporter turn within {turns}", data.display())));
    }
    let mut ids: Vec<&str> = points.iter().map(Point::id).collect();
    ids.sort_unstable();
    if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Failure::work(format!("{}: the id {} occurs twice", data.display(), twice[0])));
    }
    Ok(points)
}

/// Whether rows of an earlier step, by the ids of their places, are of these places; `what` are the rows. Places without any are told.
///
/// # Errors
/// A row is of another place.
pub(crate) fn check_same<'a>(
    points: &[Point],
    what: &str,
    places: impl Iterator<Item = &'a str>,
) -> Result<(), Failure> {
    let known: HashSet<&str> = points.iter().map(Point::id).collect();
    let named: HashSet<&str> = places.collect();
    if let Some(other) = named.iter().filter(|place| !known.contains(*place)).min() {
        return Err(Failure::work(format!(
            "there are {what} of {other}, which is not among the places: give --data, --turns and --limit as in the step before"
        )));
    }
    let missing = points.iter().filter(|point| !named.contains(point.id())).count();
    if missing > 0 {
        tracing::warn!("{missing} of {} places have no {what}", points.len());
    }
    Ok(())
}

impl Point {
    fn new(example: Example) -> Result<Self, Failure> {
        let dialogue = Dialogue::of(&example)?;
        Ok(Self { example, dialogue })
    }

    pub(crate) fn id(&self) -> &str {
        &self.example.id
    }

    pub(crate) fn conversation(&self) -> &str {
        &self.example.conversation
    }

    /// The strategy that was really followed, by the annotation.
    pub(crate) fn gold(&self) -> Option<&str> {
        first_named(&self.example.strategy)
    }

    /// The dialogue for ThTra, the real answer last.
    pub(crate) fn for_thtra(&self) -> thtra::Dialogue {
        let author = |speaker, label: Option<&str>| match speaker {
            Speaker::Seeker => thtra::Author::Seeker,
            Speaker::Supporter => thtra::Author::Supporter(label.map_or(thtra::Strategy::Others, thtra_strategy)),
        };
        let turns = self.turns().map(|(speaker, text, label)| thtra::Turn {
            text: thtra::normalised(text),
            author: author(speaker, label),
        });
        thtra::Dialogue {
            emotion_type: self.example.emotion_type.clone(),
            problem_type: self.example.problem_type.clone(),
            situation: self.example.situation.clone(),
            turns: turns.collect(),
        }
    }

    /// The dialogue for MAGIC, the real answer last.
    pub(crate) fn for_magic(&self) -> magic::Dialogue {
        let author = |speaker, label: Option<&str>| match speaker {
            Speaker::Seeker => magic::Author::Seeker,
            Speaker::Supporter => magic::Author::Supporter(label.map_or(magic::Strategy::Others, magic_strategy)),
        };
        let turns = self
            .turns()
            .map(|(speaker, text, label)| magic::Turn { text: text.to_owned(), author: author(speaker, label) });
        magic::Dialogue { situation: self.example.situation.clone(), turns: turns.collect() }
    }

    /// All turns with their strategies, the real answer last.
    fn turns(&self) -> impl Iterator<Item = (Speaker, &str, Option<&str>)> {
        let Example { dialog_history, prev_speakers, prev_strategies, strategy, response, .. } = &self.example;
        let labels = prev_strategies.iter().map(|labels| first_named(labels)).chain(std::iter::repeat(None));
        let before = prev_speakers.iter().zip(dialog_history).zip(labels);
        let before = before.map(|((speaker, text), label)| (*speaker, text.as_str(), label));
        before.chain([(Speaker::Supporter, response.as_str(), first_named(strategy))])
    }
}

/// A merged turn may follow several strategies; the first is the one it begins with.
fn first_named(labels: &[String]) -> Option<&str> {
    labels.iter().map(String::as_str).find(|label| !label.is_empty())
}
