//! The commands that take long, as data: their words, how they go on, and what is the same after kills.

use std::fmt::Write;

use super::comparison::{Rule, Same};

/// A command.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    /// Its words, divided by blanks. It works in a folder of its own and writes to `out…`; `{in}` is the folder of the inputs, `{root}` that of the repository, and
    /// `{server}` a model behind `sra serve`.
    pub(super) words: &'static str,
    pub(super) again: Again,
    /// Inputs that have to be made before, by their names among the recipes.
    pub(super) needs: &'static [&'static str],
    /// What is compared otherwise than byte for byte; the first rule that fits a file counts.
    pub(super) rules: &'static [Rule],
}

/// How a command goes on where it was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// With `--resume`.
    Resume,
    /// By the same words.
    SameWords,
}

impl Job {
    pub(super) fn description(&self) -> String {
        let again = if self.again == Again::Resume { " --resume" } else { "" };
        let mut text = format!("{}\n    {} {}{again}\n", self.name, self.program, self.words);
        for Rule { files, same } in self.rules {
            let _ = writeln!(text, "    {files}: {}", same.description());
        }
        text
    }
}

const TENSORBOARD: Rule = Rule {
    files: "*/tensorboard/*",
    same: Same::Never("times, also in the names; the values are those of events.jsonl"),
};
const EVENTS: Rule = Rule { files: "*events.jsonl", same: Same::Events };
/// What every training run writes.
const RUN: &[Rule] = &[EVENTS, TENSORBOARD];
/// What is written as it comes.
const ROWS: &[Rule] = &[Rule { files: "*.jsonl", same: Same::Lines }];

