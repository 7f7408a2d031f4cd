//! Trackers from outside: what is written can be read by readers that know only the formats.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use training::tracking::{
    At, Entry, Event, EventLog, INTERRUPTED, MOST_TABLE_ROWS, Start, Table, TensorBoard, Tracker, Trackers,
    TrackingError, WandbOffline, WandbRun, dashboard_name, read_events, replay, truncate_after,
};

fn at(step: u64) -> At {
    At { step, epoch: step as f64 / 10.0, time: 1_700_000_000.25 + step as f64 }
}

fn table(rows: usize) -> Table {
    let row = |number| vec![json!(number), json!("a \"text\"\nwith | signs"), Value::Null];
    Table { columns: ["number", "text", "nothing"].map(Into::into).into(), rows: (0..rows).map(row).collect() }
}

fn config() -> Map<String, Value> {
    let config = json!({"learning_rate": 5e-5, "lora": {"rank": 16}, "is_quick": true, "name": "ü"});
    config.as_object().unwrap().clone()
}

/// One step of a run: loss always, evaluation at every fifth step.
fn record(tracker: &mut dyn Tracker, step: u64) {
    let loss = if step == 3 { f64::NAN } else { 1.0 / step as f64 };
    tracker.scalars(at(step), &[("loss", loss), ("rewards/margins", f64::NEG_INFINITY)]).unwrap();
    if step.is_multiple_of(5) {
        tracker.scalars(at(step), &[("eval_loss", 2.0 / step as f64)]).unwrap();
        tracker.table(at(step), "samples", &table(3)).unwrap();
        tracker.text(at(step), "first sample", "ünïcode").unwrap();
    }
}

/// Name, step and value of every scalar as dashboards name them, values as texts so that NaN equals NaN.
fn scalars_of(events: &[Event]) -> Vec<(String, u64, String)> {
    let mut found = Vec::new();
    for event in events {
        if let Entry::Scalars(values) = &event.entry {
            for (name, value) in values {
                found.push((dashboard_name(name), event.at.step, (*value as f32).to_string()));
            }
        }
    }
    found
}

mod event_log {
    use super::*;

    fn log_of(folder: &Path, steps: impl Iterator<Item = u64>) -> PathBuf {
        let path = folder.join("events.jsonl");
        let mut log = EventLog::open(&path).unwrap();
        for step in steps {
            record(&mut log, step);
        }
        path
    }

