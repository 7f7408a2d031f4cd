//! The model that is measured, and how.

use std::path::Path;

use benches::Outcome;
use benches::random_model::{self, FileType};
use benches::shape::Shape;
use clap::Args;
use llm_runtime::{DeviceChoice, EmbeddedModel, FloatType, KvType, LlamaConfig, Quantization, parse_bytes};

/// Where models of a shape are kept.
const FOLDER: &str = "target/random-models";

#[derive(Debug, Clone, Args)]
pub(crate) struct ModelArguments {
    /// demo, a .gguf file, a Hugging Face folder or a hub id
    #[arg(long, conflicts_with = "shape")]
    model: Option<String>,
    /// A model of a published shape with random weights, written to target/random-models unless it is there: tinyllama-1.1b, llama-2-7b,
    /// llama-2-13b, llama-2-70b or llama-3-8b, or smaller: tiny, small
    #[arg(long)]
    shape: Option<Shape>,
    /// Type of its file: f16, q8_0, q6_k, q4_k_m or q4_0
    #[arg(long = "type", default_value_t = FileType::Q4KM)]
    file_type: FileType,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub(crate) device: DeviceChoice,
    /// Threads to compute with [default: one per core]
    #[arg(long)]
    threads: Option<usize>,
    /// Keep dense weights as f32, f16 or bf16
    #[arg(long)]
    pub(crate) dtype: Option<FloatType>,
    /// Quantise while loading: q4_k, q6_k or q8_0
    #[arg(long)]
    pub(crate) quantize: Option<Quantization>,
    /// Compute quantised products by candle's kernels, not by our own
    #[arg(long)]
    pub(crate) plain_kernels: bool,
    /// Memory for keys and values, e.g. 4GiB
    #[arg(long, default_value = "1GiB", value_parser = parse_bytes)]
    pub(crate) kv_memory: u64,
    /// Keep keys and values as f32 or f16
    #[arg(long, default_value_t)]
    pub(crate) kv_type: KvType,
}

impl ModelArguments {
    /// The model that is part of the program.
    pub(crate) fn demo() -> EmbeddedModel {
        EmbeddedModel { name: demo_corpus::MODEL_NAME, gguf: demo_corpus::MODEL }
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// What is loaded; a random model is written first.
    pub(crate) fn model(&self) -> Outcome<String> {
        let Some(shape) = &self.shape else {
            return Ok(self.model.clone().unwrap_or_else(|| demo_corpus::MODEL_NAME.to_owned()));
        };
        let path = Path::new(FOLDER).join(format!("{shape}-{}.gguf", self.file_type));
        if !path.is_file() {
            std::fs::create_dir_all(FOLDER).map_err(|error| format!("{FOLDER}: {error}"))?;
            eprintln!("writing {}", path.display());
            // A file that is half there must not be taken for a whole one.
            let unfinished = path.with_extension("part");
            random_model::write(shape, self.file_type, &unfinished)
                .map_err(|error| format!("{}: {error}", unfinished.display()))?;
            std::fs::rename(&unfinished, &path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(path.display().to_string())
    }

    /// Where torch is to compute, if our side does `on_device` or not.
    pub(crate) fn torch_device(&self, on_device: bool) -> String {
        match self.device {
            DeviceChoice::Auto if on_device => "cuda:0".to_owned(),
            DeviceChoice::Auto => "cpu".to_owned(),
            chosen => chosen.to_string(),
        }
    }

    /// What a process of our own side must be told to load the same.
    pub(crate) fn words(&self) -> Outcome<Vec<String>> {
        let mut words = vec!["--model".to_owned(), self.model()?, "--threads".to_owned(), self.threads().to_string()];
        words.extend([
            "--kv-memory".to_owned(),
            self.kv_memory.to_string(),
            "--kv-type".to_owned(),
            self.kv_type.to_string(),
            "--device".to_owned(),
            self.device.to_string(),
        ]);
        if let Some(dtype) = self.dtype {
            words.extend(["--dtype".to_owned(), dtype.to_string()]);
        }
        if let Some(quantize) = self.quantize {
            words.extend(["--quantize".to_owned(), quantize.to_string()]);
        }
        if self.plain_kernels {
            words.push("--plain-kernels".to_owned());
        }
        Ok(words)
    }

    /// Of its matrices, on average; `None` for a model of the hub.
    pub(crate) fn bits_per_weight(&self, config: &LlamaConfig) -> Option<f64> {
        match self.quantize {
            Some(Quantization::Q4K) => return Some(4.5),
            Some(Quantization::Q6K) => return Some(6.5625),
            Some(Quantization::Q8_0) => return Some(8.5),
            None => (),
        }
        match self.dtype {
            Some(FloatType::F32) => return Some(32.0),
            Some(FloatType::F16 | FloatType::Bf16) => return Some(16.0),
            None => (),
        }
        let tables = if config.tied_head { 1.0 } else { 2.0 };
        let work = benches::model_work::ModelWork::of(config, 0.0);
        let weights = work.layer_multiply_adds + tables * work.head_multiply_adds;
        Some(8.0 * bytes_of(&self.model().ok()?)? as f64 / weights)
    }
}

/// The shape as a Hugging Face configuration names it.
pub(crate) fn hugging_face(config: &LlamaConfig) -> serde_json::Value {
    serde_json::json!({
        "hidden_size": config.hidden_size, "num_hidden_layers": config.layers, "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_value_heads, "intermediate_size": config.intermediate_size,
        "vocab_size": config.vocabulary_size, "max_position_embeddings": config.context_length,
    })
}

/// Of a model's files.
fn bytes_of(model: &str) -> Option<u64> {
    if model == demo_corpus::MODEL_NAME {
        return Some(demo_corpus::MODEL.len() as u64);
    }
    let path = Path::new(model);
    if path.is_file() {
        return Some(path.metadata().ok()?.len());
    }
    let files = path.read_dir().ok()?.filter_map(Result::ok);
    let weights = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "safetensors"));
    weights.map(|file| file.metadata().ok().map(|found| found.len())).sum()
}
