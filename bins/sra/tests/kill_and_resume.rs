//! Kill -9 at any moment and `--resume`: the records are those of an uninterrupted run, byte for byte.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};

use crate::program::{records, run, short_run, sra, text};

fn words(out: &std::path::Path) -> Vec<String> {
    let mut words = short_run(out);
    for (name, value) in [("--conversations", "3"), ("--turns", "2..5"), ("--max-new-tokens", "12")] {
        let at = words.iter().position(|word| word == name).unwrap();
        words[at + 1] = value.into();
    }
    words.extend(["--layout", "c1_hf,standard", "--seed", "5", "--quiet"].map(str::to_owned));
    words
}

#[test]
fn killed_ten_times_and_resumed_a_run_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let start = Instant::now();
    let output = run(&words(&whole));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let duration = start.elapsed();
    let expected = records(&whole);
    assert!(expected.len() >= 300, "{} records", expected.len());

    let killed = folder.path().join("killed");
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let mut kills = 0;
    let mut killed_midway = 0;
    while kills < 10 {
        let mut words = words(&killed);
        words.push("--resume".into());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut child = sra(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(duration.mul_f64(rng.random_range(0.02..0.35)));
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        let found = records(&killed).len();
        killed_midway += usize::from(found > 0 && found < expected.len());
    }
    println!("{killed_midway} of {kills} kills hit a run with some but not all records");
    let mut words = words(&killed);
    words.push("--resume".into());
    let output = run(&words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(records(&killed) == expected, "the union of the records differs");
}

#[test]
fn a_torn_last_line_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    assert!(run(&short_run(&whole)).status.success());
    let expected = records(&whole);
    let file = whole.join("continuations.jsonl");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 100]).unwrap();
    let mut words = short_run(&whole);
    words.push("--resume".into());
    let output = run(&words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(records(&whole), expected);
}

#[test]
fn an_interrupt_keeps_what_is_finished_and_exits_with_130() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut words = words(&out);
    let at = words.iter().position(|word| word == "--max-new-tokens").unwrap();
    words[at + 1] = "200".into();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut child = sra(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while records(&out).is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    // SAFETY: signals the child just started.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    for line in records(&out) {
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }
}

#[test]
fn threads_and_batch_do_not_change_the_records() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for (threads, batch) in [("1", "1"), ("2", "16"), ("4", "5")] {
        for quantize in [None, Some("q8_0")] {
            let out = folder.path().join(format!("{threads}-{batch}-{quantize:?}"));
            let mut words = short_run(&out);
            words.extend(["--threads", threads, "--batch", batch].map(str::to_owned));
            words.extend(quantize.iter().flat_map(|name| ["--quantize".to_owned(), (*name).to_owned()]));
            let output = run(&words);
            assert!(output.status.success(), "{}", text(&output.stderr));
            all.push((quantize, records(&out)));
        }
    }
    for (quantize, found) in &all {
        let (_, expected) = all.iter().find(|(same, _)| same == quantize).unwrap();
        assert!(found == expected, "{quantize:?}");
    }
}
