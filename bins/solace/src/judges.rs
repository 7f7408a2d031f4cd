//! Who says what an answer is worth, and by what.

use std::collections::BTreeMap;
use std::path::Path;

use command_line::{AnyModel, Delivery, Failure, Runtime, Server, hugging_face_folder};
use esc_metrics::{Item, Resources, Suite};
use helpfulness::{Exchange, HelpfulnessModel};
use llm_runtime::{Continuation, Prompt, ScoreRequest, TextModel, weights_sha256};
use strategy_prompting::{InstructionTemplate, Layout, StrategyLikelihoods, StrategyText, SystemRole, scored_by};
use text_encoder::{ReadingOptions, TextClassifier};
use thtra::{ScorerContext, context_text, helpfulness_sha256, open_helpfulness};

use crate::arguments::Judging;
use crate::candidates::CandidateRow;
use crate::point::Point;
use crate::realise::Prompting;
use crate::strategies::are_alike;

/// Names of scores.
pub(crate) const HELPFULNESS: &str = "helpfulness";
pub(crate) const ADHERENCE: &str = "adherence";
pub(crate) const FOLLOWS: &str = "follows";

/// Scores of an answer by their names.
pub(crate) type Scores = BTreeMap<String, f64>;

/// How much a score counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weight {
    pub(crate) name: String,
    pub(crate) value: f64,
}

impl Weight {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("expected NAME=X, as in helpfulness=1")?;
        let value: f64 = value.parse().map_err(|_| format!("`{value}` is no number"))?;
        if name.is_empty() || !value.is_finite() {
            return Err("expected NAME=X with a finite number".into());
        }
        Ok(Self { name: name.to_owned(), value })
    }
}

/// All judges that are asked.
pub(crate) struct Judges {
    helpfulness: Option<(HelpfulnessModel, String)>,
    adherence: Option<AdherenceJudge>,
    classifier: Option<Classifier>,
    metrics: Option<Suite>,
    metric_names: Vec<String>,
}

impl Judges {
    pub(crate) fn open(options: &Judging, runtime: &Runtime, server: &Server) -> Result<Self, Failure> {
        let device = runtime.model.machine.device.open()?;
        let helpfulness = match &options.helpfulness {
            Some(folder) => Some((open_helpfulness(folder, None, &device)?, helpfulness_sha256(folder)?)),
            None => None,
        };
        let adherence = match &options.adherence {
            Some(model) => Some(AdherenceJudge::open(model, &options.adherence_strategies, runtime, server)?),
            None => None,
        };
        let classifier = options.classifier.as_deref().map(|name| Classifier::open(name, runtime)).transpose()?;
        let metrics = match options.metrics.is_empty() {
            true => None,
            false => Some(Suite::of_names(&options.metrics, &Resources::built_in()).map_err(Failure::wrong_use)?),
        };
        Ok(Self { helpfulness, adherence, classifier, metrics, metric_names: options.metrics.clone() })
    }

    /// For records.
    pub(crate) fn made_by(&self) -> String {
        let helpfulness = self.helpfulness.as_ref().map(|(_, hash)| format!("{HELPFULNESS} {hash}"));
        let adherence = self.adherence.as_ref().map(|judge| format!("{ADHERENCE} {}", judge.made_by));
        let classifier = self.classifier.as_ref().map(|classifier| format!("{FOLLOWS} {}", classifier.name()));
        let metrics = self.metrics.as_ref().map(|_| format!("metrics {}", self.metric_names.join(", ")));
        [helpfulness, adherence, classifier, metrics].into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }

    /// Those whose word counts unless something else is said: metrics need the real answer, which nobody has who answers a seeker.
    pub(crate) fn counting(&self) -> Vec<&'static str> {
        let there = [
            (HELPFULNESS, self.helpfulness.is_some()),
            (ADHERENCE, self.adherence.is_some()),
            (FOLLOWS, self.classifier.is_some()),
        ];
        there.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect()
    }

    /// The scores of answers at one place. An answer without a word has none; where no strategy was asked for, none is followed.
    pub(crate) fn scores(&mut self, point: &Point, candidates: &[&CandidateRow]) -> Result<Vec<Scores>, Failure> {
        let mut all = vec![Scores::new(); candidates.len()];
        let said: Vec<usize> =
            (0..candidates.len()).filter(|place| !candidates[*place].text.trim().is_empty()).collect();
        if let Some((model, _)) = &self.helpfulness {
            let dialogue = point.for_thtra();
            let context = context_text(ScorerContext::default(), &dialogue, dialogue.turns.len().saturating_sub(1));
            let exchange = |place: &usize| Exchange {
                situation: &dialogue.situation,
                context: &context,
                response: &candidates[*place].text,
            };
            let exchanges: Vec<Exchange<'_>> = said.iter().map(exchange).collect();
            for (place, score) in said.iter().zip(model.score(&exchanges)?) {
                all[*place].insert(HELPFULNESS.into(), f64::from(score.helpfulness));
            }
        }
        for place in said {
            let (candidate, scores) = (candidates[place], &mut all[place]);
            if let (Some(judge), Some(strategy)) = (&mut self.adherence, &candidate.strategy) {
                scores.extend(judge.margin(point, strategy, &candidate.text)?.map(|margin| (ADHERENCE.into(), margin)));
            }
            if let (Some(classifier), Some(strategy)) = (&self.classifier, &candidate.strategy) {
                let found = classifier.strategy(&candidate.text)?;
                scores.insert(FOLLOWS.into(), f64::from(u8::from(are_alike(&found, strategy))));
            }
            if let Some(suite) = &self.metrics {
                let scored = suite.score([Item::new(&candidate.text, point.example.response.trim())])?;
                scores.extend(scored.rows().into_iter().map(|row| (row.name, row.value)));
            }
            if let Some((name, value)) = scores.iter().find(|(_, value)| !value.is_finite()) {
                return Err(Failure::work(format!("{}: the score {name} is {value}", candidate.id)));
            }
        }
        Ok(all)
    }
}

