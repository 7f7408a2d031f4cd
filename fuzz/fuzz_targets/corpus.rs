//! Foreign bytes as every file of texts: corpora, examples, splits, strategy sets, pairs, records of runs.
#![no_main]

use dpo::{ReadPairs, read_pairs};
use esconv_data::{
    StrategySet, read_corpus, read_esconv, read_examples, read_failed_esconv, read_multiesc, read_thtra,
};
use libfuzzer_sys::fuzz_target;
use solace_fuzz::{choice, file};
use strategy_prompting::{TornLine, read_records};

fuzz_target!(|bytes: &[u8]| {
    let (chosen, bytes) = choice(bytes);
    let json = || file("input.json", bytes);
    match chosen % 10 {
        0 => drop(read_corpus(&json())),
        1 => drop(read_esconv(&json())),
        2 => drop(read_failed_esconv(&json())),
        3 => drop(read_thtra(&json())),
        4 => drop(read_multiesc(&json())),
        5 => drop(read_examples(&file("input.jsonl", bytes))),
        6 => drop(StrategySet::from_file(&file("set.toml", bytes))),
        7 => drop(read_pairs(&file("input.csv", bytes), &ReadPairs { skip_bad: true, ..ReadPairs::default() })),
        8 => drop(read_pairs(&file("input.jsonl", bytes), &ReadPairs::default())),
        _ => drop(
            read_records(&file("input.jsonl", bytes), TornLine::Skip)
                .map(|records| records.filter(Result::is_ok).count()),
        ),
    }
});
