//! Corpora with one JSON object a line and speakers `usr` and `sys`: the common part of ThTra's and MultiESC's files.

use std::path::Path;

use serde::Deserialize;

use super::{Corpus, CorpusForm};
use crate::conversation::{Conversation, Speaker, SurveyAnswers, SurveyScores, Utterance};
use crate::error::Error;
use crate::label::LabelSet;

#[derive(Deserialize)]
struct Row {
    emotion_type: String,
    problem_type: String,
    situation: String,
    #[serde(default)]
    init_intensity: Option<u8>,
    #[serde(default)]
    final_intensity: Option<u8>,
    dialog: Vec<RowUtterance>,
}

#[derive(Deserialize)]
struct RowUtterance {
    text: String,
    speaker: RowSpeaker,
    #[serde(default)]
    strategy: Option<String>,
    #[serde(default)]
    feedback: Option<Feedback>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RowSpeaker {
    Usr,
    Sys,
}

/// Both spellings occur.
#[derive(Deserialize)]
#[serde(untagged)]
enum Feedback {
    Number(f64),
    Text(String),
}

impl Feedback {
    fn score(&self) -> Option<u8> {
        let number = match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.trim().parse().ok()?,
        };
        (number.fract() == 0.0 && (1.0..=5.0).contains(&number)).then_some(number as u8)
    }
}

/// Reads the conversations of a text. Strategies have to be of the label set; without one they stay as they are written.
pub(super) fn parse(path: &Path, text: &str, form: CorpusForm, labels: Option<LabelSet>) -> Result<Corpus, Error> {
    let conversations = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| conversation(path, number + 1, line, labels))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Corpus { form, conversations, unknown_labels: Vec::new() })
}

fn conversation(path: &Path, line: usize, text: &str, labels: Option<LabelSet>) -> Result<Conversation, Error> {
    let place = format!("line {line}");
    let row: Row = serde_json::from_str(text)
        .map_err(|error| Error::format(path, place.clone(), format!("not a conversation: {error}")))?;
    let dialog = row
        .dialog
        .into_iter()
        .enumerate()
        .map(|(number, row)| utterance(path, &format!("{place}, dialog[{number}]"), row, labels))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Conversation {
        experience_type: String::new(),
        emotion_type: row.emotion_type,
        problem_type: row.problem_type,
        situation: row.situation,
        survey: SurveyScores {
            initial_emotion_intensity: row.init_intensity,
            final_emotion_intensity: row.final_intensity,
            ..SurveyScores::default()
        },
        answers: SurveyAnswers::default(),
        dialog,
    })
}

fn utterance(path: &Path, place: &str, row: RowUtterance, labels: Option<LabelSet>) -> Result<Utterance, Error> {
    let written = row.strategy.filter(|label| !label.is_empty());
    let strategy = match (written, labels) {
        (Some(label), Some(labels)) => Some(labels.canonical(&label).map(str::to_owned).ok_or_else(|| {
            Error::format(path, place, format!("the strategy `{label}` is not one of: {}", labels.labels().join(", ")))
        })?),
        (written, _) => written,
    };
    let feedback = match &row.feedback {
        None => None,
        Some(feedback) => {
            Some(feedback.score().ok_or_else(|| Error::format(path, place, "`feedback` is not a score from 1 to 5"))?)
        }
    };
    let speaker = match row.speaker {
        RowSpeaker::Usr => Speaker::Seeker,
        RowSpeaker::Sys => Speaker::Supporter,
    };
    Ok(Utterance { speaker, content: row.text, strategy, feedback })
}
