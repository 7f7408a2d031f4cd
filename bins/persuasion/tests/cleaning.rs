//! What cleaning takes out, and how deltas and near-duplicates are found.

use persuasion::corpus::{Cleaning, decode_entities, has_delta, near_duplicates};
use proptest::prelude::*;

const ALL: Cleaning = Cleaning { is_on: true, strip_edits: true, strip_quotes: true };

#[test]
fn cleaning_takes_out_what_is_no_argument() {
    let usual = Cleaning::default();
    let footnote = "My view.\n\n_____\n\n&gt; *Hello, users of CMV! The moderators say hello.*\n\nLast line.";
    for (rules, text, expected) in [
        (usual, "Fish &amp; chips &gt; soup", "Fish & chips > soup"),
        (usual, "zero&amp;#x200B;width\u{200b}\u{feff}\r\nlines", "zerowidth\nlines"),
        (usual, footnote, "My view."),
        (usual, "Above.\n\n_____\n\nBelow, quoting nobody.", "Above.\n\n_____\n\nBelow, quoting nobody."),
        (usual, "See [this (old) page](http://a.example/b_(c)) and ![a map](x.png).", "See this (old) page and a map."),
        (usual, "An [aside] and f(x)[0](", "An [aside] and f(x)[0]("),
        (usual, "One.  \n\n\n\nTwo.", "One.\n\nTwo."),
        (usual, "Edit: thanks!", "Edit: thanks!"),
        (ALL, "Body.\n\n**EDIT 2:** a delta went to somebody.\nMore.", "Body."),
        (ALL, "Body.\nUpdate - changed.", "Body."),
        (ALL, "Editing is a craft.\nUpdated views differ.", "Editing is a craft.\nUpdated views differ."),
        (ALL, "&gt; You said so.\n\nI did not.", "I did not."),
        (Cleaning { is_on: false, ..usual }, "a &amp; b\r\n", "a &amp; b\r\n"),
    ] {
        assert_eq!(rules.clean(text), expected, "{text:?}");
    }
}

#[test]
fn deltas_count_where_they_are_meant() {
    for (body, is_delta) in [
        ("∆", true),
        ("Δ for you", true),
        ("Here: &#8710;", true),
        ("&amp;#8710; escaped twice", true),
        ("&#916;", true),
        ("!DELTA well argued", true),
        ("no delta", false),
        ("> !delta\nI only quote.", false),
        ("&gt; ∆", false),
        ("    !delta in code", false),
        ("```\n!delta\n```\nafter", false),
        ("Type `!delta` yourself.", false),
        ("A lone ` and !delta", true),
    ] {
        assert_eq!(has_delta(body), is_delta, "{body:?}");
    }
}

#[test]
fn near_duplicates_are_found_among_many_and_others_are_not() {
    let text =
        |seed: usize| (0..120).map(|word| format!("{} ", (seed * 7919 + word * word * 31) % 4001)).collect::<String>();
    let mut texts: Vec<String> = (0..300).map(text).collect();
    texts.push(format!("{}x", texts[17]));
    texts.push(texts[230].replacen(' ', "  ", 5).to_uppercase());
    let half: String = texts[40]
        .split_whitespace()
        .take(60)
        .chain(texts[41].split_whitespace().take(60))
        .map(|word| format!("{word} "))
        .collect();
    texts.push(half);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let found: Vec<(usize, usize)> =
        near_duplicates(&texts, &|_, _| true).into_iter().map(|(one, other, _)| (one, other)).collect();
    assert_eq!(found, [(17, 300), (230, 301)]);
    assert_eq!(near_duplicates(&texts, &|one, _| one != 17).len(), 1);
}

proptest! {
    #[test]
    fn any_text_is_cleaned_and_searched_without_a_fall(text in "[&#;x0-9a-z\\[\\]()_>!`\u{200b}é∆ \n]{0,80}") {
        let cleaned = ALL.clean(&text);
        prop_assert!(cleaned.chars().count() <= text.chars().count());
        let has_invisible = cleaned.contains(['\u{200b}', '\r']);
        prop_assert!(!has_invisible);
        has_delta(&text);
    }

    #[test]
    fn escaping_is_undone(text in "[^\u{0}]{0,40}") {
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        prop_assert_eq!(decode_entities(&escaped), text);
    }
}
