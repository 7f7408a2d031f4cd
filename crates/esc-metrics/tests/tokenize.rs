//! Tests of tokenisers. What the reference tools make of the texts that stand here was computed with NLTK 3.10.4 and 3.8.1, sacreBLEU 2.6.0,
//! rouge-score 0.1.2 and the COCO caption tools.

use std::fs;

use esc_metrics::Error;
use esc_metrics::tokenize::{
    CocoPtb, NltkVersion, NltkWords, ParlaiWords, Punkt, PunktParameters, RougeWords, SacreBleuScheme, SacreBleuWords,
    Tokenizer, clean_hypothesis,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::goldens::{self, Pair};

#[test]
fn golden_metrics_nltk_words_are_nltks() {
    let Some(parameters) = nltk_parameters() else { return };
    golden_tokens("nltk", &NltkWords::new(parameters));
}

#[test]
fn golden_metrics_nltk_words_are_the_same_with_our_own_abbreviations() {
    golden_tokens("nltk", &NltkWords::new(PunktParameters::built_in()));
}

#[test]
fn golden_metrics_lines_can_be_preserved() {
    let words = NltkWords::preserving_lines();
    let Some(folder) = goldens::family("metrics") else { return };
    let mut compared = 0;
    for pair in all_pairs(&folder) {
        if let Some(expected) = pair.expected["tok"]["nltk_preserve_line_hyp"].as_str() {
            assert_eq!(words.tokens(&pair.hypothesis).join(" "), expected, "{}", pair.id);
            compared += 1;
        }
    }
    assert!(compared > 0);
}

#[test]
fn golden_metrics_coco_tokens_are_the_coco_tools() {
    golden_tokens("ptb_coco", &CocoPtb);
}

#[test]
fn turns_of_esconv_have_the_same_words_with_nltks_tables_and_with_our_own_abbreviations() {
    let Some(parameters) = nltk_parameters() else { return };
    let Ok(text) = fs::read_to_string(goldens::root().join("../shared/data/esconv/ESConv.json")) else {
        println!("skipped: ESConv is not here");
        return;
    };
    let dialogues: Value = serde_json::from_str(&text).unwrap();
    let turns = dialogues.as_array().unwrap().iter().flat_map(|dialogue| dialogue["dialog"].as_array().unwrap());
    let turns: Vec<&str> = turns.map(|turn| turn["content"].as_str().unwrap()).collect();
    assert!(!turns.is_empty());
    for keep_case in [false, true] {
        let case = |words: NltkWords| if keep_case { words.keeping_case() } else { words };
        let nltk = case(NltkWords::new(parameters.clone()));
        let own = case(NltkWords::new(PunktParameters::built_in()));
        let differing = turns.iter().filter(|turn| nltk.tokens(turn) != own.tokens(turn)).count();
        assert_eq!(differing, 0, "{} of {} turns, {}", differing, turns.len(), nltk.name());
    }
}

#[test]
fn nltk_words_follow_every_word_rule() {
    let words = NltkWords::new(PunktParameters::built_in());
    assert_tokens(
        &words,
        &[
            (
                "I cannot, gonna, wanna be; d'ye gimme more'n lemme? GOTTA.",
                "i can not , gon na , wan na be ; d 'ye gim me more 'n lem me ? got ta .",
            ),
            (
                "don't they're we'll I'VE it's I'm he'd students' 'quoted' ''x'' ``y``",
                "do n't they 're we 'll i 've it 's i 'm he 'd students ' ' quoted ' `` x '' `` y ``",
            ),
            (
                "\"It's 3:30,\" she said: 1,000.50 or 5%... ok -- no?! (a) [b] {c} <d> a*b #c $5 x@y.z",
                "`` it 's 3:30 , '' she said : 1,000.50 or 5 % ... ok -- no ? ! ( a ) [ b ] { c } < d > a * b # c $ 5 x @ y.z",
            ),
            ("wait..... 'til then, wannabe wanna", "wait ..... ' til then , wannabe wan na"),
            ("e.g. this. etc. that. vs. those. p.m. it was.", "e.g . this . etc . that . vs. those . p.m. it was ."),
            ("“hi” ‘a’ «b» „c—d–e… don’t\u{a0}you", "“ hi ” ‘ a ’ « b » „ c — d – e… don ’ t you"),
            ("😀 ok.👍你好。 café's", "😀 ok.👍你好。 café 's"),
            ("", ""),
            (" \t\n", ""),
        ],
    );
}

#[test]
fn nltk_words_that_keep_the_case_end_sentences_by_capitals() {
    let Some(parameters) = nltk_parameters() else { return };
    assert_tokens(
        &NltkWords::new(parameters).keeping_case(),
        &[
            (
                "Dr. Poe met Mr. J. K. Rowling at 5 p.m. on Jan. 3. He left.",
                "Dr. Poe met Mr. J. K. Rowling at 5 p.m. on Jan. 3 . He left .",
            ),
            (
                "She lives in the U.S. The rest is in the U.K. now.",
                "She lives in the U.S . The rest is in the U.K. now .",
            ),
            ("Vitamin D. It helps. So do I.", "Vitamin D. It helps . So do I ."),
            ("He stopped... Then he went on... slowly.", "He stopped ... Then he went on ... slowly ."),
            (
                "Is it (really?) so?! Yes!! \"No.\" ('Maybe.') End.",
                "Is it ( really ? ) so ? ! Yes ! ! `` No . '' ( ' Maybe . ' ) End .",
            ),
            ("First. . . . second. 3. 4. five.", "First . . . . second . 3 . 4. five ."),
            ("İstanbul is big. ΟΔΟΣ Σ. ‘Hi.’ «Yes.» Well.”", "İstanbul is big . ΟΔΟΣ Σ . ‘ Hi . ’ « Yes . » Well . ”"),
        ],
    );
}

#[test]
fn older_nltk_treats_apostrophes_dashes_and_curly_quotes_otherwise() {
    let Some(parameters) = nltk_parameters() else { return };
    let newer = NltkWords::new(parameters).keeping_case();
    assert_tokens(
        &newer,
        &[
            ("'tis the '90s, y'know 'a 'em", "' tis the ' 90s , y'know ' a ' em"),
            ("He said: “Go.” She went – slowly.", "He said : “ Go . ” She went – slowly ."),
        ],
    );
    assert_tokens(
        &newer.following(NltkVersion::V3_8),
        &[
            ("'tis the '90s, y'know 'a 'em", "'t is the '90s , y'know ' a 'em"),
            ("He said: “Go.” She went – slowly.", "He said : “ Go. ” She went – slowly ."),
        ],
    );
}

#[test]
fn sentences_take_their_closing_marks_along() {
    let punkt = Punkt::new(PunktParameters::built_in());
    let sentences = punkt.sentences("He said: \"Go.\"  (She went.) Mr. Poe stayed!! Why?\nNobody knows");
    let expected = ["He said: \"Go.\"", "(She went.)", "Mr. Poe stayed!!", "Why?", "Nobody knows"];
    assert_eq!(sentences, expected);
    assert!(punkt.sentences(" \n").is_empty());
}

#[test]
fn names_tell_what_tokens_depend_on() {
    let own = || NltkWords::new(PunktParameters::built_in());
    assert_eq!(own().name(), "nltk-lower:3.10:own-punkt");
    assert_eq!(own().keeping_case().name(), "nltk:3.10:own-punkt");
    assert_eq!(own().following(NltkVersion::V3_8).name(), "nltk-lower:3.8:own-punkt");
    assert_eq!(NltkWords::preserving_lines().name(), "nltk-lower:3.10:preserve-line");
    let folder = tables(&[]);
    assert_eq!(NltkWords::new(PunktParameters::read(folder.path()).unwrap()).name(), "nltk-lower:3.10");
    assert_eq!(SacreBleuWords::default().name(), "13a");
    assert_eq!(SacreBleuWords::new(SacreBleuScheme::International).lowercase().name(), "intl-lower");
    assert_eq!(RougeWords::default().name(), "rouge-score");
    assert_eq!(RougeWords::stemmed().name(), "rouge-score-stem");
}

#[test]
fn tables_decide_where_sentences_end() {
    let split = |files: &[(&str, &str)], text: &'static str| {
        let folder = tables(files);
        Punkt::new(PunktParameters::read(folder.path()).unwrap()).sentences(text)
    };
    assert_eq!(split(&[], "see fig. two"), ["see fig.", "two"]);
    assert_eq!(split(&[("abbrev_types.txt", "fig\n")], "see fig. two"), ["see fig. two"]);
    assert_eq!(split(&[("abbrev_types.txt", "fig\n")], "see pre-fig. Two"), ["see pre-fig. Two"]);
    let starter = [("abbrev_types.txt", "fig\n"), ("sent_starters.txt", "two\n")];
    assert_eq!(split(&starter, "see fig. Two"), ["see fig.", "Two"]);
    let spelling = [("abbrev_types.txt", "fig\n"), ("ortho_context.tab", "two\t34\n")];
    assert_eq!(split(&spelling, "see fig. Two"), ["see fig.", "Two"]);
    assert_eq!(split(&[("collocations.tab", "fig\ttwo\n")], "see fig. Two"), ["see fig. Two"]);
}

