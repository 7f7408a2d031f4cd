//! Records of runs: what is written is read back, by line and by checksum.

use std::path::Path;

use serde_json::{Map, Value, json};
use training::tracking::{
    At, EventKind, EventLog, Table, TensorBoard, Tracker, Trackers, WandbOffline, read_events, training_curve_svg,
};

fn at(step: u64) -> At {
    At { step, epoch: step as f64 / 10.0, time: 1_795_225_599.5 + step as f64 }
}

fn config() -> Map<String, Value> {
    json!({"learning_rate": 5e-5, "name": "a"}).as_object().cloned().unwrap()
}

/// Writes steps `from..to` of a run that has made `from` steps.
fn write(tracker: &mut dyn Tracker, from: u64, to: u64) {
    tracker.config(at(from), &config()).unwrap();
    for step in from + 1..=to {
        tracker.scalars(at(step), &[("loss", 1.0 / step as f64), ("learning_rate", 1e-3)]).unwrap();
    }
    tracker.text(at(to), "note", "größer | kleiner").unwrap();
    let table = Table { columns: vec!["a".into(), "b".into()], rows: vec![vec![json!(1), json!("x|y\nz")]] };
    tracker.table(at(to), "samples", &table).unwrap();
}

#[test]
fn events_are_read_back_and_a_resumed_run_tells_each_step_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    write(&mut EventLog::open(&path, 0).unwrap(), 0, 9);
    // Killed in the middle of a line.
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [whole.as_slice(), b"{\"t\": 1, \"st"].concat()).unwrap();
    let mut log = EventLog::open(&path, 6).unwrap();
    write(&mut log, 6, 12);
    log.finish(at(12), 0).unwrap();
    let events = read_events(&path).unwrap();
    let losses: Vec<(u64, f64)> = events.iter().filter_map(|event| Some((event.step, event.scalar("loss")?))).collect();
    assert_eq!(losses.iter().map(|(step, _)| *step).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    assert!(losses.iter().all(|(step, loss)| (loss - 1.0 / *step as f64).abs() < 1e-12));
    assert_eq!(events.last().unwrap().kind, EventKind::Finish);
    // The first six steps stand there byte for byte.
    let lines = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').take(7).map(<[u8]>::to_vec).collect::<Vec<_>>();
    assert_eq!(lines(&std::fs::read(&path).unwrap()), lines(&whole));
}

#[test]
fn values_that_are_not_finite_are_texts_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut log = EventLog::open(&path, 0).unwrap();
    log.scalars(at(1), &[("a", f64::NAN), ("b", f64::INFINITY), ("c", f64::NEG_INFINITY)]).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("\"a\":\"NaN\"") && text.contains("\"b\":\"Infinity\"") && text.contains("\"c\":\"-Infinity\"")
    );
    let event = &read_events(&path).unwrap()[0];
    assert!(event.scalar("a").unwrap().is_nan() && event.scalar("c") == Some(f64::NEG_INFINITY));
    std::fs::write(&path, "{}\n").unwrap();
    let error = read_events(&path).unwrap_err().to_string();
    assert!(error.contains("events.jsonl: line 1: not an event"), "{error}");
}

/// The records of an event file: length, checksum of the length, payload, checksum of the payload.
fn payloads(file: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut all) = (file, Vec::new());
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        all.push(&rest[12..12 + length]);
        rest = &rest[16 + length..];
    }
    all
}

#[test]
fn every_opening_begins_an_event_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [(0, 5), (3, 7)] {
        let mut board = TensorBoard::open(folder.path(), at(from)).unwrap();
        write(&mut board, from, to);
        board.finish(at(to), 0).unwrap();
    }
    let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 2);
    let bytes = std::fs::read(&files[0]).unwrap();
    let payloads = payloads(&bytes);
    // Version, session, configuration, five steps, text, table.
    assert_eq!(payloads.len(), 10);
    assert!(payloads[0].ends_with(b"brain.Event:2"));
    assert!(payloads[4].windows(4).any(|window| window == b"loss"));
}

#[test]
fn an_offline_run_has_its_folder_form() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = WandbOffline::open(folder.path(), "project", "name", at(0)).unwrap();
    // Several blocks of 32 KiB.
    write(&mut run, 0, 900);
    run.finish(at(900), 1).unwrap();
    let name = run.folder().file_name().unwrap().to_str().unwrap().to_owned();
    assert!(name.starts_with("offline-run-20261121_014639-") && name.len() == "offline-run-20261121_014639-".len() + 8);
    let id = name.rsplit('-').next().unwrap();
    let log = std::fs::read(run.folder().join(format!("run-{id}.wandb"))).unwrap();
    assert!(log.starts_with(b":W&B\xe1\xbe\0") && log.len() > 64 << 10);
    let tables = std::fs::read_dir(run.folder().join("files/media/table")).unwrap().count();
    assert_eq!(tables, 1);
}

#[test]
fn a_folder_that_can_not_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let errors = [
        TensorBoard::open(&file, at(0)).err().unwrap(),
        WandbOffline::open(&file, "p", "n", at(0)).err().unwrap(),
        EventLog::open(&file.join("events.jsonl"), 0).err().unwrap(),
    ];
    for error in errors {
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    }
}

fn curve(path: &Path) -> String {
    training_curve_svg(&read_events(path).unwrap(), "a < b & \"c\"")
}

/// Whatever the run holds, the picture is drawn: no point, one, equal ones, infinite ones.
#[test]
fn curves_are_drawn_of_anything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let runs: [&[f64]; 6] = [&[], &[2.0], &[2.0, 2.0, 2.0], &[f64::NAN, 1.0, f64::INFINITY], &[0.0, 0.0], &[-5.0, 1e9]];
    for losses in runs {
        let _ = std::fs::remove_file(&path);
        let mut log = Trackers(vec![Box::new(EventLog::open(&path, 0).unwrap())]);
        for (step, loss) in losses.iter().enumerate() {
            log.scalars(at(step as u64 + 1), &[("loss", *loss), ("learning_rate", 0.0), ("eval_dev_loss", *loss)])
                .unwrap();
        }
        let svg = curve(&path);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(
            svg.contains("a &lt; b &amp; &quot;c&quot;")
                && svg.contains("loss (nats per token)")
                && svg.contains("optimiser step")
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{losses:?}\n{svg}");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}
