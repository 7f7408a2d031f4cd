//! Items to score, and their tokens as numbers.
//!
//! Metrics compare tokens, not texts: each text is cut once per tokenisation and its tokens become numbers of one [`Vocabulary`],
//! so that n-grams are integers and sets of them are exact.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::tokenize::Tokenizer;

/// A generated text with the texts it is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Item {
    /// What was generated.
    pub hypothesis: String,
    /// What it is compared with; at least one for every metric that compares.
    pub references: Vec<String>,
}

impl Item {
    /// An item with one reference.
    pub fn new(hypothesis: impl Into<String>, reference: impl Into<String>) -> Self {
        Self { hypothesis: hypothesis.into(), references: vec![reference.into()] }
    }
}

/// Number of a token in a [`Vocabulary`].
pub type TokenId = u32;

/// The tokens of an item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenItem {
    /// Of the hypothesis.
    pub hypothesis: Vec<TokenId>,
    /// Of each reference.
    pub references: Vec<Vec<TokenId>>,
}

/// Tokens and their numbers, in the order of their first occurrence.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    ids: HashMap<Arc<str>, TokenId>,
    tokens: Vec<Arc<str>>,
}

impl Vocabulary {
    /// The number of a token, a new one if it is new.
    pub fn intern(&mut self, token: &str) -> TokenId {
        if let Some(id) = self.ids.get(token) {
            return *id;
        }
        let id = self.tokens.len() as TokenId;
        let token: Arc<str> = token.into();
        self.tokens.push(token.clone());
        self.ids.insert(token, id);
        id
    }

    /// The token with this number; empty for a number of another vocabulary.
    pub fn token(&self, id: TokenId) -> &str {
        self.tokens.get(id as usize).map_or("", |token| token)
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Cuts items with `tokenizer`, in parallel; numbers do not depend on the number of threads.
    pub fn tokenize(&mut self, items: &[Item], tokenizer: &dyn Tokenizer) -> Vec<TokenItem> {
        let parts: Vec<(Vocabulary, Vec<TokenItem>)> = items
            .par_chunks(PART)
            .map(|part| {
                let mut own = Vocabulary::default();
                let tokens = part.iter().map(|item| own.tokens_of(item, tokenizer)).collect();
                (own, tokens)
            })
            .collect();
        parts.into_iter().flat_map(|(own, tokens)| self.adopt(&own, tokens)).collect()
    }

    fn tokens_of(&mut self, item: &Item, tokenizer: &dyn Tokenizer) -> TokenItem {
        let mut ids = |text: &str| {
            let mut ids = Vec::new();
            tokenizer.tokenize(text, &mut |token| ids.push(self.intern(token)));
            ids
        };
        TokenItem {
            hypothesis: ids(&item.hypothesis),
            references: item.references.iter().map(|reference| ids(reference)).collect(),
        }
    }

    /// Renumbers tokens of a part's own vocabulary.
    fn adopt(&mut self, own: &Vocabulary, mut tokens: Vec<TokenItem>) -> Vec<TokenItem> {
        let numbers: Vec<TokenId> = own.tokens.iter().map(|token| self.intern(token)).collect();
        for item in &mut tokens {
            for id in item.hypothesis.iter_mut().chain(item.references.iter_mut().flatten()) {
                *id = numbers[*id as usize];
            }
        }
        tokens
    }
}

/// Items that one thread cuts at a time.
const PART: usize = 256;
