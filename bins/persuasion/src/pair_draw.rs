//! Some pairs of a file. Files are sorted by group, so that the first ones would be of few groups.

use dpo::PreferencePair;
use llm_runtime::seeded_stream;
use rand::seq::SliceRandom;

/// A part of a file is no matter of a run's seed: runs with different seeds learn from the same pairs.
const SEED: u64 = 0;

/// Keeps `limit` pairs, drawn at random and in their order; a larger limit adds to those of a smaller one.
pub(crate) fn draw(pairs: &mut Vec<PreferencePair>, limit: Option<usize>) {
    let Some(limit) = limit.filter(|limit| *limit < pairs.len()) else { return };
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    order.shuffle(&mut seeded_stream(SEED, "pairs"));
    let mut is_drawn = vec![false; pairs.len()];
    for place in &order[..limit] {
        is_drawn[*place] = true;
    }
    let mut is_drawn = is_drawn.into_iter();
    pairs.retain(|_| is_drawn.next().unwrap_or(false));
}

#[cfg(test)]
mod tests {
    use super::draw;
    use dpo::{PairText, PreferencePair};

    fn pairs(limit: Option<usize>) -> Vec<usize> {
        let pair = |number: usize| PreferencePair {
            id: number.to_string(),
            group: String::new(),
            prompt: PairText::Plain("Why?".into()),
            chosen: "Because it rains.".into(),
            rejected: "No.".into(),
            other: serde_json::Map::new(),
        };
        let mut pairs = (0..200).map(pair).collect();
        draw(&mut pairs, limit);
        pairs.iter().map(|pair| pair.id.parse().unwrap()).collect()
    }

    #[test]
    fn a_draw_comes_from_the_whole_file_in_its_order_and_grows() {
        let (few, more) = (pairs(Some(20)), pairs(Some(50)));
        assert_eq!((few.len(), more.len()), (20, 50));
        assert!(few.is_sorted() && more.is_sorted());
        assert!(few.iter().all(|place| more.contains(place)));
        assert!(few.iter().any(|place| *place < 50) && few.iter().any(|place| *place >= 150), "{few:?}");
    }

    #[test]
    fn all_are_kept_without_a_limit_or_below_it() {
        assert_eq!(pairs(None).len(), 200);
        assert_eq!(pairs(Some(200)).len(), 200);
        assert_eq!(pairs(Some(1000)).len(), 200);
    }
}
