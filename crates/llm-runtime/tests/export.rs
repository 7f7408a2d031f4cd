//! Models written as GGUF files and Hugging Face folders, and read back.

use std::path::Path;

use candle_core::Tensor;
use golden_files::{data, family, root};
use llm_runtime::{Engine, ExportType, FloatType, LoadOptions, ModelExport, Quantization, TextModel};

use crate::llama::max_difference;

const KEEP: &dyn Fn(&str) -> Result<Option<Tensor>, llm_runtime::Error> = &|_| Ok(None);

fn open(path: &Path) -> ModelExport<'static> {
    ModelExport::open(&LoadOptions::new(path.to_str().unwrap())).unwrap()
}

fn load(path: &Path) -> Engine {
    Engine::load(&LoadOptions::new(path.to_str().unwrap()), &|_| ()).unwrap()
}

fn logits(engine: &mut Engine, ids: &[u32]) -> Vec<f32> {
    engine.logits(ids).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

const TEXTS: [&str; 4] =
    ["Once upon a time, there was a girl.", " two  blanks\nand a line", "[INST] <s> </s>", "Ünïcode ☃ 漢字"];

/// The same text gives the same ids, and the same ids the same logits.
fn same_model(left: &mut Engine, right: &mut Engine, tolerance: f32) {
    for text in TEXTS {
        let ids = left.tokenizer().encode_with_bos(text).unwrap().ids;
        assert_eq!(right.tokenizer().encode_with_bos(text).unwrap().ids, ids, "{text}");
        assert_eq!(right.tokenizer().decode_text(&ids), left.tokenizer().decode_text(&ids));
        let difference = max_difference(&logits(left, &ids), &logits(right, &ids));
        assert!(difference <= tolerance, "logits differ by {difference}");
    }
    assert_eq!(left.eos(), right.eos());
    assert_eq!(left.template().map(|t| t.sha256()), right.template().map(|t| t.sha256()));
}

/// Folder → GGUF → folder; also the real small Llama, where it is there.
#[test]
fn a_folder_becomes_a_gguf_file_and_a_folder_again() {
    let scratch = tempfile::tempdir().unwrap();
    let models = [Some(root().join("fixtures/models/tiny-llama")), data("models/stories260K")];
    for model in models.into_iter().flatten() {
        let (file, folder) = (scratch.path().join("model.gguf"), scratch.path().join("folder"));
        open(&model).write_gguf(&file, ExportType::Float(FloatType::F32), KEEP).unwrap();
        same_model(&mut load(&model), &mut load(&file), 0.0);
        open(&file).write_hugging_face(&folder, FloatType::F32, 100_000, KEEP).unwrap();
        let shards = std::fs::read_dir(&folder).unwrap().filter(|entry| {
            entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "safetensors")
        });
        assert!(shards.count() > 1, "a small shard size makes several files");
        same_model(&mut load(&model), &mut load(&folder), 0.0);
    }
}

/// Random-weight goldens of all shapes (grouped heads, Llama-3 frequencies, sliding window, tied heads) keep their logits.
#[test]
fn every_golden_model_survives_gguf() {
    let Some(folder) = family("llama") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let model = entry.unwrap().path();
        if !model.join("config.json").is_file() {
            continue;
        }
        seen += 1;
        let out = scratch.path().join("copy");
        open(&model).write_hugging_face(&out, FloatType::F32, u64::MAX, KEEP).unwrap();
        let read = |path: &Path| {
            llm_runtime::Llama::open(path, llm_runtime::WeightOptions::default(), &candle_core::Device::Cpu).unwrap()
        };
        let run = |llama: &llm_runtime::Llama| {
            let ids: Vec<u32> = (3..40).collect();
            let hidden = llama.sequences(&ids, &[37], None).unwrap();
            llama.logits(&hidden).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!(run(&read(&model)), run(&read(&out)), "{}", model.display());
        // These folders have no tokenizer, which a GGUF file needs: the shipped one serves, its names are all that counts.
        let donor = root().join("fixtures/models/tiny-llama");
        std::fs::copy(donor.join("tokenizer.json"), out.join("tokenizer.json")).unwrap();
        let file = scratch.path().join("copy.gguf");
        open(&out).write_gguf(&file, ExportType::Float(FloatType::F32), KEEP).unwrap();
        let difference = max_difference(&run(&read(&model)), &run(&read(&file)));
        // Llama-3's frequencies go through a table of f32 divisors.
        assert!(difference <= 1e-4, "{}: {difference}", model.display());
    }
    assert!(seen > 0);
}

#[test]
fn quantised_files_load_and_stay_close() {
    let scratch = tempfile::tempdir().unwrap();
    let model = root().join("fixtures/models/tiny-llama");
    let ids: Vec<u32> = (3..60).collect();
    let exact = logits(&mut load(&model), &ids);
    let scale = exact.iter().map(|value| value.abs()).fold(0.0, f32::max);
    for (dtype, tolerance) in [
        (ExportType::Float(FloatType::F16), 0.02),
        (ExportType::Float(FloatType::Bf16), 0.001),
        (ExportType::Quantized(Quantization::Q8_0), 0.1),
        // Rows of 64 values have no 4-bit blocks: Q8_0 takes their place.
        (ExportType::Quantized(Quantization::Q4K), 0.1),
    ] {
        let file = scratch.path().join("model.gguf");
        open(&model).write_gguf(&file, dtype, KEEP).unwrap();
        let difference = max_difference(&logits(&mut load(&file), &ids), &exact);
        assert!(difference <= tolerance * scale, "{dtype:?}: {difference} of {scale}");
    }
}

#[test]
fn a_replaced_weight_is_written_and_a_wrong_shape_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let model = root().join("fixtures/models/tiny-llama");
    let zero = |name: &str| {
        Ok((name == "model.norm.weight")
            .then(|| Tensor::zeros(64, candle_core::DType::F32, &candle_core::Device::Cpu).unwrap()))
    };
    let file = scratch.path().join("model.gguf");
    open(&model).write_gguf(&file, ExportType::Float(FloatType::F32), &zero).unwrap();
    assert!(logits(&mut load(&file), &[3, 4, 5]).iter().all(|value| *value == 0.0));

    let wrong = |_: &str| Ok(Some(Tensor::zeros(3, candle_core::DType::F32, &candle_core::Device::Cpu).unwrap()));
    let before = std::fs::read(&file).unwrap();
    let error = open(&model).write_gguf(&file, ExportType::Float(FloatType::F32), &wrong).unwrap_err().to_string();
    assert!(error.contains("has the shape [3]"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), before, "a failed export left the old file alone");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1, "nothing partial is left");
    let nowhere = scratch.path().join("no/such/folder/model.gguf");
    let error = open(&model).write_gguf(&nowhere, ExportType::Float(FloatType::F32), KEEP).unwrap_err().to_string();
    assert!(error.contains("no/such/folder"), "{error}");
}

/// A file that is part of the program is the file.
#[test]
fn an_embedded_model_is_the_model() {
    let path = root().join("fixtures/models/tiny-llama/tiny-llama-q8_0.gguf");
    let gguf: &'static [u8] = std::fs::read(&path).unwrap().leak();
    let embedded = llm_runtime::EmbeddedModel { name: "inside", gguf };
    let options = LoadOptions { embedded: Some(embedded), ..LoadOptions::new("inside") };
    let mut inside = Engine::load(&options, &|_| ()).unwrap();
    let mut outside = load(&path);
    same_model(&mut inside, &mut outside, 0.0);
    assert_eq!(inside.identity().sha256, outside.identity().sha256);
    assert_eq!(inside.identity().name, "inside");
}
