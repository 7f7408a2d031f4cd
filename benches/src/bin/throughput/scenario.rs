//! What is asked in a round of a scenario, and what its rate counts.

use benches::limits::Limits;
use benches::model_work::ModelWork;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::request::Request;

/// One case of a scenario: the same work with other tokens in each round.
pub(crate) struct Case {
    /// What it differs in from the others.
    pub(crate) name: String,
    /// The work of a round.
    pub(crate) round: Box<dyn Fn(u64) -> Round>,
    /// What is counted in a round.
    pub(crate) count: f64,
    /// Of the rate.
    pub(crate) unit: &'static str,
    /// The rate that the machine's limits allow.
    pub(crate) limit: Option<f64>,
}

/// What is asked of a side in a round.
pub(crate) struct Round {
    /// Is done before, and not measured.
    pub(crate) before: Vec<Request>,
    /// Its time is taken off.
    pub(crate) less: Option<Request>,
    /// What is measured.
    pub(crate) work: Request,
}

/// What the cases of all scenarios are made with.
pub(crate) struct Setting {
    pub(crate) vocabulary: u32,
    pub(crate) work: Option<ModelWork>,
    pub(crate) limits: Limits,
}

impl Setting {
    fn prefill_limit(&self) -> Option<f64> {
        self.work?.prefill_limit(&self.limits)
    }

    fn decode_limit(&self, batch: usize) -> Option<f64> {
        Some(self.work?.decode_limit(batch, &self.limits))
    }

    /// Prompts alone, from nothing.
    pub(crate) fn prefill(&self, tokens: usize) -> Case {
        let vocabulary = self.vocabulary;
        Case {
            name: format!("{tokens} prompt tokens"),
            round: Box::new(move |round| Round {
                before: Vec::new(),
                less: None,
                work: generate(random_prompts(1, tokens, vocabulary, round), 1, true),
            }),
            count: tokens as f64,
            unit: "tokens/s",
            limit: self.prefill_limit(),
        }
    }

    /// New tokens behind prompts that are computed already.
    pub(crate) fn decode(&self, batch: usize, prompt: usize, new: usize) -> Case {
        let vocabulary = self.vocabulary;
        Case {
            name: format!("batch {batch}, {new} tokens behind {prompt}"),
            round: Box::new(move |round| {
                let prompts = random_prompts(batch, prompt, vocabulary, round);
                Round {
                    before: vec![generate(prompts.clone(), 1, true)],
                    less: Some(generate(prompts.clone(), 1, false)),
                    work: generate(prompts, new + 1, false),
                }
            }),
            count: (batch * new) as f64,
            unit: "tokens/s",
            limit: self.decode_limit(batch),
        }
    }

    /// Continuations of one long beginning, each behind a few tokens of its own: a dialogue with several strategies.
    pub(crate) fn sweep(&self, prefix: usize, strategies: usize, own: usize, new: usize) -> Case {
        let vocabulary = self.vocabulary;
        let prefill = self.prefill_limit().map(|rate| (prefix + strategies * own) as f64 / rate);
        let new_tokens = (strategies * new) as f64;
        let decode = self.decode_limit(strategies).map(|rate| new_tokens / rate);
        Case {
            name: format!("{prefix} + {strategies} × {own} prompt tokens, {strategies} × {new} new"),
            round: Box::new(move |round| {
                let prefix = random_prompts(1, prefix, vocabulary, round).concat();
                let own = random_prompts(strategies, own, vocabulary, round + (1 << 32));
                let prompts = own.iter().map(|own| [&prefix[..], own].concat()).collect();
                Round { before: Vec::new(), less: None, work: generate(prompts, new, true) }
            }),
            count: new_tokens,
            unit: "new tokens/s",
            limit: prefill.zip(decode).map(|(prefill, decode)| new_tokens / (prefill + decode)),
        }
    }

    /// Prompts of real dialogues, the same in each round.
    pub(crate) fn dialogue(&self, name: String, prompts: Vec<Vec<u32>>, new: usize) -> Case {
        let count = (prompts.len() * new) as f64;
        let round =
            Box::new(move |_| Round { before: Vec::new(), less: None, work: generate(prompts.clone(), new, true) });
        Case { name, round, count, unit: "new tokens/s", limit: None }
    }

    /// Continuations whose probabilities are asked for, all behind one beginning.
    pub(crate) fn score(&self, prefix: usize, continuations: usize, tokens: usize) -> Case {
        let vocabulary = self.vocabulary;
        let computed = prefix + continuations * tokens;
        Case {
            name: format!("{continuations} × {tokens} tokens behind {prefix}"),
            round: Box::new(move |round| {
                let prompt = random_prompts(1, prefix, vocabulary, round).concat();
                let continuations = random_prompts(continuations, tokens, vocabulary, round + (1 << 32));
                let prompts = vec![prompt; continuations.len()];
                Round { before: Vec::new(), less: None, work: Request::Score { prompts, continuations } }
            }),
            count: computed as f64,
            unit: "tokens/s",
            limit: self.prefill_limit(),
        }
    }
}

fn generate(prompts: Vec<Vec<u32>>, new_tokens: usize, fresh: bool) -> Request {
    Request::Generate { prompts, new_tokens, fresh }
}

/// Random ids, above the control tokens: every prompt is computed, and none begins as another.
pub(crate) fn random_prompts(count: usize, tokens: usize, vocabulary: u32, seed: u64) -> Vec<Vec<u32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| (0..tokens).map(|_| rng.random_range(3..vocabulary)).collect()).collect()
}
