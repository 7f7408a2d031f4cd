//! Pairs out of built-in dialogues: the supporter's own reply, and one that helps nobody or speaks of something else.

use std::path::Path;

use command_line::Failure;
use demo_corpus::{DemoDialogue, Generator, SEED, Split};
use dpo::{PairText, PreferencePair, write_pairs};

/// Dialogues beyond those that the demonstration model has learned from, as far as numbers go.
const FIRST_DIALOGUE: u64 = 1 << 30;

/// What is wrong with the worse reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It supports nobody. The reply alone tells.
    Unhelpful,
    /// It was said in a dialogue about another problem. Only the dialogue tells: there, it is the better one.
    OffTopic,
}

/// Writes train.jsonl, validation.jsonl and test.jsonl; each dialogue is in one of them.
pub(super) fn write(folder: &Path, fault: Fault, pairs: usize, held_out: usize) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(Failure::at(folder))?;
    let generator = Generator::new(SEED).map_err(Failure::work)?;
    let parts = [
        ("train", Split::Train, FIRST_DIALOGUE, pairs),
        ("validation", Split::Heldout, FIRST_DIALOGUE, held_out),
        ("test", Split::Heldout, 2 * FIRST_DIALOGUE, held_out),
    ];
    for (name, split, first, count) in parts {
        let dialogues = (first..).map(|number| generator.conversation(split.index(number)));
        let pairs: Vec<PreferencePair> = match fault {
            Fault::Unhelpful => dialogues.flat_map(|dialogue| pairs_of(&dialogue, None)).take(count).collect(),
            Fault::OffTopic => beside_others(dialogues)
                .flat_map(|(dialogue, other)| pairs_of(&dialogue, Some(&other)))
                .take(count)
                .collect(),
        };
        write_pairs(&folder.join(format!("{name}.jsonl")), &pairs)?;
    }
    Ok(())
}

/// Dialogues two by two, about different problems; each is the other's other.
fn beside_others(mut dialogues: impl Iterator<Item = DemoDialogue>) -> impl Iterator<Item = (DemoDialogue, DemoDialogue)> {
    let two = std::iter::from_fn(move || {
        let one = dialogues.next()?;
        let problem = one.conversation.problem_type.clone();
        let other = dialogues.find(|other| other.conversation.problem_type != problem)?;
        Some([(one.clone(), other.clone()), (other, one)])
    });
    two.flatten()
}

/// A pair for each turn; the worse reply is the dialogue's own or, where there is one, the other dialogue's at the same turn.
fn pairs_of(dialogue: &DemoDialogue, other: Option<&DemoDialogue>) -> Vec<PreferencePair> {
    let group = format!("dialogue-{}", dialogue.index());
    let others: Option<Vec<String>> = other.map(|other| other.pairs().into_iter().map(|pair| pair.chosen).collect());
    let turns = dialogue.pairs().into_iter().enumerate();
    turns
        .filter_map(|(turn, pair)| {
            let rejected = match &others {
                None => pair.rejected,
                Some(replies) => replies.get(turn)?.clone(),
            };
            Some(PreferencePair {
                id: format!("{group}-{turn}"),
                group: group.clone(),
                prompt: PairText::Plain(format!("{}\nSupporter:", pair.prompt)),
                chosen: pair.chosen,
                rejected,
                other: serde_json::Map::new(),
            })
        })
        .collect()
}
