//! Characters as Python sees them: the reference tools are Python, and its classes are not quite those of Rust's standard library.

use std::borrow::Cow;

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// `str.lower()`, borrowed where nothing changes.
pub(crate) fn lower(text: &str) -> Cow<'_, str> {
    let is_lower = |byte: &u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    if text.as_bytes().iter().all(is_lower) { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}

/// `str.isspace()`, where `str.split()` and `str.strip()` cut, and `\s` of the module `re`: Unicode's white space and the four ASCII
/// separators.
pub(crate) fn is_space(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '\u{1c}'..='\u{1f}')
}

/// `\w` of the module `re`: letters, numbers of any kind and the underscore; combining marks are not among them.
pub(crate) fn is_word(letter: char) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_alphanumeric() || letter == '_';
    }
    matches!(letter.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number)
}

/// `\w` of the package `regex`: alphabetic characters, marks, decimal digits, connectors and joiners; `½` and `²` are not among them.
pub(crate) fn is_regex_word(letter: char) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_alphanumeric() || letter == '_';
    }
    letter.is_alphabetic()
        || matches!(letter, '\u{200c}' | '\u{200d}')
        || letter.general_category_group() == GeneralCategoryGroup::Mark
        || matches!(letter.general_category(), GeneralCategory::DecimalNumber | GeneralCategory::ConnectorPunctuation)
}

/// `\d`: a decimal digit of any script.
pub(crate) fn is_digit(letter: char) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_digit();
    }
    letter.general_category() == GeneralCategory::DecimalNumber
}

/// `\p{P}`: punctuation.
pub(crate) fn is_punctuation(letter: char) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_punctuation() && !is_symbol(letter);
    }
    letter.general_category_group() == GeneralCategoryGroup::Punctuation
}

/// `\p{S}`: a symbol.
pub(crate) fn is_symbol(letter: char) -> bool {
    if letter.is_ascii() {
        return matches!(letter, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~');
    }
    letter.general_category_group() == GeneralCategoryGroup::Symbol
}

/// `\p{N}`: a number of any kind.
pub(crate) fn is_number(letter: char) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_digit();
    }
    letter.general_category_group() == GeneralCategoryGroup::Number
}

/// Whether a letter is the wanted lower-case ASCII letter when `re` and `regex` ignore case: the dotted and dotless I and the long S
/// count as i and s.
pub(crate) fn is_letter(letter: char, wanted: char) -> bool {
    match letter {
        'İ' | 'ı' => wanted == 'i',
        'ſ' => wanted == 's',
        _ => letter.to_ascii_lowercase() == wanted,
    }
}

/// The character that starts at a byte, if one does.
pub(crate) fn char_at(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

/// The character that ends before a byte, if one does.
pub(crate) fn char_before(text: &str, at: usize) -> Option<char> {
    text.get(..at)?.chars().next_back()
}

/// Whether `\b` of the module `re` matches at a byte.
pub(crate) fn is_word_boundary(text: &str, at: usize) -> bool {
    char_before(text, at).is_some_and(is_word) != char_at(text, at).is_some_and(is_word)
}
