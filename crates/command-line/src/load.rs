//! Loading what `--model` and `--adapter` name, with a progress bar.

use std::cell::RefCell;
use std::path::PathBuf;

use llm_runtime::{
    BuildLlama, EmbeddedModel, Engine, EngineOptions, KvType, Llama, LoadEvent, LoadOptions, PretrainedModel,
    WeightOptions,
};
use lora::Adapters;

use crate::{Failure, Machine, ModelOptions, Progress, Runtime, adapter_folder};

/// An engine of the model, with the adapter if there is one.
///
/// # Errors
/// The model or the adapter can't be read or does not fit into memory.
pub fn load_engine(model: &str, runtime: &Runtime) -> Result<Engine, Failure> {
    let limits = runtime.engine_options();
    let Some(folder) = &runtime.adapter else {
        let build: BuildLlama<'_> = &|loader, config, device| Llama::load(loader, config, device);
        return Ok(load_pretrained(model, &runtime.model, limits, build)?.into_engine(&limits)?);
    };
    let adapters = Adapters::new();
    let mut loaded = load_pretrained(model, &runtime.model, limits, &|loader, config, device| {
        Llama::load(&adapters.wrap(loader), config, device)
    })?;
    let folder = adapter_folder(folder);
    adapters.load("adapter", &folder)?;
    loaded.rename(format!("{model} + {}", folder.display()), &[folder.join(lora::WEIGHTS_FILE)]);
    Ok(loaded.into_engine(&limits)?)
}

/// For a model that generates nothing: no memory is needed for keys and values.
pub const NO_ENGINE: EngineOptions =
    EngineOptions { batch: 1, kv_memory: 0, kv_type: KvType::F32, step_rows: 1, context_length: None };

/// The model itself, built by `build`; whether it fits into memory is checked with the engine's limits.
///
/// # Errors
/// It can't be read or does not fit.
pub fn load_pretrained(
    model: &str,
    options: &ModelOptions,
    engine: EngineOptions,
    build: BuildLlama<'_>,
) -> Result<PretrainedModel, Failure> {
    let options = model_source(
        model,
        LoadOptions {
            tokenizer: options.tokenizer.clone(),
            chat_template: options.chat_template.clone(),
            device: options.machine.device,
            weights: WeightOptions { float: options.dtype, quantize: options.quantize, plain: options.plain_kernels },
            engine,
            hub_endpoint: options.machine.hub_endpoint.clone(),
            hub_cache: options.machine.hub_cache.clone(),
            ..LoadOptions::default()
        },
    );
    let bar: RefCell<Option<Progress>> = RefCell::new(None);
    let loaded = PretrainedModel::load_through(
        &options,
        &|event| match event {
            LoadEvent::Weights(at) => bar
                .borrow_mut()
                .get_or_insert_with(|| Progress::new("loading", 0, at.total as u64))
                .set(at.tensors as u64),
            LoadEvent::Download(at) => tracing::info!("{at:?}"),
        },
        build,
    )?;
    if let Some(bar) = bar.borrow().as_ref() {
        bar.finish();
    }
    Ok(loaded)
}

/// The model that a command line names; `demo` is part of the program, `./demo` a folder.
pub fn model_source(model: &str, options: LoadOptions) -> LoadOptions {
    let demo = EmbeddedModel { name: demo_corpus::MODEL_NAME, gguf: demo_corpus::MODEL };
    LoadOptions { model: model.to_owned(), embedded: Some(demo), ..options }
}

/// The Hugging Face folder that a name stands for: the folder itself, or a hub id after a download.
///
/// # Errors
/// There is no such folder, and the hub has no such model or can't be reached.
pub fn hugging_face_folder(name: &str, machine: &Machine) -> Result<PathBuf, Failure> {
    let options = LoadOptions {
        hub_endpoint: machine.hub_endpoint.clone(),
        hub_cache: machine.hub_cache.clone(),
        ..LoadOptions::new(name)
    };
    Ok(options.resolve(&|event| {
        if let LoadEvent::Download(at) = event {
            tracing::info!("{at:?}");
        }
    })?)
}
