//! Adherence: is a response likelier under its own strategy's prompt than under those of the others?
//!
//! Every response is scored, token by token, behind the prompts of all strategies. The row of log-likelihoods tells by
//! how much its own strategy leads (the diagonal margin) and which strategy it fits best (the confusion). No classifier
//! and no second model is needed. Prompts that share their beginning share its computation.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use esc_metrics::interval::Interval;
use llm_runtime::{AttentionEdit, Continuation, ModelIdentity, Prompt, Score, ScoreRequest, TextModel};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::instruction::StrategyText;
use crate::record::ContinuationRecord;
use crate::row_file::{RowFile, RowKind};
use crate::sra::{SraOptions, sra, strategy_spans};

/// How one response fares behind every strategy's prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdherenceRow {
    /// The record's id.
    pub id: String,
    /// The example's id.
    pub example: String,
    /// The conversation.
    pub conversation: String,
    /// The supporter turn.
    pub turn: usize,
    /// The layout's name.
    pub layout: String,
    /// The strategy that the response was asked for.
    pub strategy: String,
    /// Name of the model that made the response; empty in rows of earlier versions.
    #[serde(default)]
    pub model: String,
    /// Hash of the model that made the response (its name where it has no hash). The same request to two models has the
    /// same record id. Empty in rows of earlier versions.
    #[serde(default)]
    pub made_by: String,
    /// Hash of the model that scored (its name where it has no hash).
    pub scored_by: String,
    /// Tokens of the response.
    pub tokens: usize,
    /// Natural log-likelihood of the whole response behind each strategy's prompt.
    pub log_likelihood: BTreeMap<String, f64>,
    /// SRA (preset `ours`) of the response behind each strategy's prompt, where attention was captured. Those of other
    /// strategies are a control: the same response and place, another strategy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sra: BTreeMap<String, f64>,
}

impl AdherenceRow {
    /// By how many nats per token the own strategy's prompt makes the response likelier than the others do on average.
    pub fn margin(&self) -> f64 {
        margin(&self.log_likelihood, &self.strategy, self.tokens)
    }

    /// The strategy whose prompt makes the response likeliest (the first by name among equals).
    pub fn best(&self) -> &str {
        best(&self.log_likelihood)
    }

    /// SRA behind the own strategy's prompt, and its mean behind the others.
    pub fn own_and_other_sra(&self) -> Option<(f64, f64)> {
        let own = *self.sra.get(&self.strategy)?;
        let others: Vec<f64> =
            self.sra.iter().filter(|(name, _)| **name != self.strategy).map(|(_, value)| *value).collect();
        (!others.is_empty()).then(|| (own, others.iter().sum::<f64>() / others.len() as f64))
    }
}

/// What makes up a row, score by score: for who scores a single response, as a chat does.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StrategyLikelihoods {
    /// Tokens of the response.
    pub tokens: usize,
    /// Natural log-likelihood of the whole response behind each strategy's prompt.
    pub log_likelihood: BTreeMap<String, f64>,
    /// SRA (preset `ours`) of the response behind each strategy's prompt, where attention was captured.
    pub sra: BTreeMap<String, f64>,
}

impl StrategyLikelihoods {
    /// Adds the response's score behind a strategy's prompt. All scores must be of the same tokens.
    ///
    /// # Errors
    /// The score has attention, but none that SRA can be computed from.
    pub fn add(&mut self, strategy: &str, score: Score) -> Result<(), Error> {
        self.tokens = score.tokens.len();
        self.log_likelihood.insert(strategy.to_owned(), score.sum);
        if let Some(capture) = score.attention {
            self.sra.insert(strategy.to_owned(), sra(&capture, &SraOptions::ours())?.value);
        }
        Ok(())
    }

    /// [`AdherenceRow::margin`], with `own` as the own strategy. Not a number where it or all others are missing.
    pub fn margin(&self, own: &str) -> f64 {
        margin(&self.log_likelihood, own, self.tokens)
    }

    /// [`AdherenceRow::best`]; empty without scores.
    pub fn best(&self) -> &str {
        best(&self.log_likelihood)
    }
}

fn margin(log_likelihood: &BTreeMap<String, f64>, own: &str, tokens: usize) -> f64 {
    let others: Vec<f64> = log_likelihood.iter().filter(|(name, _)| *name != own).map(|(_, value)| *value).collect();
    let own = log_likelihood.get(own).copied().unwrap_or(f64::NAN);
    (own - others.iter().sum::<f64>() / others.len() as f64) / tokens as f64
}

fn best(log_likelihood: &BTreeMap<String, f64>) -> &str {
    let better = |best: &(&String, &f64), value: &f64| value > best.1;
    let mut rest = log_likelihood.iter();
    let Some(first) = rest.next() else { return "" };
    rest.fold(first, |best, (name, value)| if better(&best, value) { (name, value) } else { best }).0
}

/// Rows of adherence in a [`RowFile`](crate::RowFile).
pub const ADHERENCE_ROWS: RowKind<AdherenceRow> = RowKind {
    name: "row of `sra adherence`",
    beginning: r#"{"id":"#,
    id: |row| response_key(&row.made_by, &row.id),
    made_by: |row| &row.scored_by,
};

/// A response among those of several models: records of one example under one strategy have one id, whoever made them.
fn response_key(made_by: &str, id: &str) -> String {
    format!("{made_by} {id}")
}

/// Whether a record's response is scored in a file; rows of earlier versions do not tell who made it.
pub fn is_scored(file: &RowFile<AdherenceRow>, record: &ContinuationRecord) -> bool {
    [scored_by(&record.model).as_str(), ""].iter().any(|made_by| file.contains(&response_key(made_by, &record.id)))
}

