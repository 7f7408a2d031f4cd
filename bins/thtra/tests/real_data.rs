//! The real corpus, where it is at hand, against the published files and numbers.

use std::collections::BTreeMap;
use std::path::Path;

use esconv_data::{Conversation, read_esconv};
use golden_files::data;
use helpfulness::{HelpfulnessRecord, RecordFile, read_held_out};
use serde_json::Value;
use thtra::{
    Author, Dialogue, DialogueTokenizer, Encoded, EncodedDialogues, HELPFUL_LABEL, HelpfulnessData, Layout, Lengths,
    Part, SplitRule, Strategy, file_name, read_split, records_of,
};

use crate::program::{Place, json_of, said};

fn corpus() -> Option<Vec<Conversation>> {
    Some(read_esconv(&data("esconv/ESConv.json")?).unwrap().conversations)
}

#[test]
fn golden_thtra_process_writes_the_published_files() {
    let (Some(input), Some(splits)) = (data("esconv/ESConv.json"), data("esconv/splits.json")) else { return };
    let Some(published) = data("thtra") else { return };
    let place = Place::new();
    let out = place.path("data");
    let told = said(&["process", "--input", &input.to_string_lossy(), "--out", &out.to_string_lossy()]);
    assert_eq!(read_split(&out.join("splits.json")).unwrap(), read_split(&splits).unwrap());
    let counts = [
        (Part::Train, [910, 26_648, 12_271], 9179),
        (Part::Valid, [195, 5678, 2621], 1929),
        (Part::Test, [195, 6039, 2801], 2088),
    ];
    for (part, [dialogues, turns, samples], records) in counts {
        assert!(
            told.contains(&format!("{part}.txt: {dialogues} dialogues, {turns} turns, {samples} samples")),
            "{told}"
        );
        assert!(told.contains(&format!("{records} records")), "{told}");
        let (ours, theirs) = (out.join(part.file()), published.join(part.file()));
        // The published valid.txt lacks the last line's end.
        let same = std::fs::read(ours).unwrap().trim_ascii_end() == std::fs::read(theirs).unwrap().trim_ascii_end();
        assert!(same, "{part}");
    }
    let folds = |folder: &Path| read_held_out(&folder.join("dev_index.json")).unwrap();
    assert_eq!(folds(&out.join("helpfulness")), folds(&published));
    let records = HelpfulnessData::open(&out).unwrap();
    assert_eq!(Part::ALL.map(|part| records.of(part).len()), [9179, 1929, 2088]);
}

fn score(record: &HelpfulnessRecord) -> usize {
    record.responses[0].annotations.iter().flatten().filter(|label| *label == HELPFUL_LABEL).count()
}

#[test]
fn golden_thtra_records_have_the_published_counts() {
    let (Some(corpus), Some(statistics)) = (corpus(), data("thtra/esc_data_stats.json")) else { return };
    let expected = json_of(&statistics);
    let records: Vec<Vec<HelpfulnessRecord>> =
        corpus.iter().enumerate().map(|(number, conversation)| records_of(number, conversation)).collect();
    let counts: Vec<usize> = records.iter().map(Vec::len).collect();
    assert_eq!(serde_json::to_value(&counts).unwrap(), expected["records_per_conversation"]);
    let mut scores: BTreeMap<String, usize> = BTreeMap::new();
    for record in records.iter().flatten() {
        *scores.entry(score(record).to_string()).or_default() += 1;
    }
    assert_eq!(serde_json::to_value(&scores).unwrap(), expected["records_by_number_of_positive_labels"]);
    assert_eq!(scores.into_values().collect::<Vec<_>>(), [131, 304, 1847, 3952, 6962]);
    assert_eq!(counts.iter().sum::<usize>(), 13_196);
    assert!(
        records.iter().flatten().all(|record| !record.context[0].is_empty() && !record.responses[0].text.is_empty())
    );
}

/// The published sample: an array for each of ten conversations, the first ten of `train.txt`.
#[test]
fn golden_thtra_published_records_are_reproduced() {
    let (Some(corpus), Some(sample)) = (corpus(), data("thtra/sample_esc.json")) else { return };
    let published = RecordFile::read(&sample).unwrap().records;
    let by_conversation = json_of(&sample);
    let lists = by_conversation.as_array().unwrap();
    let split = SplitRule::Published.split(corpus.len());
    let of_conversation = |number: &usize| records_of(*number, &corpus[*number]);
    let ours: Vec<Vec<HelpfulnessRecord>> = split.train.iter().take(lists.len()).map(of_conversation).collect();
    let counts: Vec<usize> = lists.iter().map(|list| list.as_array().unwrap().len()).collect();
    assert_eq!(ours.iter().map(Vec::len).collect::<Vec<_>>(), counts);
    let ours: Vec<HelpfulnessRecord> =
        ours.into_iter().flatten().map(|record| HelpfulnessRecord { conversation: None, ..record }).collect();
    assert_eq!(ours, published);
    // Field by field as published, too.
    let flat: Vec<&Value> = lists.iter().flat_map(|list| list.as_array().unwrap()).collect();
    assert_eq!(serde_json::to_value(&ours).unwrap(), serde_json::to_value(flat).unwrap());
}

