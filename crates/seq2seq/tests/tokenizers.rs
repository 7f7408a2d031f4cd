//! Texts to ids and back: against the reference tokenizers, and what must hold for every text.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use llm_runtime::ControlTokenText::{Keep, Skip};
use proptest::prelude::*;
use seq2seq::{AddedTokenKind, Segment, Seq2SeqTokenizer, TokenizerKind, Truncation, clean_up_english};
use serde_json::Value;
use tempfile::TempDir;

use crate::goldens::{family, root};

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(list: &Value) -> Vec<u32> {
    list.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// A folder of real data, or `None` with the reason printed.
fn data(name: &str) -> Option<PathBuf> {
    let path = root().join("../shared/data").join(name);
    let is_here = path.exists();
    if !is_here {
        println!("skipped: {} is not here", path.display());
    }
    is_here.then_some(path)
}

/// Names and contents.
type Files<'a> = &'a [(&'a str, &'a str)];

/// A folder with these files.
fn folder(files: Files<'_>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// BlenderBot-small's tokenizer among the goldens, whose files carry its name before their own.
fn golden_blenderbot_small(family: &Path) -> Seq2SeqTokenizer {
    let files = tempfile::tempdir().unwrap();
    for name in ["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"] {
        std::fs::copy(family.join(format!("assets/blenderbot_small.{name}")), files.path().join(name)).unwrap();
    }
    Seq2SeqTokenizer::open(files.path()).unwrap()
}

fn saved_and_opened(tokenizer: &Seq2SeqTokenizer) -> Seq2SeqTokenizer {
    let scratch = tempfile::tempdir().unwrap();
    tokenizer.save(scratch.path()).unwrap();
    Seq2SeqTokenizer::open(scratch.path()).unwrap()
}

#[test]
fn golden_tokenizers_blenderbot_small() {
    let Some(family) = family("tokenizers") else { return };
    let rows = lines(&family.join("blenderbot_small.jsonl"));
    assert!(!rows.is_empty());
    let opened = golden_blenderbot_small(&family);
    assert_eq!(opened.kind(), TokenizerKind::BlenderbotSmall);
    for tokenizer in [&opened, &saved_and_opened(&opened)] {
        for row in &rows {
            let text = row["text"].as_str().unwrap();
            let expected = ids(&row["ids"]);
            assert_eq!(tokenizer.encode(text).unwrap(), expected, "{text:?}");
            assert_eq!(tokenizer.encode_with_special(text).unwrap(), expected, "{text:?}");
            assert_eq!(tokenizer.frame(&expected, None).unwrap(), expected, "nothing stands around a text");
            assert_eq!(tokenizer.decode(&expected, Keep).unwrap(), row["decode_raw"].as_str().unwrap(), "{text:?}");
            let clean = clean_up_english(&tokenizer.decode(&expected, Skip).unwrap());
            assert_eq!(clean, row["decode_cleanup"].as_str().unwrap(), "{text:?}");
            let unknown = tokenizer.special().unk.unwrap();
            for (id, token) in expected.iter().zip(texts(&row["tokens"])).filter(|(id, _)| **id != unknown) {
                assert_eq!((tokenizer.token(*id), tokenizer.id(token)), (Some(token), Some(*id)), "{text:?}");
            }
        }
    }
}

#[test]
fn a_hash_is_that_of_what_decides_ids_and_not_of_how_files_are_laid_out() {
    let mut tokenizer = Seq2SeqTokenizer::learn_byte_pairs(&["I feel alone.", "You feel alone?"], 270).unwrap();
    let before = tokenizer.sha256();
    assert_eq!(saved_and_opened(&tokenizer).sha256(), before);
    let others = Seq2SeqTokenizer::learn_byte_pairs(&["I feel alone.", "You feel alone?"], 268).unwrap();
    assert_ne!(others.sha256(), before);
    tokenizer.add_tokens(&["[Question]"], AddedTokenKind::Special).unwrap();
    assert_ne!(tokenizer.sha256(), before);
    assert_eq!(saved_and_opened(&tokenizer).sha256(), tokenizer.sha256());
}

#[test]
fn golden_tokenizers_blenderbot_small_strategies() {
    let Some(family) = family("tokenizers") else { return };
    let goldens = read_json(&family.join("blenderbot_small_strategies.json"));
    let mut tokenizer = golden_blenderbot_small(&family);
    assert_eq!(tokenizer.vocabulary_size() as u64, goldens["vocab_before"].as_u64().unwrap());
    let strategies = texts(&goldens["added_tokens"]);
    assert_eq!(tokenizer.add_tokens(&strategies, AddedTokenKind::Special).unwrap(), strategies.len());
    assert_eq!(tokenizer.vocabulary_size() as u64, goldens["len_after"].as_u64().unwrap());
    assert_eq!(tokenizer.add_tokens(&strategies, AddedTokenKind::Special).unwrap(), 0, "they are known now");
    let cases = goldens["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    assert_eq!(saved_and_opened(&tokenizer).sha256(), tokenizer.sha256());
    for tokenizer in [&tokenizer, &saved_and_opened(&tokenizer)] {
        for (strategy, id) in strategies.iter().zip(ids(&goldens["added_ids"])) {
            assert_eq!((tokenizer.id(strategy), tokenizer.token(id)), (Some(id), Some(*strategy)));
            assert!(tokenizer.is_special(id));
        }
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let found = tokenizer.encode_with_special(text).unwrap();
            assert_eq!(found, ids(&case["ids"]), "{text:?}");
            let tokens: Vec<&str> = found.iter().filter_map(|id| tokenizer.token(*id)).collect();
            let unknown = tokenizer.token(tokenizer.special().unk.unwrap()).unwrap();
            for (found, expected) in tokens.iter().zip(texts(&case["tokens"])).filter(|(found, _)| **found != unknown) {
                assert_eq!(*found, expected, "{text:?}");
            }
            let plain = tokenizer.encode(text).unwrap();
            assert!(
                plain.iter().all(|id| *id < tokenizer.id(strategies[0]).unwrap()),
                "plain text is no strategy: {text:?}"
            );
        }
        let special = tokenizer.special();
        let expected = &goldens["special_ids"];
        for (role, id) in
            [("bos", special.bos), ("eos", special.eos), ("pad", special.pad), ("unk", special.unk.unwrap())]
        {
            assert_eq!(expected[role].as_u64(), Some(u64::from(id)), "{role}");
        }
    }
}

/// BART's ids from both forms of its files, and BlenderBot-small's, against transformers 5.23.0.
#[test]
fn ids_are_those_of_the_reference_tokenizers() {
    let Some(folder) = data("tokenizers") else { return };
    let whole = Seq2SeqTokenizer::open(&folder.join("bart")).unwrap();
    let two_files = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join("bart/vocab.json"), two_files.path().join("vocab.json")).unwrap();
    std::fs::copy(folder.join("gpt2/merges.txt"), two_files.path().join("merges.txt")).unwrap();
    let pieces = Seq2SeqTokenizer::open(two_files.path()).unwrap();
    let again = saved_and_opened(&pieces);
    let small = Seq2SeqTokenizer::open(&folder.join("blenderbot_small-90M")).unwrap();
    let goldens = read_json(&folder.join("goldens.json"));
    let cases = goldens["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let text = case["text"].as_str().unwrap();
        for bart in [&whole, &pieces, &again] {
            let plain = bart.encode(text).unwrap();
            assert_eq!(bart.frame(&plain, None).unwrap(), ids(&case["bart"]), "{text:?}");
            assert_eq!(bart.decode_text(&ids(&case["bart"])), text);
        }
        assert_eq!(small.encode(text).unwrap(), ids(&case["blenderbot_small"]), "{text:?}");
    }
    for bart in [&whole, &pieces] {
        assert_eq!((bart.kind(), bart.vocabulary_size()), (TokenizerKind::Bart, 50265));
        let special = bart.special();
        assert_eq!((special.bos, special.pad, special.eos, special.unk, special.mask), (0, 1, 2, Some(3), Some(50264)));
    }
    let special = small.special();
    assert_eq!((special.pad, special.bos, special.eos, special.unk, special.mask), (0, 1, 2, Some(3), None));
}

/// What a published implementation counted over a whole split: dialogues cut into samples of the turns so far, joined by the end of
/// sequence (the last 160 ids), and of the response with an end (the first 40).
#[test]
fn a_whole_corpus_has_the_published_sums() {
    let (Some(folder), Some(lines_file)) = (data("tokenizers/blenderbot_small-90M"), data("thtra/valid.txt")) else {
        return;
    };
    let tokenizer = Seq2SeqTokenizer::open(&folder).unwrap();
    let (encoder, labels) = (Truncation::left(160), Truncation::right(40));
    let end = tokenizer.special().eos;
    let (mut samples, mut lengths, mut sums) = (0, [0, 0], [0, 0]);
    for line in lines(&lines_file) {
        let mut context: Vec<Vec<u32>> = Vec::new();
        for turn in line["dialog"].as_array().unwrap() {
            let ids = tokenizer.encode(turn["text"].as_str().unwrap()).unwrap();
            if turn["speaker"] == "sys" && !context.is_empty() {
                let response = [ids.as_slice(), &[end]].concat();
                for (number, ids) in [encoder.cut(&context.join(&end)), labels.cut(&response)].into_iter().enumerate() {
                    lengths[number] += ids.len();
                    sums[number] += ids.iter().map(|id| u64::from(*id)).sum::<u64>();
                }
                samples += 1;
            }
            context.push(ids);
        }
    }
    assert_eq!((samples, lengths, sums), (2621, [343_021, 55_640], [320_000_579, 51_464_521]));
}

const SENTENCES: [&str; 4] = [
    "I feel so alone these days, and nobody feels it.",
    "You feel alone; these days are hard. Nobody knows!",
    "Those days were hard for nobody but me…",
    "Feeling alone is hard 🙂",
];

/// A tokenizer of BART's kind.
static LEARNED: LazyLock<Seq2SeqTokenizer> = LazyLock::new(learned);

fn learned() -> Seq2SeqTokenizer {
    Seq2SeqTokenizer::learn_byte_pairs(&SENTENCES, 320).unwrap()
}

const SMALL_PIECES: &str = r#"{
    "__null__": 0, "__start__": 1, "__end__": 2, "__unk__": 3, "__newln__": 4, ".": 5, "'": 6, "hi": 7, "hi@@": 8, "s": 9, "i": 10
}"#;
const SMALL_MERGES: &str = "#version: 0.2\n_ _\n_ _</w>\n__ n\n__n e\n__ne w\n__new l\n__newl n\n__newln __</w>\n\
    __ e\n__e n\n__en d\n__end __</w>\nh i\nh i</w>\n";

