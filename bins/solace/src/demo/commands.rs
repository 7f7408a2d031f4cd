//! What the demonstration does, as command lines: `{folder}` is its folder, `{device}` and `{format}` are those of the call, and `{thtra}`, `{magic}`, `{candidates}` and
//! `{board}` are the [counts](super::COUNTS) of these names.

/// Small models of ThTra and MAGIC, from nothing.
const TRAINING: [&str; 7] = [
    "thtra process --input {folder}/ESConv.json --out {folder}/data",
    "thtra prepare --data-dir {folder}/data --learn-tokenizer 1100 --max-input-length 64 --layouts strat,strat-look-ahead --out {folder}/prepared",
    "thtra train-lookahead --prepared {folder}/prepared --size tiny --tokenizer {folder}/prepared/tokenizer --max-steps {thtra} --batch-size 8 --warmup-steps 0.1 \
     --learning-rate 5e-3 --device {device} --out {folder}/look-ahead",
    "thtra train-situation --prepared {folder}/prepared --base {folder}/look-ahead/model --max-steps {thtra} --batch-size 8 --warmup-steps 0.1 --learning-rate 5e-3 \
     --device {device} --out {folder}/situation",
    "thtra helpfulness train --data-dir {folder}/data --size tiny --epochs 2 --max-input-length 96 --device {device} --out {folder}/helpful",
    "magic preprocess --data-dir {folder}/multiesc --out-dir {folder}/multiesc",
    "magic train --train-data {folder}/multiesc/train.json --val-data {folder}/multiesc/valid.json --size tiny --vocabulary 1000 --motivation none --max-length 64 \
     --max-length-situation 16 --max-length-res-memory 24 --batch-size 8 --max-steps {magic} --warmup-steps 0.1 --learning-rate 7e-3 --device {device} \
     --output-dir {folder}/memory",
];

/// The pipeline: plan, realise, rank, pairs, DPO.
const ALIGNMENT: [&str; 5] = [
    "solace plan --data {folder}/places.json --turns 1..6 --limit {candidates} --planner thtra:{folder}/situation --strategies extes15 --top 4 --device {device} \
     --out {folder}/plan.jsonl",
    "solace realise --data {folder}/places.json --turns 1..6 --limit {candidates} --plan {folder}/plan.jsonl --model demo --strategies extes15 --candidates 2 \
     --max-new-tokens 40 --device {device} --out {folder}/candidates.jsonl",
    "solace rank --data {folder}/places.json --turns 1..6 --limit {candidates} --candidates {folder}/candidates.jsonl --helpfulness {folder}/helpful --adherence demo \
     --adherence-strategies extes15 --classifier demo --metrics f1 --weights helpfulness=1,adherence=0.5,follows=0.5 --device {device} --out {folder}/ranked.jsonl",
    "solace pairs --data {folder}/places.json --turns 1..6 --limit {candidates} --ranked {folder}/ranked.jsonl --out {folder}/pairs",
    "persuasion train --model demo --data {folder}/pairs --template chat --max-length 384 --max-prompt-length 320 --epochs 2 --learning-rate 3e-4 --micro-batch 4 \
     --accumulate 2 --targets all-linear --generate 0 --sample-table off --device {device} --out {folder}/aligned",
];

/// All systems on dialogues that nobody has learned from.
const COMPARISON: &str = "solace scoreboard --systems {folder}/systems.toml --data {folder}/held-out.json --turns 1..6 --limit {board} --helpfulness {folder}/helpful \
     --adherence demo --adherence-strategies extes15 --classifier demo --max-new-tokens 40 --device {device} --format {format} --out {folder}/board";

/// All of it, in order.
pub(super) fn commands() -> impl Iterator<Item = &'static str> {
    TRAINING.into_iter().chain(ALIGNMENT).chain([COMPARISON])
}
