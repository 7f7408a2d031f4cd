//! `attention-viz export`: what the page saves, without a browser.

use std::path::Path;
use std::process::{Command, Output};

use attention_viz::Precision;

use crate::sample::{SMALL, Size, info, record};

/// Records of two layouts and two strategies of one example, and one of another example.
fn write_run(run: &Path, first: u64) {
    std::fs::create_dir_all(run).unwrap();
    let of = [(3, "c1_hf", "Hope"), (3, "standard", "Hope"), (3, "c1_hf", "Advice"), (4, "c1_hf", "Hope")];
    for (number, (turn, layout, strategy)) in (first..).zip(of) {
        let mut sample = record(number, SMALL, info(number, 1, turn, layout, strategy));
        sample.token_texts[20] = "\u{1}\u{1b}[0m<&>".into();
        sample.write(&run.join(format!("{turn}-{layout}-{strategy}.attn")), Precision::F16).unwrap();
    }
}

fn export(words: &[&str], runs: &[&Path], out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attention-viz"));
    command.arg("export").args(runs).args(words).arg("--out").arg(out).output().unwrap()
}

fn done(words: &[&str], runs: &[&Path], out: &Path) -> String {
    let output = export(words, runs, out);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

fn refused(words: &[&str], runs: &[&Path], out: &Path) -> String {
    let output = export(words, runs, out);
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_view_is_written_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let (run, out) = (folder.path().join("run"), folder.path().join("out"));
    write_run(&run, 1);
    done(&["--format", "csv,svg,png,html", "--against", "layout=standard"], &[&run], &out);
    let names = names(&out);
    let of = |stem: &str, views: &[&str]| {
        for view in views {
            for format in ["csv", "svg", "png"] {
                let name = format!("{stem}{view}.{format}");
                assert!(names.contains(&name), "{name} is not among {names:?}");
            }
        }
    };
    of("3-c1_hf-Hope.", &["spans", "heads", "layers", "map", "tokens"]);
    of("3-c1_hf-Hope-against-3-standard-Hope.", &["compare", "compare-heads", "compare-tokens"]);
    of("", &["turns"]);
    assert_eq!(names.iter().filter(|name| name.contains("-against-")).count(), 9, "one pair: {names:?}");
    assert!(names.contains(&"3-c1_hf-Hope.html".into()));

    let columns = |name: &str| read(&out.join(name)).lines().next().unwrap().to_owned();
    assert_eq!(columns("3-c1_hf-Hope.spans.csv"), "span,new token,text,attention");
    assert_eq!(columns("3-c1_hf-Hope.heads.csv"), "layer,head,attention");
    assert_eq!(columns("turns.csv"), "layout,turn,sra,low,high,records");
    for name in names.iter().filter(|name| name.ends_with(".svg")) {
        let svg = read(&out.join(name));
        assert!(!svg.chars().any(|letter| letter.is_control() && letter != '\n'), "{name} is no XML");
        assert!(!svg.contains("textLength"), "{name} stretches letters");
    }
    let map = read(&out.join("3-c1_hf-Hope.map.svg"));
    assert!(map.contains("\u{FFFD}\u{FFFD}[0m&lt;&amp;&gt;"), "control characters are shown as such");
}

#[test]
fn turns_are_labelled_by_whole_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let (run, out) = (folder.path().join("run"), folder.path().join("out"));
    write_run(&run, 1);
    done(&["--format", "svg", "--no-records"], &[&run], &out);
    assert_eq!(names(&out), ["turns.svg"]);
    let svg = read(&out.join("turns.svg"));
    assert!(svg.contains(">3</text>") && svg.contains(">4</text>") && !svg.contains(">3.2</text>"), "{svg}");
    let said = refused(&["--format", "svg", "--no-records", "--value", "other"], &[&run], &out);
    assert!(said.contains("they hold: sra"), "{said}");
}