/// A tokenizer of BlenderBot-small's kind with a handful of pieces.
static SMALL: LazyLock<Seq2SeqTokenizer> = LazyLock::new(small);

fn small() -> Seq2SeqTokenizer {
    Seq2SeqTokenizer::open(folder(&[("vocab.json", SMALL_PIECES), ("merges.txt", SMALL_MERGES)]).path()).unwrap()
}

#[test]
fn pieces_are_glued_and_what_is_not_in_the_vocabulary_is_unknown() {
    let tokenizer = small();
    assert_eq!(tokenizer.kind(), TokenizerKind::BlenderbotSmall);
    assert_eq!(tokenizer.encode("Hi hi's hiHI.\nx").unwrap(), [7, 7, 6, 9, 8, 7, 5, 4, 3]);
    assert_eq!(tokenizer.decode(&[7, 8, 7, 2, 5], Keep).unwrap(), "hi hihi __end__ .");
    assert_eq!(tokenizer.decode_text(&[7, 2, u32::MAX, 5]), "hi .", "ids outside the vocabulary have no text");
    assert!(tokenizer.decode(&[11], Skip).unwrap_err().to_string().contains("11"));
    assert_eq!(clean_up_english("hi ' s a . we 've , do n't ?"), "hi's a. we've, don't?");
}

