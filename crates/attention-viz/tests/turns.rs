//! A number of all records over turns.

use attention_viz::{LineBy, Precision, RunIndex, over_turns};

use crate::sample::{SMALL, info, record};

#[test]
fn lines_are_means_with_bands_by_conversation() {
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    // Turn 3: conversation 1 has the values 1 and 2, conversation 2 has 6. Turn 4: one conversation.
    for (conversation, turn, layout, value) in
        [(1, 3, "b", 1.0), (1, 3, "b", 2.0), (2, 3, "b", 6.0), (1, 4, "b", 5.0), (1, 3, "a", 7.0)]
    {
        number += 1;
        let mut sample = record(number, SMALL, info(number, conversation, turn, layout, "x"));
        sample.info.values = [("sra".to_owned(), value)].into();
        sample.write(&folder.path().join(format!("{number}.attn")), Precision::F16).unwrap();
    }
    let index = RunIndex::open(&[folder.path().to_owned()]).unwrap();
    let lines = over_turns(index.listing(), "sra", LineBy::Layout).unwrap();
    assert_eq!(lines.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let [third, fourth] = lines[1].points[..] else { panic!("two turns: {lines:?}") };
    assert_eq!((third.turn, third.mean, third.records), (3, 3.0, 3));
    // Of two conversations one is drawn twice in about half of the draws: the ends are the conversations' own means.
    assert_eq!((third.low, third.high), (1.5, 6.0));
    assert_eq!((fourth.turn, fourth.mean, fourth.low, fourth.high), (4, 5.0, 5.0, 5.0));
    assert_eq!(over_turns(index.listing(), "sra", LineBy::Run).unwrap().len(), 1);
    let error = over_turns(index.listing(), "nothing", LineBy::Layout).unwrap_err().to_string();
    assert!(error.contains("they hold: sra"), "{error}");
}