pub(super) const JOBS: &[Job] = &[
    Job {
        name: "sra-continue",
        program: "sra",
        words: "continue --model demo --data demo:24 --turns 4..4 --layout c1_hf,standard --conversations 4 --sample-prob 0.5 --temperature 0.7 --seed 5 --max-new-tokens 24 \
                --attention layers --out out",
        again: Again::Resume,
        needs: &[],
        rules: ROWS,
    },
    Job {
        name: "sra-continue-server",
        program: "sra",
        words: "continue --model {server} --data {root}/fixtures/dialogues/dialogues.json --turns 3..4 --conversations 2 --temperature 0.7 --seed 5 \
                --max-new-tokens 24 --concurrency 4 --journal out-journal --out out",
        again: Again::Resume,
        needs: &[],
        rules: &[Rule { files: "*.jsonl", same: Same::Lines }, Rule { files: "out-journal", same: Same::Lines }],
    },
    Job {
        name: "sra-generate",
        program: "sra",
        words: "generate --model demo --data {in}/chats/train.jsonl --limit 40 --temperature 0.7 --max-new-tokens 24 --out out.jsonl",
        again: Again::SameWords,
        needs: &["chats"],
        rules: ROWS,
    },
    Job {
        name: "sra-judge",
        program: "sra",
        words: "judge {in}/one {in}/two --model demo --by likelihood --limit 10 --out out.jsonl",
        again: Again::Resume,
        needs: &["one", "two"],
        rules: ROWS,
    },
    Job {
        name: "sra-adherence",
        program: "sra",
        words: "adherence {in}/one --model demo --limit 4 --attention --out out.jsonl",
        again: Again::Resume,
        needs: &["one"],
        rules: ROWS,
    },
    Job {
        name: "sra-train",
        program: "sra",
        words: "train --model demo --data {in}/chats/train.jsonl --dev {in}/chats --rank 4 --micro-batch 2 --accumulate 1 --learning-rate 1e-3 --max-steps 8 \
                --evaluate-every 4 --save-every 2 --cutoff 400 --out out",
        again: Again::Resume,
        needs: &["chats"],
        rules: RUN,
    },
    Job {
        name: "sra-classifier-train",
        program: "sra",
        words: "classifier train --size tiny --data demo-train:60 --hold-out 0.2 --max-steps 120 --micro-batch 16 --save-every 7 --evaluate-every 30 --best-by loss \
                --out out",
        again: Again::Resume,
        needs: &[],
        rules: RUN,
    },
    Job {
        name: "sra-classifier-predict",
        program: "sra",
        words: "classifier predict --model {in}/classifier --input demo:600 --batch-tokens 256 --out out.jsonl",
        again: Again::Resume,
        needs: &["classifier"],
        rules: &[],
    },
    Job {
        name: "magic-collect-motivations",
        program: "magic",
        words: "collect-motivations --model {server} --train-file-path {in}/magic/train.txt --min-delay 0 --concurrency 1 --max-new-tokens 48 --out-dir out",
        again: Again::Resume,
        needs: &[],
        rules: &[Rule { files: "out/motivations.jsonl", same: Same::Lines }],
    },
    Job {
        name: "magic-infer-strategy",
        program: "magic",
        words: "infer-strategy --model demo --prompt-path-test {in}/magic/prompts_4_LLaMA_test.json --limit 12 --max-new-tokens 8 --out-dir out",
        again: Again::Resume,
        needs: &["magic-prompts"],
        rules: ROWS,
    },
    Job {
        name: "magic-finetune",
        program: "magic",
        words: "finetune --model demo --data {in}/magic/prompts_4_LLaMA.json --limit 40 --max-steps 6 --cutoff 512 --micro-batch 1 --accumulate 2 --dropout 0.1 \
                --save-every 2 --out out",
        again: Again::Resume,
        needs: &["magic-prompts"],
        rules: RUN,
    },
    Job {
        name: "magic-train",
        program: "magic",
        words: "train --size tiny --vocabulary 300 --train-data {in}/magic/train.json --val-data {in}/magic/valid.json --batch-size 4 --grad-accum 2 --num-epochs 3 \
                --max-length 64 --max-length-situation 32 --save-every 3 --output-dir out",
        again: Again::Resume,
        needs: &["magic-samples"],
        rules: RUN,
    },
    Job {
        name: "magic-eval",
        program: "magic",
        words: "eval --model-path {in}/generator --test-data {in}/magic/train.json --max-length-res 48 --batch-size 2 --resamples 50 --out out",
        again: Again::Resume,
        needs: &["generator"],
        rules: ROWS,
    },
    Job {
        name: "thtra-prepare",
        program: "thtra",
        words: "prepare --data-dir {in}/thtra --learn-tokenizer 400 --max-input-length 96 --max-decoder-input-length 24 --out out",
        again: Again::SameWords,
        needs: &["thtra"],
        rules: &[],
    },
    Job {
        name: "thtra-train-lookahead",
        program: "thtra",
        words: "train-lookahead --prepared {in}/prepared --size tiny --tokenizer {in}/prepared/tokenizer --max-steps 60 --batch-size 4 --warmup-steps 4 \
                --evaluate-every 20 --val-limit 16 --save-every 4 --out out",
        again: Again::Resume,
        needs: &["prepared"],
        rules: RUN,
    },
    Job {
        name: "thtra-train-situation",
        program: "thtra",
        words: "train-situation --prepared {in}/prepared --base {in}/look-ahead/model --max-steps 50 --batch-size 4 --warmup-steps 4 --evaluate-every 20 \
                --val-limit 16 --save-every 4 --out out",
        again: Again::Resume,
        needs: &["look-ahead"],
        rules: RUN,
    },
    Job {
        name: "thtra-train-baseline",
        program: "thtra",
        words: "train-baseline --kind vanilla --prepared {in}/prepared --size tiny --tokenizer {in}/prepared/tokenizer --max-steps 60 --batch-size 4 --warmup-steps 4 \
                --evaluate-every 20 --val-limit 16 --save-every 4 --out out",
        again: Again::Resume,
        needs: &["prepared"],
        rules: RUN,
    },
    Job {
        name: "thtra-helpfulness-train",
        program: "thtra",
        words: "helpfulness train --data-dir {in}/thtra --size tiny --batch-size 8 --max-steps 40 --prefix-length 2 --hidden 24 --max-input-length 64 --val-limit 12 \
                --evaluate-every 15 --save-every 4 --out out",
        again: Again::Resume,
        needs: &["thtra"],
        rules: RUN,
    },
    Job {
        name: "thtra-helpfulness-score",
        program: "thtra",
        words: "helpfulness score --model {in}/helpful --input {in}/exchanges.jsonl --out out.jsonl",
        again: Again::Resume,
        needs: &["helpful"],
        rules: &[],
    },
    Job {
        name: "thtra-candidates",
        program: "thtra",
        words: "candidates --model {in}/look-ahead/model --data-dir {in}/thtra --prepared {in}/prepared --helpfulness {in}/helpful --limit 90 --candidates 6 --batch-size 2 \
                --out out",
        again: Again::Resume,
        needs: &["look-ahead", "helpful"],
        rules: &[],
    },
    Job {
        name: "thtra-align",
        program: "thtra",
        words: "align --base {in}/look-ahead/model --data-dir {in}/thtra --prepared {in}/prepared --candidates {in}/candidates --helpfulness {in}/helpful --max-steps 40 \
                --accumulate 1 --evaluate-every 10 --warmup-steps 4 --answers 4 --val-limit 8 --loss-limit 40 --perplexity-limit 1000000 --save-every 2 --out out",
        again: Again::Resume,
        needs: &["candidates"],
        rules: RUN,
    },
    Job {
        name: "thtra-infer",
        program: "thtra",
        words: "infer --model {in}/look-ahead --data {in}/thtra/train.txt --max-input-length 96 --batch-size 1 --out out.jsonl",
        again: Again::Resume,
        needs: &["look-ahead"],
        rules: &[],
    },
    Job {
        name: "thtra-eval",
        program: "thtra",
        words: "eval --model {in}/look-ahead --data {in}/thtra/train.txt --limit 90 --max-input-length 96 --batch-size 2 --helpfulness {in}/helpful --resamples 50 --out out",
        again: Again::Resume,
        needs: &["look-ahead", "helpful"],
        rules: &[],
    },
    Job {
        name: "thtra-run",
        program: "thtra",
        words: "run --input {in}/ESConv.json --preset {in}/preset.toml --out out",
        again: Again::SameWords,
        needs: &[],
        rules: &[
            EVENTS,
            TENSORBOARD,
            Rule { files: "out/stages.json", same: Same::JsonWithout(&["seconds"]) },
            Rule { files: "out/comparison.json", same: Same::JsonWithout(&["stages"]) },
            Rule { files: "out/logs/*", same: Same::Never("what stages print: times") },
        ],
    },
    Job {
        name: "persuasion-train",
        program: "persuasion",
        words: "train --model demo --data {in}/pairs --template bare --max-length 128 --max-prompt-length 64 --limit 32 --val-limit 8 --epochs 2 --dropout 0.1 \
                --learning-rate 1e-3 --save-every 2 --evaluate-every 6 --generate 1 --max-new-tokens 8 --out out",
        again: Again::Resume,
        needs: &[],
        rules: RUN,
    },
    Job {
        name: "persuasion-generate",
        program: "persuasion",
        words: "generate --adapter {in}/aligned --data {in}/pairs/train.jsonl --limit 15 --samples 2 --temperature 0.8 --max-new-tokens 24 --batch 2 --out out.jsonl",
        again: Again::Resume,
        needs: &["aligned"],
        rules: &[],
    },
    Job {
        name: "persuasion-eval",
        program: "persuasion",
        words: "eval --adapter {in}/aligned --data {in}/pairs/test.jsonl --limit 16 --generate 8 --max-new-tokens 16 --judge demo --by likelihood --resamples 100 \
                --out out.json",
        again: Again::Resume,
        needs: &["aligned"],
        rules: &[],
    },
    Job {
        name: "persuasion-search",
        program: "persuasion",
        words: "search --model demo --data {in}/pairs --template bare --max-length 128 --max-prompt-length 64 --limit 12 --val-limit 4 --epochs 2 --save-every 1 \
                --evaluate-every 3 --generate 0 --space {in}/space.toml --sampler grid --learning-rate 1e-3 --trials 3 --pruner none --retry 100 --study out",
        again: Again::SameWords,
        needs: &[],
        rules: &[
            Rule { files: "out/study_results.json", same: Same::Trials },
            Rule { files: "*/adapter/adapter_model.safetensors", same: Same::Anywhere },
            Rule { files: "*/outputs/samples.jsonl", same: Same::Anywhere },
            Rule {
                files: "out/trials/*",
                same: Same::Never(
                    "a trial that is tried again has another number; adapters and samples of all trials are compared",
                ),
            },
            Rule { files: "out/workers/*", same: Same::Never("one file for each process") },
            Rule { files: "out/journal.jsonl", same: Same::Never("every try of a trial is in it, with times") },
        ],
    },
    Job {
        name: "solace-plan",
        program: "solace",
        words: "plan --planner magic:demo --data demo:20 --turns 1..6 --limit 24 --out out.jsonl",
        again: Again::Resume,
        needs: &[],
        rules: ROWS,
    },
    Job {
        name: "solace-realise",
        program: "solace",
        words: "realise --plan {in}/plan.jsonl --model demo --strategies extes15 --data demo:20 --turns 1..6 --limit 20 --candidates 3 --max-new-tokens 32 --out out.jsonl",
        again: Again::Resume,
        needs: &["plan"],
        rules: ROWS,
    },
    Job {
        name: "solace-rank",
        program: "solace",
        words: "rank --candidates {in}/answers.jsonl --helpfulness {in}/helpful --adherence demo --adherence-strategies extes15 --classifier demo --metrics f1 \
                --data demo:20 --turns 1..6 --limit 20 --out out.jsonl",
        again: Again::Resume,
        needs: &["answers", "helpful"],
        rules: ROWS,
    },
    Job {
        name: "solace-scoreboard",
        program: "solace",
        words: "scoreboard --systems {in}/systems.toml --data demo:20 --turns 1..6 --limit 16 --helpfulness {in}/helpful --classifier demo --max-new-tokens 32 --out out",
        again: Again::Resume,
        needs: &["look-ahead", "helpful"],
        rules: &[
            Rule { files: "*.jsonl", same: Same::Lines },
            Rule { files: "out/speed.json", same: Same::Never("seconds and memory") },
            Rule {
                files: "out/scoreboard.md",
                same: Same::Never("its last table is that of speed.json; the others are those of scoreboard.json"),
            },
        ],
    },
];