#[test]
fn wrong_tables_are_named_with_their_line() {
    let wrong = |file: &str, text: &str| {
        let folder = tables(&[(file, text)]);
        PunktParameters::read(folder.path()).unwrap_err().to_string()
    };
    assert!(wrong("collocations.tab", "a\tb\nc d\n").contains("collocations.tab: line 2"));
    assert!(wrong("ortho_context.tab", "a\t1\nb\tx\n").contains("ortho_context.tab: line 2"));
    let folder = tables(&[]);
    fs::remove_file(folder.path().join("sent_starters.txt")).unwrap();
    let missing = PunktParameters::read(folder.path()).unwrap_err();
    assert!(matches!(&missing, Error::Resource { path, .. } if path.ends_with("sent_starters.txt")), "{missing}");
}

#[test]
fn sacre_bleu_tokens_are_sacre_bleus() {
    let scheme = SacreBleuWords::new;
    let mixed = "It's 9.30, isn't it? \"Yes,\" 1,000.5-6 a-b (x) &quot;q&quot; &amp;lt; <skipped>up-\nset\nnext";
    let prices = "Wow!!! $5.00/day, 50% of 1.000, e.g. 3-4.";
    let curly = "“Curly” — déjà vu… 5€ ½, 3° 你好。 No. 5, 5. 6,7";
    assert_tokens(
        &scheme(SacreBleuScheme::V13a),
        &[
            (mixed, "It's 9.30 , isn't it ? \" Yes , \" 1,000.5 - 6 a-b ( x ) \" q \" < upset next"),
            (prices, "Wow ! ! ! $ 5.00 / day , 50 % of 1.000 , e . g . 3 - 4 ."),
            ("U.S. $1,234.56. end-  ", "U . S . $ 1,234.56 . end-"),
            (curly, "“Curly” — déjà vu… 5€ ½ , 3° 你好。 No . 5 , 5 . 6,7"),
            ("#tag @user a_b x=y~z `c` «d» 😀!", "# tag @ user a _ b x = y ~ z ` c ` «d» 😀 !"),
        ],
    );
    assert_tokens(
        &scheme(SacreBleuScheme::International),
        &[
            (
                mixed,
                "It ' s 9.30 , isn ' t it ? \" Yes , \" 1,000.5-6 a - b ( x ) & quot ; q & quot ; & amp ; lt ; < skipped > up - set next",
            ),
            (prices, "Wow ! ! ! $ 5.00 / day , 50 % of 1.000 , e . g . 3-4."),
            ("U.S. $1,234.56. end-  ", "U . S . $ 1,234.56 . end -"),
            (curly, "“ Curly ” — déjà vu … 5 € ½ , 3 ° 你好 。 No . 5 , 5 . 6,7"),
            ("#tag @user a_b x=y~z `c` «d» 😀!", "# tag @ user a _ b x = y ~ z ` c ` « d » 😀 !"),
        ],
    );
    assert_tokens(&scheme(SacreBleuScheme::Char), &[("a b\u{a0}c 你.", "a b c 你 .")]);
    assert_tokens(&scheme(SacreBleuScheme::None), &[(prices, prices)]);
    assert_tokens(&scheme(SacreBleuScheme::V13a).lowercase(), &[("İ ΑΣ, No.", "i̇ ας , no .")]);
}

