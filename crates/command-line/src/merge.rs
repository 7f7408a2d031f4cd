//! An adapter folded into its model, written as a GGUF file or a Hugging Face folder.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use llm_runtime::{ExportType, Llama, LoadOptions, ModelExport};
use lora::Adapters;
use serde_json::json;

use crate::{
    Failure, Format, ModelOptions, NO_ENGINE, adapter_folder, load_pretrained, model_source, must_be_local,
    output_place, print_json,
};

/// Fold an adapter into its model and write the result; without an adapter: write the model in another form
#[derive(Debug, Args)]
pub struct Merge {
    /// demo, a .gguf file, a Hugging Face folder or a hub id
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// LoRA adapter: a PEFT folder, or a run of `sra train`
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    /// A .gguf file, or a folder for safetensors
    #[arg(long, value_name = "PATH")]
    pub out: PathBuf,
    /// f32, f16, bf16; for GGUF also q8_0, q4_k or q6_k
    #[arg(id = "type", long = "type", default_value = "f16", value_name = "TYPE")]
    pub form: ExportType,
    /// Largest safetensors shard, e.g. 5G
    #[arg(long, default_value = "5G", value_parser = llm_runtime::parse_bytes, value_name = "SIZE")]
    pub export_size: u64,
    /// The model and where it runs
    #[command(flatten)]
    pub options: ModelOptions,
}

/// Writes the model with its adapter folded in, and prints where.
///
/// # Errors
/// The model or the adapter can't be read, or the form is not that of such a path.
pub fn merge(options: &Merge, format: Format) -> Result<ExitCode, Failure> {
    must_be_local(&options.model, "a merge writes the model's weights")?;
    let is_gguf = options.out.extension().is_some_and(|extension| extension == "gguf");
    match is_gguf {
        true => output_place::check_file(&options.out)?,
        false => output_place::check_folder(&options.out)?,
    }
    let source = model_source(&options.model, LoadOptions::default());
    let export = ModelExport::open(&source)?;
    let adapters = Adapters::new();
    let mut merged = 0;
    if let Some(folder) = &options.adapter {
        load_pretrained(&options.model, &options.options, NO_ENGINE, &|loader, config, device| {
            Llama::load(&adapters.wrap(loader), config, device)
        })?;
        adapters.load("adapter", &adapter_folder(folder))?;
        merged = adapters.parameters("adapter")?.len();
    }
    let replacement = |name: &str| match name.strip_suffix(".weight") {
        Some(module) => adapters.merged_weight(module).map_err(|error| llm_runtime::Error::Invalid(error.to_string())),
        None => Ok(None),
    };
    match (is_gguf, options.form) {
        (true, dtype) => export.write_gguf(&options.out, dtype, &replacement)?,
        (false, ExportType::Float(float)) => {
            export.write_hugging_face(&options.out, float, options.export_size, &replacement)?;
        }
        (false, ExportType::Quantized(_)) => {
            let problem = "safetensors hold dense types only: choose f32, f16 or bf16, or name a .gguf file";
            return Err(Failure::wrong_use(problem));
        }
    }
    match format {
        Format::Json => print_json(&json!({"path": options.out, "adapter_tensors": merged}))?,
        Format::Text => println!("{}: {merged} tensors of the adapter merged", options.out.display()),
    }
    Ok(ExitCode::SUCCESS)
}