/// The published program of today makes its records of the larger part of the other split: test conversations are among them, none of the
/// validation is.
#[test]
fn the_published_leak_would_be_found() {
    let Some(corpus) = corpus() else { return };
    let (split, other) = (SplitRule::Published.split(corpus.len()), SplitRule::Tenths.split(corpus.len()));
    assert_eq!(Part::ALL.map(|part| part.of(&other).len()), [1040, 130, 130]);
    let records = HelpfulnessData::of_corpus(&corpus, &other).train;
    assert_eq!(records.len(), 10_560);
    let told = thtra::check_leakage(Path::new("esc_data.txt"), Part::Train, &records, &split).unwrap_err().to_string();
    assert!(told.contains("LEAK: 1381 records come from 130 conversations"), "{told}");
    assert!(told.contains("of test.txt"), "{told}");
}

/// Σ of lengths and of ids.
fn sums<'a>(sequences: impl Iterator<Item = &'a Vec<u32>>) -> [u64; 2] {
    sequences.fold([0, 0], |[lengths, ids], sequence| {
        [lengths + sequence.len() as u64, ids + sequence.iter().map(|id| u64::from(*id)).sum::<u64>()]
    })
}

fn sums_of(encoded: &Encoded) -> [[u64; 2]; 3] {
    let samples = &encoded.samples;
    [
        sums(samples.iter().map(|sample| &sample.encoder_ids)),
        sums(samples.iter().map(|sample| &sample.labels)),
        sums(samples.iter().map(|sample| &sample.situation_labels)),
    ]
}

#[test]
fn golden_thtra_samples_have_the_nine_checksums() {
    let (Some(folder), Some(tokenizer)) = (data("thtra"), data("tokenizers/blenderbot_small-90M")) else { return };
    let tokenizer = DialogueTokenizer::open(&tokenizer).unwrap();
    assert_eq!((tokenizer.first_strategy(), tokenizer.look_ahead()), (54_944, &[19_908][..]));
    let expected = [
        (Part::Train, Layout::Strat, [[1_618_991, 3_415_961_430], [272_035, 913_477_381], [286_684, 327_606_383]]),
        (
            Part::Train,
            Layout::StratLookAhead,
            [[1_684_514, 3_478_787_319], [272_035, 913_477_381], [286_684, 327_606_383]],
        ),
        (Part::Train, Layout::Vanilla, [[1_609_624, 1_499_191_147], [259_764, 239_214_861], [0, 0]]),
        (Part::Valid, Layout::Strat, [[345_034, 723_582_238], [58_261, 195_482_455], [63_455, 77_673_753]]),
        (Part::Valid, Layout::StratLookAhead, [[359_383, 734_857_560], [58_261, 195_482_455], [63_455, 77_673_753]]),
        (Part::Valid, Layout::Vanilla, [[343_021, 320_000_579], [55_640, 51_464_521], [0, 0]]),
        (Part::Test, Layout::Strat, [[369_858, 815_516_730], [58_826, 206_850_173], [64_955, 74_477_669]]),
        (Part::Test, Layout::StratLookAhead, [[383_865, 826_040_761], [58_826, 206_850_173], [64_955, 74_477_669]]),
        (Part::Test, Layout::Vanilla, [[367_583, 342_722_763], [56_025, 52_942_029], [0, 0]]),
    ];
    for part in Part::ALL {
        let dialogues = Dialogue::read_all(&folder.join(part.file())).unwrap();
        let encoded = EncodedDialogues::new(&tokenizer, &dialogues).unwrap();
        for (_, layout, expected) in expected.iter().filter(|(of, ..)| *of == part) {
            let laid_out = encoded.lay_out(*layout, Lengths::default());
            assert_eq!(sums_of(&laid_out), *expected, "{part} {layout}");
        }
    }
}

