//! What can't be used is refused with a message that names the file and says what to do.

use std::path::Path;

use candle_core::Device;
use text_encoder::{
    Architecture, EncoderBatch, EncoderConfig, EncoderError, EncoderTokenizer, EncoderWeights, SentenceEncoder,
    TextClassifier, TrainableClassifier,
};
use training::Pass;

use crate::small::{config, labels, pupil, trainable};

/// A saved classifier with one file changed; `None` takes it away.
fn changed(folder: &Path, name: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    pupil().save(folder).unwrap();
    let path = folder.join(name);
    match change(std::fs::read(&path).unwrap()) {
        Some(bytes) => std::fs::write(&path, bytes).unwrap(),
        None => std::fs::remove_file(&path).unwrap(),
    }
}

fn replaced(from: &str, to: &str) -> impl FnOnce(Vec<u8>) -> Option<Vec<u8>> {
    let (from, to) = (from.to_owned(), to.to_owned());
    move |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(&from), "{from}");
        Some(text.replacen(&from, &to, 1).into_bytes())
    }
}

#[test]
fn damaged_folders_are_refused() {
    type Change = Box<dyn FnOnce(Vec<u8>) -> Option<Vec<u8>>>;
    let rows: Vec<(&str, Change, &str)> = vec![
        ("config.json", Box::new(|_| None), "config.json"),
        ("config.json", Box::new(|_| Some(b"{".to_vec())), "not a JSON file"),
        ("config.json", Box::new(|_| Some(b"[1]".to_vec())), "`model_type` is missing"),
        ("config.json", Box::new(replaced("\"bert\"", "\"mpnet\"")), "`mpnet` is not supported"),
        ("config.json", Box::new(replaced("\"hidden_size\": 32", "\"hidden_size\": \"wide\"")), "`hidden_size`"),
        ("config.json", Box::new(replaced("\"hidden_size\": 32", "\"hidden_size\": 48")), ", 48]"),
        ("config.json", Box::new(replaced("\"num_attention_heads\": 4", "\"num_attention_heads\": 5")), "5 heads"),
        ("config.json", Box::new(replaced("\"gelu\"", "\"gelu_new\"")), "`gelu_new`"),
        ("config.json", Box::new(replaced("\"absolute\"", "\"relative_key\"")), "`relative_key`"),
        ("config.json", Box::new(replaced("single_label", "multi_label")), "multi_label_classification"),
        ("config.json", Box::new(replaced("\"hidden_dropout_prob\": 0.1", "\"hidden_dropout_prob\": 1.5")), "1.5"),
        ("config.json", Box::new(replaced("\"0\": \"hope\"", "\"7\": \"hope\"")), "`id2label`"),
        ("config.json", Box::new(replaced("\"hope\": 0", "\"hope\": 2")), "contradict"),
        ("config.json", Box::new(replaced("\"id2label\"", "\"names\"")), "train one first"),
        ("config.json", Box::new(replaced("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3")), "layer.2"),
        (
            "config.json",
            Box::new(replaced("\"max_position_embeddings\": 24", "\"max_position_embeddings\": 2")),
            "no text",
        ),
        ("model.safetensors", Box::new(|_| None), "model.safetensors"),
        (
            "model.safetensors",
            Box::new(|bytes| Some(bytes[..bytes.len() / 2].to_vec())),
            "not a whole safetensors file",
        ),
        ("model.safetensors", Box::new(|bytes| Some(with_nan(bytes))), "not finite"),
        ("tokenizer.json", Box::new(|_| None), "no tokenizer.json, no vocab.txt"),
        ("tokenizer.json", Box::new(|_| Some(b"nonsense".to_vec())), "tokenizer.json"),
        ("tokenizer.json", Box::new(|_| Some(b"{}".to_vec())), "tokenizer.json"),
        ("tokenizer.json", Box::new(|_| Some(b"[]".to_vec())), "tokenizer.json"),
        (
            "tokenizer.json",
            Box::new(replaced("\"WordPiece\",\n    \"unk", "\"Letters\",\n    \"unk")),
            "tokenizer.json",
        ),
        ("tokenizer_config.json", Box::new(|_| Some(b"7".to_vec())), "tokenizer_config.json"),
    ];
    let mut problems = Vec::new();
    for (name, change, says) in rows {
        let scratch = tempfile::tempdir().unwrap();
        changed(scratch.path(), name, change);
        match TextClassifier::open(scratch.path(), &Device::Cpu).err().map(|error| error.to_string()) {
            None => problems.push(format!("{name} ({says}) was taken")),
            Some(error) if !error.contains(says) => problems.push(format!("{name} ({says}): {error}")),
            Some(_) => {}
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The first value of the last tensor is no number.
fn with_nan(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    bytes
}

#[test]
fn a_tokenizer_of_another_model_is_noticed() {
    let scratch = tempfile::tempdir().unwrap();
    pupil().save(scratch.path()).unwrap();
    let pieces: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned).to_vec();
    let more = (0..2000).map(|number| format!("word{number}"));
    let tokenizer = EncoderTokenizer::word_piece(&pieces.into_iter().chain(more).collect::<Vec<_>>()).unwrap();
    tokenizer.save(scratch.path(), Architecture::Bert, 24).unwrap();
    for error in [
        TextClassifier::open(scratch.path(), &Device::Cpu).err(),
        SentenceEncoder::open(scratch.path(), &Device::Cpu).err(),
    ] {
        let error = error.unwrap().to_string();
        assert!(error.contains("2005 tokens") && error.contains("do not belong together"), "{error}");
    }
}

#[test]
fn sequences_that_do_not_fit_are_refused() {
    for architecture in [Architecture::Bert, Architecture::Roberta] {
        let config = config(architecture);
        let (model, _) = trainable(&config, 3);
        let longest = config.longest();
        assert_eq!(longest, if architecture == Architecture::Bert { 40 } else { 38 });
        let logits = |ids: &[u32], kinds: &[u32]| {
            let mut batch = EncoderBatch::new();
            batch.push_segments(ids, kinds);
            model.logits(&batch, &Pass::evaluation())
        };
        logits(&vec![5; longest], &[]).unwrap();
        let says = |error: Result<candle_core::Tensor, EncoderError>| error.err().unwrap().to_string();
        assert!(says(logits(&vec![5; longest + 1], &[])).contains(&format!("the encoder takes {longest}")));
        assert!(says(logits(&[5, 50], &[])).contains("the token 50 is outside"));
        assert!(says(logits(&[5, 6], &[0, 2])).contains("no token type 2"));
        assert!(says(logits(&[], &[])).contains("at least one token"));
        assert!(says(model.logits(&EncoderBatch::new(), &Pass::evaluation())).contains("at least one token"));
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let fresh = |config: EncoderConfig, labels: Vec<String>| {
        let tokenizer = pupil().classifier.tokenizer;
        TrainableClassifier::fresh(config, tokenizer, labels, 1, &Device::Cpu).err().map(|error| error.to_string())
    };
    let good = config(Architecture::Bert);
    assert_eq!(fresh(good.clone(), labels()), None);
    let says = |config: EncoderConfig, says: &str| {
        let error = fresh(config, labels()).unwrap();
        assert!(error.contains(says), "{says}: {error}");
    };
    says(EncoderConfig { heads: 3, ..good.clone() }, "3 heads");
    says(EncoderConfig { layers: 0, ..good.clone() }, "num_hidden_layers");
    says(EncoderConfig { hidden_dropout: -0.1, ..good.clone() }, "hidden_dropout_prob");
    says(EncoderConfig { initializer_range: f64::NAN, ..good.clone() }, "initializer_range");
    says(EncoderConfig { pad_id: 50, ..good.clone() }, "pad_token_id");
    assert!(fresh(good, vec!["hope".into()]).unwrap().contains("at least two"));
    assert!(EncoderTokenizer::word_piece(&["a".to_owned()]).is_err(), "no first token");
}

/// A text is bytes of anything.
#[test]
fn odd_texts_are_tokenised_or_refused() {
    let model = pupil();
    let long = "a".repeat(5000);
    let texts = ["", " ", "\u{0}\u{feff}", "👩‍👩‍👧", "\u{301}e", "日本語", "a\r\nb\tc", long.as_str()];
    for text in texts {
        let found = model.classifier.predict(&[text], &Default::default()).unwrap();
        assert!(found[0].probabilities.iter().all(|value| value.is_finite()), "{text:?}");
    }
}

#[test]
fn fresh_weights_belong_to_no_file() {
    let config = config(Architecture::Bert);
    assert_eq!(EncoderWeights::fresh(&config, &Device::Cpu, 1).stored_vocabulary(), None);
    let scratch = tempfile::tempdir().unwrap();
    pupil().save(scratch.path()).unwrap();
    let (config, _) = EncoderConfig::read(&scratch.path().join("config.json")).unwrap();
    let weights = EncoderWeights::open(scratch.path(), &config, &Device::Cpu, 1).unwrap();
    assert_eq!(weights.stored_vocabulary(), Some(config.vocabulary_size));
}
