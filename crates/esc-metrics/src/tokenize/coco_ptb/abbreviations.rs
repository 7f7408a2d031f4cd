//! Abbreviations that keep their period.

use crate::tokenize::characters::lower;

/// Whether a period belongs to the letters before it. `rest` follows the period.
pub(super) fn keeps_period(word: &str, rest: &str) -> bool {
    let is_capitalised = word.starts_with(char::is_uppercase);
    let next = rest.trim_start();
    if word.chars().nth(1).is_none() {
        return next.len() == rest.len() || !starts_sentence(next);
    }
    let word = &*lower(word);
    ALWAYS.contains(&word)
        || is_capitalised && CAPITALISED.contains(&word)
        || BEFORE_NUMBERS.contains(&word) && next.starts_with(|letter: char| letter.is_ascii_digit())
}

fn starts_sentence(text: &str) -> bool {
    let word = text.split(|letter: char| !letter.is_alphabetic()).next().unwrap_or_default();
    text.starts_with(char::is_uppercase) && SENTENCE_STARTERS.contains(&&*lower(word))
}

/// Words that end a sentence before them if there is a single letter there and they have a capital.
#[rustfmt::skip]
const SENTENCE_STARTERS: [&str; 39] = [
    "you", "he", "she", "it", "we", "they", "her", "our", "their", "one",
    "this", "that", "these", "there", "here", "what", "when", "the", "a", "an", "some", "many", "more", "last",
    "but", "so", "yet", "while", "if", "since", "as", "after", "then", "however", "in", "at", "about", "now", "once",
];

#[rustfmt::skip]
const ALWAYS: [&str; 107] = [
    "mr", "mrs", "ms", "messrs", "mme", "mlle", "dr", "drs", "prof", "rev", "hon", "sr", "jr", "st", "esq", "ph",
    "gov", "sen", "sens", "rep", "reps", "pres", "atty", "supt", "gen", "col", "lt", "maj", "capt", "cmdr", "cpl", "sgt", "adm", "brig", "pvt",
    "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sept", "sep", "oct", "nov", "dec",
    "mon", "tue", "tues", "wed", "thu", "thurs", "fri",
    "ala", "ariz", "calif", "colo", "conn", "fla", "ga", "ind", "kan", "kans", "ky", "md", "mich", "minn", "mo", "mont", "neb", "nev",
    "okla", "penn", "tenn", "va", "vt", "wis", "wyo",
    "co", "cos", "corp", "inc", "ltd", "bros", "cie", "plc", "dept", "univ", "assn", "bldg", "mfg",
    "ave", "blvd", "rd", "mt", "ft", "tel", "ext", "intl", "sys", "elec",
    "vs", "cf", "al", "est", "etc",
];

/// Those that are words in lower case.
const CAPITALISED: [&str; 10] = ["ark", "del", "ill", "la", "ore", "pa", "tex", "wash", "mass", "miss"];

const BEFORE_NUMBERS: [&str; 6] = ["pp", "nos", "ca", "art", "no", "fig"];