#[test]
fn a_damaged_record_is_left_out_and_the_rest_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (run, out) = (folder.path().join("run"), folder.path().join("out"));
    write_run(&run, 1);
    // The header is sound; only reading the record tells. It is the first in the list.
    let mut damaged = record(9, SMALL, info(9, 1, 3, "a", "Hope"));
    damaged.capture.layer_rows[5] = f32::NAN;
    damaged.write(&run.join("damaged.attn"), Precision::F16).unwrap();
    let said = refused(&["--format", "csv", "--against", "layout=standard"], &[&run], &out);
    assert!(
        said.contains("damaged.attn: not an attention file: `layer_rows` holds a value that is not finite"),
        "{said}"
    );
    assert_eq!(said.matches("left out: ").count(), 2, "alone and in its comparison: {said}");
    let names = names(&out);
    for name in ["4-c1_hf-Hope.map.csv", "3-c1_hf-Hope-against-3-standard-Hope.compare.csv", "turns.csv"] {
        assert!(names.contains(&name.into()), "{name} is not among {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("damaged")), "{names:?}");
    // So it is with one whose header is torn.
    std::fs::write(run.join("damaged.attn"), "torn").unwrap();
    assert!(refused(&["--format", "csv"], &[&run], &out).contains("damaged.attn"));
    // A place that can't be written to is no damage.
    let said = refused(&["--format", "csv"], &[&run], &run.join("4-c1_hf-Hope.attn"));
    assert!(said.contains("error: "), "{said}");
}

#[test]
fn pictures_say_what_they_show() {
    let folder = tempfile::tempdir().unwrap();
    let (run, out) = (folder.path().join("run"), folder.path().join("out"));
    write_run(&run, 1);
    let words = ["--format", "svg", "--against", "layout=standard", "--layers", "2", "--heads", "3", "--sink", "keep"];
    done(&words, &[&run], &out);
    let picture = |name: &str| {
        let svg = read(&out.join(name));
        let lines = svg.lines().filter(|line| line.contains("<text"));
        lines.map(|line| line.split_once('>').map_or(line, |(_, text)| text)).collect::<Vec<_>>().join("\n")
    };
    let (a, b) = ("Hope · c1_hf · turn 3 · sample · record-1", "Hope · standard · turn 3 · sample · record-2");
    for view in ["spans", "map", "tokens"] {
        let text = picture(&format!("3-c1_hf-Hope.{view}.svg"));
        assert!(text.contains("(layer 2, head 3, sinks kept)") && text.contains(a), "{view}: {text}");
    }
    // These are of all layers and heads.
    for view in ["heads", "layers"] {
        let text = picture(&format!("3-c1_hf-Hope.{view}.svg"));
        assert!(text.contains("(sinks kept)") && text.contains(a) && !text.contains("head 3"), "{view}: {text}");
    }
    for (view, restriction) in [
        ("compare", "(layer 2, head 3, sinks kept)"),
        ("compare-tokens", "(layer 2, head 3, sinks kept)"),
        ("compare-heads", "(sinks kept)"),
    ] {
        let text = picture(&format!("3-c1_hf-Hope-against-3-standard-Hope.{view}.svg"));
        let both = text.contains(&format!("A: {a}")) && text.contains(&format!("B: {b}"));
        assert!(text.contains(restriction) && both, "{view}: {text}");
    }
    assert!(picture("3-c1_hf-Hope.heads.svg").contains("root scale"));
    let heads = read(&out.join("3-c1_hf-Hope-against-3-standard-Hope.compare-heads.svg"));
    assert!(heads.contains("#be4b14") || heads.contains("#2166ac"), "the page's colours");
    assert!(picture("turns.svg").contains(">0<") || picture("turns.svg").contains("0</text>"), "from zero on");
    let several = ["--format", "svg", "--layers", "0-1", "--heads", "1,3"];
    done(&several, &[&run], &out);
    assert!(picture("3-c1_hf-Hope.spans.svg").contains("(layers 0-1, heads 1,3)"));
}

#[test]
fn several_runs_do_not_overwrite_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, out] = ["one/run", "two/run", "out"].map(|name| folder.path().join(name));
    write_run(&one, 1);
    write_run(&two, 50);
    done(&["--format", "csv"], &[&one, &two], &out);
    assert_eq!(names(&out), ["run", "run-2", "turns.csv"]);
    let [first, second] = ["run", "run-2"].map(|name| read(&out.join(name).join("3-c1_hf-Hope.heads.csv")));
    assert!(first != second, "each run has its own numbers");
    assert!(read(&out.join("turns.csv")).contains("c1_hf,4,"), "turns are of all runs");
}

