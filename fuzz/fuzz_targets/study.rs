//! Foreign bytes as the journal of a study, and as one of Optuna's.
#![no_main]

use std::fs;

use hyper_search::{Generator, RandomSampler, Snapshot, Study, StudyOptions};
use libfuzzer_sys::fuzz_target;
use solace_fuzz::{choice, file, folder};

const SEEDED: Generator = Generator::PerTrial { seed: 1 };

fuzz_target!(|bytes: &[u8]| {
    let (chosen, bytes) = choice(bytes);
    if chosen % 2 == 1 {
        let fresh = Study::in_memory(StudyOptions::minimize(RandomSampler::new(SEEDED))).expect("usual options");
        let _ = fresh.import_optuna(file("optuna.log", bytes), None);
        return;
    }
    let study = folder().join("study");
    let _ = fs::remove_dir_all(&study);
    fs::create_dir(&study).expect("the temporary folder can be written");
    file("study/journal.jsonl", bytes);
    let _ = Snapshot::read(&study);
    if let Ok(study) = Study::open(&study, StudyOptions::minimize(RandomSampler::new(SEEDED))) {
        let _ = study.ask();
    }
});