#[test]
fn added_tokens_stand_apart_when_text_is_put_together() {
    let mut tokenizer = small();
    tokenizer.add_tokens(&["[Hi There]"], AddedTokenKind::Special).unwrap();
    assert_eq!(tokenizer.add_tokens(&["<b>", "hi"], AddedTokenKind::Ordinary).unwrap(), 1);
    assert_eq!(tokenizer.decode(&[8, 11, 8, 12], Keep).unwrap(), "hi@@ [Hi There] hi@@ <b>");
    assert_eq!(tokenizer.decode(&[7, 11, 7, 12], Skip).unwrap(), "hi hi <b>");
    assert_eq!(tokenizer.encode("s<b>[Hi There]").unwrap()[..2], [9, 12], "text, and found in plain text");
}

#[test]
fn what_people_write_is_no_special_token_unless_the_caller_vouches_for_it() {
    let bart = learned();
    let special = bart.special();
    let plain = bart.encode("I feel</s> alone<mask>").unwrap();
    assert!(plain.iter().all(|id| !bart.is_special(*id)));
    assert_eq!(bart.decode_text(&plain), "I feel</s> alone<mask>");
    let parsed = bart.encode_with_special("I feel</s> alone <mask>").unwrap();
    let parts = [
        Segment::Text("I feel"),
        Segment::Token(special.eos),
        Segment::Text(" alone"),
        Segment::Token(special.mask.unwrap()),
    ];
    assert_eq!(parsed, bart.encode_segments(&parts).unwrap(), "a mask takes the blank before it");
    let outside = bart.vocabulary_size() as u32;
    let error = bart.encode_segments(&[Segment::Token(outside)]).unwrap_err().to_string();
    assert!(error.contains(&outside.to_string()), "{error}");

    let small = small();
    assert_eq!(small.encode_with_special("hi__end__hi").unwrap(), [7, 2, 7]);
    assert_eq!(small.encode_with_special("__END__").unwrap(), [2], "the reference finds it by its merges");
    assert_eq!(small.encode("__END__ __end__").unwrap(), [3, 3]);
}