/// Whether an answer is likelier behind its own strategy's prompt: see [`StrategyLikelihoods::margin`].
struct AdherenceJudge {
    model: AnyModel,
    prompting: Prompting,
    strategies: Vec<StrategyText>,
    made_by: String,
    /// Whether it was told that a strategy is not among them.
    is_warned: bool,
}

impl AdherenceJudge {
    fn open(name: &str, strategies: &str, runtime: &Runtime, server: &Server) -> Result<Self, Failure> {
        let model = AnyModel::load(name, runtime, server, Delivery::Whole)?;
        let layout = Layout::C1HistoryFirst;
        let prompting = Prompting::open(layout, "train", "train-unconditional", strategies)?;
        let instruction = InstructionTemplate::built_in("train")?;
        let made_by =
            format!("{} {} {} {strategies}", scored_by(&model.identity()), layout.name(), instruction.sha256());
        let strategies = prompting.strategies.all();
        Ok(Self { model, prompting, strategies, made_by, is_warned: false })
    }

    /// In nats per token; none for a strategy that has no counterpart in the judge's set.
    fn margin(&mut self, point: &Point, strategy: &str, text: &str) -> Result<Option<f64>, Failure> {
        let Ok(own) = self.prompting.strategies.find(strategy) else {
            if !self.is_warned {
                tracing::warn!(
                    "{strategy} has no counterpart in --adherence-strategies: such answers get no adherence"
                );
                self.is_warned = true;
            }
            return Ok(None);
        };
        let role = SystemRole::for_template(self.model.template());
        let request = |strategy: &StrategyText| -> Result<ScoreRequest, Failure> {
            let messages = self.prompting.messages(point, Some(strategy), role)?;
            Ok(ScoreRequest::new(Prompt::Chat(messages), Continuation::Text(text.to_owned())))
        };
        let requests = self.strategies.iter().map(request).collect::<Result<Vec<_>, _>>()?;
        let mut likelihoods = StrategyLikelihoods::default();
        for (strategy, score) in self.strategies.iter().zip(self.model.score(&requests)?) {
            let score = score.map_err(|error| Failure::work(format!("{}: {error}", point.id())))?;
            likelihoods.add(&strategy.name, score)?;
        }
        Ok(Some(likelihoods.margin(&own.name)))
    }
}

/// Who tells which strategy a text follows.
enum Classifier {
    /// That of the demonstration language.
    Demo,
    Trained {
        classifier: Box<TextClassifier>,
        hash: String,
    },
}

impl Classifier {
    fn open(name: &str, runtime: &Runtime) -> Result<Self, Failure> {
        if name == demo_corpus::MODEL_NAME {
            return Ok(Self::Demo);
        }
        let machine = &runtime.model.machine;
        let inside = Path::new(name).join("model");
        let folder = if inside.join("config.json").is_file() { inside } else { hugging_face_folder(name, machine)? };
        let classifier = Box::new(TextClassifier::open(&folder, &machine.device.open()?)?);
        Ok(Self::Trained { classifier, hash: weights_sha256(&folder)? })
    }

    fn name(&self) -> &str {
        match self {
            Self::Demo => demo_corpus::MODEL_NAME,
            Self::Trained { hash, .. } => hash,
        }
    }

    fn strategy(&self, text: &str) -> Result<String, Failure> {
        match self {
            Self::Demo => Ok(demo_corpus::classify(text).strategy.to_owned()),
            Self::Trained { classifier, .. } => {
                let found = classifier.predict(&[text], &ReadingOptions::default())?;
                let class = found.first().map_or(0, |prediction| prediction.class);
                Ok(classifier.labels.get(class).cloned().unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Weight;

    #[test]
    fn weights_are_names_with_numbers() {
        assert_eq!(Weight::parse("f1=-0.5").unwrap(), Weight { name: "f1".into(), value: -0.5 });
        for wrong in ["f1", "=1", "f1=x", "f1=inf"] {
            assert!(Weight::parse(wrong).is_err(), "{wrong}");
        }
    }
}
