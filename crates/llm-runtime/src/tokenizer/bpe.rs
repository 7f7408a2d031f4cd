//! The part that turns plain text into ids: byte-pair encoding of the `tokenizers` library, without any control token.
//!
//! The core holds no control token at all, neither as an added token nor in its vocabulary, so that no text whatever
//! can become one. Where a prefix is added to the first segment of a text only (Metaspace with `prepend_scheme: first`),
//! a second core without it encodes the segments after control tokens.

use std::collections::HashSet;
use std::ops::Range;

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

use super::{Encoding, TokenizerError, Vocabulary};

/// What a core is made of.
#[derive(Default)]
pub(super) struct CoreParts {
    /// Pairs that become one piece, the most important first.
    pub(super) merges: Vec<(String, String)>,
    /// The piece for what can't be expressed.
    pub(super) unk: Option<String>,
    pub(super) byte_fallback: bool,
    pub(super) fuse_unk: bool,
    /// Words that are in the vocabulary are taken whole.
    pub(super) ignore_merges: bool,
    pub(super) normalizer: Option<NormalizerWrapper>,
    pub(super) pre_tokenizer: Option<PreTokenizerWrapper>,
    /// The pre-tokeniser for what follows a control token, where it differs.
    pub(super) later_pre_tokenizer: Option<PreTokenizerWrapper>,
    /// Ordinary vocabulary that is matched before anything else.
    pub(super) added: Vec<AddedToken>,
    pub(super) prefix: Option<DummyPrefix>,
}

/// A blank that the tokenizer puts before a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DummyPrefix {
    /// The blank's piece.
    pub(super) piece: &'static str,
    /// It is not put before a text that begins with one of these.
    pub(super) unless_before: &'static [char],
}

/// Encodes plain text.
#[derive(Clone)]
pub(super) struct Core {
    first: Tokenizer,
    later: Option<Tokenizer>,
    prefix: Option<(u32, DummyPrefix)>,
}

impl Core {
    /// Builds the core over all pieces but the control tokens.
    pub(super) fn new(
        vocabulary: &Vocabulary,
        control: &HashSet<u32>,
        mut parts: CoreParts,
    ) -> Result<Self, TokenizerError> {
        let unk = parts.unk.take().filter(|unk| vocabulary.id(unk).is_some());
        let is_text = |id: u32, piece: &str| !control.contains(&id) || unk.as_deref() == Some(piece);
        let pieces: Vocab = vocabulary
            .iter()
            .filter(|(id, piece)| is_text(*id, piece))
            .map(|(id, piece)| (piece.to_owned(), id))
            .collect();
        let is_ordinary =
            |piece: &str| vocabulary.id(piece).is_some_and(|id| !control.contains(&id)) && pieces.contains_key(piece);
        // A merge that makes a control token, or uses one, would let text become one.
        let mut merges = Vec::with_capacity(parts.merges.len());
        for (number, (left, right)) in parts.merges.into_iter().enumerate() {
            let merged = format!("{left}{right}");
            if let Some(unknown) = [&left, &right, &merged].into_iter().find(|piece| vocabulary.id(piece).is_none()) {
                return Err(TokenizerError::field(
                    format!("merges[{number}]"),
                    format!("`{left}` + `{right}` needs the piece `{unknown}`, which is not in the vocabulary"),
                ));
            }
            if [&left, &right, &merged].into_iter().all(|piece| is_ordinary(piece)) {
                merges.push((left, right));
            }
        }
        let mut bpe = BPE::builder()
            .vocab_and_merges(pieces, merges)
            .byte_fallback(parts.byte_fallback)
            .fuse_unk(parts.fuse_unk)
            .ignore_merges(parts.ignore_merges);
        if let Some(unk) = unk {
            bpe = bpe.unk_token(unk);
        }
        let refused = |error: tokenizers::Error| TokenizerError::field("model", error.to_string());
        let mut first = Tokenizer::new(bpe.build().map_err(refused)?);
        first.with_normalizer(parts.normalizer).map_err(refused)?;
        first.with_pre_tokenizer(parts.pre_tokenizer);
        first.add_tokens(parts.added).map_err(refused)?;
        let later = parts.later_pre_tokenizer.map(|pre_tokenizer| {
            let mut later = first.clone();
            later.with_pre_tokenizer(Some(pre_tokenizer));
            later
        });
        let prefix = parts.prefix.and_then(|prefix| Some((vocabulary.id(prefix.piece)?, prefix)));
        Ok(Self { first, later, prefix })
    }

    /// Appends the ids of `text[segment]`, which holds no control token.
    pub(super) fn encode(
        &self,
        text: &str,
        segment: Range<usize>,
        encoding: &mut Encoding,
    ) -> Result<(), TokenizerError> {
        let Some(plain) = text.get(segment.clone()).filter(|plain| !plain.is_empty()) else { return Ok(()) };
        let core = if segment.start == 0 { &self.first } else { self.later.as_ref().unwrap_or(&self.first) };
        let encoded = core.encode(plain, false).map_err(|error| TokenizerError::Encode(error.to_string()))?;
        let first_token = encoding.ids.len();
        encoding.ids.extend_from_slice(encoded.get_ids());
        let start = segment.start;
        encoding.offsets.extend(encoded.get_offsets().iter().map(|(from, to)| start + from..start + to));
        if self.begins_with_bare_prefix(plain, encoded.get_ids(), segment.start) {
            // The library lends the prefix the bytes of the first character.
            encoding.offsets[first_token] = start..start;
        }
        Ok(())
    }

    fn begins_with_bare_prefix(&self, text: &str, ids: &[u32], at: usize) -> bool {
        let Some((id, prefix)) = &self.prefix else { return false };
        let only_first = self.later.is_some() && at > 0;
        let added = !text.starts_with(prefix.unless_before);
        added && !only_first && ids.first() == Some(id)
    }
}
