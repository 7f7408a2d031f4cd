//! `ESConv.json` (Liu et al., ACL 2021) and its companion `FailedESConv.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{Corpus, CorpusForm};
use crate::conversation::{Conversation, Speaker, SurveyAnswers, SurveyScores, Utterance};
use crate::error::{Error, read_text};
use crate::label::LabelSet;

/// Reads `ESConv.json`.
///
/// # Errors
/// The file can't be read or is malformed; a supporter's strategy is not one of the eight.
pub fn read_esconv(path: &Path) -> Result<Corpus, Error> {
    parse(path, &parse_rows(path, &read_text(path)?)?, CorpusForm::Esconv)
}

/// Reads `FailedESConv.json`. Its labels are put into ESConv's names; those without a counterpart stay and are counted.
///
/// # Errors
/// The file can't be read or is malformed.
pub fn read_failed_esconv(path: &Path) -> Result<Corpus, Error> {
    parse(path, &parse_rows(path, &read_text(path)?)?, CorpusForm::FailedEsconv)
}

pub(super) fn parse_rows(path: &Path, text: &str) -> Result<Vec<Value>, Error> {
    let rows: Vec<Value> = serde_json::from_str(text).map_err(|error| {
        Error::format(path, format!("line {}", error.line()), format!("not a JSON array of conversations: {error}"))
    })?;
    if rows.is_empty() {
        return Err(Error::format(path, "the file", "nothing is in it: expected conversations"));
    }
    Ok(rows)
}

/// The form, by what the first utterance calls its speaker. A search in the text would not do: the survey of both forms
/// has a part named `supporter`.
pub(super) fn detect(rows: &[Value]) -> CorpusForm {
    let first = rows.iter().find_map(|row| row["dialog"].get(0)?["speaker"].as_str());
    match first {
        Some("speaker" | "listener") => CorpusForm::FailedEsconv,
        _ => CorpusForm::Esconv,
    }
}

pub(super) fn parse(path: &Path, rows: &[Value], form: CorpusForm) -> Result<Corpus, Error> {
    let mut unknown = BTreeMap::new();
    let conversations = rows
        .iter()
        .enumerate()
        .map(|(number, row)| conversation(&Place { path, number }, row, form, &mut unknown))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Corpus { form, conversations, unknown_labels: unknown.into_iter().collect() })
}

/// Where in the file an error is.
struct Place<'a> {
    path: &'a Path,
    number: usize,
}

impl Place<'_> {
    fn wrong(&self, field: &str, problem: impl Into<String>) -> Error {
        Error::format(self.path, format!("conversation {}, field `{field}`", self.number), problem)
    }

    fn text(&self, row: &Value, field: &str) -> Result<String, Error> {
        match &row[field] {
            Value::String(text) => Ok(text.clone()),
            Value::Null => Err(self.wrong(field, "it is missing")),
            other => Err(self.wrong(field, format!("expected a text, found {other}"))),
        }
    }

    fn optional_text(&self, row: &Value, field: &str) -> Result<String, Error> {
        if row[field].is_null() { Ok(String::new()) } else { self.text(row, field) }
    }

    /// An object that may be absent, so that its fields may be as well.
    fn optional_object(&self, value: &Value, field: &str) -> Result<(), Error> {
        match value {
            Value::Null | Value::Object(_) => Ok(()),
            other => Err(self.wrong(field, format!("expected an object, found {other}"))),
        }
    }

    /// A score: the corpus writes digits as text.
    fn score(&self, value: &Value, field: &str) -> Result<Option<u8>, Error> {
        let number: Option<u64> = match value {
            Value::Null => return Ok(None),
            Value::String(text) if text.trim().is_empty() => return Ok(None),
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_u64(),
        };
        match number {
            // The corpus has a few zeros: questions that were left out.
            Some(score @ 0..=5) => Ok((score > 0).then_some(score as u8)),
            _ => Err(self.wrong(field, format!("expected a score from 1 to 5, found {value}"))),
        }
    }
}