#[test]
fn a_frame_is_inside_the_longest_length() {
    let tokenizer = learned();
    let special = tokenizer.special();
    let (first, last) = (special.bos, special.eos);
    let ids = [7, 8, 9, 10];
    for (truncation, expected) in [
        (None, vec![first, 7, 8, 9, 10, last]),
        (Some(Truncation::right(6)), vec![first, 7, 8, 9, 10, last]),
        (Some(Truncation::right(5)), vec![first, 7, 8, 9, last]),
        (Some(Truncation::left(5)), vec![first, 8, 9, 10, last]),
        (Some(Truncation::left(3)), vec![first, 10, last]),
    ] {
        assert_eq!(tokenizer.frame(&ids, truncation).unwrap(), expected);
    }
    assert_eq!(tokenizer.frame(&[], None).unwrap(), [first, last]);
    assert!(tokenizer.frame(&ids, Some(Truncation::left(2))).unwrap_err().to_string().contains("at least 3"));
    assert_eq!(small().frame(&ids, Some(Truncation::left(1))).unwrap(), [10]);
    assert!(small().frame(&ids, Some(Truncation::left(0))).is_err());
    assert_eq!((Truncation::left(2).cut(&ids), Truncation::right(9).cut(&ids)), (&ids[2..], &ids[..]));
}

