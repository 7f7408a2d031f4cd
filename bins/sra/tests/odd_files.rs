//! Files that are not what their names promise: bytes that are no text, folders, devices, pipes, links to nowhere, other editors' marks and line
//! ends. Each is told with its name (and line) at once, or read for what it is.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::program::{Place, dialogues, model, records, root, run, short_run, sra, text};
use crate::surroundings::complaint_at_once;

/// A place with a short run's data, and every option that names a file to be read: with words around it, `FILE` standing for it.
fn readers(place: &Place) -> Vec<Vec<String>> {
    let local = model().to_string_lossy().into_owned();
    let out = place.name("out");
    let run = short_run(&place.path("out"));
    let with = |option: &str| {
        let mut words = run.clone();
        match words.iter().position(|word| word == option) {
            Some(at) => words[at + 1] = "FILE".into(),
            None => words.extend([option.to_owned(), "FILE".to_owned()]),
        }
        words
    };
    let others: [&[&str]; 9] = [
        &["stats", "--input", "FILE"],
        &["prepare", "--input", "FILE", "--out", &out],
        &["train", "--quiet", "--model", &local, "--data", "FILE", "--out", &out],
        &["generate", "--quiet", "--model", &local, "--data", "FILE", "--out", &out],
        &["classifier", "train", "--quiet", "--size", "tiny", "--data", "FILE", "--hold-out", "0.5", "--out", &out],
        &["score", "FILE", "FILE"],
        &["judge", "FILE", "--model", &local, "--out", &out],
        &["adherence", "FILE", "--strategies", "extes15", "--model", &local, "--out", &out],
        &["serve", "--model", &local, "--api-key-file", "FILE"],
    ];
    let of_run = ["--data", "--strategies", "--instruction", "--config", "--tokenizer", "--chat-template", "--model"];
    let owned = |words: &&[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    of_run.iter().map(|option| with(option)).chain(others.iter().map(owned)).collect()
}

fn command(words: &[String], file: &str) -> Command {
    let words: Vec<String> = words.iter().map(|word| word.replace("FILE", file)).collect();
    let mut command = sra(&words.iter().map(String::as_str).collect::<Vec<_>>());
    command.env_remove("OPENAI_API_KEY");
    command
}

/// What a command complains of that must fail at once.
fn complaint(words: &[String], file: &str) -> String {
    complaint_at_once(&mut command(words, file))
}

#[test]
fn what_is_no_file_is_told_at_once() {
    let place = Place::new();
    let folder = place.name("folder.jsonl");
    std::fs::create_dir(&folder).unwrap();
    let pipe = place.name("pipe.jsonl");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let [here, there, dangling] = ["here.jsonl", "there.jsonl", "dangling.jsonl"].map(|name| place.name(name));
    symlink(&here, &there).unwrap();
    symlink(&there, &here).unwrap();
    symlink(place.name("nothing"), &dangling).unwrap();
    for words in readers(&place) {
        for file in [&pipe, &here, &dangling, &"/dev/zero".to_owned()] {
            let told = complaint(&words, file);
            assert!(told.contains(file.as_str()), "{words:?} names {file}: {told}");
        }
        // Some of them take folders as well: what they miss is in it then.
        let told = complaint(&words, &folder);
        assert!(told.contains("folder.jsonl"), "{words:?} names the folder: {told}");
        assert!(!place.path("out").exists(), "{words:?} wrote something");
    }
}

/// What another program prints comes through a pipe that the shell has opened.
#[test]
fn an_open_pipe_is_read_like_a_file() {
    let corpus = std::fs::File::open(dialogues()).unwrap();
    let mut cat = Command::new("cat").stdin(corpus).stdout(Stdio::piped()).spawn().unwrap();
    let piped = sra(&["stats", "--input", "/dev/stdin"]).stdin(cat.stdout.take().unwrap()).output().unwrap();
    cat.wait().unwrap();
    let plain = sra(&["stats", "--input", &dialogues().to_string_lossy()]).output().unwrap();
    assert!(piped.status.success() && plain.status.success(), "{}", text(&piped.stderr));
    assert_eq!(piped.stdout, plain.stdout);
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_line() {
    let place = Place::new();
    let path = place.path("bytes.jsonl");
    std::fs::write(&path, b"\n\ncaf\xE9\n").unwrap();
    let file = place.name("bytes.jsonl");
    for words in readers(&place) {
        let told = complaint(&words, &file);
        assert!(told.contains("bytes.jsonl"), "{words:?}: {told}");
        // Models and tokenizers are no texts to begin with.
        if !words.windows(2).any(|pair| ["--tokenizer", "--model"].contains(&pair[0].as_str()) && pair[1] == "FILE") {
            assert!(told.contains("line 3"), "{words:?}: {told}");
        }
    }
    // UTF-16, as some editors save what they call Unicode.
    std::fs::write(&path, b"\xFF\xFE{\x00}\x00").unwrap();
    let told = complaint(&["stats", "--input", "FILE"].map(str::to_owned), &file.replace(".jsonl", ".json"));
    assert!(told.contains("bytes.json"), "{told}");
    let told = complaint(&readers(&place)[3], &file);
    assert!(told.contains("UTF-16") && told.contains("save the file as UTF-8"), "{told}");
}

#[test]
fn damaged_rows_of_our_own_are_told_with_their_line_and_stay() {
    let place = Place::new();
    let words = short_run(&place.path("run"));
    assert!(run(&words).status.success());
    let file = place.path("run/continuations.jsonl");
    let mut bytes = std::fs::read(&file).unwrap();
    let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    // Within a text of the second record.
    let place_in_text = second + bytes[second..].windows(8).position(|window| window == b"\"text\":\"").unwrap() + 8;
    bytes[place_in_text] = 0xFF;
    std::fs::write(&file, &bytes).unwrap();
    let resumed = [words, vec!["--resume".to_owned()]].concat();
    for words in
        [resumed, ["export", "--input", &place.name("run"), "--out", &place.name("out")].map(str::to_owned).to_vec()]
    {
        let told = complaint(&words, "");
        assert!(told.contains("continuations.jsonl, line 2"), "{told}");
    }
    assert!(std::fs::read(&file).unwrap() == bytes, "what is there stays");
}

#[test]
fn nothing_but_a_mark_is_nothing() {
    let place = Place::new();
    for (name, bytes) in
        [("empty.json", &b""[..]), ("mark.json", b"\xEF\xBB\xBF"), ("blank.json", b"\xEF\xBB\xBF\r\n \r\n")]
    {
        std::fs::write(place.path(name), bytes).unwrap();
        // A configuration may say nothing.
        for words in readers(&place).iter().filter(|words| !words.contains(&"--config".to_owned())) {
            let told = complaint(words, &place.name(name));
            assert!(told.contains(name), "{words:?}: {told}");
        }
    }
}

/// A byte order mark and line ends of another system change nothing.
#[test]
fn marks_and_line_ends_of_other_editors_are_no_part_of_a_text() {
    let place = Place::new();
    let saved_elsewhere = |from: &str, to: &str| {
        let text = std::fs::read_to_string(from).unwrap().replace("\r\n", "\n").replace('\n', "\r\n");
        std::fs::write(place.path(to), [b"\xEF\xBB\xBF", text.as_bytes()].concat()).unwrap();
        place.name(to)
    };
    let corpus = saved_elsewhere(&dialogues().to_string_lossy(), "dialogues.json");
    let strategies = root().join("crates/esconv-data/data/strategies/esconv8.toml").to_string_lossy().into_owned();
    let strategies = [strategies.clone(), saved_elsewhere(&strategies, "esconv8.toml")];
    let instruction =
        place.write("words.txt", "Situation: {situation}\nAnswer by the\n\"{strategy}\" strategy: {description}\n");
    // Of the same name in another folder: a record tells it.
    std::fs::create_dir(place.path("other")).unwrap();
    let instructions = [instruction.clone(), saved_elsewhere(&instruction, "other/words.txt")];
    let config = place.write("run.toml", "[continue]\nturns = \"3..4\"\nlayout = [\"c1_hf\", \"standard\"]\n");
    let configs = [config.clone(), saved_elsewhere(&config, "other.toml")];
    let corpora = [dialogues().to_string_lossy().into_owned(), corpus];
    let mut found = Vec::new();
    for (place_of, name) in ["plain", "elsewhere"].into_iter().enumerate() {
        let mut words = short_run(&place.path(name));
        words.retain(|word| word != "--turns" && word != "3..4");
        let at = words.iter().position(|word| word == "--data").unwrap();
        words[at + 1].clone_from(&corpora[place_of]);
        words.extend(
            ["--strategies", &strategies[place_of], "--instruction", &instructions[place_of]].map(str::to_owned),
        );
        words.extend(["--config".to_owned(), configs[place_of].clone()]);
        let output = run(&words);
        assert!(output.status.success(), "{}", text(&output.stderr));
        found.push(records(&place.path(name)));
    }
    assert!(!found[0].is_empty() && found[0].iter().all(|record| !record.contains("\\r")));
    assert!(found[0] == found[1], "the records differ");
    // Prepared examples, line by line.
    let prepared = place.name("prepared.jsonl");
    assert!(sra(&["prepare", "--input", &corpora[0], "--out", &prepared]).output().unwrap().status.success());
    let counted = [prepared.clone(), saved_elsewhere(&prepared, "elsewhere.jsonl")]
        .map(|file| sra(&["stats", "--input", &file]).output().unwrap().stdout);
    assert!(!counted[0].is_empty() && counted[0] == counted[1]);
}

/// Names of files end up in settings, records and results, which are all UTF-8: a name that is not is told before it could spoil one.
#[test]
fn a_name_that_is_no_text_is_told_before_anything_is_done() {
    let place = Place::new();
    let mut name = place.name("caf").into_bytes();
    name.extend(b"\xE9.json");
    std::fs::copy(dialogues(), OsString::from_vec(name.clone())).unwrap();
    let odd = |option: &[u8]| OsString::from_vec([option, &name].concat());
    for words in [
        vec!["stats".into(), "--input".into(), odd(b"")],
        vec!["stats".into(), odd(b"--input=")],
        vec!["prepare".into(), "--input".into(), "demo:1".into(), "--out".into(), odd(b"")],
        vec![
            "continue".into(),
            "--model".into(),
            odd(b""),
            "--data".into(),
            "demo:1".into(),
            "--out".into(),
            "x".into(),
        ],
        vec!["stats".into(), odd(b"--config="), "--input".into(), "demo:1".into()],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_sra")).args(&words).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {told}");
        assert!(
            told.contains(r"caf\xE9.json") && told.contains("is not UTF-8") && told.contains("rename"),
            "{words:?}: {told}"
        );
    }
    // A link with a name of letters is all it takes.
    symlink(OsString::from_vec(name), place.path("cafe.json")).unwrap();
    assert!(sra(&["stats", "--input", &place.name("cafe.json")]).output().unwrap().status.success());
}

#[test]
fn variables_that_are_no_text_are_told_by_name_and_not_shown() {
    let value = OsString::from_vec(b"sk-5d1c7e90ab\xFF".to_vec());
    let place = Place::new();
    let mut remote = short_run(&place.path("run"));
    let at = remote.iter().position(|word| word == "--model").unwrap();
    remote[at + 1] = "openai:m@http://127.0.0.1:1/v1".into();
    let mut hub = remote.clone();
    hub[at + 1] = "owner/name".into();
    hub.extend(["--hub-endpoint".to_owned(), "http://127.0.0.1:9".to_owned()]);
    let named = [remote.clone(), ["--api-key-env", "MY_KEY"].map(str::to_owned).to_vec()].concat();
    for (words, variable) in [(remote, "OPENAI_API_KEY"), (named, "MY_KEY"), (hub, "HF_TOKEN")] {
        let output = command(&words, "").env(variable, &value).output().unwrap();
        let told = text(&output.stderr);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{variable}: {told}");
        assert!(
            told.contains(variable) && !told.contains("5d1c7e90ab") && !told.contains("panicked"),
            "{variable}: {told}"
        );
    }
    // What asks for no secret does not fail for one.
    let output =
        sra(&["stats", "--input", "demo:2"]).env("OPENAI_API_KEY", &value).env("RUST_LOG", &value).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}