    #[test]
    fn what_is_recorded_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut log = EventLog::open(&path).unwrap();
        log.config(&config()).unwrap();
        log.scalars(at(1), &[("loss", 0.5), ("a", f64::INFINITY), ("b", f64::NEG_INFINITY)]).unwrap();
        log.text(at(2), "name", "text").unwrap();
        log.table(at(2), "samples", &table(2)).unwrap();
        log.message(at(3), "warning").unwrap();
        log.finish(3).unwrap();
        let events = read_events(&path).unwrap();
        let entries: Vec<_> = events.iter().map(|event| event.entry.clone()).collect();
        let scalars = [("loss", 0.5), ("a", f64::INFINITY), ("b", f64::NEG_INFINITY)];
        let expected = [
            Entry::Config(config()),
            Entry::Scalars(scalars.map(|(name, value)| (name.to_owned(), value)).into()),
            Entry::Text { name: "name".into(), text: "text".into() },
            Entry::Table { name: "samples".into(), table: table(2) },
            Entry::Message { text: "warning".into(), exit_code: None },
            Entry::Message { text: "failed".into(), exit_code: Some(3) },
        ];
        assert_eq!(entries, expected);
        assert_eq!(events[1].at, at(1));
        assert_eq!(events[5].at.step, 3);
    }

    #[test]
    fn a_line_has_the_documented_form() {
        let folder = tempfile::tempdir().unwrap();
        let path = log_of(folder.path(), 3..4);
        assert_eq!(
            fs::read_to_string(path).unwrap(),
            "{\"t\":1700000003.25,\"step\":3,\"epoch\":0.3,\"kind\":\"scalar\",\
             \"data\":{\"loss\":\"NaN\",\"rewards/margins\":\"-Infinity\"}}\n"
        );
    }

    #[test]
    fn a_torn_line_is_passed_over_and_cut_off_at_every_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = log_of(folder.path(), 1..3);
        let whole = fs::read(&path).unwrap();
        let first_line = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for end in first_line..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(read_events(&path).unwrap().len(), 1);
            drop(EventLog::open(&path).unwrap());
            assert_eq!(fs::read(&path).unwrap(), whole[..first_line]);
        }
    }

    #[test]
    fn a_log_goes_on_after_its_last_line() {
        let folder = tempfile::tempdir().unwrap();
        log_of(folder.path(), 1..4);
        let path = log_of(folder.path(), 4..7);
        let mut log = EventLog::open(&path).unwrap();
        log.finish(0).unwrap();
        let events = read_events(&path).unwrap();
        assert_eq!(events.last().unwrap().at.step, 6);
        let steps: Vec<_> = scalars_of(&events).into_iter().filter(|(name, ..)| name == "train/loss").collect();
        assert_eq!(steps.iter().map(|(_, step, _)| *step).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn later_steps_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = log_of(folder.path(), 1..11);
        let before = read_events(&path).unwrap();
        fs::write(&path, [fs::read(&path).unwrap(), b"{\"t\": 1".to_vec()].concat()).unwrap();
        assert_eq!(truncate_after(&path, 5).unwrap(), 8);
        let kept: Vec<_> = before.into_iter().filter(|event| event.at.step <= 5).collect();
        assert_eq!(format!("{:?}", read_events(&path).unwrap()), format!("{kept:?}"));
        assert_eq!(truncate_after(&path, 5).unwrap(), 0);
        assert_eq!(truncate_after(&path, 0).unwrap(), kept.len());
        assert_eq!(fs::read(&path).unwrap(), b"");
        assert_eq!(truncate_after(&folder.path().join("none"), 5).unwrap(), 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_run_that_goes_on_has_not_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = log_of(folder.path(), 1..4);
        let before = fs::read(&path).unwrap();
        EventLog::open(&path).unwrap().finish(INTERRUPTED).unwrap();
        let ending = Entry::Message { text: "interrupted".into(), exit_code: Some(INTERRUPTED) };
        assert_eq!(read_events(&path).unwrap().last().unwrap().entry, ending);
        assert_eq!(truncate_after(&path, 3).unwrap(), 1);
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = log_of(folder.path(), 1..4);
        let damaged = fs::read_to_string(&path).unwrap().replacen("\"step\":2", "\"step\":\"two\"", 1);
        fs::write(&path, &damaged).unwrap();
        for error in [read_events(&path).unwrap_err(), truncate_after(&path, 1).unwrap_err()] {
            assert!(matches!(error, TrackingError::Line { line: 2, .. }), "{error}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
    }

    #[test]
    fn tables_have_rows_as_long_as_their_columns() {
        let folder = tempfile::tempdir().unwrap();
        let mut trackers = all_trackers(folder.path(), Start::New);
        let mut uneven = table(3);
        uneven.rows[1].pop();
        let error = trackers.table(at(1), "samples", &uneven).unwrap_err();
        assert_eq!(error.to_string(), "table `samples`: row 2 has 2 cells, the table has 3 columns");
    }
}

fn wandb_run() -> WandbRun {
    WandbRun { project: "project".into(), name: "name".into() }
}

fn all_trackers(run: &Path, start: Start) -> Trackers {
    let log = run.join("events.jsonl");
    if let Start::AfterStep(step) = start {
        truncate_after(&log, step).unwrap();
    }
    vec![
        Box::new(EventLog::open(&log).unwrap()),
        Box::new(TensorBoard::open(&run.join("tensorboard"), start).unwrap()),
        Box::new(WandbOffline::open(&run.join("wandb"), &wandb_run(), start).unwrap()),
    ]
}

#[test]
fn nothing_is_recorded_after_the_end() {
    let folder = tempfile::tempdir().unwrap();
    for tracker in &mut all_trackers(folder.path(), Start::New) {
        tracker.finish(0).unwrap();
        assert!(matches!(tracker.scalars(at(1), &[("loss", 1.0)]), Err(TrackingError::Finished { .. })));
    }
}

#[test]
fn a_failing_tracker_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut trackers = all_trackers(folder.path(), Start::New);
    trackers[0].finish(0).unwrap();
    assert!(matches!(trackers.scalars(at(1), &[("loss", 1.0)]), Err(TrackingError::Finished { .. })));
    let rows = wandb_reader::rows(&wandb_reader::only_log(folder.path()));
    assert_eq!(rows.len(), 1);
}

#[test]
fn all_formats_hold_every_scalar_once_after_kill_and_resume() {
    let folder = tempfile::tempdir().unwrap();
    let mut trackers = all_trackers(folder.path(), Start::New);
    trackers.config(&config()).unwrap();
    (1..=18).for_each(|step| record(&mut trackers, step));
    drop(trackers);
    let mut trackers = all_trackers(folder.path(), Start::AfterStep(10));
    (11..=300).for_each(|step| record(&mut trackers, step));
    trackers.finish(0).unwrap();

    let expected = scalars_of(&read_events(&folder.path().join("events.jsonl")).unwrap());
    assert_eq!(expected.len(), 300 * 2 + 60);
    assert_eq!(tensorboard_reader::scalars(&folder.path().join("tensorboard")), expected);
    let rows = wandb_reader::rows(&wandb_reader::only_log(folder.path()));
    assert_eq!(wandb_reader::scalars(&rows), expected);
    let numbers: Vec<_> = rows.iter().map(|row| row["_step"].clone()).collect();
    assert_eq!(numbers, (0..rows.len()).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn an_event_log_can_be_turned_into_the_other_formats() {
    let folder = tempfile::tempdir().unwrap();
    let mut trackers = all_trackers(folder.path(), Start::New);
    trackers.config(&config()).unwrap();
    (1..=20).for_each(|step| record(&mut trackers, step));
    trackers.message(at(20), "warning").unwrap();
    trackers.finish(0).unwrap();
    let events = read_events(&folder.path().join("events.jsonl")).unwrap();

    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    let mut others = all_trackers(&other, Start::New);
    replay(&events, &mut others).unwrap();
    assert_eq!(scalars_of(&read_events(&other.join("events.jsonl")).unwrap()), scalars_of(&events));
    assert_eq!(tensorboard_reader::scalars(&other.join("tensorboard")), scalars_of(&events));
    assert_eq!(wandb_reader::scalars(&wandb_reader::rows(&wandb_reader::only_log(&other))), scalars_of(&events));
    assert!(matches!(others.message(at(21), "late"), Err(TrackingError::Finished { .. })));
}

mod tensorboard {
    use super::*;

    #[test]
    fn every_opening_makes_a_file_that_sorts_last() {
        let folder = tempfile::tempdir().unwrap();
        let open = |_| TensorBoard::open(folder.path(), Start::New).unwrap().path().to_owned();
        let files: Vec<_> = (0..4).map(open).collect();
        assert!(files.is_sorted());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
        let name = files[0].file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("events.out.tfevents.") && name.split('.').count() == 7, "{name}");
    }

    #[test]
    fn a_folder_that_is_a_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        let error = TensorBoard::open(&path, Start::New).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{}: can't make the folder", path.display())), "{error}");
    }
}

mod wandb {
    use super::*;

    fn open(folder: &Path, start: Start) -> WandbOffline {
        WandbOffline::open(folder, &wandb_run(), start).unwrap()
    }

    #[test]
    fn the_folder_has_the_name_that_the_client_expects() {
        let folder = tempfile::tempdir().unwrap();
        let run = open(folder.path(), Start::New);
        let name = run.folder().file_name().unwrap().to_str().unwrap().to_owned();
        let date = name.strip_prefix("offline-run-").unwrap().strip_suffix(&format!("-{}", run.id())).unwrap();
        assert!(date.len() == 15 && date.as_bytes()[8] == b'_', "{name}");
        assert!(run.id().len() == 8 && run.id().bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
        assert!(run.folder().join(format!("run-{}.wandb", run.id())).is_file());
        assert!(run.folder().join("files").is_dir());
        assert_ne!(open(folder.path(), Start::New).id(), run.id());
    }

    #[test]
    fn a_resumed_run_goes_on_in_its_folder_and_is_uploaded_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = open(folder.path(), Start::New);
        (1..=4).for_each(|step| record(&mut run, step));
        run.finish(0).unwrap();
        let mark = run.folder().join(format!("run-{}.wandb.synced", run.id()));
        fs::write(&mark, "").unwrap();
        let resumed = open(folder.path(), Start::AfterStep(2));
        assert_eq!((resumed.id(), resumed.folder()), (run.id(), run.folder()));
        assert!(!mark.exists());
        let log = fs::read(run.folder().join(format!("run-{}.wandb", run.id()))).unwrap();
        assert_eq!(wandb_reader::rows(&log).len(), 2);
    }

    #[test]
    fn a_run_torn_at_any_place_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = open(folder.path(), Start::New);
        (1..=2).for_each(|step| record(&mut run, step));
        let path = run.folder().join(format!("run-{}.wandb", run.id()));
        let whole = fs::read(&path).unwrap();
        // Up to the end of the run record there is nothing to go on from.
        let begun = whole.windows(4).position(|window| window == b"name").unwrap() + 200;
        for end in begun..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            let mut resumed = open(folder.path(), Start::AfterStep(2));
            record(&mut resumed, 3);
            let rows = wandb_reader::rows(&fs::read(&path).unwrap());
            assert_eq!(rows.last().unwrap()["train/global_step"], "3");
            assert_eq!(rows.last().unwrap()["_step"], (rows.len() - 1).to_string());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_run_without_a_folder_gets_one() {
        let folder = tempfile::tempdir().unwrap();
        let run = open(&folder.path().join("wandb"), Start::AfterStep(2));
        assert!(run.folder().is_dir());
    }

    #[test]
    fn table_files_hold_what_the_client_shows() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = open(folder.path(), Start::New);
        run.table(at(1), "a/name", &table(MOST_TABLE_ROWS + 5)).unwrap();
        let log = fs::read(run.folder().join(format!("run-{}.wandb", run.id()))).unwrap();
        let entry: Value = serde_json::from_str(&wandb_reader::rows(&log)[0]["a/name"]).unwrap();
        let path = entry["path"].as_str().unwrap();
        assert!(path.starts_with("media/table/a_name_0_") && path.ends_with(".table.json"), "{path}");
        assert!(path.contains(&entry["sha256"].as_str().unwrap()[..20]));
        let content = fs::read(run.folder().join("files").join(path)).unwrap();
        assert_eq!((&entry["size"], &entry["ncols"]), (&json!(content.len()), &json!(3)));
        assert_eq!(entry["nrows"], json!(MOST_TABLE_ROWS));
        let content: Value = serde_json::from_slice(&content).unwrap();
        assert_eq!(content["columns"], json!(["number", "text", "nothing"]));
        assert_eq!(content["data"].as_array().unwrap().len(), MOST_TABLE_ROWS);
    }
}

/// As much of protocol buffers as the readers below need, written independently of the writer.
mod protobuf_reader {
    pub(crate) enum Wire<'a> {
        Number(u64),
        Bytes(&'a [u8]),
    }

    pub(crate) fn fields(mut rest: &[u8]) -> Vec<(u64, Wire<'_>)> {
        let mut found = Vec::new();
        while !rest.is_empty() {
            let key = varint(&mut rest);
            let wire = match key % 8 {
                0 => Wire::Number(varint(&mut rest)),
                1 => Wire::Number(u64::from_le_bytes(take(&mut rest, 8).try_into().unwrap())),
                5 => Wire::Number(u32::from_le_bytes(take(&mut rest, 4).try_into().unwrap()).into()),
                2 => {
                    let length = varint(&mut rest) as usize;
                    Wire::Bytes(take(&mut rest, length))
                }
                other => panic!("wire type {other}"),
            };
            found.push((key / 8, wire));
        }
        found
    }

    pub(crate) fn bytes(message: &[u8], number: u64) -> Vec<&[u8]> {
        let wanted = |(found, wire)| match wire {
            Wire::Bytes(bytes) if found == number => Some(bytes),
            _ => None,
        };
        fields(message).into_iter().filter_map(wanted).collect()
    }

    pub(crate) fn number(message: &[u8], number: u64) -> Option<u64> {
        fields(message).into_iter().find_map(|(found, wire)| match wire {
            Wire::Number(value) if found == number => Some(value),
            _ => None,
        })
    }

    pub(crate) fn text(message: &[u8], number: u64) -> String {
        String::from_utf8(bytes(message, number)[0].to_vec()).unwrap()
    }

    fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
        let (taken, after) = rest.split_at(length);
        *rest = after;
        taken
    }

    fn varint(rest: &mut &[u8]) -> u64 {
        let length = rest.iter().position(|byte| *byte < 128).unwrap() + 1;
        take(rest, length).iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 127))
    }
}

