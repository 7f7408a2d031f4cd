//! The drift monitor: does an answer still follow its strategy, and what is done where it does not.
//!
//! Attention of the new tokens is added up while they are written, which changes nothing about them. Adherence is that of
//! `sra adherence`: the finished answer is scored behind the prompts of all strategies of the set, which takes time but draws
//! nothing at random and leaves no trace but in the cache of prefixes.

use std::time::Instant;

use command_line::{Failure, Progress, interrupt, must_be_local};
use esconv_data::StrategySet;
use llm_runtime::{
    AttentionProbe, Completion, Continuation, GenerationOptions, Message, Prompt, ScoreRequest, TextModel,
};
use strategy_prompting::{Layout, SraOptions, StrategyLikelihoods, SystemRole, sra, strategy_spans};

use crate::arguments::{Monitoring, Watched};
use crate::chat::measured::Measured;
use crate::chat::state::{Chat, Question};

/// The layout that a chat changes to unless another one is asked for.
const RELAYOUT: Layout = Layout::C1HistoryFirst;

/// What is measured of answers, and what follows from it.
pub(crate) struct Monitor {
    watched: Watched,
    relayout: Option<Relayout>,
}

/// A change of layout where an answer adheres too little.
struct Relayout {
    /// Nats per token.
    below: f64,
    to: Layout,
}

impl Monitor {
    /// The monitor that was asked for, if one was.
    ///
    /// # Errors
    /// The model, the beams or the strategies can't be measured, or the layout is to change by what is not measured.
    pub(crate) fn new(
        options: &Monitoring,
        model: &str,
        generation: &GenerationOptions,
        strategies: &StrategySet,
    ) -> Result<Option<Self>, Failure> {
        let Some(watched) = options.monitor else { return Ok(None) };
        must_be_local(model, "--monitor looks into the model while it writes")?;
        if generation.beam_width > 1 {
            return Err(Failure::wrong_use(
                "--monitor: attention is captured with one beam only; leave --beam-width out",
            ));
        }
        if watched == Watched::Sra && options.relayout_below.is_some() {
            return Err(Failure::wrong_use("--relayout-below goes by adherence, which --monitor=sra leaves out"));
        }
        if watched == Watched::All && strategies.strategies.len() < 2 {
            return Err(Failure::wrong_use(format!(
                "--monitor: adherence compares a strategy with the others of its set, and `{}` has no other; \
                 --monitor=sra leaves it out",
                strategies.name
            )));
        }
        let relayout =
            options.relayout_below.map(|below| Relayout { below, to: options.relayout_to.unwrap_or(RELAYOUT) });
        Ok(Some(Self { watched, relayout }))
    }

    /// What is to be captured while the next answer is written.
    pub(crate) fn probe(&self, chat: &Chat) -> Option<AttentionProbe> {
        chat.not_steered().is_none().then(|| AttentionProbe::spans(strategy_spans()))
    }

    /// Measures the answer to a question that is not in the history yet. An interrupt ends it early, with what there is.
    pub(crate) fn measure(
        &self,
        chat: &Chat,
        question: &Question,
        completion: &Completion,
        model: &mut dyn TextModel,
    ) -> Measured {
        if completion.text.trim().is_empty() {
            return Measured::nothing("the answer is empty");
        }
        let mut measured = match attention(chat, completion) {
            Ok(measured) => measured,
            Err(reason) => return Measured::nothing(reason),
        };
        if self.watched == Watched::Sra {
            return measured;
        }
        match likelihoods(chat, question, &completion.tokens, model) {
            Ok(likelihoods) => {
                let own = chat.strategy_name().unwrap_or_default();
                measured.adherence = Some(likelihoods.margin(own));
                measured.fits_best = Some(likelihoods.best().to_owned());
                measured.relayout = self.relayout(likelihoods.margin(own), chat.layout());
            }
            Err(reason) => measured.unmeasured = Some(reason),
        }
        measured
    }

    /// The layout to change to, if there is reason to and it is another one. There is no way back but by hand.
    fn relayout(&self, adherence: f64, present: Layout) -> Option<Layout> {
        let Relayout { below, to } = self.relayout.as_ref()?;
        (adherence < *below && present != *to).then_some(*to)
    }

    /// What is said of a change of layout.
    pub(crate) fn relayout_told(&self, measured: &Measured) -> Option<String> {
        let (to, Relayout { below, .. }) = (measured.relayout?, self.relayout.as_ref()?);
        Some(format!("adherence is below {below}: layout {to} from the next answer on"))
    }
}

fn attention(chat: &Chat, completion: &Completion) -> Result<Measured, String> {
    if let Some(reason) = chat.not_steered() {
        return Err(reason);
    }
    let capture = completion.attention.as_ref().ok_or("the model kept no attention")?;
    let sra = sra(capture, &SraOptions::ours()).map_err(|error| error.to_string())?;
    Ok(Measured::attention(&sra))
}

/// Scores an answer behind the prompts of all strategies, one after the other so that an interrupt is not kept waiting.
fn likelihoods(
    chat: &Chat,
    question: &Question,
    tokens: &[u32],
    model: &mut dyn TextModel,
) -> Result<StrategyLikelihoods, String> {
    let start = Instant::now();
    let prompts = chat.messages_by_strategy(question, SystemRole::for_template(model.template()))?;
    let mut bar = Progress::new("measuring", 0, prompts.len() as u64);
    let mut likelihoods = StrategyLikelihoods::default();
    for (scored, (strategy, messages)) in prompts.iter().enumerate() {
        bar.set(scored as u64);
        let added = match interrupt::was_asked_to_end() {
            true => Err("interrupted".to_owned()),
            false => add(&mut likelihoods, strategy, messages, tokens, model),
        };
        if let Err(problem) = added {
            bar.finish();
            return Err(problem);
        }
    }
    bar.finish();
    tracing::info!("{} prompts scored in {:.3} s", prompts.len(), start.elapsed().as_secs_f64());
    Ok(likelihoods)
}

fn add(
    likelihoods: &mut StrategyLikelihoods,
    strategy: &str,
    messages: &[Message],
    tokens: &[u32],
    model: &mut dyn TextModel,
) -> Result<(), String> {
    let request = ScoreRequest::new(Prompt::Chat(messages.to_vec()), Continuation::Tokens(tokens.to_vec()));
    let scores = model.score(&[request]).map_err(|error| error.to_string())?;
    let score = scores.into_iter().next().ok_or("the model gave no score")?;
    let score = score.map_err(|error| format!("behind the prompt of `{strategy}`: {error}"))?;
    likelihoods.add(strategy, score).map_err(|error| error.to_string())
}
