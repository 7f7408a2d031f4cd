#!/bin/sh
# Checks a device against the CPU, and measures it; docs/src/gpu-checklist.md says what to look for.
#
#   benches/gpu-checklist.sh OUT
#
# Everything goes to OUT: log.txt, a JSON file for each measurement but DPO's, and failed.txt, which is empty where all went well. Settings, as environment variables:
#   DEVICE      cuda:0, or cpu to try the script out
#   BIN         where sra and throughput are (built with --features cuda): target/release
#   SHAPES      shapes that are measured in Q4_K_M: "tinyllama-1.1b llama-2-7b llama-2-13b llama-2-70b"
#   STEP_SHAPE  shape of the training steps: llama-2-7b
#   PYTHON      with transformers, torch, peft and bitsandbytes, to measure them too; none by default
#   TESTS       folder of test programs that are built already; by default cargo builds them
set -u
OUT=${1:?usage: benches/gpu-checklist.sh OUT}
DEVICE=${DEVICE:-cuda:0}
BIN=${BIN:-target/release}
SHAPES=${SHAPES:-tinyllama-1.1b llama-2-7b llama-2-13b llama-2-70b}
STEP_SHAPE=${STEP_SHAPE:-llama-2-7b}
PYTHON=${PYTHON:-}
TESTS=${TESTS:-}
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
    nvidia-smi --query-compute-apps=process_name,used_memory --format=csv,noheader,nounits -lms 200 >"$OUT/memory.txt" 2>/dev/null &
    watching=$!
    trap 'kill $watching 2>/dev/null' EXIT INT TERM
    check "$BIN/throughput" "$@" --device "$DEVICE" --out "$OUT/$name.json"
    kill $watching 2>/dev/null
    wait $watching 2>/dev/null
    # Processes of one name are told together, by the largest.
    awk -F, 'NF == 2 && $2 + 0 > most[$1] + 0 { most[$1] = $2 + 0 } END { for (name in most) print "device memory of " name ": " most[name] " MiB at most" }' \
        "$OUT/memory.txt" | tee -a "$OUT/log.txt"
}

nvidia-smi >>"$OUT/log.txt" 2>&1
date >>"$OUT/log.txt"

# Kernels against the CPU's and the composed ones, and models against golden values.
if [ "$DEVICE" != cpu ]; then
    export SOLACE_TEST_DEVICE="$DEVICE"
    for package in llm-runtime seq2seq text-encoder lora; do
        if [ -n "$TESTS" ]; then
            for program in "$TESTS/$package"*; do check "$program" golden_ kernels; done
        else
            check cargo test --release --features llm-runtime/cuda -p "$package" -- golden_ kernels
        fi
    done
fi

# The same texts on both devices, f32 and quantised, and with attention captured as without.
continue_on() { # DEVICE MODEL RUN WORDS...
    device=$1 model=$2 run=$OUT/$3
    shift 3
    rm -rf "$run"
    check "$BIN/sra" continue --device "$device" --model "$model" --dtype f32 --data fixtures/dialogues/dialogues.json \
        --temperature 0 --max-new-tokens 24 --out "$run" "$@"
    sed -n 's/.*"text":"\(\([^"\\]\|\\.\)*\)".*/\1/p' "$run/continuations.jsonl" | sort >"$run.txt"
}

differ() { # WHAT RUN RUN
    echo "$1: $(diff "$OUT/$2.txt" "$OUT/$3.txt" | grep -c '^<') texts differ" | tee -a "$OUT/log.txt"
}

for model in fixtures/models/tiny-llama fixtures/models/tiny-llama/tiny-llama-q8_0.gguf; do
    name=$(basename "$model" .gguf)
    continue_on cpu "$model" "$name-cpu" --attention full
    continue_on "$DEVICE" "$model" "$name-device" --attention full
    continue_on "$DEVICE" "$model" "$name-plain"
    check "$BIN/sra" attention "$OUT/$name-cpu"
    check "$BIN/sra" attention "$OUT/$name-device"
    differ "$name, CPU and device" "$name-cpu" "$name-device"
    differ "$name, attention captured and not" "$name-device" "$name-plain"
done
check "$BIN/products" --device "$DEVICE"

for shape in $SHAPES; do
    # transformers holds the whole model in bf16.
    peers=
    case $shape in
    *1b | *7b) [ -n "$PYTHON" ] && peers="--peers transformers-batch,transformers-nf4 --python $PYTHON" ;;
    esac
    # Word by word: there are two options, or none.
    # shellcheck disable=SC2086
    measure "prefill-$shape" prefill --shape "$shape" --prompt-tokens 512,2000 --kv-memory 8GiB $peers
    # shellcheck disable=SC2086
    measure "decode-$shape" decode --shape "$shape" --batch 1,8 --kv-memory 8GiB $peers
    measure "decode-$shape-f16-cache" decode --shape "$shape" --batch 1,8 --kv-memory 8GiB --kv-type f16
    measure "sweep-$shape" sweep --shape "$shape" --kv-memory 16GiB
    # Four processes hold the model at a time.
    case $shape in
    *1b | *7b) measure "attention-$shape" attention --shape "$shape" --prompt-tokens 1000 --kv-memory 2GiB ;;
    esac
done
peers=
[ -n "$PYTHON" ] && peers="--four-bit --python $PYTHON"
# shellcheck disable=SC2086
measure "lora-step" lora-step --shape "$STEP_SHAPE" --batch 2 --tokens 512 --checkpointing $peers
check "$BIN/throughput" dpo-step --shape "$STEP_SHAPE" --device "$DEVICE" --pairs 1 --passes by-sequence --checkpointing # its JSON is in the log
cat "$OUT/failed.txt"
[ ! -s "$OUT/failed.txt" ]
