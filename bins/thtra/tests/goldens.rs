//! Encoded dialogues against what the published inputters make of them (family `thtra`, `layout/`; they hold text of ESConv).

use golden_files::{data, family};
use serde_json::Value;
use thtra::{Dialogue, DialogueTokenizer, EncodedDialogues, Layout, Lengths, Sample};

fn ids(list: &Value) -> Vec<u32> {
    list.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

#[test]
fn golden_thtra_layout() {
    let (Some(family), Some(folder)) = (family("thtra"), data("thtra")) else { return };
    let Some(tokenizer) = data("tokenizers/blenderbot_small-90M") else { return };
    let tokenizer = DialogueTokenizer::open(&tokenizer).unwrap();
    let rows = std::fs::read_to_string(family.join("layout/real_dialogues.jsonl")).unwrap();
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut files: Vec<&str> = rows.iter().map(|row| row["file"].as_str().unwrap()).collect();
    files.sort_unstable();
    files.dedup();
    let mut compared = 0;
    for file in files {
        let dialogues = Dialogue::read_all(&folder.join(file)).unwrap();
        let encoded = EncodedDialogues::new(&tokenizer, &dialogues).unwrap();
        for (variant, layout) in [("strat", Layout::Strat), ("strat_with_predict", Layout::StratLookAhead)] {
            let samples = encoded.lay_out(layout, Lengths::default()).samples;
            for row in rows.iter().filter(|row| row["file"] == file && row["variant"] == variant) {
                let (line, number) = (row["line"].as_u64().unwrap() as usize, row["sample"].as_u64().unwrap() as usize);
                let sample = samples.iter().filter(|sample| sample.dialogue == line).nth(number).unwrap();
                assert_eq!(sample.encoder_ids, ids(&row["input_ids"]), "{variant} {line} {number}");
                assert_eq!(sample.labels, ids(&row["labels"]), "{variant} {line} {number}");
                let bos = tokenizer.bos();
                assert_eq!(Sample::decoder_ids(&sample.labels, bos), ids(&row["decoder_input_ids"]));
                assert_eq!(sample.strategy.index() as u64, row["strategy"].as_u64().unwrap());
                if variant == "strat_with_predict" {
                    assert_eq!(sample.situation_labels, ids(&row["situation_labels"]), "{line} {number}");
                    let fed = Sample::decoder_ids(&sample.situation_labels, bos);
                    assert_eq!(fed, ids(&row["situation_decoder_input_ids"]));
                }
                compared += 1;
            }
        }
    }
    assert_eq!(compared, rows.len());
}
