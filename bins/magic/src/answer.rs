//! What a model wrote when it was asked for the next strategy, read into strategy and motivation.
//!
//! Only what the model added counts: its prompt lists all strategies and would always be read as the first of them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::strategy::Strategy;
use crate::template::Template;

/// How the strategy was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParseStatus {
    /// In square brackets.
    Bracket,
    /// As plain words.
    Bare,
    /// Not at all: it is [`Strategy::Others`] for want of a better one.
    Fallback,
}

/// An answer that was read: an entry of `strategy_with_motivation.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParsedAnswer {
    /// The strategy.
    pub strategy: Strategy,
    /// The first line with anything on it, without the cue.
    pub motivation: String,
    /// How the strategy was found.
    pub parse_status: ParseStatus,
    /// What was read.
    pub raw: String,
}

/// Reads an answer. A `prompt` that it repeats is left out, and so is a cue of the template in front of the motivation.
///
/// The strategy is the known name that stands in square brackets first; where none does, the one that stands as whole words first. Case and
/// blanks within brackets don't matter.
pub fn parse_answer(raw: &str, prompt: Option<&str>, template: &Template) -> ParsedAnswer {
    let continuation = prompt.map_or(raw, |prompt| without_prompt(raw, prompt));
    let (strategy, parse_status) = strategy(continuation);
    let motivation = motivation(continuation, template.cue()).to_owned();
    ParsedAnswer { strategy, motivation, parse_status, raw: raw.to_owned() }
}

/// How often each way of finding the strategy occurs.
pub fn count_by_status(answers: &[ParsedAnswer]) -> BTreeMap<ParseStatus, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.parse_status).or_default() += 1;
    }
    counts
}

fn without_prompt<'a>(raw: &'a str, prompt: &str) -> &'a str {
    // Tokenisers don't always give white space at the ends back.
    raw.strip_prefix(prompt).or_else(|| raw.trim_start().strip_prefix(prompt.trim())).unwrap_or(raw)
}

fn strategy(text: &str) -> (Strategy, ParseStatus) {
    let first = |pattern: &Regex| pattern.find(text).and_then(|found| Strategy::find(found.as_str()));
    let Some(Patterns { bracketed, bare }) = patterns() else { return (Strategy::Others, ParseStatus::Fallback) };
    match (first(bracketed), first(bare)) {
        (Some(strategy), _) => (strategy, ParseStatus::Bracket),
        (None, Some(strategy)) => (strategy, ParseStatus::Bare),
        (None, None) => (Strategy::Others, ParseStatus::Fallback),
    }
}

struct Patterns {
    bracketed: Regex,
    bare: Regex,
}

/// `None` only if a pattern were malformed, which the tests rule out.
fn patterns() -> Option<&'static Patterns> {
    static PATTERNS: OnceLock<Option<Patterns>> = OnceLock::new();
    PATTERNS
        .get_or_init(|| {
            let names: Vec<String> = Strategy::ALL.iter().map(|strategy| regex::escape(strategy.name())).collect();
            // The longer of two spellings first: the alternation takes the first that fits.
            let names = format!("Greetings|{}", names.join("|"));
            let bracketed = Regex::new(&format!(r"(?i)\[\s*(?:{names})\s*\]")).ok()?;
            let bare = Regex::new(&format!(r"(?i)\b(?:{names})\b")).ok()?;
            Some(Patterns { bracketed, bare })
        })
        .as_ref()
}

fn motivation<'a>(text: &'a str, cue: &str) -> &'a str {
    text.lines().map(|line| without_cue(line.trim(), cue)).find(|line| !line.is_empty()).unwrap_or_default()
}

