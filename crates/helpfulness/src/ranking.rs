//! Losses that put the scores of candidates in order. They know nothing of models.
//!
//! Candidates of a sample are sorted, the best first, and `s_k` is what the model gives the k-th. Of every two it must give the better one more, by a
//! margin that grows with their distance (BRIO, Liu et al. 2022, arXiv 2203.16804, as in arXiv 2310.05782):
//!
//! `L = Σ_i mean_k max(0, s_{k+i} − s_k + i·m)`
//!
//! The mean is over all pairs at distance `i` of the whole batch. Samples may have different numbers of candidates.

use candle_core::{DType, Result, Tensor, bail};

/// The ranking loss of scores `[n]` with history. `ranks` says of each score which sample it belongs to and what its rank there is, 0 for the best. Ranks may leave gaps:
/// a missing candidate takes no part. A scalar; 0 where no sample has two candidates.
///
/// # Errors
/// There is not one rank for each score, a rank occurs twice in a sample, or the device fails.
pub fn ranking_loss(scores: &Tensor, ranks: &[Rank], margin: f64) -> Result<Tensor> {
    check(scores, ranks)?;
    let pairs = pairs(ranks)?;
    if pairs.is_empty() {
        // With a history, so that a batch without pairs is no special case.
        return scores.sum_all()? * 0.0;
    }
    let longest = pairs.iter().map(|pair| pair.distance).max().unwrap_or(0);
    let mut counts = vec![0usize; longest + 1];
    pairs.iter().for_each(|pair| counts[pair.distance] += 1);
    let places = |of: fn(&Pair) -> usize| {
        let places: Vec<u32> = pairs.iter().map(|pair| of(pair) as u32).collect();
        Tensor::new(places, scores.device())
    };
    let values = |of: &dyn Fn(&Pair) -> f64| {
        let values: Vec<f64> = pairs.iter().map(of).collect();
        Tensor::new(values, scores.device())?.to_dtype(scores.dtype())
    };
    let better = scores.index_select(&places(|pair| pair.better)?, 0)?;
    let worse = scores.index_select(&places(|pair| pair.worse)?, 0)?;
    let hinge = ((worse - better)? + values(&|pair| pair.distance as f64 * margin)?)?.relu()?;
    (hinge * values(&|pair| 1.0 / counts[pair.distance] as f64)?)?.sum_all()
}

/// `mean_k max(0, s_k − s_gold + m)` over all candidates: the gold response must have more than each of them. `gold` are the scores of the samples'
/// own responses, `[samples]`.
///
/// # Errors
/// There is not one rank for each score, a sample has no gold score, or the device fails.
pub fn gold_loss(scores: &Tensor, ranks: &[Rank], gold: &Tensor, margin: f64) -> Result<Tensor> {
    check(scores, ranks)?;
    let samples = gold.dims1()?;
    if let Some(rank) = ranks.iter().find(|rank| rank.sample >= samples) {
        bail!("a candidate of sample {}: there are {samples} gold scores", rank.sample)
    }
    if ranks.is_empty() {
        return gold.sum_all()? * 0.0;
    }
    let samples: Vec<u32> = ranks.iter().map(|rank| rank.sample as u32).collect();
    let gold = gold.index_select(&Tensor::new(samples, scores.device())?, 0)?;
    ((scores - gold)? + margin)?.relu()?.mean_all()
}

/// Whose a score is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rank {
    /// The sample within the batch.
    pub sample: usize,
    /// The candidate's rank within the sample, 0 for the best.
    pub rank: usize,
}

/// The share of pairs in which the better candidate has the higher score; `None` without pairs.
///
/// # Errors
/// As [`ranking_loss`].
pub fn ordered_share(scores: &Tensor, ranks: &[Rank]) -> Result<Option<f64>> {
    check(scores, ranks)?;
    let scores = scores.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    let pairs = pairs(ranks)?;
    let ordered = pairs.iter().filter(|pair| scores[pair.better] > scores[pair.worse]).count();
    Ok((!pairs.is_empty()).then(|| ordered as f64 / pairs.len() as f64))
}

fn check(scores: &Tensor, ranks: &[Rank]) -> Result<()> {
    match scores.dims1()? {
        count if count == ranks.len() => Ok(()),
        count => bail!("{count} scores, but {} ranks", ranks.len()),
    }
}

/// Two candidates of one sample, by their places among the scores.
struct Pair {
    better: usize,
    worse: usize,
    distance: usize,
}

