#!/bin/sh
# Runs targets for so many seconds each, two at a time: fuzz/run.sh SECONDS [TARGET…]. What each said goes to fuzz/artifacts/TARGET.log; a table of inputs,
# memory and findings is printed at the end.
set -eu
cd "$(dirname "$0")"
seconds=$1
shift
[ $# -gt 0 ] || set -- gguf tokenizer safetensors corpus adapter study chat_template attention_file
mkdir -p artifacts

one() { # TARGET: a limit on size that lets a whole model in where there is one
    case $1 in
    gguf | safetensors | adapter) longest=524288 ;;
    *) longest=131072 ;;
    esac
    cargo +nightly fuzz run "$1" -- -max_total_time="$seconds" -max_len=$longest -rss_limit_mb=2048 -timeout=25 \
        -print_final_stats=1 >"artifacts/$1.log" 2>&1 || true
}

# A target that does not build would have no findings.
for target in "$@"; do
    cargo +nightly fuzz build "$target"
done

all=$*
while [ $# -gt 0 ]; do
    one "$1" &
    shift
    if [ $# -gt 0 ]; then
        one "$1" &
        shift
    fi
    wait
done

figure() { sed -n "s/^stat::$2: *//p" "artifacts/$1.log" | tail -n 1; }
for target in $all; do
    found=$(grep -c -E 'SUMMARY: (libFuzzer|AddressSanitizer)' "artifacts/$target.log" || true)
    printf '%-16s %12s inputs, %5s MB at most, %s findings\n' "$target" "$(figure "$target" number_of_executed_units)" \
        "$(figure "$target" peak_rss_mb)" "$found"
done
