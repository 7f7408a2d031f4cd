//! METEOR's synonyms: words and the WordNet synsets they belong to.
//!
//! Two files: `english.synsets` has a word and on the next line its synset numbers; `english.exceptions` has a base form and on the
//! next line its irregular forms. Two words are synonyms if they share a synset of any part of speech.

use std::collections::HashMap;

use super::sorted_lines::SortedLines;

/// Endings that are taken off or changed, in this order, until a word of the dictionary comes out.
const ENDINGS: [(&str, &str); 20] = [
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
    ("s", ""),
    ("ies", "y"),
    ("es", "e"),
    ("es", ""),
    ("ed", "e"),
    ("ed", ""),
    ("ing", "e"),
    ("ing", ""),
    ("er", ""),
    ("est", ""),
    ("er", "e"),
    ("est", "e"),
];

/// The dictionary.
#[derive(Debug, Default)]
pub(super) struct Synonyms {
    /// Words, each followed by the line of its synsets.
    words: SortedLines,
    /// Irregular forms with their base forms.
    exceptions: HashMap<Box<str>, Vec<Box<str>>>,
}

impl Synonyms {
    /// Takes the two files' texts.
    ///
    /// # Errors
    /// Which file and line is not as expected.
    pub(super) fn parse(synsets: String, exceptions: &str) -> Result<Self, String> {
        for (line, word, numbers) in pairs_of_lines(&synsets) {
            let is_valid = numbers.is_some_and(|numbers| numbers.bytes().all(|c| c.is_ascii_digit() || c == b' '));
            if !is_valid {
                return Err(format!("synsets, line {line}: `{word}` is not followed by a line of synset numbers"));
            }
        }
        let mut base_forms: HashMap<Box<str>, Vec<Box<str>>> = HashMap::new();
        for (line, base, forms) in pairs_of_lines(exceptions) {
            let forms = forms.ok_or_else(|| format!("exceptions, line {line}: `{base}` has no line of forms"))?;
            for form in forms.split_ascii_whitespace() {
                base_forms.entry(form.into()).or_default().push(base.into());
            }
        }
        Ok(Self { words: SortedLines::every(2, synsets), exceptions: base_forms })
    }

    /// Appends the synsets of a word and of its base forms, ascending and each once.
    pub(super) fn synsets(&self, word: &str, synsets: &mut Vec<u32>) {
        let start = synsets.len();
        synsets.extend(self.entry(word));
        if let Some(bases) = self.exceptions.get(word) {
            bases.iter().for_each(|base| synsets.extend(self.entry(base)));
        } else if let Some(base) = self.base_form(word) {
            synsets.extend(self.entry(&base));
        }
        let mut found = synsets.split_off(start);
        found.sort_unstable();
        found.dedup();
        synsets.append(&mut found);
    }

    fn entry(&self, word: &str) -> impl Iterator<Item = u32> {
        let numbers = self.words.find(word).map(|line| self.words.line_after(line)).unwrap_or_default();
        numbers.split_ascii_whitespace().filter_map(|number| number.parse().ok())
    }

    /// The first form without an ending that is in the dictionary.
    fn base_form(&self, word: &str) -> Option<String> {
        if word.ends_with("ss") || word.chars().nth(2).is_none() {
            return None;
        }
        let forms = ENDINGS.iter().filter_map(|(ending, base)| {
            let stem = word.strip_suffix(ending)?;
            Some(format!("{stem}{base}"))
        });
        forms.into_iter().find(|form| self.words.find(form).is_some())
    }
}

/// Every two lines, with the number of the first.
fn pairs_of_lines(text: &str) -> impl Iterator<Item = (usize, &str, Option<&str>)> {
    let mut lines = text.lines();
    let mut number = 1;
    std::iter::from_fn(move || {
        let first = lines.next()?;
        let pair = (number, first, lines.next());
        number += 2;
        Some(pair)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synonyms() -> Synonyms {
        let synsets = "glad\n00000001\nhappy\n00000001 00000007\nmouse\n00000003\nbus\n00000004\nfox\n00000005\n";
        Synonyms::parse(synsets.into(), "mouse\nmice\n").unwrap()
    }

    fn synsets_of(word: &str) -> Vec<u32> {
        let mut found = vec![99];
        synonyms().synsets(word, &mut found);
        found.split_off(1)
    }

    #[test]
    fn a_word_has_its_own_synsets_and_those_of_its_base_form() {
        assert_eq!(synsets_of("happy"), [1, 7]);
        assert_eq!(synsets_of("foxes"), [5]);
        assert_eq!(synsets_of("mice"), [3]);
        assert_eq!(synsets_of("gladed"), [1]);
        assert!(synsets_of("unknown").is_empty());
    }

    #[test]
    fn words_in_ss_and_words_of_two_letters_have_no_base_form() {
        let synonyms = Synonyms::parse("gras\n1\na\n2\n".into(), "").unwrap();
        let mut found = Vec::new();
        synonyms.synsets("grass", &mut found);
        synonyms.synsets("as", &mut found);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_broken_file_is_named_with_its_line() {
        let broken = Synonyms::parse("glad\n1\nhappy\nx2\n".into(), "").unwrap_err();
        assert!(broken.contains("line 3") && broken.contains("happy"), "{broken}");
        let short = Synonyms::parse("glad\n".into(), "").unwrap_err();
        assert!(short.contains("line 1"), "{short}");
    }
}
