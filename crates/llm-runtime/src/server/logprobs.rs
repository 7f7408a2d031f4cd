//! Log-probabilities in the API's two forms.

use serde_json::{Map, Value, json};

use super::parameters::Form;
use crate::engine::Front;
use crate::text_model::TokenLogprob;

/// What stands for a probability of 0: JSON has no infinity.
const LEAST: f32 = -9999.0;

/// How tokens are told.
#[derive(Clone, Copy)]
pub(super) struct TokenNames<'a> {
    pub(super) front: &'a Front,
    /// As `token_id:17` instead of their text.
    pub(super) as_ids: bool,
}

impl TokenNames<'_> {
    fn bytes(&self, token: u32) -> Vec<u8> {
        self.front.tokenizer.token_bytes(token).unwrap_or_default()
    }

    fn name(&self, token: u32) -> String {
        match self.as_ids {
            true => format!("token_id:{token}"),
            false => String::from_utf8_lossy(&self.bytes(token)).into_owned(),
        }
    }
}

/// The prompt's tokens before an answer, with their log-probabilities: the first has none.
pub(super) struct Echoed<'a> {
    pub(super) tokens: &'a [u32],
    pub(super) logprobs: &'a [f32],
}

/// The log-probabilities of an answer, and of the echoed prompt before it.
pub(super) fn object(form: Form, names: TokenNames<'_>, echoed: Option<Echoed<'_>>, answer: &[TokenLogprob]) -> Value {
    match form {
        Form::Chat => {
            json!({"content": answer.iter().map(|one| chat(names, one)).collect::<Vec<_>>(), "refusal": null})
        }
        Form::Completions => completions(names, echoed, answer),
    }
}

fn chat(names: TokenNames<'_>, one: &TokenLogprob) -> Value {
    let token = |token: u32, logprob: f32| json!({"token": names.name(token), "logprob": logprob.max(LEAST), "bytes": names.bytes(token)});
    let mut object = token(one.token, one.logprob);
    object["top_logprobs"] = one.top.iter().map(|(other, logprob)| token(*other, *logprob)).collect();
    object
}

fn completions(names: TokenNames<'_>, echoed: Option<Echoed<'_>>, answer: &[TokenLogprob]) -> Value {
    let (mut tokens, mut values, mut tops, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut offset = 0;
    let mut add = |token: u32, logprob: Option<f32>, top: &[(u32, f32)]| {
        let entry = |(other, logprob): &(u32, f32)| (names.name(*other), json!(logprob.max(LEAST)));
        tokens.push(names.name(token));
        values.push(logprob.map(|logprob| logprob.max(LEAST)));
        tops.push(logprob.map(|_| top.iter().map(entry).collect::<Map<_, _>>()));
        offsets.push(offset);
        offset += String::from_utf8_lossy(&names.bytes(token)).chars().count();
    };
    if let Some(Echoed { tokens, logprobs }) = echoed {
        for (number, token) in tokens.iter().enumerate() {
            let logprob = number.checked_sub(1).and_then(|before| logprobs.get(before)).copied();
            // Alternatives of prompt tokens are not kept; the token itself is one.
            let own: Vec<(u32, f32)> = logprob.map(|logprob| (*token, logprob)).into_iter().collect();
            add(*token, logprob, &own);
        }
    }
    for one in answer {
        add(one.token, Some(one.logprob), &one.top);
    }
    json!({"tokens": tokens, "token_logprobs": values, "top_logprobs": tops, "text_offset": offsets})
}
