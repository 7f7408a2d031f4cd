//! Pairs out of built-in dialogues: which of two replies is the better one.

use std::path::Path;

use command_line::Failure;
use demo_corpus::{DemoDialogue, Generator, SEED, Split};
use dpo::{PairText, PreferencePair, write_pairs};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Dialogues beyond those that the demonstration model has learned from, as far as numbers go.
const FIRST_DIALOGUE: u64 = 1 << 30;

/// Which replies are preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preferred {
    /// The supporter's own before those that support nobody; these all sound alike.
    Support,
    /// Those that try to understand before those that advise. Both support, and in [`DISAGREEMENT`] of a hundred training pairs somebody saw it the other
    /// way round: who learns too little or each pair by heart is found out on held-out pairs.
    Understanding,
}

/// Training pairs of a hundred that are the wrong way round.
const DISAGREEMENT: u32 = 20;

/// Strategies of replies that try to understand.
const UNDERSTANDING: [&str; 5] = [
    "Reflective Statements",
    "Clarification",
    "Emotional Validation",
    "Normalize Experiences",
    "Avoid Judgment and Criticism",
];
/// Of those that advise.
const ADVICE: [&str; 6] = [
    "Suggest Options",
    "Collaborative Planning",
    "Provide Different Perspectives",
    "Share Information",
    "Promote Self-Care Practices",
    "Stress Management",
];

/// Writes train.jsonl, validation.jsonl and test.jsonl; each dialogue is in one of them.
pub(super) fn write(folder: &Path, preferred: Preferred, pairs: usize, held_out: usize) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(Failure::at(folder))?;
    let generator = Generator::new(SEED).map_err(Failure::work)?;
    let parts = [
        ("train", Split::Train, FIRST_DIALOGUE, pairs),
        ("validation", Split::Heldout, FIRST_DIALOGUE, held_out),
        ("test", Split::Heldout, 2 * FIRST_DIALOGUE, held_out),
    ];
    for (name, split, first, count) in parts {
        let dialogues = (first..).map(|number| generator.conversation(split.index(number)));
        let mut pairs: Vec<PreferencePair> =
            dialogues.flat_map(|dialogue| pairs_of(&dialogue, preferred)).take(count).collect();
        if split == Split::Train && preferred == Preferred::Understanding {
            disagree(&mut pairs);
        }
        write_pairs(&folder.join(format!("{name}.jsonl")), &pairs)?;
    }
    Ok(())
}

fn disagree(pairs: &mut [PreferencePair]) {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    for pair in pairs.iter_mut().filter(|_| rng.random_ratio(DISAGREEMENT, 100)) {
        std::mem::swap(&mut pair.chosen, &mut pair.rejected);
    }
}

/// A pair for each of the supporter's turns.
fn pairs_of(dialogue: &DemoDialogue, preferred: Preferred) -> Vec<PreferencePair> {
    let group = format!("dialogue-{}", dialogue.index());
    let turns = dialogue.pairs().into_iter().enumerate();
    turns
        .filter_map(|(turn, own)| {
            let (chosen, rejected) = match preferred {
                Preferred::Support => (own.chosen, own.rejected),
                Preferred::Understanding => {
                    let place = dialogue.index() as usize + turn;
                    let reply = |of: &[&str], place: usize| dialogue.reply(turn, of[place % of.len()], 1);
                    (reply(&UNDERSTANDING, place)?, reply(&ADVICE, place / UNDERSTANDING.len())?)
                }
            };
            Some(PreferencePair {
                id: format!("{group}-{turn}"),
                group: group.clone(),
                prompt: PairText::Plain(format!("{}\nSupporter:", own.prompt)),
                chosen,
                rejected,
                other: serde_json::Map::new(),
            })
        })
        .collect()
}