fn without_cue<'a>(line: &'a str, cue: &str) -> &'a str {
    let is_cue = line.get(..cue.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(cue));
    if is_cue { line[cue.len()..].trim_start() } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Task;

    const PROMPT: &str = "Strategies: [Question], [Greeting]\n(1) Seeker: hi\n\nMotivation:\n";

    /// Raw outputs, with strategy, way of finding it, and motivation.
    const TABLE: [(&str, Strategy, ParseStatus, &str); 28] = {
        use ParseStatus::{Bare, Bracket, Fallback};
        use Strategy::*;
        [
            ("The strategy [Question] is to ask.", Question, Bracket, "The strategy [Question] is to ask."),
            ("[question]", Question, Bracket, "[question]"),
            ("[REFLECTION OF FEELINGS] names it", Reflection, Bracket, "[REFLECTION OF FEELINGS] names it"),
            ("choosing [ Self-disclosure ] is", SelfDisclosure, Bracket, "choosing [ Self-disclosure ] is"),
            ("***[Greeting]*** opens", Greeting, Bracket, "***[Greeting]*** opens"),
            ("[Greetings] opens", Greeting, Bracket, "[Greetings] opens"),
            // Two brackets: the first in the text, whatever the order of the table.
            ("[Others], not [Question]", Others, Bracket, "[Others], not [Question]"),
            ("[Greeting] and [Question]", Greeting, Bracket, "[Greeting] and [Question]"),
            // Brackets win over plain words before them.
            (
                "a question, so [Affirmation and Reassurance]",
                Affirmation,
                Bracket,
                "a question, so [Affirmation and Reassurance]",
            ),
            ("[Hope] [Others] to be [Question]", Others, Bracket, "[Hope] [Others] to be [Question]"),
            // No bracket.
            (
                "Providing suggestions or information helps",
                Suggestions,
                Bare,
                "Providing suggestions or information helps",
            ),
            ("Restatement or Paraphrasing shows", Restatement, Bare, "Restatement or Paraphrasing shows"),
            ("self-disclosure, then a question", SelfDisclosure, Bare, "self-disclosure, then a question"),
            ("[Question, Greeting] it is", Question, Bare, "[Question, Greeting] it is"),
            ("[Question", Question, Bare, "[Question"),
            ("with greetings", Greeting, Bare, "with greetings"),
            // Nothing.
            ("", Others, Fallback, ""),
            (" \n\t\n", Others, Fallback, ""),
            ("Questions are unquestionable.", Others, Fallback, "Questions are unquestionable."),
            ("[Hope]", Others, Fallback, "[Hope]"),
            ("Providing Suggestions", Others, Fallback, "Providing Suggestions"),
            // Several lines, cues.
            ("\n\n  to ask [Question]  \n(5) Supporter: x [Greeting]", Question, Bracket, "to ask [Question]"),
            ("It comforts.\n[Affirmation and Reassurance]", Affirmation, Bracket, "It comforts."),
            ("Motivation: to ask [Question]", Question, Bracket, "to ask [Question]"),
            ("motivation:\nto ask [Question]\r\nmore", Question, Bracket, "to ask [Question]"),
            ("Motivation:", Others, Fallback, ""),
            // The prompt repeated.
            (
                "Strategies: [Question], [Greeting]\n(1) Seeker: hi\n\nMotivation:\nto share [Self-disclosure]",
                SelfDisclosure,
                Bracket,
                "to share [Self-disclosure]",
            ),
            (" Strategies: [Question], [Greeting]\n(1) Seeker: hi\n\nMotivation: é", Others, Fallback, "é"),
        ]
    };

    #[test]
    fn raw_outputs_are_read() {
        let template = Template::built_in(Task::Inference);
        for (raw, strategy, parse_status, motivation) in TABLE {
            let expected = ParsedAnswer { strategy, motivation: motivation.into(), parse_status, raw: raw.into() };
            assert_eq!(parse_answer(raw, Some(PROMPT), &template), expected);
        }
    }

    #[test]
    fn every_name_is_read_with_and_without_brackets() {
        let template = Template::built_in(Task::Inference);
        for strategy in Strategy::ALL {
            for (raw, status) in [
                (format!("by [{}]", strategy.name().to_lowercase()), ParseStatus::Bracket),
                (format!("by {}", strategy.name().to_uppercase()), ParseStatus::Bare),
            ] {
                let parsed = parse_answer(&raw, None, &template);
                assert_eq!((parsed.strategy, parsed.parse_status), (strategy, status), "{raw}");
            }
        }
    }

    #[test]
    fn what_is_written_is_an_inference() {
        let parsed = parse_answer("to ask [Question]\n", None, &Template::built_in(Task::Inference));
        let written = serde_json::to_value(&parsed).unwrap();
        let expected = serde_json::json!({
            "strategy": "Question", "motivation": "to ask [Question]", "parse_status": "bracket", "raw": "to ask [Question]\n",
        });
        assert_eq!(written, expected);
        let read: crate::Inference = serde_json::from_value(written).unwrap();
        assert_eq!((read.strategy, read.motivation.as_str()), (Strategy::Question, "to ask [Question]"));
    }
}
