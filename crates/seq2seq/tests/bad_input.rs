//! What can't be used is refused with a message that names the file and says what to do.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use seq2seq::{
    Architecture, HiddenStates, Seq2SeqBatch, Seq2SeqConfig, Seq2SeqModel, StackConfig, TokenBatch, TrainableSeq2Seq,
    label_log_probs,
};
use training::Pass;

use crate::small::{BOTH, batch, config, sequence, trainable};

type Change = Box<dyn FnOnce(Vec<u8>) -> Option<Vec<u8>>>;

/// A saved model with one file changed; `None` takes it away.
fn changed(folder: &Path, name: &str, change: Change) {
    trainable(&config(Architecture::Bart)).save(folder).unwrap();
    let path = folder.join(name);
    match change(std::fs::read(&path).unwrap()) {
        Some(bytes) => std::fs::write(&path, bytes).unwrap(),
        None => std::fs::remove_file(&path).unwrap(),
    }
}

fn replaced(from: &str, to: &str) -> Change {
    let (from, to) = (from.to_owned(), to.to_owned());
    Box::new(move |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(&from), "{from}");
        Some(text.replacen(&from, &to, 1).into_bytes())
    })
}

/// With a field that a saved file has not.
fn added(field: &str) -> Change {
    replaced("{", &format!("{{{field},"))
}

