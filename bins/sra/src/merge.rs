//! `sra merge`: an adapter folded into its model, written as a GGUF file or a Hugging Face folder.

use std::process::ExitCode;

use llm_runtime::{ExportType, Llama, LoadOptions, ModelExport};
use lora::Adapters;
use serde_json::json;

use crate::arguments::Format;
use crate::failure::Failure;
use crate::text_model::must_be_local;
use crate::training_arguments::Merge;
use crate::{model, train};

pub(crate) fn run(options: &Merge, format: Format) -> Result<ExitCode, Failure> {
    must_be_local(&options.model, "`sra merge` writes the model's weights")?;
    let source = model::source(&options.model, LoadOptions::default());
    let export = ModelExport::open(&source)?;
    let adapters = Adapters::new();
    let mut merged = 0;
    if let Some(folder) = &options.adapter {
        model::load_pretrained(&options.model, &options.options, model::NO_ENGINE, &|loader, config, device| {
            Llama::load(&adapters.wrap(loader), config, device)
        })?;
        adapters.load("adapter", &train::adapter_folder(folder))?;
        merged = adapters.parameters("adapter")?.len();
    }
    let replacement = |name: &str| match name.strip_suffix(".weight") {
        Some(module) => adapters.merged_weight(module).map_err(|error| llm_runtime::Error::Invalid(error.to_string())),
        None => Ok(None),
    };
    let is_gguf = options.out.extension().is_some_and(|extension| extension == "gguf");
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
        Format::Json => command_line::print_json(&json!({"path": options.out, "adapter_tensors": merged}))?,
        Format::Text => println!("{}: {merged} tensors of the adapter merged", options.out.display()),
    }
    Ok(ExitCode::SUCCESS)
}
