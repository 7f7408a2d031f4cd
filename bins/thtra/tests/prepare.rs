//! `thtra prepare` on the made-up corpus, and reading what it wrote.

use serde_json::{Value, json};
use thtra::{
    Dialogue, DialogueTokenizer, EncodedDialogues, Layout, Lengths, Part, Prepared, SampleDataset, Wanted, file_name,
};
use training::Dataset;

use crate::program::{Place, json_of, said, tokenizer};

#[test]
fn prepared_samples_are_those_of_the_dialogues() {
    let place = Place::with_samples();
    let tokenizer = DialogueTokenizer::open(&place.path("tokenizer")).unwrap();
    let wanted =
        Wanted { data_dir: Some(&place.path("data")), tokenizer: Some(&tokenizer), lengths: Some(Lengths::default()) };
    let prepared = Prepared::open(&place.path("prepared"), wanted).unwrap();
    for part in Part::ALL {
        let dialogues = Dialogue::read_all(&place.path("data").join(part.file())).unwrap();
        let encoded = EncodedDialogues::new(&tokenizer, &dialogues).unwrap();
        for layout in Layout::ALL {
            let samples = prepared.read(part, layout).unwrap();
            let expected = encoded.lay_out(layout, Lengths::default());
            assert_eq!(samples, expected.samples, "{part} {layout}");
            assert_eq!(prepared.meta().files[&file_name(part, layout)].counts, expected.counts);
        }
    }
    let set = SampleDataset::new(prepared.read(Part::Valid, Layout::Strat).unwrap(), &tokenizer);
    assert_eq!(set.batch(&[0, 1]).unwrap().strategies.len(), 2);
}

#[test]
fn a_line_is_a_sample_and_the_meta_file_says_what_it_was_made_of() {
    let place = Place::with_samples();
    let lines = place.read("prepared/test.strat-look-ahead.jsonl");
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let fields: Vec<&str> = first.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["dialogue", "turn", "strategy", "encoder_ids", "labels", "situation_labels", "look_ahead"];
    assert_eq!(fields, expected);
    assert_eq!((&first["strategy"], &first["look_ahead"]), (&json!("Question"), &json!(true)));
    let meta = json_of(&place.path("prepared/meta.json"));
    assert_eq!(meta["lengths"], json!({"max_input_length": 160, "max_decoder_input_length": 40}));
    assert_eq!(meta["sources"]["train"]["dialogues"], json!(14));
    let counts = &meta["files"]["train.strat-look-ahead.jsonl"]["counts"];
    assert_eq!((&counts["samples"], &counts["with_look_ahead"]), (&json!(56), &json!(28)));
    let of_plain = &meta["files"]["train.strat.jsonl"]["counts"];
    assert_eq!((&of_plain["with_look_ahead"], &of_plain["label_tokens"]), (&json!(0), &counts["label_tokens"]));
}

#[test]
fn layouts_and_lengths_are_chosen() {
    let place = Place::with_data();
    let more = ["--layouts", "vanilla", "--max-input-length", "7", "--max-decoder-input-length", "3"];
    let told = place.prepare(&more);
    assert!(told.contains("valid.vanilla.jsonl: 12 samples (0 look ahead), 7.0 tokens read and 3.0 said"), "{told}");
    let prepared = Prepared::open(&place.path("prepared"), Wanted::default()).unwrap();
    assert_eq!(prepared.meta().files.len(), 3);
    let samples = prepared.read(Part::Test, Layout::Vanilla).unwrap();
    assert!(samples.iter().all(|sample| sample.encoder_ids.len() == 7 && sample.labels.len() == 3));
    let told = prepared.read(Part::Test, Layout::Strat).unwrap_err().to_string();
    assert!(told.contains("holds no test.strat.jsonl, only test.vanilla.jsonl, train.vanilla.jsonl"), "{told}");
}

#[test]
fn options_may_come_from_a_file() {
    let place = Place::with_data();
    let config = place.write("options.toml", "[prepare]\nlayouts = [\"strat\"]\nmax_input_length = 9\n");
    place.prepare(&["--config", &config]);
    let prepared = Prepared::open(&place.path("prepared"), Wanted::default()).unwrap();
    assert_eq!((prepared.meta().files.len(), prepared.meta().lengths.max_input_length), (3, 9));
}

