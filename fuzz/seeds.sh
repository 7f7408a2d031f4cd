#!/bin/sh
# Valid inputs for the targets, under fuzz/corpus: files of the repository, behind the byte that chooses a reader where a target has several.
set -eu
cd "$(dirname "$0")/.."
corpus=fuzz/corpus

seed() { # TARGET NAME CHOICE FILE
    mkdir -p "$corpus/$1"
    { printf "$3" && cat "$4"; } >"$corpus/$1/$2"
}

tiny=fixtures/models/tiny-llama
seed gguf tiny '' "$tiny/tiny-llama-q8_0.gguf"
seed safetensors weights '\000' "$tiny/model.safetensors"
seed safetensors folder '\002' "$tiny/model.safetensors"
seed safetensors config '\003' "$tiny/config.json"
seed tokenizer json '\000' "$tiny/tokenizer.json"
seed tokenizer settings '\001' "$tiny/tokenizer_config.json"
for template in crates/llm-runtime/src/template/built_in/*; do
    seed chat_template "$(basename "$template")" '' "$template"
done
seed corpus conversations '\000' fixtures/dialogues/dialogues.json
seed corpus esconv '\001' fixtures/dialogues/dialogues.json
seed corpus strategies '\006' crates/esconv-data/data/strategies/esconv8.toml
for adapter in fixtures/goldens/lora/qv; do
    [ -d "$adapter" ] || continue
    find "$adapter" -name 'adapter_model.safetensors' | while read -r file; do seed adapter weights '\000' "$file"; done
    find "$adapter" -name 'adapter_config.json' | while read -r file; do seed adapter config '\001' "$file"; done
done
cargo run --quiet -p attention-viz --example write_samples -- "$corpus/attention_file" >/dev/null
