//! Hugging Face folders in all their forms, in and out.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use text_encoder::{
    Architecture, EncoderBatch, EncoderConfig, EncoderTokenizer, EncoderWeights, ReadingOptions, SentenceEncoder,
    SequenceClassifier, TextClassifier, TrainableClassifier,
};
use training::Pass;

use crate::small::{bits, config, labels, pupil, sequence, trainable, values};

const LABELS: usize = 3;

/// Writes `config.json` and tensors under names that `rename` makes.
fn write(folder: &Path, config: &EncoderConfig, rename: impl Fn(&str) -> Option<String>) -> Vec<f64> {
    let (model, parameters) = trainable(config, LABELS);
    let tensors: HashMap<String, Tensor> =
        parameters.iter().filter_map(|(name, variable)| Some((rename(name)?, variable.as_tensor().clone()))).collect();
    std::fs::create_dir_all(folder).unwrap();
    candle_core::safetensors::save(&tensors, folder.join("model.safetensors")).unwrap();
    write_config(folder, config);
    logits(&model)
}

fn write_config(folder: &Path, config: &EncoderConfig) {
    std::fs::write(folder.join("config.json"), config.to_hugging_face(&labels()).to_string()).unwrap();
}

fn logits(model: &SequenceClassifier) -> Vec<f64> {
    let sequences = [sequence(1, 7), sequence(2, 12)];
    let batch = EncoderBatch::of(sequences.iter().map(Vec::as_slice));
    values(&model.logits(&batch, &Pass::evaluation()).unwrap())
}

/// The classifier of a folder, and what was made fresh.
fn read(folder: &Path) -> (Vec<f64>, Vec<String>) {
    let (config, labels) = EncoderConfig::read(&folder.join("config.json")).unwrap();
    let weights = EncoderWeights::open(folder, &config, &Device::Cpu, 7).unwrap();
    let model = SequenceClassifier::load(&weights, &config, labels.len(), &Device::Cpu).unwrap();
    (logits(&model), weights.made_fresh())
}

#[test]
fn names_with_and_without_prefix_and_old_names_are_found() {
    let scratch = tempfile::tempdir().unwrap();
    for architecture in [Architecture::Bert, Architecture::Roberta] {
        let config = config(architecture);
        let prefix = format!("{}.", architecture.prefix());
        let plain = write(&scratch.path().join("plain"), &config, |name| Some(name.to_owned()));
        assert_eq!(read(&scratch.path().join("plain")), (plain.clone(), vec![]));
        let bare = |name: &str| Some(name.strip_prefix(&prefix).unwrap_or(name).to_owned());
        write(&scratch.path().join("bare"), &config, bare);
        assert_eq!(read(&scratch.path().join("bare")), (plain.clone(), vec![]));
        let old = |name: &str| Some(name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"));
        write(&scratch.path().join("old"), &config, old);
        assert_eq!(read(&scratch.path().join("old")), (plain, vec![]));
    }
}

/// An encoder alone, as it comes from pretraining: only the head is new, and it is the same for the same seed.
#[test]
fn an_encoder_gets_a_fresh_head() {
    let scratch = tempfile::tempdir().unwrap();
    for (architecture, expected) in [
        (
            Architecture::Bert,
            vec!["bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"],
        ),
        (
            Architecture::Roberta,
            vec![
                "classifier.dense.weight",
                "classifier.dense.bias",
                "classifier.out_proj.weight",
                "classifier.out_proj.bias",
            ],
        ),
    ] {
        let folder = scratch.path().join(architecture.prefix());
        let is_encoder = |name: &str| !name.starts_with("classifier") && !name.contains("pooler");
        write(&folder, &config(architecture), |name| is_encoder(name).then(|| name.to_owned()));
        let (first, made_fresh) = read(&folder);
        assert_eq!(made_fresh, expected);
        assert_eq!(read(&folder).0, first);
        let error = TextClassifier::open(&with_tokenizer(&folder), &Device::Cpu).err().unwrap().to_string();
        assert!(error.contains("never trained to classify"), "{error}");
    }
}

fn with_tokenizer(folder: &Path) -> std::path::PathBuf {
    let pieces: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hope"].map(str::to_owned).to_vec();
    EncoderTokenizer::word_piece(&pieces).unwrap().save(folder, Architecture::Bert, 40).unwrap();
    folder.to_owned()
}

#[test]
fn shards_and_half_precision_are_read() {
    let scratch = tempfile::tempdir().unwrap();
    let config = config(Architecture::Roberta);
    let (model, parameters) = trainable(&config, LABELS);
    let (mut shards, mut map) = ([HashMap::new(), HashMap::new()], serde_json::Map::new());
    for (number, (name, variable)) in parameters.iter().enumerate() {
        let half = variable.as_tensor().to_dtype(candle_core::DType::F16).unwrap();
        variable.set(&half.to_dtype(candle_core::DType::F32).unwrap()).unwrap();
        shards[number % 2].insert(name.to_owned(), half);
        map.insert(name.to_owned(), format!("part-{}.safetensors", number % 2).into());
    }
    for (number, shard) in shards.iter().enumerate() {
        candle_core::safetensors::save(shard, scratch.path().join(format!("part-{number}.safetensors"))).unwrap();
    }
    let index = serde_json::json!({"metadata": {}, "weight_map": map});
    std::fs::write(scratch.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    write_config(scratch.path(), &config);
    assert_eq!(read(scratch.path()), (logits(&model), vec![]));
}

/// `tests/data/state-dict`: one layer of width 8 that torch 2.15.0 saved (`make_state_dict.py` beside it).
#[test]
fn a_state_dict_of_torch_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/state-dict");
    let (config, labels) = EncoderConfig::read(&folder.join("config.json")).unwrap();
    let weights = EncoderWeights::open(&folder, &config, &Device::Cpu, 0).unwrap();
    let model = SequenceClassifier::load(&weights, &config, labels.len(), &Device::Cpu).unwrap();
    let expected = std::fs::read_to_string(folder.join("logits.json")).unwrap();
    let expected: Vec<f64> = serde_json::from_str(&expected).unwrap();
    let batch = EncoderBatch::of([&[2, 4, 5, 3][..]]);
    let found = values(&model.logits(&batch, &Pass::evaluation()).unwrap());
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-5), "{found:?}");
    assert_eq!(llm_runtime::weights_sha256(&folder).unwrap().len(), 64);
}

