//! What seekers say about the support they get, as annotations of exchanges.
//!
//! In ESConv a seeker rates the support after every few turns, from 1 to 5. Such a rating is credited to at most two exchanges before it. Its
//! five points play the part of five annotators: with a rating of s, s of them call the answer helpful and the others don't.

use esconv_data::{Conversation, Speaker};
use helpfulness::{AnnotatedResponse, ConversationId, HelpfulnessRecord};

use crate::white_space::normalised;

/// How many annotators a rating stands for.
pub const RATERS: u8 = 5;
/// The fine label of a point that was given.
pub const HELPFUL_LABEL: &str = "Simple Reflection";
/// The fine label of a point that was not given.
pub const UNHELPFUL_LABEL: &str = "Warn";

/// The seeker's turns, the supporter's turns that answer them, and the rating that follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatedExchange {
    /// What the seeker says; several turns with blanks between them.
    pub context: String,
    /// What the supporter answers, likewise.
    pub response: String,
    /// The rating, 1 to 5.
    pub score: u8,
}

/// The rated exchanges of a conversation.
///
/// From the first seeker turn on: the next rating stands at least two turns on. The exchange that begins here gets it, and the one behind it
/// too if it begins before the rating. The search then goes on from there, and may come upon the same rating again. An exchange without an
/// answer is none: it only occurs where a conversation breaks off.
pub fn rated_exchanges(conversation: &Conversation) -> Vec<RatedExchange> {
    let turns = &conversation.dialog;
    let rating_from = |start: usize| {
        let mut later = turns.iter().enumerate().skip(start);
        later.find_map(|(place, turn)| Some((place, turn.feedback.filter(|_| turn.speaker == Speaker::Seeker)?)))
    };
    let mut exchanges = Vec::new();
    let mut at = turns.iter().position(|turn| turn.speaker == Speaker::Seeker).unwrap_or(turns.len());
    while let Some((rating, score)) = rating_from(at + 2) {
        for _ in 0..2 {
            if at < rating {
                let context = block(conversation, Speaker::Seeker, &mut at);
                let response = block(conversation, Speaker::Supporter, &mut at);
                exchanges.push(RatedExchange { context, response, score });
            }
        }
    }
    exchanges.retain(|exchange| !exchange.response.is_empty());
    exchanges
}

/// The records of conversation number `number`.
pub fn records_of(number: usize, conversation: &Conversation) -> Vec<HelpfulnessRecord> {
    let record = |exchange: RatedExchange| HelpfulnessRecord {
        emotion: conversation.emotion_type.clone(),
        problem: conversation.problem_type.clone(),
        situation: conversation.situation.clone(),
        context: vec![exchange.context],
        responses: vec![AnnotatedResponse { text: exchange.response, annotations: annotations_of(exchange.score) }],
        conversation: Some(ConversationId::Number(number)),
    };
    rated_exchanges(conversation).into_iter().map(record).collect()
}

/// Reads turns of one speaker and goes on behind them.
fn block(conversation: &Conversation, speaker: Speaker, at: &mut usize) -> String {
    let turns = conversation.dialog.iter().skip(*at).take_while(|turn| turn.speaker == speaker);
    let texts: Vec<String> = turns.map(|turn| normalised(&turn.content)).collect();
    *at += texts.len();
    texts.join(" ")
}

fn annotations_of(score: u8) -> Vec<Option<String>> {
    let label = |rater| if rater < score { HELPFUL_LABEL } else { UNHELPFUL_LABEL };
    (0..RATERS).map(|rater| Some(label(rater).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use esconv_data::Utterance;

    use super::*;

    /// `u` and `s` are turns of seeker and supporter, a digit is the rating of the seeker's turn before it.
    fn exchanges(turns: &str) -> Vec<(String, String, u8)> {
        let mut dialog: Vec<Utterance> = Vec::new();
        for letter in turns.chars() {
            match letter.to_digit(10) {
                Some(rating) => dialog.last_mut().unwrap().feedback = Some(rating as u8),
                None => dialog.push(Utterance {
                    speaker: if letter == 'u' { Speaker::Seeker } else { Speaker::Supporter },
                    content: format!(" {letter}{} ", dialog.len()),
                    strategy: None,
                    feedback: None,
                }),
            }
        }
        let conversation = Conversation { dialog, ..Conversation::default() };
        let exchanges = rated_exchanges(&conversation).into_iter();
        exchanges.map(|exchange| (exchange.context, exchange.response, exchange.score)).collect()
    }

    fn expect(turns: &str, expected: &[(&str, &str, u8)]) {
        let expected: Vec<_> = expected.iter().map(|(a, b, score)| (a.to_string(), b.to_string(), *score)).collect();
        assert_eq!(exchanges(turns), expected, "{turns}");
    }

    #[test]
    fn a_rating_is_credited_to_two_exchanges_before_it() {
        expect("ususu4", &[("u0", "s1", 4), ("u2", "s3", 4)]);
        expect("su1usususu2", &[("u1 u2", "s3", 2), ("u4", "s5", 2), ("u6", "s7", 2)]);
    }

    #[test]
    fn turns_of_one_speaker_are_one_side_of_an_exchange() {
        expect("ssuussu5s", &[("u2 u3", "s4 s5", 5)]);
    }

    #[test]
    fn a_rating_within_the_seekers_own_block_is_that_of_its_exchange() {
        // The exchange begins before the rating, which stands in its first block; the one behind it does not.
        expect("uuu3s", &[("u0 u1 u2", "s3", 3)]);
        expect("uuu3sus", &[("u0 u1 u2", "s3", 3)]);
    }

    #[test]
    fn nothing_is_rated_without_a_later_rating() {
        for turns in ["", "u", "s", "ss", "us", "u5s", "uu5s", "ususu"] {
            expect(turns, &[]);
        }
        // A conversation that breaks off with the rated block itself.
        expect("uuu3", &[]);
    }

    #[test]
    fn points_are_annotators() {
        let annotations = annotations_of(2).into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(annotations, [[HELPFUL_LABEL; 2].as_slice(), &[UNHELPFUL_LABEL; 3]].concat());
    }
}