fn pairs(ranks: &[Rank]) -> Result<Vec<Pair>> {
    let mut order: Vec<usize> = (0..ranks.len()).collect();
    order.sort_by_key(|place| ranks[*place]);
    let mut pairs = Vec::new();
    for (number, better) in order.iter().copied().enumerate() {
        let of_sample = order[number + 1..].iter().take_while(|place| ranks[**place].sample == ranks[better].sample);
        for worse in of_sample.copied() {
            let distance = ranks[worse].rank - ranks[better].rank;
            if distance == 0 {
                bail!("two candidates of sample {} have the rank {}", ranks[better].sample, ranks[better].rank)
            }
            pairs.push(Pair { better, worse, distance });
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn ranks(counts: &[usize]) -> Vec<Rank> {
        let of_sample = |(sample, count): (usize, &usize)| (0..*count).map(move |rank| Rank { sample, rank });
        counts.iter().enumerate().flat_map(of_sample).collect()
    }

    fn loss(scores: &[f64], counts: &[usize], margin: f64) -> f64 {
        let scores = Tensor::new(scores, &Device::Cpu).unwrap();
        ranking_loss(&scores, &ranks(counts), margin).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn the_loss_of_known_scores_is_the_printed_one() {
        const SCORES: [f64; 4] = [0.030, 0.031, 0.025, 0.029];
        assert!((loss(&SCORES, &[4], 0.001) - 0.013 / 3.0).abs() < 1e-12);
        assert!((loss(&SCORES, &[4], 0.01) - 0.055_166_666_666).abs() < 1e-9);
    }

    #[test]
    fn once_all_margins_hold_loss_and_gradient_are_zero() {
        let ordered = [0.5, 0.3, 0.1];
        let scores = Var::new(&ordered, &Device::Cpu).unwrap();
        let loss_of = |scores: &Tensor| ranking_loss(scores, &ranks(&[3]), 0.1).unwrap();
        let found = loss_of(&scores);
        assert_eq!(found.to_scalar::<f64>().unwrap(), 0.0);
        assert_eq!(found.backward().unwrap().get(&scores).unwrap().to_vec1::<f64>().unwrap(), [0.0; 3]);
        assert!(loss(&[0.1, 0.3, 0.5], &[3], 0.1) > 0.0, "the other way round");
    }

    #[test]
    fn samples_are_not_compared_with_one_another() {
        assert_eq!(loss(&[0.1, 0.9], &[1, 1], 0.5), 0.0);
        let both = loss(&[0.1, 0.2, 0.5, 0.4], &[2, 2], 0.0);
        assert!((both - 0.05).abs() < 1e-12, "the mean over one pair of each: {both}");
    }

    #[test]
    fn a_missing_candidate_keeps_its_distance() {
        let scores = Tensor::new(&[0.5f64, 0.45], &Device::Cpu).unwrap();
        let gap = [Rank { sample: 0, rank: 0 }, Rank { sample: 0, rank: 2 }];
        let found = ranking_loss(&scores, &gap, 0.05).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - 0.05).abs() < 1e-12, "{found}");
    }

    #[test]
    fn the_gold_response_must_lead() {
        let (scores, gold) =
            (Tensor::new(&[0.3f64, 0.1], &Device::Cpu).unwrap(), Tensor::new(&[0.2f64], &Device::Cpu).unwrap());
        let found = gold_loss(&scores, &ranks(&[2]), &gold, 0.05).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - 0.075).abs() < 1e-12, "{found}");
    }

    #[test]
    fn the_share_of_ordered_pairs_counts_pairs() {
        let scores = Tensor::new(&[0.3f64, 0.1, 0.2], &Device::Cpu).unwrap();
        assert_eq!(ordered_share(&scores, &ranks(&[3])).unwrap(), Some(2.0 / 3.0));
        assert_eq!(ordered_share(&scores, &ranks(&[1, 1, 1])).unwrap(), None);
    }

    #[test]
    fn ranks_must_fit() {
        let scores = Tensor::new(&[0.3f64, 0.1], &Device::Cpu).unwrap();
        assert!(ranking_loss(&scores, &ranks(&[3]), 0.1).is_err());
        assert!(ranking_loss(&scores, &[Rank { sample: 0, rank: 1 }; 2], 0.1).is_err());
        let gold = Tensor::new(&[0.3f64], &Device::Cpu).unwrap();
        assert!(gold_loss(&scores, &ranks(&[1, 1]), &gold, 0.1).is_err());
    }
}