#[test]
fn added_tokens_survive_a_save() {
    for mut tokenizer in [learned(), small()] {
        let before = tokenizer.vocabulary_size();
        assert_eq!(tokenizer.add_tokens(&["[Others]", "[Question]", "[Others]"], AddedTokenKind::Special).unwrap(), 2);
        assert_eq!(tokenizer.add_tokens(&["<user>"], AddedTokenKind::Ordinary).unwrap(), 1);
        assert_eq!(tokenizer.vocabulary_size(), before + 3);
        assert_eq!(tokenizer.id("[Question]"), Some(before as u32 + 1));
        let again = saved_and_opened(&tokenizer);
        assert_eq!(again.vocabulary_size(), before + 3);
        assert_eq!((again.kind(), again.special()), (tokenizer.kind(), tokenizer.special()));
        for text in ["[Others]hi [Question]", "I feel <user>'s pain </s> __end__"] {
            assert_eq!(again.encode(text).unwrap(), tokenizer.encode(text).unwrap(), "{text}");
            assert_eq!(
                again.encode_with_special(text).unwrap(),
                tokenizer.encode_with_special(text).unwrap(),
                "{text}"
            );
        }
        for id in 0..before as u32 + 3 {
            assert_eq!((again.token(id), again.is_special(id)), (tokenizer.token(id), tokenizer.is_special(id)));
        }
        assert!(again.is_special(before as u32) && !again.is_special(before as u32 + 2));
        assert!(tokenizer.add_tokens(&["fine", " "], AddedTokenKind::Special).is_err());
        assert_eq!(tokenizer.vocabulary_size(), before + 3, "none is added when one is refused");
    }
}

#[test]
fn a_save_over_another_leaves_no_tokens_behind() {
    let scratch = tempfile::tempdir().unwrap();
    let mut larger = small();
    larger.add_tokens(&["[Others]"], AddedTokenKind::Special).unwrap();
    larger.save(scratch.path()).unwrap();
    small().save(scratch.path()).unwrap();
    let again = Seq2SeqTokenizer::open(scratch.path()).unwrap();
    assert_eq!((again.vocabulary_size(), again.id("[Others]")), (11, None));
}

