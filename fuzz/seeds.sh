#!/bin/sh
# Valid inputs for the targets, under fuzz/corpus: files of the repository, behind the byte that chooses a reader where a target has several, and what earlier
# runs have found (fuzz/kept).
set -eu
cd "$(dirname "$0")/.."
corpus=fuzz/corpus
cargo=${CARGO:-cargo}

seed() { # TARGET NAME CHOICE FILE
    mkdir -p "$corpus/$1"
    { printf "$3" && cat "$4"; } >"$corpus/$1/$2"
}

text() { # TARGET NAME CHOICE LINES
    mkdir -p "$corpus/$1"
    { printf "$3" && printf '%s\n' "$4"; } >"$corpus/$1/$2"
}

tiny=fixtures/models/tiny-llama
seed gguf tiny '' "$tiny/tiny-llama-q8_0.gguf"
seed safetensors weights '\000' "$tiny/model.safetensors"
seed safetensors folder '\002' "$tiny/model.safetensors"
text safetensors index '\001' '{"metadata": {"total_size": 64}, "weight_map": {"model.norm.weight": "model.safetensors"}}'
seed safetensors config '\003' "$tiny/config.json"
seed tokenizer json '\000' "$tiny/tokenizer.json"
seed tokenizer settings '\001' "$tiny/tokenizer_config.json"
for template in crates/llm-runtime/src/template/built_in/*; do
    seed chat_template "$(basename "$template")" '' "$template"
done

line='{"emotion_type": "e", "problem_type": "p", "situation": "s", "init_intensity": 4, "dialog": [{"text": "a", "speaker": "usr", "feedback": "4"}, {"text": "b", "speaker": "sys", "strategy": "Question"}]}'
pair='{"id": "a", "group": "g", "prompt": "Tea?", "chosen": "Yes", "rejected": "No"}'
seed corpus conversations '\000' fixtures/dialogues/dialogues.json
seed corpus esconv '\001' fixtures/dialogues/dialogues.json
seed corpus failed '\002' fixtures/dialogues/dialogues.json
text corpus thtra '\003' "$line"
text corpus multiesc '\004' "$line"
seed corpus strategies '\006' crates/esconv-data/data/strategies/esconv8.toml
text corpus pairs-csv '\007' "$(printf 'prompt,chosen,rejected\nTea?,"Yes, please",No')"
text corpus pairs '\010' "$pair"
head -n 2 fixtures/runs/attention/continuations.jsonl >"$corpus/record.jsonl"
seed corpus records '\011' "$corpus/record.jsonl"
rm "$corpus/record.jsonl"

for adapter in fixtures/goldens/lora/qv; do
    [ -d "$adapter" ] || continue
    find "$adapter" -name 'adapter_model.safetensors' | while read -r file; do seed adapter weights '\000' "$file"; done
    find "$adapter" -name 'adapter_config.json' | while read -r file; do seed adapter config '\001' "$file"; done
done

text study own '\000' '{"t": 1.0, "worker": "w", "op": "study", "version": 1, "name": "s", "direction": "minimize"}
{"t": 2.0, "worker": "w", "op": "worker", "machine": null}
{"t": 3.0, "worker": "w", "op": "trial", "waits": false}
{"t": 4.0, "worker": "w", "op": "parameter", "trial": 0, "name": "n", "value": 3.0, "distribution": {"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 2, "high": 5}}}
{"t": 5.0, "worker": "w", "op": "report", "trial": 0, "step": 1, "value": 0.5}
{"t": 6.0, "worker": "w", "op": "attribute", "trial": 0, "name": "note", "value": {"a": [1]}}
{"t": 7.0, "worker": "w", "op": "end", "trial": 0, "state": "complete", "value": 0.5}
{"t": 8.0, "worker": "w", "op": "trial", "waits": true, "fixed": {"n": 2}}'
seed study optuna '\001' crates/hyper-search/tests/data/optuna/study.log
"$cargo" run --quiet -p attention-viz --example write_samples -- "$corpus/attention_file" >/dev/null

for kept in fuzz/kept/*.tar.gz; do
    [ -f "$kept" ] || continue
    tar -xzf "$kept" -C "$corpus"
done