#[test]
fn a_tokenizer_that_was_saved_with_a_model_is_the_same() {
    let place = Place::with_samples();
    let saved = place.path("model");
    std::fs::create_dir_all(&saved).unwrap();
    tokenizer().tokenizer().save(&saved).unwrap();
    let tokenizer = DialogueTokenizer::open(&saved).unwrap();
    Prepared::open(&place.path("prepared"), Wanted { tokenizer: Some(&tokenizer), ..Wanted::default() }).unwrap();
    let again = place.name("again");
    let (data, model) = (place.name("data"), place.name("model"));
    said(&["prepare", "--data-dir", &data, "--tokenizer", &model, "--out", &again]);
    assert_eq!(place.read("again/meta.json"), place.read("prepared/meta.json"));
}

#[test]
fn what_was_prepared_is_told() {
    let place = Place::with_data();
    let told: Value = serde_json::from_str(&place.prepare(&["--format", "json"])).unwrap();
    assert_eq!(told, json_of(&place.path("prepared/meta.json")));
}

#[test]
fn a_folder_of_samples_made_of_something_else_is_refused() {
    let place = Place::with_samples();
    let folder = place.path("prepared");
    let refused = |wanted: Wanted<'_>| Prepared::open(&folder, wanted).unwrap_err().to_string();
    let told =
        refused(Wanted { lengths: Some(Lengths { max_input_length: 128, ..Lengths::default() }), ..Wanted::default() });
    assert!(told.contains("prepared with --max-input-length 160") && told.contains("--max-input-length 128"), "{told}");
    assert!(told.ends_with("run `thtra prepare` again"), "{told}");

    // The same vocabulary, two of whose ids are exchanged.
    let vocabulary = place.read("tokenizer/vocab.json");
    let [a, b] = ["\"a\":5,", "\"b\":7,"];
    assert!(vocabulary.contains(a) && vocabulary.contains(b));
    place.write("tokenizer/vocab.json", &vocabulary.replace(a, "\"a\":7,").replace(b, "\"b\":5,"));
    let others = DialogueTokenizer::open(&place.path("tokenizer")).unwrap();
    let told = refused(Wanted { tokenizer: Some(&others), ..Wanted::default() });
    assert!(
        told.contains("another tokenizer: one of 93 tokens") && told.contains("the model's is one of 93"),
        "{told}"
    );

    let lines = place.read("data/valid.txt");
    place.write("data/valid.txt", &lines.replace("I failed", "I won"));
    let data = place.path("data");
    let told = refused(Wanted { data_dir: Some(&data), ..Wanted::default() });
    assert!(told.contains("valid.txt is not the file that the samples were made of"), "{told}");
    // Who does not ask is not told.
    Prepared::open(&folder, Wanted::default()).unwrap();

    let samples = place.read("prepared/train.strat.jsonl");
    place.write("prepared/train.strat.jsonl", &samples[..samples.len() / 2]);
    let prepared = Prepared::open(&folder, Wanted::default()).unwrap();
    let told = prepared.read(Part::Train, Layout::Strat).unwrap_err().to_string();
    assert!(told.contains("train.strat.jsonl is not the file that meta.json speaks of"), "{told}");
    prepared.read(Part::Train, Layout::Vanilla).unwrap();

    let meta = place.read("prepared/meta.json");
    for (text, says) in [
        (meta.replace("\"format\": 1", "\"format\": 2"), "the samples have the form 2, and this program reads form 1"),
        (meta.replace("\"lengths\"", "\"sizes\""), "meta.json: not what `thtra prepare` writes"),
        ("{".into(), "meta.json: not what `thtra prepare` writes"),
    ] {
        place.write("prepared/meta.json", &text);
        assert!(refused(Wanted::default()).contains(says), "{says}");
    }
    std::fs::remove_file(place.path("prepared/meta.json")).unwrap();
    assert!(refused(Wanted::default()).contains("there are no prepared samples here"));
}

#[test]
fn a_preparation_that_fails_leaves_no_older_one_to_be_taken_for_it() {
    let place = Place::with_samples();
    // A folder in the way of a file that comes late.
    std::fs::remove_file(place.path("prepared/test.vanilla.jsonl")).unwrap();
    std::fs::create_dir_all(place.path("prepared/test.vanilla.jsonl/full")).unwrap();
    place.fail_to_prepare();
    assert!(!place.path("prepared/meta.json").exists());
}
