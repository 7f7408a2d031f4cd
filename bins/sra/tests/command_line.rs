//! Subcommands on the shipped dialogues, help, configuration files and exit codes.

use serde_json::Value;

use crate::program::{dialogues, gguf, records, root, run, short_run, sra, text};

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn help_names_every_subcommand() {
    let output = sra(&["--help"]).output().unwrap();
    assert!(output.status.success());
    let help = text(&output.stdout);
    for name in [
        "prepare",
        "stats",
        "continue",
        "chat",
        "serve",
        "train",
        "dataset",
        "merge",
        "generate",
        "demo",
        "agreement",
        "score",
        "judge",
        "compare",
        "head2head",
        "postprocess",
        "export",
        "completions",
        "man",
    ] {
        assert!(help.contains(name), "{name}");
    }
}

#[test]
fn completions_are_printed() {
    let output = sra(&["completions", "bash"]).output().unwrap();
    assert!(output.status.success() && text(&output.stdout).contains("continue"));
}

#[test]
fn manual_pages_are_printed_and_written() {
    let output = sra(&["man"]).output().unwrap();
    assert!(output.status.success() && text(&output.stdout).contains(".SH SYNOPSIS"));
    let folder = tempfile::tempdir().unwrap();
    let output = sra(&["man", "--out", &folder.path().join("man1").to_string_lossy()]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    for name in ["sra", "sra-continue", "sra-classifier-train", "sra-man"] {
        let page = std::fs::read_to_string(folder.path().join(format!("man1/{name}.1"))).unwrap();
        assert!(page.contains(&format!("\n{} \\- ", name.replace('-', "\\-"))), "{page}");
    }
    let blocked = folder.path().join("man1/sra.1");
    let output = sra(&["man", "--out", &blocked.to_string_lossy()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("sra.1"), "{}", text(&output.stderr));
}

#[test]
fn versions_are_told_short_and_long() {
    assert_eq!(text(&sra(&["-V"]).output().unwrap().stdout), concat!("sra ", env!("CARGO_PKG_VERSION"), "\n"));
    let long = text(&sra(&["--version"]).output().unwrap().stdout);
    let lines: Vec<&str> = long.lines().collect();
    assert_eq!(lines[0], concat!("sra ", env!("CARGO_PKG_VERSION")));
    let commit = lines[1].strip_prefix("commit: ").expect(&long);
    let hash = commit.split('-').next().unwrap();
    assert!(commit == "unknown" || hash.len() >= 7 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{long}");
    assert_eq!(lines[2], if cfg!(feature = "cuda") { "features: cuda" } else { "features: none" });
}

#[test]
fn prepare_and_stats_agree_on_the_examples() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("conversations.jsonl");
    let (input, out_text) = (dialogues(), out.to_string_lossy().into_owned());
    let words = ["prepare", "--input", &input.to_string_lossy(), "--out", &out_text, "--format", "json"];
    let output = sra(&words).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let examples = json(&output.stdout)["examples"].as_u64().unwrap() as usize;
    assert_eq!(std::fs::read_to_string(&out).unwrap().lines().count(), examples);
    let output = sra(&["stats", "--input", &input.to_string_lossy()]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(&examples.to_string()));
}

#[test]
fn the_same_text_comes_from_the_hugging_face_folder_and_the_gguf_file_of_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("gguf");
    let mut words = short_run(&out);
    let at = words.iter().position(|word| word == "--model").unwrap();
    words[at + 1] = gguf().to_string_lossy().into_owned();
    let output = run(&words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!records(&out).is_empty());
}

#[test]
fn a_run_reports_its_reuse_and_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut words = short_run(&out);
    words.extend(["--format", "json"].map(str::to_owned));
    let output = run(&words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let summary = json(&output.stdout);
    assert_eq!(summary["finished"].as_u64().unwrap() as usize, records(&out).len());
    let statistics = &summary["statistics"];
    let number = |name: &str| statistics[name].as_u64().unwrap();
    assert_eq!(number("prompt_tokens"), number("prompt_tokens_computed") + number("prompt_tokens_reused"));
    assert!(number("prompt_tokens_reused") * 3 > number("prompt_tokens"), "{statistics}");

    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let exports = [
        vec!["export", "--form", "reference", "--out"],
        vec!["export", "--form", "chat", "--out"],
        vec!["postprocess", "--out"],
        vec!["postprocess", "--compat", "--out"],
    ];
    for (number, mut words) in exports.into_iter().enumerate() {
        let (target, input) = (path(&format!("export-{number}")), out.to_string_lossy().into_owned());
        words.extend([target.as_str(), "--input", &input]);
        let output = sra(&words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        assert!(std::path::Path::new(&target).exists(), "{words:?}");
    }
}

#[test]
fn a_dry_run_prints_settings_and_cost_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut words = short_run(&out);
    words.push("--dry-run".into());
    let output = run(&words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("prompt tokens"));
    assert!(!out.exists());
}

#[test]
fn the_command_line_wins_over_the_configuration_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("run.toml");
    std::fs::write(
        &config,
        "format = \"json\"\n[continue]\nmax_new_tokens = 3\nlayout = [\"c3_hl\", \"standard\"]\nseed = 9\n",
    )
    .unwrap();
    let mut words = short_run(&folder.path().join("run"));
    words.extend(["--dry-run", "--config", &config.to_string_lossy()].map(str::to_owned));
    let output = run(&words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let settings = &json(&output.stdout)["manifest"]["settings"];
    assert_eq!(settings["generation"]["max_new_tokens"], 6);
    assert_eq!(settings["seed"], 9);
    assert_eq!(settings["layouts"], serde_json::json!(["c3_hl", "standard"]));
}

/// Shares run side by side; what is merged of them is the whole run, attention included.
#[test]
fn shards_of_several_processes_merge_to_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let words = |name: &str, more: &[&str]| {
        let mut words = short_run(&folder.path().join(name));
        let turns = words.iter().position(|word| word == "--turns").unwrap();
        words[turns + 1] = "1..9".to_owned();
        words.extend(["--attention", "spans"].iter().chain(more).map(|word| (*word).to_owned()));
        words
    };
    let command = |words: &[String]| sra(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(run(&words("whole", &[])).status.success());
    let shares = ["0/3", "1/3", "2/3"];
    let running: Vec<_> =
        shares.map(|shard| command(&words(&shard.replace('/', "-"), &["--shard", shard])).spawn().unwrap()).into();
    running.into_iter().for_each(|mut share| assert!(share.wait().unwrap().success()));

    let paths = shares.map(|shard| folder.path().join(shard.replace('/', "-")).display().to_string());
    let merge: Vec<&str> = ["--merge"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    let output = run(&words("merged", &merge));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let (whole, merged) = (folder.path().join("whole"), folder.path().join("merged"));
    assert!(records(&merged) == records(&whole), "the union of the shares differs from the whole");
    for entry in std::fs::read_dir(whole.join("attention")).unwrap() {
        let path = entry.unwrap().path();
        let copied = merged.join("attention").join(path.file_name().unwrap());
        assert!(std::fs::read(copied).unwrap() == std::fs::read(path).unwrap());
    }
    let output = run(&words("other", &[&["--seed", "77"], &merge[..]].concat()));
    assert!(!output.status.success() && text(&output.stderr).contains("seed"), "{}", text(&output.stderr));
}

#[test]
fn the_readme_command_runs() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let command = readme.lines().find_map(|line| line.strip_prefix("cargo run --release -p sra -- ")).unwrap();
    let words: Vec<&str> = command.split_whitespace().collect();
    let output = sra(&words).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("Offer Hope"));
}

/// Where the system has a device that is always full.
#[test]
fn a_full_disk_behind_standard_output_is_told() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        return println!("skipped: there is no /dev/full");
    };
    let output = sra(&["score", "--list"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.starts_with("error: standard output: ") && !told.contains("panicked"), "{told}");
}