/// Bit by bit, independent of the tables of the writers.
fn crc(polynomial: u32, bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (polynomial * (crc & 1));
        }
    }
    !crc
}

mod tensorboard_reader {
    use super::*;

    /// All scalars of a folder in the order of writing, without those that a resumed run took back.
    pub(crate) fn scalars(folder: &Path) -> Vec<(String, u64, String)> {
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let mut found = Vec::new();
        for file in files {
            let events = events(&fs::read(file).unwrap());
            assert_eq!(protobuf_reader::text(&events[0], 3), "brain.Event:2");
            for event in events {
                take_event(&event, &mut found);
            }
        }
        found
    }

    fn take_event(event: &[u8], found: &mut Vec<(String, u64, String)>) {
        let step = protobuf_reader::number(event, 2).unwrap_or_default();
        if !protobuf_reader::bytes(event, 7).is_empty() {
            found.retain(|(_, earlier, _)| *earlier < step);
        }
        for summary in protobuf_reader::bytes(event, 5) {
            for value in protobuf_reader::bytes(summary, 1) {
                if let Some(bits) = protobuf_reader::number(value, 2) {
                    let value_found = f32::from_bits(bits as u32).to_string();
                    found.push((protobuf_reader::text(value, 1), step, value_found));
                }
            }
        }
    }

