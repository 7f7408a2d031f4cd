//! NLTK's `word_tokenize`: Punkt's sentences, then word rules sentence by sentence.

mod word_rules;

use word_rules::WordRules;

use super::Tokenizer;
use super::characters::lower;
use super::punkt::{Punkt, PunktParameters};

/// The release of NLTK that is followed. Releases differ where apostrophes, dashes and curly quotes stand: on ESConv, in 23 of 38,365 turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NltkVersion {
    /// 3.8.1, of 2023: `'tis` stays one word until the contractions, Punkt knows no curly quotes, and dashes are not cut off.
    V3_8,
    /// 3.10.
    #[default]
    V3_10,
}

/// NLTK's words. In signatures `nltk-lower`, or `nltk` where the case is kept, with the release that is followed (`nltk-lower:3.10`); then, where
/// they apply, `:preserve-line`, and `:own-punkt` where the sentences were found with [`PunktParameters::built_in`].
///
/// ```
/// use esc_metrics::tokenize::{NltkWords, PunktParameters, Tokenizer};
///
/// let words = NltkWords::new(PunktParameters::built_in());
/// assert_eq!(words.name(), "nltk-lower:3.10:own-punkt");
/// assert_eq!(words.tokens("I can't. Mr. Poe said \"No\"."), ["i", "ca", "n't", ".", "mr.", "poe", "said", "``", "no", "''", "."]);
/// ```
#[derive(Debug, Clone)]
pub struct NltkWords {
    parameters: Option<PunktParameters>,
    version: NltkVersion,
    keeps_case: bool,
}

impl NltkWords {
    /// Lower-cases, finds sentences with these parameters, and splits them into words as the newest release known does.
    pub fn new(parameters: PunktParameters) -> Self {
        Self { parameters: Some(parameters), version: NltkVersion::default(), keeps_case: false }
    }

    /// Takes each text for one sentence (`preserve_line=True`): only its last period becomes a token.
    pub fn preserving_lines() -> Self {
        Self { parameters: None, version: NltkVersion::default(), keeps_case: false }
    }

    /// Keeps the case. Punkt then sees capitals, and finds other sentences.
    pub fn keeping_case(self) -> Self {
        Self { keeps_case: true, ..self }
    }

    /// Follows this release.
    pub fn following(self, version: NltkVersion) -> Self {
        Self { version, ..self }
    }
}

impl Tokenizer for NltkWords {
    fn name(&self) -> String {
        let mut name = if self.keeps_case { "nltk" } else { "nltk-lower" }.to_owned();
        name += match self.version {
            NltkVersion::V3_8 => ":3.8",
            NltkVersion::V3_10 => ":3.10",
        };
        match &self.parameters {
            None => name += ":preserve-line",
            Some(parameters) if parameters.is_built_in() => name += ":own-punkt",
            Some(_) => {}
        }
        name
    }

    fn tokenize(&self, text: &str, token: &mut dyn FnMut(&str)) {
        let text = if self.keeps_case { text.into() } else { lower(text) };
        let mut rules = WordRules::new(self.version);
        match &self.parameters {
            None => rules.split(&text, token),
            Some(parameters) => {
                let punkt = Punkt::new(parameters.clone()).following(self.version);
                punkt.sentences(&text).into_iter().for_each(|sentence| rules.split(sentence, token));
            }
        }
    }
}
