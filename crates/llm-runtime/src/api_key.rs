//! API keys that show themselves to nobody but the server they are for.
//!
//! An [`ApiKey`] has no text form: its `Debug` prints a placeholder, and it can't be serialised. Servers are known to repeat
//! keys in error messages, so whatever a server says goes through [`ApiKey::hide_in`] before a person or a file sees it.
//!
//! One door is not ours: the HTTP client writes everything that crosses the wire to the `log` crate at level `trace`. A program with a
//! logger for that crate should keep it at `debug`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "serve")]
use sha2::{Digest, Sha256};

use crate::Error;

/// What stands where a key stood.
const PLACEHOLDER: &str = "[key]";

/// A key of this length is a secret. Shorter ones ("none", "EMPTY") are what people give to servers that want no key, and may well
/// be words of a generated text.
const SECRET_LENGTH: usize = 16;

/// A secret that a server asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(Arc<str>);

impl ApiKey {
    /// A key; white space around it is no part of it.
    ///
    /// # Errors
    /// It is empty, or holds anything but visible ASCII. The error does not show it.
    pub fn new(text: &str) -> Result<Self, Error> {
        let key = text.trim();
        if key.is_empty() {
            return Err(Error::Invalid("the API key is empty".into()));
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Invalid(
                "the API key holds characters other than visible ASCII, or several lines".into(),
            ));
        }
        Ok(Self(key.into()))
    }

    /// The key that an environment variable holds; `None` where it is not set or empty.
    ///
    /// # Errors
    /// What it holds is no key.
    pub fn from_variable(name: &str) -> Result<Option<Self>, Error> {
        let named = |error: Error| Error::Invalid(format!("environment variable {name}: {error}"));
        match std::env::var(name) {
            Ok(value) if value.trim().is_empty() => Ok(None),
            Ok(value) => Self::new(&value).map(Some).map_err(named),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(Error::Invalid(format!("environment variable {name}: the API key is not text")))
            }
        }
    }

    /// The key that a file holds, and nothing else.
    ///
    /// # Errors
    /// The file can't be read, or what it holds is no key.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let text = crate::input_file::read_text(path).map_err(|source| Error::Io { path: path.into(), source })?;
        Self::new(&text).map_err(|error| Error::Format { path: path.into(), problem: error.to_string() })
    }

    /// The key itself, for the header of a request.
    #[cfg(feature = "remote")]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a client knows the key. Takes the same time wherever the two differ: their hashes are compared, whole.
    #[cfg(feature = "serve")]
    pub(crate) fn is(&self, presented: &str) -> bool {
        let (ours, theirs) = (Sha256::digest(self.0.as_bytes()), Sha256::digest(presented.as_bytes()));
        ours.iter().zip(theirs.iter()).fold(0, |difference, (ours, theirs)| difference | (ours ^ theirs)) == 0
    }

    /// Takes the key out of what a server said about a request.
    pub fn hide_in(&self, text: &str) -> String {
        text.replace(&*self.0, PLACEHOLDER)
    }

    /// Takes the key out of a text that a model generated. Short keys are no secrets and stay, since they may be words.
    pub fn hide_in_generated(&self, text: &str) -> String {
        if self.is_secret() { self.hide_in(text) } else { text.to_owned() }
    }

    /// How many bytes at the end of a generated text may be the beginning of the key.
    #[cfg(feature = "remote")]
    pub(crate) fn beginning_at_end_of(&self, text: &str) -> usize {
        let longest = if self.is_secret() { self.0.len() - 1 } else { 0 };
        (1..=longest.min(text.len())).rev().find(|length| text.ends_with(&self.0[..*length])).unwrap_or(0)
    }

    fn is_secret(&self) -> bool {
        self.0.len() >= SECRET_LENGTH
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey")
    }
}

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum KeySource {
    /// The environment variable `OPENAI_API_KEY`, if it is set.
    #[default]
    Usual,
    /// The environment variable of that name, which must be set.
    Variable(String),
    /// A file that holds the key and nothing else.
    File(PathBuf),
    /// No key.
    Nowhere,
}

impl KeySource {
    /// Name of the variable that is looked at where nothing else is said.
    pub const USUAL_VARIABLE: &str = "OPENAI_API_KEY";

    /// Reads the key.
    ///
    /// # Errors
    /// The named variable is not set, the file can't be read, or there is something else in it.
    pub fn read(&self) -> Result<Option<ApiKey>, Error> {
        match self {
            Self::Usual => ApiKey::from_variable(Self::USUAL_VARIABLE),
            Self::Variable(name) => match ApiKey::from_variable(name)? {
                Some(key) => Ok(Some(key)),
                None => Err(Error::Invalid(format!(
                    "the environment variable {name} is to hold the API key, but is not set"
                ))),
            },
            Self::File(path) => ApiKey::from_file(path).map(Some),
            Self::Nowhere => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "sk-0123456789abcdef";

    #[test]
    fn a_key_is_not_shown() {
        let key = ApiKey::new(&format!(" {SECRET}\n")).unwrap();
        assert_eq!(format!("{key:?}"), "ApiKey");
        assert_eq!(key.hide_in(&format!("wrong key {SECRET}!")), "wrong key [key]!");
        assert_eq!(key.hide_in_generated(&format!("{SECRET}{SECRET}")), "[key][key]");
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for text in ["", " \n", "two words", "two\nlines", "schlüssel"] {
            let error = ApiKey::new(text).unwrap_err().to_string();
            assert!(text.trim().is_empty() || !error.contains(text.trim()), "{error}");
        }
    }

    #[test]
    fn a_word_that_serves_as_key_stays_in_generated_texts() {
        let key = ApiKey::new("none").unwrap();
        assert_eq!(key.hide_in_generated("none of us"), "none of us");
        assert_eq!(key.hide_in("key none is wrong"), "key [key] is wrong");
    }

    #[cfg(feature = "remote")]
    #[test]
    fn a_key_is_seen_coming_in_pieces() {
        let key = ApiKey::new(SECRET).unwrap();
        assert_eq!(key.beginning_at_end_of("the key is sk-01"), 5);
        assert_eq!(key.beginning_at_end_of("é"), 0);
        assert_eq!(ApiKey::new("none").unwrap().beginning_at_end_of("no"), 0);
    }

    #[cfg(feature = "serve")]
    #[test]
    fn only_the_whole_key_is_the_key() {
        let key = ApiKey::new(SECRET).unwrap();
        assert!(key.is(SECRET));
        assert!(!key.is(&SECRET[1..]) && !key.is("") && !key.is(&format!("{SECRET}0")));
    }
}