#[test]
fn rouge_and_parlai_words_are_theirs() {
    assert_tokens(
        &RougeWords::default(),
        &[(
            "I'm naïve: don't-you 2x 3.5 İstanbul \u{212b}elvin KELVIN\u{212a}",
            "i m na ve don t you 2x 3 5 i stanbul elvin kelvink",
        )],
    );
    // Words of three letters and fewer keep their endings.
    assert_tokens(&RougeWords::stemmed(), &[("Being, ing DROP ring the drops; was", "be ing drop ring the drop was")]);
    assert_tokens(
        &ParlaiWords,
        &[
            ("The cat's a_b AN end, the’s (An) “a” 'the' there an1 aé", "cat s b end ’s “ ” there an1 aé"),
            ("I'd say: no!", "i d say no"),
        ],
    );
}

#[test]
fn coco_tokens_of_texts_that_no_golden_has() {
    assert_tokens(
        &CocoPtb,
        &[
            (
                "You cannot gonna 'tis the '90s, rock'n'roll y'all o'clock.",
                "you can not gon na 't is the '90s rock 'n' roll y' all o'clock",
            ),
            (
                "Thanks :) see you at 5:30pm, 3 1/2 hours, 24/7 on google.com.",
                "thanks :-rrb- see you at 5:30 pm 3\u{a0}1/2 hours 24/7 on google.com",
            ),
            (
                "you.thank yes?no 1,000.50 5% $5 £3 a.m. etc. Dr. Who vs. he/she/they co-worker's",
                "you.thank yes?no 1,000.50 5 % $ 5 # 3 a.m. etc. dr. who vs. he/she/they co-worker 's",
            ),
            (
                "“Don’t” — café… 😀 你好 &amp; &quot;x&quot; R&B (555) 555-0123",
                "do n't café 你好 & x r&b -lrb-555-rrb-\u{a0}555-0123",
            ),
            (
                "a @user #tag mail@host.org http://a.org/b?c. [x] {y} ^_^ :-D >:( <b>hi</b> ½ *** work., so",
                "a @user #tag mail@host.org http://a.org/b?c -lsb- x -rsb- -lcb- y -rcb- ^_^ :-d >:-lrb- <b> hi </b> 1/2 *** work. so",
            ),
            ("... \"?\" - !", ""),
        ],
    );
}

