//! Who says it.

use std::ops::ControlFlow;

use command_line::{Failure, Runtime, Server};
use llm_runtime::sha256_of;

use super::generators::{MagicRealiser, ThtraRealiser};
use super::language_model::{LanguageModelRealiser, Prompting};
use crate::arguments;
use crate::candidates::candidate_id;
use crate::point::Point;

/// An answer that is wanted.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) point: &'a Point,
    /// The strategy to follow; none leaves it to whoever answers.
    pub(crate) strategy: Option<&'a str>,
    /// Why it fits; may be empty.
    pub(crate) motivation: &'a str,
    /// Number among the candidates of this strategy.
    pub(crate) number: usize,
}

impl Ask<'_> {
    pub(crate) fn id(&self) -> String {
        candidate_id(self.point.id(), self.strategy, self.number)
    }

    /// A number of its own for its draws: the same in any order, and after any interruption.
    pub(super) fn stream(&self) -> u64 {
        let digits = sha256_of(self.id());
        u64::from_str_radix(digits.get(..16).unwrap_or_default(), 16).unwrap_or_default()
    }
}

/// An answer.
pub(crate) struct Said {
    pub(crate) text: String,
    /// New tokens, the end included.
    pub(crate) tokens: usize,
}

/// How it is said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoding {
    /// 0 is greedy.
    pub(crate) temperature: f32,
    pub(crate) max_new_tokens: usize,
    pub(crate) seed: u64,
}

impl Decoding {
    /// For records.
    pub(super) fn name(self) -> String {
        let Self { temperature, max_new_tokens, seed } = self;
        match temperature > 0.0 {
            true => format!("temperature {temperature}, at most {max_new_tokens} tokens, seed {seed}"),
            false => format!("greedy, at most {max_new_tokens} tokens"),
        }
    }
}

/// What realisers need beside their names.
#[derive(Clone, Copy)]
pub(crate) struct RealiserOptions<'a> {
    pub(crate) decoding: Decoding,
    pub(crate) runtime: &'a Runtime,
    pub(crate) server: &'a Server,
}

/// Hears an answer, or nothing yet (whoever wants it to end can say so then).
pub(crate) type SaidSink<'s> = dyn FnMut(&Ask<'_>, Option<Said>) -> Result<ControlFlow<()>, Failure> + 's;

/// Somebody who answers.
pub(crate) trait Realiser {
    /// For records: all that decides the answers beside place and strategy.
    fn made_by(&self) -> String;
    /// Answers; what one gets does not depend on the others.
    fn realise(&mut self, asks: &[Ask<'_>], sink: &mut SaidSink<'_>) -> Result<(), Failure>;
}

/// Makes whoever answers ready.
pub(crate) fn realiser(options: &arguments::Realiser, with: RealiserOptions<'_>) -> Result<Box<dyn Realiser>, Failure> {
    let device = || with.runtime.model.machine.device.open();
    let who = &options.who;
    Ok(match (&who.model, &who.magic, &who.thtra) {
        (Some(model), None, None) => {
            let prompting =
                Prompting::open(options.layout, &options.instruction, &options.free_instruction, &options.strategies)?;
            Box::new(LanguageModelRealiser::open(model, prompting, with)?)
        }
        (None, Some(folder), None) => Box::new(MagicRealiser::open(folder, &device()?, with.decoding)?),
        (None, None, Some(folder)) => Box::new(ThtraRealiser::open(folder, &device()?, with.decoding)?),
        _ => return Err(Failure::wrong_use("who answers? Name one of --model, --magic and --thtra")),
    })
}
