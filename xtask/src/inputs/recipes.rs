//! How inputs are made that are more than data files: by commands of the programs, in the folder of the inputs.

/// Something that commands need, made by a command that works in the folder of the inputs.
pub(super) struct Input {
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    pub(super) words: &'static str,
    pub(super) needs: &'static [&'static str],
}

pub(super) const INPUTS: &[Input] = &[
    Input {
        name: "one",
        program: "sra",
        words: "continue --model {root}/fixtures/models/tiny-llama --data {root}/fixtures/dialogues/dialogues.json --conversations 3 --turns 3..4 \
                --max-new-tokens 8 --kv-memory 64M --seed 1 --out one",
        needs: &[],
    },
    Input {
        name: "two",
        program: "sra",
        words: "continue --model {root}/fixtures/models/tiny-llama --data {root}/fixtures/dialogues/dialogues.json --conversations 3 --turns 3..4 \
                --max-new-tokens 8 --kv-memory 64M --seed 2 --out two",
        needs: &[],
    },
    Input {
        name: "layouts",
        program: "sra",
        words: "continue --model demo --data ESConv.json --conversations 6 --turns 3..4 --sample-prob 0.3 --layout c1_hf,standard --max-new-tokens 8 --out layouts",
        needs: &[],
    },
    Input {
        name: "conversations",
        program: "sra",
        words: "prepare --input ESConv.json --out conversations.jsonl",
        needs: &[],
    },
    Input {
        name: "generated",
        program: "sra",
        words: "generate --model demo --data chats/test.jsonl --limit 4 --max-new-tokens 8 --out generated.jsonl",
        needs: &["chats"],
    },
    Input {
        name: "lessons",
        program: "sra",
        words: "continue --model demo --data demo-train:6 --turns 2..3 --max-new-tokens 24 --seed 3 --out lessons",
        needs: &[],
    },
    Input {
        name: "chats",
        program: "sra",
        words: "dataset --input lessons --out chats --dev 1 --test 1",
        needs: &["lessons"],
    },
    Input {
        name: "classifier",
        program: "sra",
        words: "classifier train --size tiny --data demo-train:40 --max-steps 20 --micro-batch 16 --out classifier",
        needs: &[],
    },
    Input {
        name: "magic-samples",
        program: "magic",
        words: "preprocess --data-dir magic --out-dir magic --test-samples all",
        needs: &[],
    },
    Input {
        name: "magic-motivations",
        program: "magic",
        words: "collect-motivations --backend echo --train-file-path magic/train.txt --out-dir magic",
        needs: &[],
    },
    Input {
        name: "magic-prompts",
        program: "magic",
        words: "build-prompts --data-dir magic --out-dir magic --test-samples all",
        needs: &["magic-motivations"],
    },
    Input {
        name: "generator",
        program: "magic",
        words: "train --size tiny --vocabulary 300 --train-data magic/train.json --val-data magic/valid.json --batch-size 4 --max-steps 10 --max-length 64 \
                --max-length-situation 32 --output-dir generator",
        needs: &["magic-samples"],
    },
    Input { name: "thtra", program: "thtra", words: "process --input ESConv.json --out thtra", needs: &[] },
    Input {
        name: "prepared",
        program: "thtra",
        words: "prepare --data-dir thtra --learn-tokenizer 400 --max-input-length 96 --max-decoder-input-length 24 --out prepared",
        needs: &["thtra"],
    },
    Input {
        name: "look-ahead",
        program: "thtra",
        words: "train-lookahead --prepared prepared --size tiny --tokenizer prepared/tokenizer --max-steps 30 --batch-size 4 --warmup-steps 4 --val-limit 8 --out look-ahead",
        needs: &["prepared"],
    },
    Input {
        name: "helpful",
        program: "thtra",
        words: "helpfulness train --data-dir thtra --size tiny --batch-size 8 --max-steps 10 --prefix-length 2 --hidden 24 --max-input-length 64 --val-limit 8 --out helpful",
        needs: &["thtra"],
    },
    Input {
        name: "candidates",
        program: "thtra",
        words: "candidates --model look-ahead/model --data-dir thtra --prepared prepared --helpfulness helpful --limit 12 --candidates 3 --out candidates",
        needs: &["look-ahead", "helpful"],
    },
    Input {
        name: "aligned",
        program: "persuasion",
        words: "train --model demo --data pairs --template bare --max-length 128 --max-prompt-length 64 --limit 16 --val-limit 4 --max-steps 4 --generate 0 --out aligned",
        needs: &[],
    },
    Input {
        name: "plan",
        program: "solace",
        words: "plan --planner fixed:Clarification,Affirmation --strategies extes15 --top 2 --data demo:20 --turns 1..6 --limit 20 --out plan.jsonl",
        needs: &[],
    },
    Input {
        name: "answers",
        program: "solace",
        words: "realise --plan plan.jsonl --model demo --strategies extes15 --data demo:20 --turns 1..6 --limit 20 --candidates 2 --max-new-tokens 24 --out answers.jsonl",
        needs: &["plan"],
    },
];

/// Systems of a scoreboard, one of each kind that is done in a moment.
pub(super) const SYSTEMS: &str = r#"[[system]]
name = "fixed"
planner = "fixed:Question"
model = "demo"
[[system]]
name = "planned"
planner = "thtra:{in}/look-ahead"
model = "demo"
[[system]]
name = "free"
planner = "none"
model = "demo"
"#;

/// All stages of `thtra run`, as small as they may be.
pub(super) const PRESET: &str = r#"description = "all stages, as small as they may be"
size = "tiny"
vocabulary = 300
encoder-size = "tiny"
[prepare]
max-input-length = 60
max-decoder-input-length = 20
[helpfulness]
kind = "ordinal"
max-steps = 6
batch-size = 4
[train-lookahead]
max-steps = 12
batch-size = 4
val-limit = 8
save-every = 3
[train-situation]
max-steps = 12
batch-size = 4
val-limit = 8
save-every = 3
[alignments.aligned.candidates]
limit = 4
candidates = 3
[alignments.aligned.align]
epochs = 1
accumulate = 2
answers = 2
val-limit = 4
perplexity-limit = 1000000
loss-limit = 40
[eval]
limit = 4
no-gold = true
resamples = 20
"#;