#[test]
fn damaged_folders_are_refused() {
    let config = "config.json";
    let rows: Vec<(&str, Change, &str)> = vec![
        (config, Box::new(|_| None), "config.json"),
        (config, Box::new(|_| Some(b"{".to_vec())), "not a JSON file"),
        (config, Box::new(|_| Some(b"[1]".to_vec())), "expected a JSON object"),
        (config, Box::new(|_| Some(b"{}".to_vec())), "`model_type` is missing"),
        (config, replaced("\"bart\"", "\"t5\""), "`t5` is not supported"),
        (config, replaced("\"d_model\": 16", "\"d_model\": \"wide\""), "`d_model` is \"wide\": expected a number"),
        (config, replaced("\"d_model\": 16", "\"width\": 16"), "`d_model` is missing"),
        (config, replaced("\"d_model\": 16", "\"d_model\": 20"), "expected [50, 20]"),
        (config, replaced("\"d_model\": 16", "\"d_model\": 99999999999"), "`d_model`"),
        (
            config,
            replaced("\"encoder_attention_heads\": 4", "\"encoder_attention_heads\": 5"),
            "5 heads of the encoder",
        ),
        (config, replaced("\"decoder_layers\": 2", "\"decoder_layers\": 0"), "`decoder_layers` is 0"),
        (config, replaced("\"decoder_layers\": 2", "\"decoder_layers\": 3"), "decoder.layers.2"),
        (
            config,
            replaced("\"decoder_layers\": 2", "\"decoder_layers\": 1"),
            "unexpected tensors: `model.decoder.layers.1",
        ),
        (config, replaced("\"gelu\"", "\"gelu_new\""), "`gelu_new`"),
        (config, replaced("\"dropout\": 0.0", "\"dropout\": 1.5"), "`dropout` is 1.5"),
        (config, replaced("\"pad_token_id\": 1", "\"pad_token_id\": 50"), "`pad_token_id` is 50, outside"),
        (config, replaced("\"eos_token_id\": 2", "\"eos_token_id\": [2, 3]"), "expected one token id"),
        (config, replaced("\"scale_embedding\": false", "\"scale_embedding\": 1"), "expected true or false"),
        (config, added("\"normalize_before\": true"), "`normalize_before` is true"),
        (config, added("\"tie_word_embeddings\": false"), "`tie_word_embeddings` is false"),
        (config, added("\"decoder_layerdrop\": 0.1"), "`decoder_layerdrop` is 0.1"),
        (config, replaced("\"max_position_embeddings\": 24", "\"max_position_embeddings\": 25"), "expected [27, 16]"),
        ("generation_config.json", Box::new(|_| Some(b"7".to_vec())), "generation_config.json"),
        ("generation_config.json", added("\"early_stopping\": 3"), "`early_stopping` is 3"),
        ("generation_config.json", added("\"num_beams\": -1"), "`num_beams` is -1"),
        (
            "generation_config.json",
            replaced("\"forced_eos_token_id\": 2", "\"forced_eos_token_id\": 70"),
            "`forced_eos_token_id` is 70, outside",
        ),
        ("model.safetensors", Box::new(|_| None), "model.safetensors"),
        (
            "model.safetensors",
            Box::new(|bytes| Some(bytes[..bytes.len() / 2].to_vec())),
            "not a whole safetensors file",
        ),
        ("model.safetensors", Box::new(|bytes| Some(with_nan(bytes))), "not finite"),
    ];
    let mut problems = Vec::new();
    for (name, change, says) in rows {
        let scratch = tempfile::tempdir().unwrap();
        changed(scratch.path(), name, change);
        match Seq2SeqModel::open(scratch.path(), &Device::Cpu).err().map(|error| error.to_string()) {
            None => problems.push(format!("{name} ({says}) was taken")),
            Some(error) if !error.contains(says) => problems.push(format!("{name} ({says}): {error}")),
            Some(_) => {}
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The last value of the file is no number.
fn with_nan(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    bytes
}

#[test]
fn missing_and_unknown_tensors_are_named() {
    let scratch = tempfile::tempdir().unwrap();
    let small = trainable(&config(Architecture::Bart));
    small.save(scratch.path()).unwrap();
    let file = scratch.path().join("model.safetensors");
    let all = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    let opened = |tensors: &HashMap<String, Tensor>| {
        candle_core::safetensors::save(tensors, &file).unwrap();
        TrainableSeq2Seq::open(scratch.path(), &Device::Cpu).err().map(|error| error.to_string())
    };
    let mut less = all.clone();
    less.remove("model.decoder.layers.0.encoder_attn.k_proj.bias").unwrap();
    let error = opened(&less).unwrap();
    assert!(error.contains("`model.decoder.layers.0.encoder_attn.k_proj.bias` is missing"), "{error}");
    let mut more = all.clone();
    more.insert("classification_head.dense.weight".into(), all["final_logits_bias"].clone());
    let error = opened(&more).unwrap();
    assert!(error.contains("unexpected tensors: `classification_head.dense.weight`"), "{error}");
    let mut copies = all.clone();
    for name in ["lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"] {
        copies.insert(name.into(), all["model.shared.weight"].clone());
    }
    assert_eq!(opened(&copies), None, "second copies of the token table are no news");
}

#[test]
fn sequences_that_do_not_fit_are_refused() {
    for architecture in BOTH {
        let config = config(architecture);
        let model = trainable(&config).model;
        let longest = config.max_positions;
        let run = |inputs: &TokenBatch, outputs: &TokenBatch| model.forward(inputs, outputs, &Pass::evaluation());
        let says = |inputs: &TokenBatch, outputs: &TokenBatch, says: &str| {
            let error = run(inputs, outputs).err().unwrap().to_string();
            assert!(error.contains(says), "{error}");
        };
        let good = batch(0, &[longest]);
        run(&good, &good).unwrap();
        let too_long = batch(0, &[longest + 1]);
        says(&too_long, &good, &format!("a sequence of {} tokens: the model takes {longest}", longest + 1));
        says(&good, &too_long, "the model takes");
        says(&TokenBatch::of([&[5u32, 50][..]]), &good, "the token 50 is outside");
        says(&good, &TokenBatch::of([&[5u32, 50][..]]), "the token 50 is outside");
        says(&TokenBatch::new(), &good, "at least one token");
        says(&good, &TokenBatch::of([&[][..]]), "at least one token");
        says(&good, &batch(0, &[3, 4]), "2 outputs over 1 encoded sequences");
    }
}

#[test]
fn labels_and_masks_that_do_not_fit_are_refused() {
    let config = config(Architecture::Bart);
    let model = trainable(&config).model;
    let mut lesson = Seq2SeqBatch::new();
    lesson.push(&sequence(0, 4), &[Some(5), Some(6)], 2, 1);
    let log_probs = |lesson: &Seq2SeqBatch, smoothing| {
        model.label_log_probs(lesson, smoothing, &Pass::evaluation()).map_err(|error| error.to_string())
    };
    log_probs(&lesson, 0.1).unwrap();
    let says = |lesson: &Seq2SeqBatch, smoothing, says: &str| {
        let error = log_probs(lesson, smoothing).err().unwrap();
        assert!(error.contains(says), "{error}");
    };
    says(&lesson, 1.0, "label smoothing of 1");
    says(&lesson, f64::NAN, "label smoothing of NaN");
    says(&Seq2SeqBatch { labels: vec![None, None], ..lesson.clone() }, 0.0, "without a single label");
    says(&Seq2SeqBatch { labels: vec![Some(5)], ..lesson.clone() }, 0.0, "1 places for labels at 2 rows");
    says(&Seq2SeqBatch { labels: vec![Some(5), Some(50)], ..lesson }, 0.0, "the token 50 is outside");
    let states = Tensor::zeros((2, 7), candle_core::DType::F32, &Device::Cpu).unwrap();
    assert!(label_log_probs(model.head(), &states, &[Some(1), None], 0.0, None).is_err(), "another width");
    let padded = states.reshape((1, 2, 7)).unwrap();
    assert!(HiddenStates::from_padded(&padded, &[true]).unwrap_err().to_string().contains("a mask of 1 values"));
    assert!(HiddenStates::from_padded(&states, &[true]).is_err());
    let none = HiddenStates::from_padded(&padded.narrow(1, 0, 0).unwrap(), &[]).unwrap_err().to_string();
    assert!(none.contains("a mask of 0 values"), "{none}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let says = |config: Seq2SeqConfig, says: &str| {
        let error = TrainableSeq2Seq::fresh(&config, 1, &Device::Cpu).err().unwrap().to_string();
        assert!(error.contains(says), "{error}");
    };
    let good = config(Architecture::Bart);
    good.check().unwrap();
    says(Seq2SeqConfig { decoder: StackConfig { heads: 3, ..good.decoder }, ..good.clone() }, "3 heads of the decoder");
    says(Seq2SeqConfig { vocabulary_size: 0, ..good.clone() }, "`vocab_size` is 0");
    says(Seq2SeqConfig { attention_dropout: -0.1, ..good.clone() }, "`attention_dropout` is -0.1");
    says(Seq2SeqConfig { initializer_range: f64::NAN, ..good.clone() }, "`init_std` is NaN");
    says(Seq2SeqConfig { bos_id: 50, ..good }, "`bos_token_id` is 50");
}
