//! Loading what `--model` and `--adapter` name, with a progress bar.

use std::cell::RefCell;

use llm_runtime::{BuildLlama, Engine, EngineOptions, Llama, LoadEvent, LoadOptions, PretrainedModel, WeightOptions};
use lora::Adapters;

use crate::arguments::{ModelOptions, Runtime};
use crate::failure::Failure;
use crate::{progress, train};

/// An engine of the model, with the adapter if there is one.
pub(crate) fn load(model: &str, runtime: &Runtime) -> Result<Engine, Failure> {
    let limits = EngineOptions {
        batch: runtime.batch,
        kv_memory: runtime.kv_memory,
        context_length: runtime.context,
        ..EngineOptions::default()
    };
    let Some(folder) = &runtime.adapter else {
        let build: BuildLlama<'_> = &|loader, config, device| Llama::load(loader, config, device);
        return Ok(load_pretrained(model, &runtime.model, build)?.into_engine(&limits)?);
    };
    let adapters = Adapters::new();
    let mut loaded = load_pretrained(model, &runtime.model, &|loader, config, device| {
        Llama::load(&adapters.wrap(loader), config, device)
    })?;
    let folder = train::adapter_folder(folder);
    adapters.load("adapter", &folder)?;
    loaded.rename(format!("{model} + {}", folder.display()), &[folder.join(lora::WEIGHTS_FILE)]);
    Ok(loaded.into_engine(&limits)?)
}

/// The model itself, built by `build`.
pub(crate) fn load_pretrained(
    model: &str,
    options: &ModelOptions,
    build: BuildLlama<'_>,
) -> Result<PretrainedModel, Failure> {
    let options = source(
        model,
        LoadOptions {
            tokenizer: options.tokenizer.clone(),
            chat_template: options.chat_template.clone(),
            device: options.device,
            weights: WeightOptions { float: options.dtype, quantize: options.quantize },
            hub_endpoint: options.hub_endpoint.clone(),
            hub_cache: options.hub_cache.clone(),
            ..LoadOptions::default()
        },
    );
    let bar: RefCell<Option<progress::Progress>> = RefCell::new(None);
    let loaded = PretrainedModel::load_through(
        &options,
        &|event| match event {
            LoadEvent::Weights(at) => bar
                .borrow_mut()
                .get_or_insert_with(|| progress::Progress::new("loading", 0, at.total as u64))
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

/// Where the model named on the command line is.
pub(crate) fn source(model: &str, options: LoadOptions) -> LoadOptions {
    LoadOptions { model: model.to_owned(), embedded: None, ..options }
}
