//! What the small files beside a vocabulary say: of which kind it is, which tokens have a role, which were added.

use std::path::{Path, PathBuf};

use llm_runtime::tokenizer::Vocabulary;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::TokenizerKind;
use super::added::{AddedToken, AddedTokenKind};
use super::roles::Roles;
use crate::Seq2SeqError;

pub(super) const CONFIG_FILE: &str = "tokenizer_config.json";
pub(super) const SPECIAL_FILE: &str = "special_tokens_map.json";
pub(super) const ADDED_FILE: &str = "added_tokens.json";
const MODEL_FILE: &str = "config.json";

/// Added tokens by id, as `tokenizer_config.json` lists them.
pub(super) const ADDED_KEY: &str = "added_tokens_decoder";
/// Special tokens without a role; the later name is that of transformers 5.
pub(super) const ADDITIONAL_KEYS: [&str; 2] = ["additional_special_tokens", "extra_special_tokens"];

/// The contents of the small files; what is not there is empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Configuration {
    folder: PathBuf,
    /// `tokenizer_config.json`.
    pub(super) config: Map<String, Value>,
    /// `special_tokens_map.json`.
    special: Map<String, Value>,
    /// `added_tokens.json`.
    added: Map<String, Value>,
    /// `config.json`, the model's.
    model: Map<String, Value>,
}

impl Configuration {
    /// Reads the small files of a folder.
    ///
    /// # Errors
    /// One is there and can't be read, or is no JSON object.
    pub(super) fn read(folder: &Path) -> Result<Self, Seq2SeqError> {
        let object = |name: &str| match read_file(&folder.join(name))? {
            Some(bytes) => parse(&folder.join(name), &bytes),
            None => Ok(Map::new()),
        };
        Ok(Self {
            folder: folder.to_owned(),
            config: object(CONFIG_FILE)?,
            special: object(SPECIAL_FILE)?,
            added: object(ADDED_FILE)?,
            model: object(MODEL_FILE)?,
        })
    }

    /// The kind that the files name, if they do.
    pub(super) fn kind(&self) -> Option<TokenizerKind> {
        let class = self.config.get("tokenizer_class").and_then(Value::as_str).unwrap_or_default();
        match class.trim_end_matches("Fast") {
            "BlenderbotSmallTokenizer" => return Some(TokenizerKind::BlenderbotSmall),
            "BartTokenizer" | "RobertaTokenizer" => return Some(TokenizerKind::Bart),
            _ => {}
        }
        match self.model.get("model_type").and_then(Value::as_str)? {
            "blenderbot-small" => Some(TokenizerKind::BlenderbotSmall),
            "bart" => Some(TokenizerKind::Bart),
            _ => None,
        }
    }

    /// The tokens that have a role. `own` are the added tokens of `tokenizer.json`.
    pub(super) fn roles(&self, kind: TokenizerKind, vocabulary: &Vocabulary, own: &[AddedToken]) -> Roles {
        let named = |role: &str| [&self.config, &self.special].into_iter().find_map(|file| text_of(file.get(role)?));
        let is_known = |name: &str| {
            let is_listed = |list: Option<&Value>| {
                list.and_then(Value::as_object).is_some_and(|list| list.values().any(|token| token["content"] == name))
            };
            vocabulary.id(name).is_some()
                || own.iter().any(|token| token.content == name)
                || self.added.contains_key(name)
                || is_listed(self.config.get(ADDED_KEY))
        };
        Roles::new(kind, named, is_known)
    }

    /// All added tokens, those with a role among them, by ascending id. A token that the vocabulary has keeps the id it has there; one
    /// that is only named comes behind all others.
    ///
    /// # Errors
    /// An entry is damaged, or two tokens have the same id.
    pub(super) fn added_tokens(
        &self,
        own: Vec<AddedToken>,
        roles: &Roles,
        vocabulary: &Vocabulary,
    ) -> Result<Vec<AddedToken>, Seq2SeqError> {
        let mut tokens = own;
        let listed = self.listed()?.into_iter().chain(self.counted()?);
        for token in listed {
            if tokens.iter().all(|known| known.content != token.content) {
                tokens.push(token);
            }
        }
        tokens.retain(|token| !token.content.is_empty());
        let additional = self.additional();
        for name in roles.iter().map(|(_, name)| name).chain(additional.iter().map(String::as_str)) {
            match tokens.iter_mut().find(|token| token.content == name) {
                Some(token) => token.special = true,
                None if name.is_empty() => {}
                None => {
                    let id = vocabulary.id(name).unwrap_or_else(|| next_id(&tokens, vocabulary));
                    tokens.push(AddedToken::new(id, name, AddedTokenKind::Special));
                }
            }
        }
        for token in &mut tokens {
            token.is_extra = vocabulary.id(&token.content).is_none();
            token.id = vocabulary.id(&token.content).unwrap_or(token.id);
        }
        tokens.sort_by_key(|token| token.id);
        self.check(&tokens, vocabulary)?;
        Ok(tokens)
    }