    fn events(mut rest: &[u8]) -> Vec<Vec<u8>> {
        let mut events = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            check(&rest[..8], &rest[8..12]);
            check(&rest[12..12 + length], &rest[12 + length..16 + length]);
            events.push(rest[12..12 + length].to_vec());
            rest = &rest[16 + length..];
        }
        events
    }

    fn check(bytes: &[u8], stored: &[u8]) {
        let crc = crc(0x82F6_3B78, bytes);
        let masked = crc.rotate_right(15).wrapping_add(0xA282_EAD8);
        assert_eq!(masked.to_le_bytes(), stored);
    }
}

mod wandb_reader {
    use super::*;

    /// The log of the only run folder of a run.
    pub(crate) fn only_log(run: &Path) -> Vec<u8> {
        let folders: Vec<_> = fs::read_dir(run.join("wandb")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(folders.len(), 1);
        let mut files = fs::read_dir(&folders[0]).unwrap().map(|entry| entry.unwrap().path());
        fs::read(files.find(|path| path.extension().is_some_and(|extension| extension == "wandb")).unwrap()).unwrap()
    }

    /// The rows of the history: JSON texts by name.
    pub(crate) fn rows(log: &[u8]) -> Vec<Row> {
        let mut rows = Vec::new();
        for (index, record) in records(log).iter().enumerate() {
            assert_eq!(protobuf_reader::number(record, 1), Some(index as u64 + 1));
            for history in protobuf_reader::bytes(record, 2) {
                let item = |item| (protobuf_reader::text(item, 1), protobuf_reader::text(item, 16));
                rows.push(protobuf_reader::bytes(history, 1).into_iter().map(item).collect());
            }
        }
        rows
    }

    /// Scalars in the order of writing.
    pub(crate) fn scalars(rows: &[Row]) -> Vec<(String, u64, String)> {
        let names = ["train/loss", "train/rewards/margins", "eval/loss"];
        let mut found = Vec::new();
        for row in rows {
            for name in names {
                if let Some(value) = row.get(name) {
                    let value: f32 = value.parse().unwrap();
                    found.push((name.to_owned(), row["train/global_step"].parse().unwrap(), value.to_string()));
                }
            }
        }
        found
    }

    pub(crate) type Row = std::collections::HashMap<String, String>;

    fn records(log: &[u8]) -> Vec<Vec<u8>> {
        assert_eq!(log[..7], [b':', b'W', b'&', b'B', 0xE1, 0xBE, 0]);
        let (mut position, mut records, mut record) = (7, Vec::new(), Vec::new());
        while position < log.len() {
            let left = 32_768 - position % 32_768;
            if left < 7 {
                assert!(log[position..position + left].iter().all(|byte| *byte == 0));
                position += left;
                continue;
            }
            let length = usize::from(u16::from_le_bytes([log[position + 4], log[position + 5]]));
            let checked = &log[position + 6..position + 7 + length];
            assert_eq!(crc(0xEDB8_8320, checked).to_le_bytes(), log[position..position + 4]);
            assert_eq!(record.is_empty(), checked[0] < 3);
            record.extend(&checked[1..]);
            if checked[0] == 1 || checked[0] == 4 {
                records.push(std::mem::take(&mut record));
            }
            position += 7 + length;
        }
        assert!(record.is_empty());
        records
    }
}
