//! Porter's stemmer with NLTK's extensions.
//!
//! The algorithm of M. F. Porter, "An algorithm for suffix stripping" (1980), with what NLTK's `PorterStemmer` changes by default:
//! a table of irregular words, words of one or two letters left alone, `dies` and `died` to `die`, `y` to `i` only after a
//! consonant, and the suffixes `fulli` and `logi`. Reference: NLTK 3.10.

/// The stem of a word, lower-cased.
pub(crate) fn porter_stem(word: &str) -> String {
    let lower = word.to_lowercase();
    if let Some((_, stem)) = IRREGULAR.iter().find(|(form, _)| *form == lower) {
        return (*stem).to_owned();
    }
    if word.chars().nth(2).is_none() {
        return lower;
    }
    let mut word = Word(lower.chars().collect());
    word.strip_plural();
    word.strip_past_and_participle();
    word.turn_final_y();
    word.shorten_double_suffix();
    word.replace_suffix(&STEP_3, has_positive_measure);
    word.strip_suffix();
    word.strip_final_e();
    word.shorten_final_ll();
    word.0.into_iter().collect()
}

const IRREGULAR: [(&str, &str); 16] = [
    ("sky", "sky"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

/// A suffix and what takes its place.
type Rule = (&'static str, &'static str);

const STEP_1A: [Rule; 4] = [("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")];

const STEP_2: [Rule; 21] = [
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
];

const STEP_3: [Rule; 7] =
    [("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

const STEP_4: [Rule; 19] = [
    ("al", ""),
    ("ance", ""),
    ("ence", ""),
    ("er", ""),
    ("ic", ""),
    ("able", ""),
    ("ible", ""),
    ("ant", ""),
    ("ement", ""),
    ("ment", ""),
    ("ent", ""),
    ("ion", ""),
    ("ou", ""),
    ("ism", ""),
    ("ate", ""),
    ("iti", ""),
    ("ous", ""),
    ("ive", ""),
    ("ize", ""),
];

/// A word in the making.
struct Word(Vec<char>);

impl Word {
    /// Step 1a.
    fn strip_plural(&mut self) {
        if self.0.len() == 4 && self.before("ies").is_some() {
            self.0.pop();
        } else {
            self.replace_suffix(&STEP_1A, |_| true);
        }
    }

    /// Step 1b.
    fn strip_past_and_participle(&mut self) {
        if self.before("ied").is_some() {
            let kept = if self.0.len() == 4 { 1 } else { 2 };
            self.0.truncate(self.0.len() - kept);
        } else if let Some(stem) = self.before("eed") {
            if has_positive_measure(stem) {
                self.0.pop();
            }
        } else {
            let stems = [self.before("ed"), self.before("ing")];
            let stem = stems.into_iter().flatten().find(|stem| contains_vowel(stem)).map(<[char]>::len);
            if let Some(length) = stem {
                self.0.truncate(length);
                self.mend_ending();
            }
        }
    }

    /// What follows in step 1b when `ed` or `ing` was taken off.
    fn mend_ending(&mut self) {
        if ["at", "bl", "iz"].iter().any(|suffix| self.before(suffix).is_some()) {
            self.0.push('e');
        } else if let Some(last) = double_consonant(&self.0) {
            if !matches!(last, 'l' | 's' | 'z') {
                self.0.pop();
            }
        } else if let Some(stem) = self.before("*d") {
            // NLTK's rule "two consonants" is spelt *d and also meets the two characters.
            self.0.truncate(stem.len());
            self.0.push('d');
        } else if measure(&self.0) == 1 && ends_in_short_syllable(&self.0) {
            self.0.push('e');
        }
    }

    /// Step 1c.
    fn turn_final_y(&mut self) {
        self.replace_suffix(&[("y", "i")], |stem| stem.len() > 1 && ends_in_consonant(stem));
    }

    /// Step 2.
    fn shorten_double_suffix(&mut self) {
        if self.before("alli").is_some_and(has_positive_measure) {
            self.0.truncate(self.0.len() - 2);
        }
        if self.before("logi").is_some() {
            // The l counts with the stem, so that `theologi` is treated as `archaeologi`.
            self.replace_suffix(&[("ogi", "og")], has_positive_measure);
        } else {
            self.replace_suffix(&STEP_2, has_positive_measure);
        }
    }

    /// Step 4.
    fn strip_suffix(&mut self) {
        let is_ion = self.before("ion").is_some();
        self.replace_suffix(&STEP_4, |stem| measure(stem) > 1 && (!is_ion || matches!(stem, [.., 's' | 't'])));
    }

    /// Step 5a.
    fn strip_final_e(&mut self) {
        self.replace_suffix(&[("e", "")], |stem| match measure(stem) {
            0 => false,
            1 => !ends_in_short_syllable(stem),
            _ => true,
        });
    }

    /// Step 5b.
    fn shorten_final_ll(&mut self) {
        if let [stem @ .., 'l'] = self.0.as_slice()
            && stem.last() == Some(&'l')
            && measure(stem) > 1
        {
            self.0.pop();
        }
    }

    /// Applies the first rule whose suffix the word has, if what is before it meets the condition.
    fn replace_suffix(&mut self, rules: &[Rule], condition: impl Fn(&[char]) -> bool) {
        let found = rules.iter().find_map(|(suffix, replacement)| Some((self.before(suffix)?, replacement)));
        if let Some((stem, replacement)) = found
            && condition(stem)
        {
            self.0.truncate(stem.len());
            self.0.extend(replacement.chars());
        }
    }

    /// What is before a suffix, if the word has it.
    fn before(&self, suffix: &str) -> Option<&[char]> {
        let at = self.0.len().checked_sub(suffix.len())?;
        let (stem, end) = self.0.split_at_checked(at)?;
        end.iter().copied().eq(suffix.chars()).then_some(stem)
    }
}

/// For each letter whether it is a consonant. `y` is one at the start and after a vowel.
fn consonants(letters: &[char]) -> impl Iterator<Item = bool> {
    letters.iter().scan(false, |after_consonant, letter| {
        *after_consonant = match letter {
            'a' | 'e' | 'i' | 'o' | 'u' => false,
            'y' => !*after_consonant,
            _ => true,
        };
        Some(*after_consonant)
    })
}

/// How often a consonant follows a vowel: Porter's `m`.
fn measure(letters: &[char]) -> usize {
    let mut after_vowel = false;
    consonants(letters).filter(|consonant| std::mem::replace(&mut after_vowel, !consonant) && *consonant).count()
}

fn has_positive_measure(letters: &[char]) -> bool {
    measure(letters) > 0
}

fn contains_vowel(letters: &[char]) -> bool {
    consonants(letters).any(|consonant| !consonant)
}

fn ends_in_consonant(letters: &[char]) -> bool {
    consonants(letters).last() == Some(true)
}

/// The consonant that a word ends in twice.
fn double_consonant(letters: &[char]) -> Option<char> {
    match letters {
        [.., before, last] if before == last && ends_in_consonant(letters) => Some(*last),
        _ => None,
    }
}

/// Consonant, vowel, consonant other than `w`, `x`, `y`; or in all a vowel and a consonant.
fn ends_in_short_syllable(letters: &[char]) -> bool {
    let mut last_three = [false; 3];
    consonants(letters).for_each(|consonant| last_three = [last_three[1], last_three[2], consonant]);
    match letters {
        [_, _] => !last_three[1] && last_three[2],
        [.., _, _, last] => last_three == [true, false, true] && !matches!(last, 'w' | 'x' | 'y'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::porter_stem;

    #[test]
    fn examples_of_the_paper_get_the_stems_of_the_paper() {
        let examples = [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("feed", "feed"),
            ("agreed", "agre"),
            ("plastered", "plaster"),
            ("motoring", "motor"),
            ("hopping", "hop"),
            ("falling", "fall"),
            ("filing", "file"),
            ("relational", "relat"),
            ("radically", "radic"),
            ("triplicate", "triplic"),
            ("adoption", "adopt"),
            ("controlling", "control"),
            ("rate", "rate"),
        ];
        for (word, stem) in examples {
            assert_eq!(porter_stem(word), stem, "{word}");
        }
    }

    #[test]
    fn nltk_differs_from_the_paper_where_it_says_so() {
        let examples = [
            ("dies", "die"),
            ("died", "die"),
            ("flies", "fli"),
            ("spied", "spi"),
            ("skies", "sky"),
            ("enjoy", "enjoy"),
            ("happy", "happi"),
            ("is", "is"),
            ("theology", "theolog"),
            ("geology", "geolog"),
            ("hopefully", "hope"),
        ];
        for (word, stem) in examples {
            assert_eq!(porter_stem(word), stem, "{word}");
        }
    }

    #[test]
    fn words_are_lower_cased_and_any_letter_is_a_letter() {
        assert_eq!(porter_stem("Hoping"), "hope");
        assert_eq!(porter_stem("ÉÉING"), "ééing");
        assert_eq!(porter_stem("caféing"), "café");
        assert_eq!(porter_stem(""), "");
    }
}
