//! Hugging Face folders in all their forms, in and out.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use llm_runtime::EarlyStopping;
use seq2seq::{
    Architecture, Decoder, Encoder, GenerationDefaults, Seq2SeqConfig, Seq2SeqModel, Seq2SeqWeights, TokenBatch,
    TrainableSeq2Seq,
};
use training::Pass;

use crate::small::{BOTH, assert_close, batch, config, trainable, values};

/// Writes `config.json` and tensors under names that `rename` makes.
fn write(folder: &Path, small: &TrainableSeq2Seq, rename: impl Fn(&str) -> Option<String>) {
    let bias = ("final_logits_bias", small.model.final_logits_bias().clone());
    let parameters = small.parameters.iter().map(|(name, variable)| (name, variable.as_tensor().clone()));
    let tensors: HashMap<String, Tensor> =
        parameters.chain([bias]).filter_map(|(name, tensor)| Some((rename(name)?, tensor))).collect();
    std::fs::create_dir_all(folder).unwrap();
    candle_core::safetensors::save(&tensors, folder.join("model.safetensors")).unwrap();
    write_config(folder, small.model.config());
}

fn write_config(folder: &Path, config: &Seq2SeqConfig) {
    std::fs::write(folder.join("config.json"), config.to_hugging_face().to_string()).unwrap();
}

fn logits(model: &Seq2SeqModel) -> Vec<f64> {
    let states = model.forward(&batch(1, &[7, 12]), &batch(5, &[3, 4]), &Pass::evaluation()).unwrap();
    values(&model.logits(states.states()).unwrap())
}

fn read(folder: &Path) -> Vec<f64> {
    logits(&Seq2SeqModel::open(folder, &Device::Cpu).unwrap())
}

#[test]
fn a_saved_model_is_the_same_when_opened_again() {
    let scratch = tempfile::tempdir().unwrap();
    for architecture in BOTH {
        let mut config = config(architecture);
        config.generation = GenerationDefaults {
            forced_bos_id: Some(4),
            max_length: Some(20),
            beam_width: Some(4),
            length_penalty: Some(1.5),
            early_stopping: Some(EarlyStopping::Never),
            ..config.generation
        };
        config.generation.other.insert("do_sample".into(), false.into());
        config.other.insert("note".into(), "kept".into());
        let small = trainable(&config);
        let folder = scratch.path().join(architecture.name());
        small.save(&folder).unwrap();
        assert_eq!(read(&folder), logits(&small.model));
        assert_eq!(Seq2SeqConfig::read(&folder).unwrap(), config);
        let again = TrainableSeq2Seq::open(&folder, &Device::Cpu).unwrap();
        again.save(&scratch.path().join("again")).unwrap();
        for file in ["config.json", "generation_config.json", "model.safetensors"] {
            let bytes = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
            assert!(bytes(&folder) == bytes(&scratch.path().join("again")), "{file}");
        }
    }
}

#[test]
fn names_with_and_without_prefix_are_found() {
    let scratch = tempfile::tempdir().unwrap();
    for architecture in BOTH {
        let small = trainable(&config(architecture));
        let expected = logits(&small.model);
        let bare = |name: &str| Some(name.strip_prefix("model.").unwrap_or(name).to_owned());
        write(&scratch.path().join("bare"), &small, bare);
        assert_eq!(read(&scratch.path().join("bare")), expected);
        let without_bias = |name: &str| (name != "final_logits_bias").then(|| name.to_owned());
        write(&scratch.path().join("no-bias"), &small, without_bias);
        assert_eq!(read(&scratch.path().join("no-bias")), expected);
        let tied = |name: &str| Some(name.replace("model.shared", "lm_head"));
        write(&scratch.path().join("tied"), &small, |name| Some(name.replace("shared", "encoder.embed_tokens")));
        assert_eq!(read(&scratch.path().join("tied")), expected);
        write(&scratch.path().join("head"), &small, tied);
        let error = Seq2SeqModel::open(&scratch.path().join("head"), &Device::Cpu).err().unwrap().to_string();
        assert!(error.contains("`model.shared.weight` is missing"), "{error}");
    }
}

