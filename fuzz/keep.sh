#!/bin/sh
# Keeps what the targets have found: the smallest set of inputs that reaches as much, one archive a target in fuzz/kept. Single inputs of more than 64 KiB are left
# out, since they are mostly whole models, which seeds.sh makes anew.
set -eu
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- gguf tokenizer safetensors corpus adapter study chat_template attention_file
mkdir -p kept
for target in "$@"; do
    cargo +nightly fuzz cmin "$target" >/dev/null 2>&1
    find "corpus/$target" -type f -size -64k | sed 's|^corpus/||' | LC_ALL=C sort |
        tar -C corpus --owner=0 --group=0 --mtime=@0 -czf "kept/$target.tar.gz" -T -
    printf '%-16s %6s inputs, %s bytes\n' "$target" "$(tar -tzf "kept/$target.tar.gz" | wc -l)" "$(wc -c <"kept/$target.tar.gz")"
done
