//! The file: what goes in comes out, and what is no attention file is refused with the reason.

use attention_viz::{AttentionRecord, Error, Precision, RecordInfo, read_manifest, standalone_html};
use proptest::prelude::*;

use crate::sample::{SMALL, Size, info, record};

fn sample() -> AttentionRecord {
    record(1, SMALL, info(1, 1, 4, "c1_hf", "Offer Hope"))
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.attn");
    let sample = sample();
    sample.write(&path, Precision::F32).unwrap();
    assert!(AttentionRecord::read(&path).unwrap() == sample);
    let manifest = read_manifest(&path).unwrap();
    assert_eq!((manifest.record, manifest.rows, manifest.prompt_tokens), (sample.info.clone(), 12, 60));
    let sums = AttentionRecord::read_sums(&path).unwrap().capture;
    assert!(sums.layer_rows.is_empty() && sums.head_rows.is_empty());
    assert_eq!(sums.head_span_sums, sample.capture.head_span_sums);

    sample.write(&path, Precision::F16).unwrap();
    let half = AttentionRecord::read(&path).unwrap().capture;
    assert_eq!(half.span_sums, sample.capture.span_sums, "sums stay exact");
    let near = |left: &[f32], right: &[f32]| left.iter().zip(right).all(|(left, right)| (left - right).abs() < 3e-4);
    assert!(near(&half.layer_rows, &sample.capture.layer_rows) && near(&half.head_rows, &sample.capture.head_rows));
    assert!(sample.write(&folder.path().join("absent/record.attn"), Precision::F16).is_err());
}

/// The file with its manifest changed.
fn with_manifest(change: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
    let bytes = sample().to_bytes(Precision::F16).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let mut manifest: serde_json::Value =
        serde_json::from_str(header["__metadata__"]["manifest"].as_str().unwrap()).unwrap();
    change(&mut manifest);
    header["__metadata__"]["manifest"] = manifest.to_string().into();
    let mut text = header.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    [&(text.len() as u64).to_le_bytes()[..], &text, &bytes[8 + length..]].concat()
}

#[test]
fn manifests_that_do_not_fit_are_refused() {
    type Change = Box<dyn Fn(&mut serde_json::Value)>;
    let set = |field: &'static str, value: serde_json::Value| -> Change {
        Box::new(move |manifest| manifest[field] = value.clone())
    };
    for (change, says) in [
        (set("format", "something".into()), "solace.attention"),
        (set("version", 2.into()), "version 2"),
        (set("version", "one".into()), "no version"),
        (set("layers", 4.into()), "shape"),
        (set("layers", 0.into()), "no layers"),
        (set("rows", u64::MAX.into()), "beyond all measure"),
        (set("heads", (1u64 << 40).into()), "beyond all measure"),
        (set("prompt_tokens", 3.into()), "first_position"),
        (set("token_texts", serde_json::json!(["a"])), "token texts"),
        (set("sinks", serde_json::json!([60])), "outside the prompt"),
        (set("sinks", serde_json::json!([0, 0])), "not ascending"),
        (
            set(
                "spans",
                serde_json::json!([{"label": "x", "bytes": {"start": 0, "end": 0}, "tokens": {"start": 5, "end": 99}}]),
            ),
            "outside",
        ),
        (set("record", 3.into()), "not that of a record"),
        (set("top", 2.into()), "top_positions"),
    ] {
        let error = AttentionRecord::from_bytes(&with_manifest(change)).unwrap_err().to_string();
        assert!(error.contains(says), "expected `{says}`: {error}");
    }
    let newer = AttentionRecord::from_bytes(&with_manifest(set("version", 2.into()))).unwrap_err();
    assert!(matches!(newer, Error::Version { found: 2, known: 1 }), "{newer}");
}

#[test]
fn a_file_names_itself_in_its_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torn.attn");
    let bytes = sample().to_bytes(Precision::F16).unwrap();
    for length in [0, 7, 8, 100, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        // The manifest alone is not read from a torn file either: a list must not offer what can't be opened.
        for error in [AttentionRecord::read(&path).unwrap_err(), read_manifest(&path).unwrap_err()] {
            let error = error.to_string();
            assert!(error.contains("torn.attn") && error.contains("not an attention file"), "{error}");
        }
    }
    std::fs::write(&path, [0xff; 64]).unwrap();
    assert!(read_manifest(&path).unwrap_err().to_string().contains("header would have"));
}

#[test]
fn files_of_older_programs_have_no_shares() {
    let mut sample = sample();
    let bytes = sample.to_bytes(Precision::F32).unwrap();
    assert_eq!(AttentionRecord::from_bytes(&bytes).unwrap().capture.head_shares.len(), 3 * 4 * 6);
    sample.capture.head_shares.clear();
    let older = AttentionRecord::from_bytes(&sample.to_bytes(Precision::F32).unwrap()).unwrap();
    assert!(older == sample);
    sample.capture.head_shares = vec![0.5; 7];
    let fits_not = sample.to_bytes(Precision::F32);
    assert!(fits_not.is_err() || AttentionRecord::from_bytes(&fits_not.unwrap()).is_err());
}

#[test]
fn values_that_are_not_finite_are_refused() {
    let mut sample = sample();
    sample.capture.span_sums[3] = f32::NAN;
    let bytes = sample.to_bytes(Precision::F32).unwrap();
    assert!(AttentionRecord::from_bytes(&bytes).unwrap_err().to_string().contains("not finite"));
}

#[test]
fn the_standalone_page_has_its_texts_as_data_only() {
    let page = standalone_html(&sample());
    assert!(!page.contains("<script>alert") && !page.contains("<script>window.hacked"), "texts are no markup");
    assert!(page.contains("\\u003cscript>alert('x')"));
    assert!(!page.contains("src=\"") && !page.contains("rel=\"stylesheet\""), "nothing is loaded from elsewhere");
    let start = page.find("id=\"embedded\">").unwrap() + "id=\"embedded\">".len();
    let end = start + page[start..].find("</script>").unwrap();
    let data: serde_json::Value = serde_json::from_str(&page[start..end]).unwrap();
    assert_eq!(data["manifest"]["record"]["response"], sample().info.response);
    assert_eq!(data["tensors"]["rows_drop"]["shape"], serde_json::json!([12, 71]));
    assert_eq!(data["tensors"]["layer_rows/2"]["shape"], serde_json::json!([12, 1, 71]));
    assert_eq!(data["tensors"]["head_span_sums/2"]["shape"], serde_json::json!([12, 4, 8]));
}

proptest! {
    #[test]
    fn any_shape_comes_back(prompt in 30usize..50, rows in 1usize..6, layers in 1usize..4, heads in 1usize..4, full: bool) {
        let size = Size { prompt, rows, layers, heads, full };
        let record = record(3, size, RecordInfo { id: "x".into(), ..RecordInfo::default() });
        let again = AttentionRecord::from_bytes(&record.to_bytes(Precision::F32).unwrap()).unwrap();
        prop_assert!(again == record);
    }

    /// A changed byte may give other numbers or an error, never a panic.
    #[test]
    fn damaged_files_never_panic(at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
        let mut bytes = record(5, Size { full: false, ..SMALL }, RecordInfo::default()).to_bytes(Precision::F16).unwrap();
        let place = at.index(bytes.len());
        bytes[place] = byte;
        let _ = AttentionRecord::from_bytes(&bytes);
        let _ = AttentionRecord::from_bytes(&bytes[..cut.index(bytes.len())]);
    }
}