#[test]
fn records_are_compared_with_what_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    write_run(&one, 1);
    write_run(&two, 50);
    let pairs = |against: &str, number: usize| {
        let out = folder.path().join(format!("out-{number}"));
        done(&["--format", "csv", "--no-records", "--against", against], &[&one, &two], &out);
        let of = |run: &str| names(&out.join(run)).into_iter().filter(|name| name.ends_with(".compare.csv"));
        of("one").chain(if out.join("two").exists() { of("two").collect() } else { Vec::new() }).collect::<Vec<_>>()
    };
    assert_eq!(pairs("strategy=Advice", 1), ["3-c1_hf-Hope-against-3-c1_hf-Advice.compare.csv"; 2]);
    assert_eq!(pairs("run=two", 2).len(), 4);
    // One record against all others of both runs.
    assert_eq!(pairs("record-2", 3).len(), 7);
    assert_eq!(pairs(&two.join("3-c1_hf-Hope.attn").to_string_lossy(), 4).len(), 7);
    let out = folder.path().join("none");
    let said = refused(&["--against", "layout=nothing"], &[&one], &out);
    assert!(said.contains("no two records"), "{said}");
    assert!(refused(&["--against", "nothing"], &[&one], &out).contains("neither the id of a record nor a file"));
}

#[test]
fn what_a_record_does_not_have_is_refused_or_left_out_aloud() {
    let folder = tempfile::tempdir().unwrap();
    let (run, out) = (folder.path().join("run"), folder.path().join("out"));
    write_run(&run, 1);
    let said = refused(&["--layers", "0-99"], &[&run], &out);
    assert!(said.contains("layers 0-99: the record has 3, counted from 0"), "{said}");
    assert!(refused(&["--heads", "4"], &[&run], &out).contains("the record has 4, counted from 0"));
    assert!(refused(&["--select", "70-72"], &[&run], &out).contains("the record has 72"));
    assert!(refused(&["--select", "9-3"], &[&run], &out).contains("stands before the first"));
    assert!(refused(&["--span", "nothing"], &[&run], &out).contains("no record has a span `nothing`"));

    // A record without the span among others has its other views.
    let mut spanless = record(9, SMALL, info(9, 1, 5, "c1_hf", "Hope"));
    spanless.capture.spans[2].label = "other".into();
    spanless.write(&run.join("spanless.attn"), Precision::F16).unwrap();
    let said = done(&["--format", "csv"], &[&run], &out);
    assert!(said.contains("left out: spanless: the prompt has no span `strategy_name`"), "{said}");
    assert!(names(&out).contains(&"spanless.map.csv".into()) && !names(&out).contains(&"spanless.heads.csv".into()));
}

#[test]
fn a_ratio_of_means_is_called_so() {
    let folder = tempfile::tempdir().unwrap();
    let (run, out) = (folder.path().join("run"), folder.path().join("out"));
    std::fs::create_dir(&run).unwrap();
    let mut older = record(1, Size { full: false, ..SMALL }, info(1, 1, 3, "c1_hf", "x"));
    older.capture.head_shares.clear();
    older.write(&run.join("older.attn"), Precision::F16).unwrap();
    done(&["--format", "csv,svg"], &[&run], &out);
    assert!(read(&out.join("older.heads.csv")).starts_with("layer,head,attention (ratio of means)\n"));
    assert!(read(&out.join("older.heads.svg")).contains("(ratio of means)"));
}

#[test]
fn a_selection_is_what_the_map_shows() {
    let folder = tempfile::tempdir().unwrap();
    let (run, out) = (folder.path().join("run"), folder.path().join("out"));
    write_run(&run, 1);
    done(&["--format", "csv,svg", "--select", "12-17"], &[&run], &out);
    let map = read(&out.join("3-c1_hf-Hope.map.csv"));
    // A token with a line break takes two lines; the first of them has no number.
    let values: Vec<f64> =
        map.lines().filter_map(|line| line.rsplit(',').next()).filter_map(|cell| cell.parse().ok()).collect();
    assert_eq!(values.len(), 72);
    assert!(values[..60].iter().all(|value| *value == 0.0) && values[60..].iter().all(|value| *value > 0.0));
    assert!(read(&out.join("3-c1_hf-Hope.map.svg")).contains("gives to tokens 12 to 17"));
}
