//! The options of a local model.

use std::path::PathBuf;

use clap::Args;
use llm_runtime::{DeviceChoice, EngineOptions, FloatType, KvType, Quantization};

/// The model and where it runs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model and machine")]
pub struct ModelOptions {
    /// Tokenizer instead of the model's: tokenizer.json, tokenizer.model or a folder
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// Chat template instead of the model's: llama2, llama3, llama3.1, mistral, chatml, zephyr, or a Jinja file
    #[arg(long, value_name = "TEMPLATE")]
    pub chat_template: Option<String>,
    /// Keep dense weights as f32, f16 or bf16 [default: as in the file]
    #[arg(long, value_name = "TYPE")]
    pub dtype: Option<FloatType>,
    /// Quantise while loading: q4_k, q6_k or q8_0
    #[arg(long, value_name = "TYPE")]
    pub quantize: Option<Quantization>,
    /// Compute quantised products by candle's kernels, not by our own
    #[arg(long)]
    pub plain_kernels: bool,
    /// Where models come from and are computed
    #[command(flatten)]
    pub machine: Machine,
}

/// Where models come from and are computed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model and machine")]
pub struct Machine {
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub device: DeviceChoice,
    /// Model hub to ask instead of the public one
    #[arg(long, value_name = "URL")]
    pub hub_endpoint: Option<String>,
    /// Folder for downloaded models
    #[arg(long, value_name = "DIR")]
    pub hub_cache: Option<PathBuf>,
}

impl Machine {
    /// The same options as words, for a process of its own.
    pub fn words(&self) -> Vec<String> {
        let endpoint = self.hub_endpoint.as_ref().map(|url| format!("--hub-endpoint={url}"));
        let cache = self.hub_cache.as_ref().map(|folder| format!("--hub-cache={}", folder.display()));
        std::iter::once(format!("--device={}", self.device)).chain(endpoint).chain(cache).collect()
    }
}

/// A model that generates, and its limits.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model and machine")]
pub struct Runtime {
    /// The model and where it runs
    #[command(flatten)]
    pub model: ModelOptions,
    /// LoRA adapter: a PEFT folder, or a run of `sra train`
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    /// Longest prompt plus new tokens [default: the model's own]
    #[arg(long, value_name = "TOKENS")]
    pub context: Option<usize>,
    /// Memory for keys and values, e.g. 4G
    #[arg(long, default_value = "1G", value_parser = llm_runtime::parse_bytes, value_name = "SIZE")]
    pub kv_memory: u64,
    /// Keep keys and values as f32 or f16; f16 takes half of the memory
    #[arg(long, default_value_t, value_name = "TYPE")]
    pub kv_type: KvType,
    /// Sequences that run at a time
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub batch: usize,
}

impl Runtime {
    /// What they mean for an engine.
    pub fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            batch: self.batch,
            kv_memory: self.kv_memory,
            kv_type: self.kv_type,
            context_length: self.context,
            ..EngineOptions::default()
        }
    }

    /// The same without all that a model behind a server has no use for.
    pub fn without_local_options(&self) -> Self {
        let model = ModelOptions {
            tokenizer: None,
            chat_template: None,
            dtype: None,
            quantize: None,
            plain_kernels: false,
            machine: Machine { device: self.model.machine.device, hub_endpoint: None, hub_cache: None },
        };
        Self { model, adapter: None, context: None, kv_type: KvType::default(), ..*self }
    }
}