#[test]
fn shards_and_half_precision_are_read() {
    let scratch = tempfile::tempdir().unwrap();
    let small = trainable(&config(Architecture::Bart));
    let (mut shards, mut map) = ([HashMap::new(), HashMap::new()], serde_json::Map::new());
    for (number, (name, variable)) in small.parameters.iter().enumerate() {
        let half = variable.as_tensor().to_dtype(DType::F16).unwrap();
        variable.set(&half.to_dtype(DType::F32).unwrap()).unwrap();
        shards[number % 2].insert(name.to_owned(), half);
        map.insert(name.to_owned(), format!("part-{}.safetensors", number % 2).into());
    }
    for (number, shard) in shards.iter().enumerate() {
        candle_core::safetensors::save(shard, scratch.path().join(format!("part-{number}.safetensors"))).unwrap();
    }
    let index = serde_json::json!({"metadata": {}, "weight_map": map});
    std::fs::write(scratch.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    write_config(scratch.path(), small.model.config());
    assert_eq!(read(scratch.path()), logits(&small.model));
}

/// `tests/data/state-dict.pth`: the smallest model, as torch 2.15.0 saves it (`make_state_dict.py` beside it).
#[test]
fn a_state_dict_of_torch_is_read() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let scratch = tempfile::tempdir().unwrap();
    for name in ["config.json", "pytorch_model.bin"] {
        std::fs::copy(data.join(name), scratch.path().join(name)).unwrap();
    }
    let expected: Vec<f64> = serde_json::from_str(&std::fs::read_to_string(data.join("logits.json")).unwrap()).unwrap();
    let of = |model: &Seq2SeqModel| {
        let (inputs, outputs) = (TokenBatch::of([&[3u32, 4, 2][..]]), TokenBatch::of([&[2u32, 5][..]]));
        values(&model.logits(model.forward(&inputs, &outputs, &Pass::evaluation()).unwrap().states()).unwrap())
    };
    let model = Seq2SeqModel::open(scratch.path(), &Device::Cpu).unwrap();
    assert_close("logits", &of(&model), &expected, 1e-5);
    let config = Seq2SeqConfig::read(scratch.path()).unwrap();
    let file = scratch.path().join("weights.pth");
    std::fs::rename(scratch.path().join("pytorch_model.bin"), &file).unwrap();
    let weights = Seq2SeqWeights::open(&file, &config, &Device::Cpu, 0).unwrap();
    assert_close("logits", &of(&Seq2SeqModel::load(&weights, &config, &Device::Cpu).unwrap()), &expected, 1e-5);
}

/// A model with stacks of their own takes a shared table for each.
#[test]
fn stacks_alone_take_the_shared_table() {
    let scratch = tempfile::tempdir().unwrap();
    let small = trainable(&config(Architecture::Bart));
    small.save(scratch.path()).unwrap();
    let config = small.model.config();
    let weights = Seq2SeqWeights::open(scratch.path(), config, &Device::Cpu, 0).unwrap();
    let encoder = Encoder::load(&weights, config, "encoder", &Device::Cpu).unwrap();
    let decoder = Decoder::load(&weights, config, "decoder", &Device::Cpu).unwrap();
    assert_eq!(weights.unexpected(), ["final_logits_bias"]);
    let memory = encoder.forward(&batch(1, &[7, 12]), &Pass::evaluation()).unwrap();
    let states = decoder.forward(&batch(5, &[3, 4]), &memory, &Pass::evaluation()).unwrap();
    assert_eq!(values(&small.model.logits(states.states()).unwrap()), logits(&small.model));
}