    fn check(&self, tokens: &[AddedToken], vocabulary: &Vocabulary) -> Result<(), Seq2SeqError> {
        let twice = |id: u32, one: &str, other: &str| {
            let problem = format!("the added token `{one}` has the id {id}, which `{other}` has already");
            Err(file_error(&self.folder, problem))
        };
        for token in tokens.iter().filter(|token| token.is_extra) {
            if let Some(piece) = vocabulary.piece(token.id) {
                return twice(token.id, &token.content, piece);
            }
        }
        for pair in tokens.windows(2) {
            if pair[0].id == pair[1].id {
                return twice(pair[0].id, &pair[1].content, &pair[0].content);
            }
        }
        Ok(())
    }

    /// The tokens that `tokenizer_config.json` lists by their ids.
    fn listed(&self) -> Result<Vec<AddedToken>, Seq2SeqError> {
        let path = self.folder.join(CONFIG_FILE);
        let Some(list) = self.config.get(ADDED_KEY).filter(|list| !list.is_null()) else { return Ok(Vec::new()) };
        let damaged = |what: &dyn std::fmt::Display, problem: &str| {
            file_error(&path, format!("`{ADDED_KEY}`: {what}: {problem}"))
        };
        let list = list.as_object().ok_or_else(|| damaged(list, "expected an object of ids and tokens"))?;
        let read = |(id, entry): (&String, &Value)| {
            let number = checked_id(id.parse().ok()).ok_or_else(|| damaged(id, "expected a token id"))?;
            let mut entry = entry.clone();
            if let Some(fields) = entry.as_object_mut() {
                fields.insert("id".into(), number.into());
            }
            serde_json::from_value(entry).map_err(|error| damaged(id, &error.to_string()))
        };
        list.iter().map(read).collect()
    }

    /// The tokens of `added_tokens.json`.
    fn counted(&self) -> Result<Vec<AddedToken>, Seq2SeqError> {
        let path = self.folder.join(ADDED_FILE);
        let read = |(content, id): (&String, &Value)| {
            let number = checked_id(id.as_u64())
                .ok_or_else(|| file_error(&path, format!("`{content}`: {id} (expected a token id)")))?;
            Ok(AddedToken::new(number, content, AddedTokenKind::Ordinary))
        };
        self.added.iter().map(read).collect()
    }

    /// Special tokens without a role.
    fn additional(&self) -> Vec<String> {
        let lists = [&self.config, &self.special].into_iter().flat_map(|file| ADDITIONAL_KEYS.map(|key| file.get(key)));
        let names = lists.flatten().filter_map(Value::as_array).flatten().filter_map(text_of);
        names.fold(Vec::new(), |mut all, name| {
            if !all.contains(&name) {
                all.push(name);
            }
            all
        })
    }
}

/// The id behind all others.
pub(super) fn next_id(tokens: &[AddedToken], vocabulary: &Vocabulary) -> u32 {
    let behind = tokens.iter().map(|token| token.id as usize + 1).max().unwrap_or(0);
    u32::try_from(behind.max(vocabulary.size())).unwrap_or(u32::MAX)
}

/// The bytes of a file; `None` if it is not there.
///
/// # Errors
/// It is there and can't be read.
pub(super) fn read_file(path: &Path) -> Result<Option<Vec<u8>>, Seq2SeqError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_error(path, error)),
    }
}

/// Reads JSON; the error names the line.
///
/// # Errors
/// It is no JSON, or not of the form that is expected.
pub(super) fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, Seq2SeqError> {
    serde_json::from_slice(bytes)
        .map_err(|error| file_error(path, format!("not the JSON that is expected here: {error}; is the file whole?")))
}

pub(super) fn file_error(path: &Path, problem: impl std::fmt::Display) -> Seq2SeqError {
    Seq2SeqError::File { path: path.to_owned(), problem: problem.to_string() }
}

/// A token's text, written as a text or as an object.
fn text_of(token: &Value) -> Option<String> {
    token.as_str().or_else(|| token["content"].as_str()).map(str::to_owned)
}

/// Ids beyond are taken for damage, as in `vocab.json`: tables are as long as the largest id.
fn checked_id(id: Option<u64>) -> Option<u32> {
    id.filter(|id| *id < 1 << 24).and_then(|id| u32::try_from(id).ok())
}
