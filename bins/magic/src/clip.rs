//! Dialogue clips: numbered transcripts, one line per turn, as they stand in prompts.
//!
//! `(3) Seeker: TEXT` or `(4) Supporter: TEXT [STRATEGY]`, numbered from 1. Texts have single blanks only, so that a line is a turn.

use crate::dialogue::{Author, Dialogue, SampleRule};
use crate::strategy::Strategy;

/// A dialogue up to and with a supporter turn whose strategy is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionClip {
    /// Number of the dialogue, from 0.
    pub dialogue: usize,
    /// Number of the turn that is to be explained, from 0.
    pub turn: usize,
    /// Its strategy.
    pub strategy: Strategy,
    /// The lines up to that turn, whose label is marked: `***[STRATEGY]***`.
    pub text: String,
}

/// A clip for every supporter turn that is a sample, in the order of the samples.
pub fn collection_clips(dialogues: &[Dialogue]) -> Vec<CollectionClip> {
    let of_dialogue = |(number, dialogue): (usize, &Dialogue)| {
        let targets = dialogue.targets(SampleRule::AllTurns);
        let clip = |(turn, strategy): (usize, Strategy)| {
            let text = lines(dialogue, turn) + &line(dialogue, turn, &format!("***[{}]***", strategy.name()));
            CollectionClip { dialogue: number, turn, strategy, text }
        };
        targets.into_iter().map(clip).collect::<Vec<_>>()
    };
    dialogues.iter().enumerate().flat_map(of_dialogue).collect()
}

/// The lines before each supporter turn that is a sample, in the order of the samples.
///
/// With [`SampleRule::AllTurns`] the first clip of a dialogue has no line end at its end, as in the published prompts; all others have.
pub fn inference_clips(dialogues: &[Dialogue], rule: SampleRule) -> Vec<String> {
    let of_dialogue = |dialogue: &Dialogue| {
        let targets = dialogue.targets(rule);
        let mut clips: Vec<String> = targets.into_iter().map(|(turn, _)| lines(dialogue, turn)).collect();
        if let (SampleRule::AllTurns, Some(first)) = (rule, clips.first_mut()) {
            first.truncate(first.trim_end_matches('\n').len());
        }
        clips
    };
    dialogues.iter().flat_map(of_dialogue).collect()
}

/// The turns before `end`.
fn lines(dialogue: &Dialogue, end: usize) -> String {
    let label = |turn: usize| match dialogue.turns[turn].author {
        Author::Seeker => String::new(),
        Author::Supporter(strategy) => format!("[{}]", strategy.name()),
    };
    (0..end).map(|turn| line(dialogue, turn, &label(turn))).collect()
}

fn line(dialogue: &Dialogue, turn: usize, label: &str) -> String {
    let text = dialogue.turns[turn].text.split_whitespace().collect::<Vec<_>>().join(" ");
    let number = turn + 1;
    match dialogue.turns[turn].author {
        Author::Seeker => format!("({number}) Seeker: {text}\n"),
        Author::Supporter(_) => format!("({number}) Supporter: {text} {label}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialogue::Turn;

    fn dialogue(opened_by_supporter: bool) -> Dialogue {
        let turn = |number: usize| {
            let author = match number.is_multiple_of(2) == opened_by_supporter {
                true => Author::Supporter(Strategy::ALL[number]),
                false => Author::Seeker,
            };
            Turn { text: format!(" turn\t {number} "), author }
        };
        Dialogue { situation: "s".into(), turns: (0..5).map(turn).collect() }
    }

    #[test]
    fn only_the_last_label_of_a_collection_clip_is_marked() {
        let clips = collection_clips(&[dialogue(true)]);
        let expected = "(1) Supporter: turn 0 [Question]\n(2) Seeker: turn 1\n\
                        (3) Supporter: turn 2 ***[Reflection of feelings]***\n";
        assert_eq!((clips.len(), clips[0].text.as_str()), (2, expected));
        assert_eq!((clips[1].dialogue, clips[1].turn, clips[1].strategy), (0, 4, Strategy::Affirmation));
    }

    #[test]
    fn an_inference_clip_ends_before_its_turn() {
        let clips = inference_clips(&[dialogue(false)], SampleRule::AllTurns);
        assert_eq!(clips[0], "(1) Seeker: turn 0");
        assert_eq!(
            clips[1],
            "(1) Seeker: turn 0\n(2) Supporter: turn 1 [Restatement or Paraphrasing]\n(3) Seeker: turn 2\n"
        );
        let last = inference_clips(&[dialogue(true), dialogue(false)], SampleRule::LastTurn);
        assert_eq!((last.len(), &last[1]), (2, &clips[1]));
        assert!(last[0].ends_with("(4) Seeker: turn 3\n"));
    }
}