#[test]
fn magic_cleans_in_its_order() {
    assert_eq!(clean_hypothesis("Well...ok!! No?! \"Yes.\" é.² _, 5:30;"), "Well .ok ! No ?! Yes . é .² _ , 5 :30 ;");
    assert_eq!(clean_hypothesis(".\".\" !\"!"), ".. !!");
}

#[test]
fn long_hostile_texts_come_to_an_end() {
    // Where the time grew with the square of the length, these would take minutes each.
    let parts = [
        ".", "\"", "'", "-", "(", "`", ". ", "?) ", "!", "'' ", "<", "<a ", "&", "a@--", "a.", "1 ", "www.,", "\n",
        "é", "“", "don't. ", "a+", "I. He ", "-\n", "a.b", "...", "1.", "$", "@", "#", "😀",
    ];
    for tokenizer in all_tokenizers() {
        for part in parts {
            let text = part.repeat(400_000 / part.len());
            let mut tokens = 0;
            tokenizer.tokenize(&text, &mut |_| tokens += 1);
            assert!(tokens <= 3 * text.len(), "{} {part:?}", tokenizer.name());
        }
    }
}

proptest! {
    #[test]
    fn tokens_are_neither_empty_nor_white_space(text in any_text()) {
        for tokenizer in all_tokenizers() {
            for token in tokenizer.tokens(&text) {
                // The COCO tools join some numbers with a space that doesn't break.
                let parts = token.split(|letter: char| letter.is_whitespace() && letter != '\u{a0}').count();
                prop_assert!(!token.is_empty() && parts == 1, "{}: {token:?}", tokenizer.name());
            }
        }
    }

    #[test]
    fn nltk_words_lose_nothing_but_white_space_and_quotes(text in any_text()) {
        let words = NltkWords::new(PunktParameters::built_in()).keeping_case();
        let plain = |text: &str| -> String {
            text.chars().filter(|letter| !is_python_space(*letter) && !matches!(letter, '"' | '\'' | '`')).collect()
        };
        prop_assert_eq!(plain(&words.tokens(&text).concat()), plain(&text));
    }

    #[test]
    fn sentences_hold_the_text_in_order(text in any_text()) {
        let mut rest = text.as_str();
        for sentence in Punkt::new(PunktParameters::built_in()).sentences(&text) {
            let at = rest.find(sentence).unwrap();
            prop_assert!(rest[..at].chars().all(is_python_space), "{:?}", &rest[..at]);
            rest = &rest[at + sentence.len()..];
        }
        prop_assert!(rest.chars().all(is_python_space), "{rest:?}");
    }

    #[test]
    fn a_hypothesis_that_was_cleaned_twice_stays_as_it_is(text in any_text()) {
        let clean = clean_hypothesis(&text);
        prop_assert!(!clean.contains('"'));
        let again = clean_hypothesis(&clean);
        prop_assert_eq!(clean_hypothesis(&again), again);
    }
}