#[test]
fn what_is_saved_is_loaded() {
    let scratch = tempfile::tempdir().unwrap();
    let model = pupil();
    model.save(scratch.path()).unwrap();
    let texts = ["things feel heavy", "maybe for others tomorrow"];
    let before = model.classifier.predict(&texts, &ReadingOptions::default()).unwrap();
    let opened = TextClassifier::open(scratch.path(), &Device::Cpu).unwrap();
    assert_eq!(opened.labels, labels());
    assert_eq!(opened.predict(&texts, &ReadingOptions::default()).unwrap(), before);
    let tokenizer = opened.tokenizer.clone();
    let again = TrainableClassifier::open(scratch.path(), tokenizer, labels(), false, 1, &Device::Cpu).unwrap();
    assert!(bits(&again.parameters) == bits(&model.parameters) && again.made_fresh.is_empty());
    let config: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(scratch.path().join("config.json")).unwrap()).unwrap();
    assert_eq!((&config["id2label"]["1"], &config["label2id"]["hope"]), (&"reflection".into(), &0.into()));
    let sentences = SentenceEncoder::open(scratch.path(), &Device::Cpu).unwrap();
    assert_eq!(sentences.embed(&texts, &ReadingOptions::default()).unwrap().len(), 2);
}

/// Added tokens lengthen the word embedding; the rows that were there stay as they are.
#[test]
fn added_tokens_get_fresh_rows() {
    let scratch = tempfile::tempdir().unwrap();
    let model = pupil();
    model.save(scratch.path()).unwrap();
    let mut tokenizer = EncoderTokenizer::open(scratch.path()).unwrap();
    tokenizer.add_tokens(&["<supporter>".to_owned(), "<seeker>".to_owned()]).unwrap();
    let larger = TrainableClassifier::open(scratch.path(), tokenizer, labels(), false, 1, &Device::Cpu).unwrap();
    let name = "bert.embeddings.word_embeddings.weight";
    assert_eq!(larger.made_fresh, [name]);
    let rows = |model: &TrainableClassifier| model.parameters.get(name).unwrap().to_vec2::<f32>().unwrap();
    let (old, new) = (rows(&model), rows(&larger));
    assert_eq!((new.len(), &new[..old.len()]), (old.len() + 2, &old[..]));
    assert!(new[old.len()..].iter().all(|row| row.iter().any(|value| *value != 0.0)));
    let folder = scratch.path().join("larger");
    larger.save(&folder).unwrap();
    let reopened = TextClassifier::open(&folder, &Device::Cpu).unwrap();
    assert_eq!(reopened.predict(&["<seeker> feel"], &ReadingOptions::default()).unwrap().len(), 1);
}

#[test]
fn another_set_of_labels_needs_a_new_head() {
    let scratch = tempfile::tempdir().unwrap();
    let model = pupil();
    model.save(scratch.path()).unwrap();
    let open = |new_head| {
        let tokenizer = EncoderTokenizer::open(scratch.path()).unwrap();
        let labels = vec!["a".to_owned(), "b".to_owned()];
        TrainableClassifier::open(scratch.path(), tokenizer, labels, new_head, 1, &Device::Cpu)
    };
    let error = open(false).err().unwrap().to_string();
    assert!(error.contains("hope, reflection, suggestion") && error.contains("new head"), "{error}");
    let fresh = open(true).unwrap();
    assert_eq!(fresh.made_fresh, ["classifier.weight", "classifier.bias"]);
    assert_eq!(fresh.classifier.model.classes(), 2);
    let pooler =
        |model: &TrainableClassifier| values(model.parameters.get("bert.pooler.dense.weight").unwrap().as_tensor());
    assert_eq!(pooler(&fresh), pooler(&model));
}