/// Logits of the tokens that were there stay as they are; the new rows are drawn from a seed.
#[test]
fn added_tokens_get_fresh_rows() {
    let scratch = tempfile::tempdir().unwrap();
    let small = trainable(&config(Architecture::BlenderbotSmall));
    small.save(scratch.path()).unwrap();
    let larger = Seq2SeqConfig { vocabulary_size: 53, ..small.model.config().clone() };
    let open = |seed| TrainableSeq2Seq::open_with(scratch.path(), &larger, seed, &Device::Cpu).unwrap();
    let more = open(1);
    assert_eq!(more.made_fresh, ["model.shared.weight", "final_logits_bias"]);
    let (old, new) = (logits(&small.model), logits(&more.model));
    assert_eq!(new.chunks(53).flat_map(|row| row[..50].to_vec()).collect::<Vec<_>>(), old);
    assert!(new.chunks(53).all(|row| row[50..].iter().all(|logit| *logit != 0.0)));
    assert!(logits(&open(1).model) == new && logits(&open(2).model) != new);
    write_config(scratch.path(), &larger);
    let error = Seq2SeqModel::open(scratch.path(), &Device::Cpu).err().unwrap().to_string();
    assert!(error.contains("fewer rows than `vocab_size`"), "{error}");
}

#[test]
fn fresh_weights_follow_their_seed() {
    let config = Seq2SeqConfig { width: 64, initializer_range: 0.02, ..config(Architecture::Bart) };
    let fresh = |seed| TrainableSeq2Seq::fresh(&config, seed, &Device::Cpu).unwrap();
    let (first, same, other) = (fresh(1), fresh(1), fresh(2));
    let weight = |small: &TrainableSeq2Seq, name: &str| values(small.parameters.get(name).unwrap().as_tensor());
    let name = "model.encoder.layers.0.fc1.weight";
    assert_eq!(weight(&first, name), weight(&same, name));
    assert!(weight(&first, name) != weight(&other, name));
    let drawn = weight(&first, name);
    let deviation = (drawn.iter().map(|value| value * value).sum::<f64>() / drawn.len() as f64).sqrt();
    assert!((deviation - 0.02).abs() < 0.001, "{deviation}");
    assert!(weight(&first, "model.decoder.layers.1.encoder_attn.v_proj.bias").iter().all(|value| *value == 0.0));
    assert!(weight(&first, "model.decoder.layernorm_embedding.weight").iter().all(|value| *value == 1.0));
    let table = weight(&first, "model.shared.weight");
    assert!(table[64..128].iter().all(|value| *value == 0.0) && table[..64].iter().all(|value| *value != 0.0));
    let names: Vec<&str> = first.parameters.iter().map(|(name, _)| name).collect();
    assert!(!names.contains(&"final_logits_bias"), "a buffer is not trained");
}

#[test]
fn generation_defaults_come_from_their_file_or_the_older_one() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    let small = config(Architecture::Bart);
    let mut json = small.to_hugging_face();
    json["num_beams"] = 3.into();
    json["early_stopping"] = true.into();
    let write = |name: &str, json: &serde_json::Value| std::fs::write(folder.join(name), json.to_string()).unwrap();
    write("config.json", &json);
    let read = || Seq2SeqConfig::read(folder).unwrap().generation;
    assert_eq!((read().beam_width, read().early_stopping), (Some(3), Some(EarlyStopping::Yes)));
    json.as_object_mut().unwrap().remove("forced_eos_token_id");
    write("config.json", &json);
    assert_eq!(read().forced_eos_id, Some(2), "what the library's class takes");
    json["forced_eos_token_id"] = serde_json::Value::Null;
    write("config.json", &json);
    assert_eq!(read().forced_eos_id, None);
    write("generation_config.json", &serde_json::json!({"forced_eos_token_id": 7, "decoder_start_token_id": 4}));
    assert_eq!((read().forced_eos_id, read().decoder_start_id, read().beam_width), (Some(7), 4, None));
}
