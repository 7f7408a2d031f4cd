//! Foreign bytes as an attention file: reading them, and every table made of what was read.
#![no_main]

use attention_viz::{
    AttentionRecord, Choice, Precision, SinkHandling, head_difference, layer_heads, layer_profile, span_differences,
    span_steps, token_differences, token_rows, token_values,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = AttentionRecord::from_bytes(bytes) else { return };
    let capture = &record.capture;
    for sink in [SinkHandling::Drop, SinkHandling::Keep] {
        let choice = Choice { sink, ..Choice::default() };
        if let Ok(rows) = token_rows(capture, &choice) {
            let _ = token_values(capture, &rows, None);
            let _ = token_values(capture, &rows, Some(&(0..1)));
        }
        let _ = span_steps(capture, &choice);
        let _ = span_differences(&record, &record, &choice);
        let _ = token_differences(&record, &record, &choice);
        let head = Choice { heads: "0".parse().unwrap_or_default(), ..choice };
        let _ = token_rows(capture, &head);
        if let Some(span) = capture.spans.first() {
            let _ = layer_heads(capture, &span.label, sink);
            let _ = layer_profile(capture, &span.label, sink);
            let _ = head_difference(&record, &record, &span.label, &Choice { sink, ..Choice::default() });
        }
    }
    // What could be read can be written, and reads the same.
    let again = record.to_bytes(Precision::F32).and_then(|bytes| AttentionRecord::from_bytes(&bytes));
    assert!(again.is_ok_and(|again| again == record));
});