fn conversation(
    place: &Place<'_>,
    row: &Value,
    form: CorpusForm,
    unknown: &mut BTreeMap<String, usize>,
) -> Result<Conversation, Error> {
    if !row.is_object() {
        return Err(Error::format(
            place.path,
            format!("conversation {}", place.number),
            "no known form of corpus: expected an object with the field `dialog`",
        ));
    }
    let dialog = row["dialog"].as_array().ok_or_else(|| place.wrong("dialog", "expected a list of utterances"))?;
    Ok(Conversation {
        experience_type: place.optional_text(row, "experience_type")?,
        emotion_type: place.text(row, "emotion_type")?,
        problem_type: place.text(row, "problem_type")?,
        situation: place.text(row, "situation")?,
        survey: survey(place, &row["survey_score"])?,
        answers: SurveyAnswers {
            seeker: [place.optional_text(row, "seeker_question1")?, place.optional_text(row, "seeker_question2")?],
            supporter: [
                place.optional_text(row, "supporter_question1")?,
                place.optional_text(row, "supporter_question2")?,
            ],
        },
        dialog: dialog
            .iter()
            .enumerate()
            .map(|(number, row)| utterance(place, number, row, form, unknown))
            .collect::<Result<Vec<_>, _>>()?,
    })
}

fn survey(place: &Place<'_>, scores: &Value) -> Result<SurveyScores, Error> {
    let (seeker, supporter) = (&scores["seeker"], &scores["supporter"]);
    place.optional_object(scores, "survey_score")?;
    place.optional_object(seeker, "survey_score.seeker")?;
    place.optional_object(supporter, "survey_score.supporter")?;
    let of_seeker = |field: &str| place.score(&seeker[field], &format!("survey_score.seeker.{field}"));
    Ok(SurveyScores {
        initial_emotion_intensity: of_seeker("initial_emotion_intensity")?,
        final_emotion_intensity: of_seeker("final_emotion_intensity")?,
        empathy: of_seeker("empathy")?,
        relevance: of_seeker("relevance")?,
        supporter_relevance: place.score(&supporter["relevance"], "survey_score.supporter.relevance")?,
    })
}

fn utterance(
    place: &Place<'_>,
    number: usize,
    row: &Value,
    form: CorpusForm,
    unknown: &mut BTreeMap<String, usize>,
) -> Result<Utterance, Error> {
    let field = |name: &str| format!("dialog[{number}].{name}");
    let speaker = match row["speaker"].as_str() {
        Some("seeker" | "speaker") => Speaker::Seeker,
        Some("supporter" | "listener") => Speaker::Supporter,
        other => {
            let problem = format!("expected seeker or supporter (speaker or listener), found {other:?}");
            return Err(place.wrong(&field("speaker"), problem));
        }
    };
    let content = row["content"].as_str().ok_or_else(|| place.wrong(&field("content"), "expected a text"))?;
    let annotation = &row["annotation"];
    place.optional_object(annotation, &field("annotation"))?;
    let strategy = match &annotation["strategy"] {
        Value::Null => None,
        Value::String(label) if label.is_empty() => None,
        Value::String(label) => Some(strategy(place, &field("annotation.strategy"), label, form, unknown)?),
        other => return Err(place.wrong(&field("annotation.strategy"), format!("expected a text, found {other}"))),
    };
    Ok(Utterance {
        speaker,
        content: content.to_owned(),
        strategy,
        feedback: place.score(&annotation["feedback"], &field("annotation.feedback"))?,
    })
}

fn strategy(
    place: &Place<'_>,
    field: &str,
    label: &str,
    form: CorpusForm,
    unknown: &mut BTreeMap<String, usize>,
) -> Result<String, Error> {
    let set = if form == CorpusForm::FailedEsconv { LabelSet::FailedEsconv } else { LabelSet::Esconv };
    match set.to_esconv(label) {
        Some(name) => Ok(name.to_owned()),
        None if form == CorpusForm::FailedEsconv => {
            *unknown.entry(label.to_owned()).or_default() += 1;
            Ok(label.to_owned())
        }
        None => {
            Err(place.wrong(field, format!("`{label}` is not one of ESConv's strategies: {}", set.labels().join(", "))))
        }
    }
}
