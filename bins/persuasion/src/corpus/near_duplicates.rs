//! Texts that are nearly the same, found without comparing all with all.
//!
//! MinHash (Broder, 1997): of each of 128 hash functions the least value over a text's runs of three words. Two texts agree in such a value with the probability
//! of their Jaccard similarity, so texts that agree in all eight values of one of sixteen bands are candidates (at a similarity of 0.9: all but 1 in 8,000);
//! which of them are near is decided by their exact similarity.

use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;

use super::cleaning::normalised;

/// From this Jaccard similarity of runs of three words on, texts are near-duplicates.
pub const NEAR: f64 = 0.9;
const BANDS: usize = 16;
const ROWS: usize = 8;
const RUN: usize = 3;

/// Every two texts, by their places, that are near-duplicates; `may_pair` says which texts are worth being compared.
pub fn near_duplicates(texts: &[&str], may_pair: &(dyn Fn(usize, usize) -> bool + Sync)) -> Vec<(usize, usize, f64)> {
    let runs: Vec<Vec<u64>> = texts.par_iter().map(|text| runs_of(text)).collect();
    let bands: Vec<[u64; BANDS]> = runs.par_iter().map(|runs| bands_of(runs)).collect();
    let mut candidates = BTreeSet::new();
    for band in 0..BANDS {
        let mut buckets: HashMap<u64, Vec<usize>> = HashMap::new();
        for (place, bands) in bands.iter().enumerate() {
            buckets.entry(bands[band]).or_default().push(place);
        }
        for bucket in buckets.values().filter(|bucket| bucket.len() > 1) {
            for (at, one) in bucket.iter().enumerate() {
                candidates.extend(
                    bucket[at + 1..].iter().filter(|other| may_pair(*one, **other)).map(|other| (*one, *other)),
                );
            }
        }
    }
    let candidates: Vec<(usize, usize)> = candidates.into_iter().collect();
    let near = |(one, other): (usize, usize)| {
        let similarity = jaccard(&runs[one], &runs[other]);
        (similarity >= NEAR).then_some((one, other, similarity))
    };
    candidates.into_par_iter().filter_map(near).collect()
}

/// The hashes of a text's runs of three words, ascending, each once; a shorter text is one run.
fn runs_of(text: &str) -> Vec<u64> {
    let words = normalised(text);
    let words: Vec<u64> = words.split(' ').map(hash_of).collect();
    let mut runs: Vec<u64> =
        if words.len() < RUN { vec![joined(&words)] } else { words.windows(RUN).map(joined).collect() };
    runs.sort_unstable();
    runs.dedup();
    runs
}

fn bands_of(runs: &[u64]) -> [u64; BANDS] {
    std::array::from_fn(|band| {
        let least: Vec<u64> = (0..ROWS)
            .map(|row| {
                let salt = mixed((band * ROWS + row) as u64 + 1);
                runs.iter().map(|run| mixed(run ^ salt)).min().unwrap_or_default()
            })
            .collect();
        joined(&least)
    })
}

/// Of two ascending lists.
fn jaccard(one: &[u64], other: &[u64]) -> f64 {
    let common = one.iter().filter(|run| other.binary_search(run).is_ok()).count();
    common as f64 / (one.len() + other.len() - common).max(1) as f64
}

fn hash_of(word: &str) -> u64 {
    mixed(
        word.bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)),
    )
}

fn joined(hashes: &[u64]) -> u64 {
    hashes.iter().fold(0, |hash, next| mixed(hash ^ next))
}

/// The output function of SplitMix64 (Steele, Lea & Flood, 2014).
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