/// Older folders list added tokens in a file of their own and say elsewhere which of them are special.
#[test]
fn added_tokens_are_taken_from_older_files() {
    let files = folder(&[
        ("vocab.json", SMALL_PIECES),
        ("merges.txt", SMALL_MERGES),
        ("added_tokens.json", r#"{"[b]": 12, "<c>": 11}"#),
        ("special_tokens_map.json", r#"{"additional_special_tokens": ["[b]", {"content": "[d]"}]}"#),
    ]);
    let tokenizer = Seq2SeqTokenizer::open(files.path()).unwrap();
    assert_eq!(["<c>", "[b]", "[d]"].map(|token| tokenizer.id(token)), [Some(11), Some(12), Some(13)]);
    assert_eq!([11, 12, 13].map(|id| tokenizer.is_special(id)), [false, true, true]);
    assert_eq!(tokenizer.encode_with_special("[b]<c>[d]").unwrap(), [12, 11, 13]);
}

#[test]
fn the_kind_is_named_or_seen() {
    let pieces = r#"{"<s>": 0, "<pad>": 1, "</s>": 2, "__start__": 3, "__end__": 4, "__null__": 5, "__unk__": 6}"#;
    for (name, text, kind) in [
        ("tokenizer_config.json", r#"{"tokenizer_class": "BartTokenizerFast"}"#, TokenizerKind::Bart),
        ("tokenizer_config.json", r#"{"tokenizer_class": "BlenderbotSmallTokenizer"}"#, TokenizerKind::BlenderbotSmall),
        ("config.json", r#"{"model_type": "bart"}"#, TokenizerKind::Bart),
        ("config.json", r#"{"model_type": "blenderbot-small"}"#, TokenizerKind::BlenderbotSmall),
        ("config.json", "{}", TokenizerKind::BlenderbotSmall),
    ] {
        let files = folder(&[("vocab.json", pieces), ("merges.txt", ""), (name, text)]);
        assert_eq!(Seq2SeqTokenizer::open(files.path()).unwrap().kind(), kind, "{name}: {text}");
    }
}

#[test]
fn tokens_with_a_role_may_have_other_names() {
    let files = folder(&[
        ("vocab.json", r#"{"[B]": 0, "[E]": 1, "[P]": 2, "h": 3, "i": 4, "hi": 5}"#),
        ("merges.txt", "h i"),
        ("tokenizer_config.json", r#"{"bos_token": "[B]", "eos_token": {"content": "[E]"}, "pad_token": "[P]"}"#),
    ]);
    let tokenizer = Seq2SeqTokenizer::open(files.path()).unwrap();
    for tokenizer in [&tokenizer, &saved_and_opened(&tokenizer)] {
        let special = tokenizer.special();
        assert_eq!((special.bos, special.eos, special.pad, special.unk, special.mask), (0, 1, 2, None, None));
        assert_eq!(tokenizer.frame(&tokenizer.encode("hi").unwrap(), None).unwrap(), [0, 5, 1]);
        assert_eq!(tokenizer.decode_text(&[0, 5, 2, 1]), "hi");
    }
}

#[test]
fn damaged_files_are_refused_by_name_and_line() {
    let bart = r#"{"<s>": 0, "<pad>": 1, "</s>": 2, "a": 3, "b": 4, "ab": 5}"#;
    let cases: &[(Files<'_>, &[&str])] = &[
        (&[], &["no vocab.json", "merges.txt"]),
        (&[("vocab.json", bart)], &["merges.txt", "is not here"]),
        (&[("vocab.json", "{\"a\": 1,\n\"b\" 2}"), ("merges.txt", "")], &["vocab.json", "line 2"]),
        (&[("vocab.json", "[]"), ("merges.txt", "")], &["vocab.json"]),
        (&[("vocab.json", r#"{"a": -1}"#), ("merges.txt", "")], &["vocab.json", "`a`", "-1"]),
        (&[("vocab.json", r#"{"a": 1, "b": 1}"#), ("merges.txt", "")], &["vocab.json", "`b`", "`a`"]),
        (&[("vocab.json", r#"{"a": 1}"#), ("merges.txt", "")], &["vocab.json", "bos_token", "<s>"]),
        (&[("vocab.json", bart), ("merges.txt", "#version: 0.2\na b\nab")], &["merges.txt", "line 3", "`ab`"]),
        (&[("vocab.json", bart), ("merges.txt", "a b\nb a")], &["merges.txt", "line 2", "`ba`"]),
        (&[("vocab.json", SMALL_PIECES), ("merges.txt", "h i\nh i j")], &["merges.txt", "line 2", "`h i j`"]),
        (
            &[("vocab.json", bart), ("merges.txt", "a b"), ("tokenizer_config.json", "{")],
            &["tokenizer_config.json", "line 1"],
        ),
        (
            &[
                ("vocab.json", bart),
                ("merges.txt", ""),
                ("tokenizer_config.json", r#"{"added_tokens_decoder": {"x": {}}}"#),
            ],
            &["tokenizer_config.json", "added_tokens_decoder", "x"],
        ),
        (
            &[
                ("vocab.json", bart),
                ("merges.txt", ""),
                ("tokenizer_config.json", r#"{"added_tokens_decoder": {"9": 1}}"#),
            ],
            &["tokenizer_config.json", "added_tokens_decoder", "9"],
        ),
        (&[("vocab.json", bart), ("merges.txt", ""), ("added_tokens.json", r#"{"<x>": 4}"#)], &["`<x>`", "4", "`b`"]),
        (
            &[("vocab.json", bart), ("merges.txt", ""), ("added_tokens.json", r#"{"<x>": 6, "<y>": 6}"#)],
            &["`<x>`", "6", "`<y>`"],
        ),
        (
            &[("vocab.json", bart), ("merges.txt", ""), ("added_tokens.json", r#"{"<x>": 4294967296}"#)],
            &["added_tokens.json", "`<x>`"],
        ),
        (&[("tokenizer.json", "{}")], &["tokenizer.json", "model.vocab"]),
        (&[("tokenizer.json", "{\n\"model\": ")], &["tokenizer.json", "line 2"]),
        (&[("tokenizer.json", r#"{"model": {"type": "Unigram", "vocab": {}}}"#)], &["tokenizer.json", "Unigram"]),
        (
            &[("tokenizer.json", r#"{"model": {"type": "BPE", "vocab": {}, "merges": []}, "added_tokens": [1]}"#)],
            &["tokenizer.json", "added_tokens"],
        ),
        (
            &[
                ("vocab.json", r#"{"a": 0}"#),
                ("merges.txt", ""),
                ("tokenizer_config.json", r#"{"tokenizer_class": "BlenderbotSmallTokenizer"}"#),
            ],
            &["vocab.json", "__unk__"],
        ),
    ];
    for (files, named) in cases {
        let error = Seq2SeqTokenizer::open(folder(files).path()).unwrap_err().to_string();
        for part in *named {
            assert!(error.contains(part), "{files:?}: `{part}` is not in: {error}");
        }
    }
    let files = folder(&[("vocab.json", bart)]);
    std::fs::write(files.path().join("merges.txt"), b"a b\n\xFF b\n").unwrap();
    let error = Seq2SeqTokenizer::open(files.path()).unwrap_err().to_string();
    assert!(error.contains("merges.txt") && error.contains("line 2"), "{error}");
}

#[test]
fn learning_joins_what_is_frequent_and_gives_the_same_every_time() {
    let tokenizer = learned();
    assert!(tokenizer.vocabulary_size() <= 320);
    assert_eq!(tokenizer.encode(" alone hard").unwrap().len(), 2, "frequent words are single tokens");
    let special = tokenizer.special();
    assert_eq!((special.bos, special.pad, special.eos, special.unk), (0, 1, 2, Some(3)));
    assert_eq!(special.mask, Some(tokenizer.vocabulary_size() as u32 - 1), "as in BART, the mask is the last");
    for again in [learned(), saved_and_opened(&tokenizer)] {
        let tokens = |tokenizer: &Seq2SeqTokenizer| -> Vec<String> {
            (0..tokenizer.vocabulary_size() as u32).map(|id| tokenizer.token(id).unwrap().to_owned()).collect()
        };
        assert_eq!(tokens(&again), tokens(&tokenizer));
        assert_eq!(again.encode(SENTENCES[1]).unwrap(), tokenizer.encode(SENTENCES[1]).unwrap());
    }
    let bytes_alone = Seq2SeqTokenizer::learn_byte_pairs(&[], 1000).unwrap();
    assert_eq!(bytes_alone.vocabulary_size(), 261);
    assert_eq!(bytes_alone.encode("hé").unwrap().len(), 3);
    let error = Seq2SeqTokenizer::learn_byte_pairs(&SENTENCES, 260).unwrap_err().to_string();
    assert!(error.contains("261"), "{error}");
}

#[test]
fn a_vocabulary_of_blenderbots_kind_is_learned_and_kept() {
    let learned = || Seq2SeqTokenizer::learn_blenderbot_small(&SENTENCES, 90).unwrap();
    let tokenizer = learned();
    assert_eq!(tokenizer.kind(), TokenizerKind::BlenderbotSmall);
    let special = tokenizer.special();
    assert_eq!((special.pad, special.bos, special.eos, special.unk), (0, 1, 2, Some(3)));
    assert!(tokenizer.vocabulary_size() <= 90);
    let ids = tokenizer.encode("Alone, hard days.").unwrap();
    assert_eq!(ids.len(), 5, "frequent words are single tokens");
    assert_eq!(tokenizer.decode_text(&ids), "alone , hard days .");
    // Letters that were seen can be put together anew, others are unknown.
    assert_eq!(tokenizer.decode_text(&tokenizer.encode("dohar").unwrap()), "dohar");
    assert_eq!(tokenizer.encode("zq").unwrap(), [3, 3]);
    for again in [learned(), saved_and_opened(&tokenizer)] {
        assert_eq!(again.sha256(), tokenizer.sha256());
        assert_eq!(again.encode(SENTENCES[1]).unwrap(), tokenizer.encode(SENTENCES[1]).unwrap());
    }
}

/// Texts with what tokenizers look at: marks, blanks of all kinds, special tokens, several scripts.
fn texts_of_all_kinds() -> impl Strategy<Value = String> {
    let parts = prop_oneof![
        4 => "[a-zA-Z .,!?()'\n]{0,6}",
        1 => any::<String>(),
        2 => prop::sample::select(vec![
            "</s>", "<s>", " <mask> ", "__end__", "__NEWLN__", "@@", "</w>", "\r\n", "\u{a0}", "\u{85}", "İΣ", "🙂", "[Others]", "Ġ",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(parts, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn every_text_comes_back_from_bytes(text in texts_of_all_kinds()) {
        let tokenizer = &*LEARNED;
        let ids = tokenizer.encode(&text).unwrap();
        prop_assert_eq!(tokenizer.decode(&ids, Keep).unwrap(), text.clone());
        prop_assert_eq!(tokenizer.decode(&ids, Skip).unwrap(), text.clone(), "no text is a special token");
        let vouched = tokenizer.encode_with_special(&text).unwrap();
        prop_assert!(vouched.iter().all(|id| tokenizer.token(*id).is_some()));
    }

    #[test]
    fn every_text_has_ids_and_no_special_token_but_the_unknown(text in texts_of_all_kinds()) {
        let mut tokenizer = SMALL.clone();
        tokenizer.add_tokens(&["[Others]"], AddedTokenKind::Special).unwrap();
        let ids = tokenizer.encode(&text).unwrap();
        prop_assert!(ids.iter().all(|id| *id == 3 || !tokenizer.is_special(*id)));
        let vouched = tokenizer.encode_with_special(&text).unwrap();
        prop_assert_eq!(vouched.contains(&11), text.contains("[Others]"));
        prop_assert!(tokenizer.decode(&vouched, Keep).is_ok());
    }

    #[test]
    fn any_ids_have_a_text(ids in prop::collection::vec(any::<u32>().prop_map(|id| id % 400), 0..20)) {
        for tokenizer in [&*LEARNED, &*SMALL] {
            let known: Vec<u32> = ids.iter().copied().filter(|id| tokenizer.token(*id).is_some()).collect();
            prop_assert_eq!(tokenizer.decode(&known, Skip).unwrap(), tokenizer.decode_text(&ids));
            prop_assert_eq!(tokenizer.decode(&ids, Skip).is_ok(), known.len() == ids.len());
        }
    }

    #[test]
    fn damaged_small_files_are_errors_or_tokenizers(at in 0..SMALL_PIECES.len(), byte in 0x20u8..0x7F) {
        let mut damaged = SMALL_PIECES.as_bytes().to_vec();
        damaged[at] = byte;
        let damaged = String::from_utf8(damaged).unwrap();
        if let Ok(tokenizer) = Seq2SeqTokenizer::open(folder(&[("vocab.json", &damaged), ("merges.txt", SMALL_MERGES)]).path()) {
            prop_assert!(tokenizer.encode("hi __end__ there").is_ok());
        }
    }
}