/// What [`score_adherence`] does beside scoring.
#[derive(Debug, Clone, Default)]
pub struct AdherenceOptions {
    /// A change of attention while scoring; local models only.
    pub edit: Option<AttentionEdit>,
    /// Also compute SRA behind every prompt; local models only.
    pub attention: bool,
}

/// Scores records one after the other and hands out their rows, until the sink breaks.
///
/// If the model made the record itself, the response's own tokens are scored, else its text is tokenised anew.
///
/// # Errors
/// A record has no strategy of the list or an empty response, its prompt can't be built or scored, or the model fails.
pub fn score_adherence(
    records: &[ContinuationRecord],
    strategies: &[StrategyText],
    model: &mut dyn TextModel,
    options: &AdherenceOptions,
    sink: &mut dyn FnMut(AdherenceRow) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    let scored_by = scored_by(&model.identity());
    for record in records {
        if strategies.iter().all(|strategy| strategy.name != record.strategy) {
            return Err(Error::UnknownName {
                kind: "strategy",
                name: record.strategy.clone(),
                known: strategies.iter().map(|strategy| strategy.name.as_str()).collect::<Vec<_>>().join(", "),
            });
        }
        let row = score_record(record, strategies, model, options, &scored_by)?;
        if sink(row)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// How rows name the model that scored them: its hash, or its name where it has none.
pub fn scored_by(model: &ModelIdentity) -> String {
    if model.sha256.is_empty() { model.name.clone() } else { model.sha256.clone() }
}

fn score_record(
    record: &ContinuationRecord,
    strategies: &[StrategyText],
    model: &mut dyn TextModel,
    options: &AdherenceOptions,
    scored_by: &str,
) -> Result<AdherenceRow, Error> {
    // A server does not tell the tokens of its answers, but tokenises their text as it did then.
    let has_tokens = !record.tokens.is_empty();
    let continuation = match has_tokens && self::scored_by(&record.model) == scored_by {
        true => Continuation::Tokens(record.tokens.clone()),
        false => Continuation::Text(record.text.clone()),
    };
    let requests = strategies
        .iter()
        .map(|strategy| {
            let prompt = Prompt::Chat(record.messages_with(strategy)?);
            let probe = options.attention.then(|| llm_runtime::AttentionProbe::spans(strategy_spans()));
            Ok(ScoreRequest { probe, edit: options.edit.clone(), ..ScoreRequest::new(prompt, continuation.clone()) })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let mut likelihoods = StrategyLikelihoods::default();
    for (strategy, score) in strategies.iter().zip(model.score(&requests)?) {
        let score = score.map_err(|error| request_error(record, strategy, error))?;
        if score.tokens.is_empty() {
            return Err(Error::Dialogue { example: record.example.clone(), problem: "the response is empty".into() });
        }
        likelihoods.add(&strategy.name, score)?;
    }
    let StrategyLikelihoods { tokens, log_likelihood, sra } = likelihoods;
    Ok(AdherenceRow {
        id: record.id.clone(),
        example: record.example.clone(),
        conversation: record.conversation.clone(),
        turn: record.turn,
        layout: record.layout.name().to_owned(),
        strategy: record.strategy.clone(),
        model: record.model.name.clone(),
        made_by: self::scored_by(&record.model),
        scored_by: scored_by.to_owned(),
        tokens,
        log_likelihood,
        sra,
    })
}

fn request_error(record: &ContinuationRecord, strategy: &StrategyText, error: llm_runtime::RequestError) -> Error {
    Error::Request {
        example: record.example.clone(),
        strategy: strategy.name.clone(),
        layout: record.layout.name(),
        error,
    }
}

/// Adherence of a set of responses.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdherenceSummary {
    /// Responses.
    pub responses: usize,
    /// Diagonal margin in nats per token.
    pub margin: Interval,
    /// Share of responses that fit their own strategy's prompt best, 0 to 1.
    pub accuracy: Interval,
    /// What chance would give.
    pub chance: f64,
    /// How many responses of a strategy (outer) fit a strategy (inner) best.
    pub confusion: BTreeMap<String, BTreeMap<String, usize>>,
    /// SRA behind the own prompt, where it was captured.
    pub own_sra: Option<Interval>,
    /// SRA behind the other strategies' prompts.
    pub other_sra: Option<Interval>,
}

impl AdherenceSummary {
    /// Sums rows up; `None` without rows.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a AdherenceRow>) -> Option<Self> {
        let rows: Vec<&AdherenceRow> = rows.into_iter().collect();
        let over = |value: &dyn Fn(&AdherenceRow) -> f64| {
            Interval::by_group(rows.iter().map(|row| (row.conversation.as_str(), value(row))))
        };
        let mut confusion: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        for row in &rows {
            *confusion.entry(row.strategy.clone()).or_default().entry(row.best().to_owned()).or_default() += 1;
        }
        let sra = |pick: fn((f64, f64)) -> f64| over(&|row| row.own_and_other_sra().map_or(f64::NAN, pick));
        Some(Self {
            responses: rows.len(),
            margin: over(&AdherenceRow::margin)?,
            accuracy: over(&|row| f64::from(u8::from(row.best() == row.strategy)))?,
            chance: 1.0 / rows.first()?.log_likelihood.len() as f64,
            confusion,
            own_sra: sra(|(own, _)| own),
            other_sra: sra(|(_, other)| other),
        })
    }
}
