#!/bin/sh
# Checks a device against the CPU, and measures it; docs/gpu-checklist.md says what to look for.
#
#   benches/gpu-checklist.sh OUT
#
# Everything goes to OUT: log.txt, one JSON file for each measurement, and failed.txt, which is empty where all went well. Settings, as environment variables:
#   DEVICE      cuda:0, or cpu to try the script out
#   BIN         where sra and throughput are (built with --features cuda): target/release
#   SHAPES      shapes that are measured in Q4_K_M: "tinyllama-1.1b llama-2-7b llama-2-13b llama-2-70b"
#   STEP_SHAPE  shape of the training steps: llama-2-7b
#   PYTHON      with transformers, torch and peft, to measure them too; none by default
set -u
OUT=${1:?usage: benches/gpu-checklist.sh OUT}
DEVICE=${DEVICE:-cuda:0}
BIN=${BIN:-target/release}
SHAPES=${SHAPES:-tinyllama-1.1b llama-2-7b llama-2-13b llama-2-70b}
STEP_SHAPE=${STEP_SHAPE:-llama-2-7b}
PYTHON=${PYTHON:-}
mkdir -p "$OUT"
: >"$OUT/log.txt"
: >"$OUT/failed.txt"

# Runs a command; what it says goes to the log, and a failure does not end the list.
check() {
    echo "== $*" | tee -a "$OUT/log.txt"
    "$@" >>"$OUT/log.txt" 2>&1 || echo "$*" | tee -a "$OUT/failed.txt"
}

measure() { # NAME SCENARIO WORDS...
    name=$1
    shift
    check "$BIN/throughput" "$@" --device "$DEVICE" --out "$OUT/$name.json"
}

nvidia-smi >>"$OUT/log.txt" 2>&1
date >>"$OUT/log.txt"

# The same texts on both devices, f32 and quantised.
for model in fixtures/models/tiny-llama fixtures/models/tiny-llama/tiny-llama-q8_0.gguf; do
    name=$(basename "$model" .gguf)
    for device in cpu "$DEVICE"; do
        run="$OUT/$name-$(echo "$device" | tr : -)"
        check "$BIN/sra" continue --device "$device" --model "$model" --dtype f32 --data fixtures/dialogues/dialogues.json \
            --temperature 0 --max-new-tokens 24 --attention full --out "$run"
        check "$BIN/sra" attention "$run"
        sort "$run/continuations.jsonl" | sed -n 's/.*"text":"\(\([^"\\]\|\\.\)*\)".*/\1/p' >"$run.txt"
    done
    echo "$name: $(diff "$OUT/$name-cpu.txt" "$OUT/$name-$(echo "$DEVICE" | tr : -).txt" | grep -c '^<') texts differ" | tee -a "$OUT/log.txt"
done
check "$BIN/products" --device "$DEVICE"

peers=
[ -n "$PYTHON" ] && peers="--peers transformers --python $PYTHON"
for shape in $SHAPES; do
    # Word by word: there are two options, or none.
    # shellcheck disable=SC2086
    measure "prefill-$shape" prefill --shape "$shape" --prompt-tokens 512,2000 --kv-memory 8GiB $peers
    # shellcheck disable=SC2086
    measure "decode-$shape" decode --shape "$shape" --batch 1,8 --kv-memory 8GiB $peers
    measure "sweep-$shape" sweep --shape "$shape" --kv-memory 8GiB
    measure "attention-$shape" attention --shape "$shape" --prompt-tokens 1000 --kv-memory 8GiB
done
measure "lora-step" lora-step --shape "$STEP_SHAPE" --batch 2 --tokens 512 --checkpointing
check "$BIN/throughput" dpo-step --shape "$STEP_SHAPE" --device "$DEVICE" --pairs 1 --passes by-sequence --checkpointing
cat "$OUT/failed.txt"
[ ! -s "$OUT/failed.txt" ]