/// Any characters, and texts made of what tokenisers look for.
fn any_text() -> impl Strategy<Value = String> {
    let parts = [
        "I",
        "you",
        "can't",
        "cannot",
        "Mr.",
        "U.S.",
        "e.g.",
        "5",
        "1,000.5",
        "3 1/2",
        "'s",
        "n't",
        "'tis",
        ".",
        "...",
        ". . .",
        "?",
        "!",
        ",",
        ":",
        "\"",
        "'",
        "``",
        "''",
        "(",
        ")",
        "[",
        "<b>",
        "-",
        "--",
        "–",
        "“",
        "”",
        "’",
        "…",
        "&amp;",
        "http://a.b",
        "a@b",
        "😀",
        "你好",
        "e\u{301}",
        "İ",
        "Σ",
        "½",
        " ",
        "  ",
        "\n",
        "\t",
        "\u{a0}",
        "\u{1c}",
    ];
    let made =
        proptest::collection::vec(proptest::sample::select(parts.to_vec()), 0..24).prop_map(|parts| parts.concat());
    prop_oneof![".{0,40}", made]
}

fn is_python_space(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '\u{1c}'..='\u{1f}')
}

fn all_tokenizers() -> Vec<Box<dyn Tokenizer>> {
    let own = || NltkWords::new(PunktParameters::built_in());
    let scheme = SacreBleuWords::new;
    vec![
        Box::new(own()),
        Box::new(own().keeping_case().following(NltkVersion::V3_8)),
        Box::new(NltkWords::preserving_lines()),
        Box::new(scheme(SacreBleuScheme::V13a)),
        Box::new(scheme(SacreBleuScheme::International)),
        Box::new(scheme(SacreBleuScheme::Char)),
        Box::new(scheme(SacreBleuScheme::None)),
        Box::new(RougeWords::default()),
        Box::new(ParlaiWords),
        Box::new(CocoPtb),
    ]
}

/// NLTK's tables, which belong to NLTK's data and not to this repository.
fn nltk_parameters() -> Option<PunktParameters> {
    let found = PunktParameters::find().unwrap();
    if found.is_none() {
        println!("skipped: NLTK's punkt_tab is not installed; set NLTK_DATA to the folder that has it");
    }
    found
}

/// A folder with NLTK's four files, empty but for these.
fn tables(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["abbrev_types.txt", "collocations.tab", "sent_starters.txt", "ortho_context.tab"] {
        let text = files.iter().find(|(file, _)| *file == name).map_or("", |(_, text)| text);
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn all_pairs(folder: &std::path::Path) -> Vec<Pair> {
    ["pairs_single.jsonl", "pairs_multi.jsonl"].into_iter().flat_map(|file| goldens::pairs(folder, file)).collect()
}

/// Every hypothesis and reference has the expected tokens.
fn golden_tokens(field: &str, tokenizer: &dyn Tokenizer) {
    let Some(folder) = goldens::family("metrics") else { return };
    let pairs = all_pairs(&folder);
    assert!(!pairs.is_empty());
    for pair in pairs {
        let expected = pair.expected["tok"][field].as_array().unwrap();
        let texts = || std::iter::once(&pair.hypothesis).chain(&pair.references);
        assert_eq!(expected.len(), texts().count(), "{}", pair.id);
        for (text, expected) in texts().zip(expected) {
            assert_eq!(tokenizer.tokens(text).join(" "), expected.as_str().unwrap(), "{}: {text:?}", pair.id);
        }
    }
}

#[track_caller]
fn assert_tokens(tokenizer: &dyn Tokenizer, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(tokenizer.tokens(text).join(" "), *expected, "{} of {text:?}", tokenizer.name());
    }
}