#[test]
fn golden_thtra_the_second_sample_is_the_specified_one() {
    let (Some(folder), Some(tokenizer)) = (data("thtra"), data("tokenizers/blenderbot_small-90M")) else { return };
    let tokenizer = DialogueTokenizer::open(&tokenizer).unwrap();
    let dialogues = &Dialogue::read_all(&folder.join("train.txt")).unwrap()[..1];
    let encoded = EncodedDialogues::new(&tokenizer, dialogues).unwrap();
    let [plain, ahead] =
        [Layout::Strat, Layout::StratLookAhead].map(|layout| encoded.lay_out(layout, Lengths::default()).samples);
    let read = [
        880, 123, 2464, 5, 2, 54944, 792, 6, 123, 2464, 5, 2, 14, 8, 58, 957, 9033, 22, 14, 195, 127, 11, 1536, 42,
        626, 5,
    ];
    let next = [2, 19908, 14, 826, 14, 67, 8, 30, 5];
    assert_eq!(plain[1].encoder_ids, read);
    assert_eq!(ahead[1].encoder_ids, [&read[..], &next].concat());
    assert_eq!(ahead[1].labels, [54946, 1979, 12, 626, 24, 300, 9033, 5, 2]);
    let situation =
        [14, 195, 25, 654, 1064, 13406, 9, 14, 195, 1264, 14, 104, 1536, 42, 626, 75, 14, 67, 8, 30, 96, 90, 521, 5, 2];
    assert_eq!(ahead[1].situation_labels, situation);
}

#[test]
fn golden_thtra_samples_have_the_published_shape() {
    let (Some(folder), Some(tokenizer)) = (data("thtra"), data("tokenizers/blenderbot_small-90M")) else { return };
    let tokenizer = DialogueTokenizer::open(&tokenizer).unwrap();
    let table = [
        // Previous turn is the supporter's too; look-ahead; history cut; response cut; situations cut (conversations).
        (Part::Train, [2080, 9615, 8400, 1382, 160], [131.9, 22.2]),
        (Part::Valid, [465, 2020, 1788, 305, 39], [131.6, 22.2]),
        (Part::Test, [506, 2174, 1922, 267, 40], [132.0, 21.0]),
    ];
    for (part, [after_supporter, look_ahead, inputs_cut, responses_cut, situations_cut], means) in table {
        let dialogues = Dialogue::read_all(&folder.join(part.file())).unwrap();
        let encoded = EncodedDialogues::new(&tokenizer, &dialogues).unwrap();
        let [plain, ahead] =
            [Layout::Strat, Layout::StratLookAhead].map(|layout| encoded.lay_out(layout, Lengths::default()));
        let is_after_supporter =
            |sample: &&thtra::Sample| dialogues[sample.dialogue].turns[sample.turn - 1].author != Author::Seeker;
        assert_eq!(plain.samples.iter().filter(is_after_supporter).count(), after_supporter, "{part}");
        assert_eq!(ahead.counts.with_look_ahead, look_ahead, "{part}");
        assert_eq!((plain.counts.inputs_cut, plain.counts.responses_cut), (inputs_cut, responses_cut), "{part}");
        let found = [plain.counts.encoder_tokens, plain.counts.label_tokens];
        for (tokens, mean) in found.into_iter().zip(means) {
            let found = tokens as f64 / plain.counts.samples as f64;
            assert!((found - mean).abs() < 0.05 + 1e-9, "{part}: {found} against {mean}");
        }
        let is_cut = |dialogue: &&Dialogue| tokenizer.encode(&dialogue.situation).unwrap().len() + 1 > 41;
        assert_eq!(dialogues.iter().filter(is_cut).count(), situations_cut, "{part}");
        if part == Part::Test {
            let strategies =
                Strategy::ALL.map(|strategy| plain.samples.iter().filter(|sample| sample.strategy == strategy).count());
            assert_eq!(strategies, [566, 152, 235, 264, 434, 507, 186, 457]);
        }
    }
}

#[test]
fn the_real_data_is_prepared_and_read_again() {
    let (Some(folder), Some(tokenizer)) = (data("thtra"), data("tokenizers/blenderbot_small-90M")) else { return };
    let place = Place::new();
    let out = place.name("prepared");
    let (folder, tokenizer) = (folder.to_string_lossy(), tokenizer.to_string_lossy());
    let told = said(&[
        "prepare",
        "--data-dir",
        &folder,
        "--tokenizer",
        &tokenizer,
        "--out",
        &out,
        "--layouts",
        "strat-look-ahead",
    ]);
    let name = file_name(Part::Train, Layout::StratLookAhead);
    assert!(
        told.contains(&format!("{name}: 12271 samples (9615 look ahead), 137.3 tokens read and 22.2 said")),
        "{told}"
    );
    let prepared = thtra::Prepared::open(&place.path("prepared"), thtra::Wanted::default()).unwrap();
    let samples = prepared.read(Part::Test, Layout::StratLookAhead).unwrap();
    assert_eq!(sums(samples.iter().map(|sample| &sample.encoder_ids)), [383_865, 826_040_761]);
}
