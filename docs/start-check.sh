#!/usr/bin/env bash
# Runs the commands of docs/src/start.md as they stand there, on less: ESConv.json is forty built-in dialogues in the corpus' form, and the
# GGUF file is the built-in model. `docs/start-check.sh PROGRAMS` takes the folder of the built programs (target/debug, target/release).
set -euo pipefail
docs="$(cd "$(dirname "$0")" && pwd)"
programs="$(cd "$1" && pwd)"
PATH="$programs:$PATH"

scratch="$(mktemp -d)"
viewer=
trap '[ -z "$viewer" ] || kill "$viewer" 2> /dev/null; rm -rf "$scratch"' EXIT
cd "$scratch"
"$programs/examples/write_esconv" ESConv.json 40
ln -s "$docs/../fixtures/demo/model/demo-q8_0.gguf" llama-2-7b-chat.Q4_K_M.gguf

# The viewer serves until it is ended: its page is asked for, then it is ended. Its usual port may be another's.
look() {
  : > address
  eval "$1 --address 127.0.0.1:0 > address &"
  viewer=$!
  until grep -q http address; do
    kill -0 "$viewer" 2> /dev/null || return 1
    sleep 0.1
  done
  local port
  port="$(sed -E 's#http://127.0.0.1:([0-9]+)/.*#\1#' address)"
  exec 3<>"/dev/tcp/127.0.0.1/$port"
  printf 'GET / HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n' "$port" >&3
  grep -q '200 OK' <&3
  exec 3>&-
  kill "$viewer"
  wait "$viewer" || true
  viewer=
}

ran=0
# Without -r, so that a line that ends with a backslash is read together with the next.
while read line; do
  case "$line" in
    '' | '#'* | 'git '* | 'cd '* | 'cargo '* | 'export '*) continue ;; # What is built is at hand.
    'sra view '*) printf '$ %s\n' "$line" && look "${line%%#*}" ;;
    'sra '*) printf '$ %s\n' "$line" && eval "$line" </dev/null ;;
    *) printf 'start.md: this check runs commands of sra only: %s\n' "$line" >&2 && exit 1 ;;
  esac
  ran=$((ran + 1))
done < <(awk '/^```sh$/ { code = 1; next } /^```/ { code = 0 } code' "$docs/src/start.md")

# What the page says that the commands leave behind.
ls runs/first/run.json runs/first/continuations.jsonl runs/first/attention/*.attn tables/sra.csv tables/*.svg > /dev/null
printf '%s commands of start.md ran\n' "$ran"
