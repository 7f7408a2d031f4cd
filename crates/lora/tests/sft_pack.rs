//! Packing.

use lora::sft::{SftExample, pack};
use proptest::prelude::*;

fn example(number: usize, length: usize) -> SftExample {
    let ids = (0..length).map(|at| (number * 1000 + at) as u32).collect();
    SftExample { ids, learned: vec![true; length] }
}

#[test]
fn the_longest_go_first_into_the_first_sequence_with_room() {
    let examples: Vec<SftExample> = [3, 7, 5, 2, 3].into_iter().enumerate().map(|(n, l)| example(n, l)).collect();
    let packed = pack(&examples, 10).unwrap();
    let sources: Vec<&[usize]> = packed.iter().map(|sequence| sequence.sources.as_slice()).collect();
    assert_eq!(sources, [&[1, 0][..], &[2, 4, 3]]);
    assert_eq!(packed[1].segments, [0..5, 5..8, 8..10]);
    assert_eq!(packed[1].positions(), [0, 1, 2, 3, 4, 0, 1, 2, 0, 1]);
    assert_eq!(packed[1].learned.iter().filter(|learned| !**learned).count(), 3);
}

#[test]
fn an_example_that_is_too_long_is_an_error() {
    let error = pack(&[example(0, 3), example(1, 11)], 10).unwrap_err().to_string();
    assert!(error.contains("example 2 has 11 tokens"), "{error}");
    assert_eq!(pack(&[], 10).unwrap(), []);
}

proptest! {
    #[test]
    fn every_token_is_packed_once(lengths in prop::collection::vec(0usize..20, 0..60), limit in 20usize..50) {
        let examples: Vec<SftExample> = lengths.iter().enumerate().map(|(n, l)| example(n, *l)).collect();
        let packed = pack(&examples, limit).unwrap();
        let mut seen = vec![0; examples.len()];
        for sequence in &packed {
            prop_assert!(sequence.ids.len() <= limit);
            prop_assert_eq!(sequence.positions().len(), sequence.ids.len());
            for (segment, source) in sequence.segments.iter().zip(&sequence.sources) {
                seen[*source] += 1;
                prop_assert_eq!(&sequence.ids[segment.clone()], &examples[*source].ids[..]);
                prop_assert!(segment.is_empty() || !sequence.learned[segment.start]);
            }
        }
        prop_assert!(seen.iter().all(|times| *times == 1));
        let total: usize = lengths.iter().sum();
        prop_assert!(packed.len() <= 1 + 2 * total.div_ceil(limit), "at most one sequence is less than half full");
    }
}
