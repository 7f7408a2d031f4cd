//! Each wrong input gives one clear message and exit code 1 or 2, and no panic.

use serde_json::{Value, json};

use crate::program::{Place, complaint, conversation};

fn process(place: &Place) -> [String; 5] {
    ["process".into(), "--input".into(), place.name("ESConv.json"), "--out".into(), place.name("data")]
}

fn words(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

/// The corpus with one turn of conversation 3 changed.
fn with_turn(turn: usize, change: impl Fn(&mut Value)) -> String {
    let mut corpus: Vec<Value> = (0..12).map(conversation).collect();
    change(&mut corpus[3]["dialog"][turn]);
    json!(corpus).to_string()
}

#[test]
fn a_corpus_that_is_none_is_refused_with_its_place() {
    let place = Place::new();
    let owned = process(&place);
    let words = words(&owned);
    let told = complaint(&words, 1);
    assert!(told.contains("ESConv.json") && told.contains("No such file"), "{told}");
    let strategy = |name: Value| move |turn: &mut Value| turn["annotation"]["strategy"] = name.clone();
    let feedback = |score: Value| move |turn: &mut Value| turn["annotation"]["feedback"] = score.clone();
    let table = [
        (String::new(), "line 1"),
        ("[]".into(), "nothing is in it"),
        ("[\n7]".into(), "conversation 0"),
        ("[{\"dialog\": []},\n".into(), "line 2"),
        (
            with_turn(2, strategy(json!("Hypnosis"))),
            "conversation 3, field `dialog[2].annotation.strategy`: `Hypnosis` is not one of",
        ),
        (with_turn(2, strategy(json!(7))), "dialog[2].annotation.strategy`: expected a text"),
        (
            with_turn(2, strategy(Value::Null)),
            "dialogue 3, turn 2 (both counted from 0): the supporter's turn has no strategy; known are: Question,",
        ),
        (
            with_turn(3, feedback(json!("6"))),
            "`dialog[3].annotation.feedback`: expected a score from 1 to 5, found \"6\"",
        ),
        (with_turn(3, feedback(json!(-1))), "expected a score from 1 to 5, found -1"),
        (with_turn(3, feedback(json!(4.5))), "expected a score from 1 to 5, found 4.5"),
        (
            with_turn(1, |turn| turn["content"] = json!(" \n")),
            "dialogue 3, turn 1 (both counted from 0): it has no text",
        ),
        (with_turn(1, |turn| turn["speaker"] = json!("nurse")), "nurse"),
        (json!((0..5).map(conversation).collect::<Vec<_>>()).to_string(), "5 conversations leave none for validation"),
    ];
    for (corpus, says) in table {
        place.write("ESConv.json", &corpus);
        let told = complaint(&words, 1);
        assert!(told.contains(says) && told.contains("ESConv.json"), "{says}: {told}");
        assert!(!place.path("data").exists(), "{says}");
    }
    std::fs::write(place.path("ESConv.json"), b"\xff\xfe").unwrap();
    assert!(complaint(&words, 1).contains("not UTF-8"));
}

#[test]
fn dialogue_lines_that_are_none_are_refused_with_their_place() {
    let place = Place::with_data();
    let good = place.read("data/valid.txt");
    let table = [
        (String::new(), "holds no dialogue"),
        (format!("{good}\n{{\"dialog\": 7}}\n"), "line 5: not a conversation"),
        (format!("{good}{}", &good[..40]), "line 4: not a conversation"),
        (good.replacen("\"strategy\": \"Question\"", "\"strategy\": \"Hypnosis\"", 1), "line 1, dialog["),
        (good.replacen("\"strategy\": \"Question\"", "\"strategy\": \"Hypnosis\"", 1), "`Hypnosis` is not one of"),
        (good.replacen(", \"strategy\": \"Question\"", "", 1), "the supporter's turn has no strategy"),
        (good.replacen("\"usr\"", "\"nurse\"", 1), "nurse"),
        (good.replacen("\"What happened?\"", "\" \"", 1), "(both counted from 0): it has no text"),
    ];
    for (lines, says) in table {
        place.write("data/valid.txt", &lines);
        let told = place.fail_to_prepare();
        assert!(told.contains(says) && told.contains("valid.txt"), "{says}: {told}");
        assert!(!place.path("prepared").exists(), "{says}");
    }
    std::fs::remove_file(place.path("data/valid.txt")).unwrap();
    assert!(place.fail_to_prepare().contains("valid.txt"));
}

#[test]
fn a_tokenizer_of_another_kind_is_refused() {
    let place = Place::with_data();
    let vocabulary = place.read("tokenizer/vocab.json");
    let with_tokens = |tokens: &[&str]| {
        let mut pieces: serde_json::Map<String, Value> = serde_json::from_str(&vocabulary).unwrap();
        for token in tokens {
            pieces.insert((*token).to_owned(), json!(pieces.len()));
        }
        Value::Object(pieces).to_string()
    };
    for (vocabulary, says) in [
        // One strategy only; two in the wrong order.
        (with_tokens(&["[Others]"]), "expected eight that follow each other, for [Question] [Restatement"),
        (with_tokens(&["[Information]", "[Question]"]), "expected eight that follow each other"),
        (vocabulary.replace("__unk__", "__what__"), "__unk__"),
        ("{".into(), "vocab.json"),
    ] {
        place.write("tokenizer/vocab.json", &vocabulary);
        let told = place.fail_to_prepare();
        assert!(told.contains(says) && told.contains("tokenizer"), "{says}: {told}");
    }
    let barts = seq2seq::Seq2SeqTokenizer::learn_byte_pairs(&["I failed."], 261).unwrap();
    for file in std::fs::read_dir(place.path("tokenizer")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    assert!(place.fail_to_prepare().contains("no vocab.json with merges.txt, is here"));
    barts.save(&place.path("tokenizer")).unwrap();
    let told = place.fail_to_prepare();
    assert!(told.contains("holds BART's kind of tokenizer: expected that of BlenderBot-small"), "{told}");
    assert!(!place.path("prepared").exists());
}

#[test]
fn words_that_make_no_sense_are_wrong_use() {
    let table: [(&[&str], &str); 8] = [
        (&[], "Usage"),
        (&["process"], "--input"),
        (&["process", "--input", "x", "--split", "60-20-20"], "expected 70-15-15 or 80-10-10"),
        (&["prepare"], "--tokenizer"),
        (&["prepare", "--tokenizer", "x", "--layouts", "strat,plain"], "expected strat, strat-look-ahead, vanilla"),
        (&["prepare", "--tokenizer", "x", "--max-input-length", "0"], "--max-input-length 0 leaves no room"),
        (&["prepare", "--tokenizer", "x", "--max-decoder-input-length", "0"], "--max-decoder-input-length 0 leaves"),
        (&["prepare", "--tokenizer", "x", "--max-input-length", "many"], "invalid value"),
    ];
    for (words, says) in table {
        let told = complaint(words, 2);
        assert!(told.contains(says), "{words:?}: {told}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let place = Place::with_data();
    let in_the_way = place.write("file", "");
    let input = place.name("ESConv.json");
    assert!(complaint(&["process", "--input", &input, "--out", &in_the_way], 1).contains("file"));
    let (data, tokenizer) = (place.name("data"), place.name("tokenizer"));
    let words = ["prepare", "--data-dir", &data, "--tokenizer", &tokenizer, "--out", &in_the_way];
    assert!(complaint(&words, 1).contains("file"));
}
