//! The published selections: vectors of the generator and of whole passes.

use strategy_prompting::{MersenneTwister, PYTHON_COMPAT_SEED, python_compat_draws};

#[test]
fn the_generator_gives_the_published_numbers() {
    let mut outputs = MersenneTwister::from_python_seed(PYTHON_COMPAT_SEED);
    let found: Vec<u32> = (0..4).map(|_| outputs.next_u32()).collect();
    assert_eq!(found, [87_865_641, 150_826_825, 2_443_662_869, 3_564_304_118]);
    let mut floats = MersenneTwister::from_python_seed(PYTHON_COMPAT_SEED);
    let found: Vec<f64> = (0..3).map(|_| floats.random()).collect();
    assert_eq!(found, [0.020457811915256863, 0.5689595999559701, 0.4107178926573303]);
}

/// First draws, the same for both sizes: example and strategies, numbered from 1.
const FIRST: [(usize, &[usize]); 8] = [
    (335, &[1, 5, 11, 13]),
    (774, &[1, 3, 6, 8, 12]),
    (4702, &[7, 8, 9, 10]),
    (2089, &[4, 14, 15]),
    (2557, &[4, 10, 13]),
    (109, &[3, 4, 5, 8, 9, 10, 13, 14]),
    (2067, &[1, 7, 8]),
    (8654, &[2, 4, 15]),
];

#[test]
fn whole_passes_have_the_published_sizes() {
    for (examples, drawn, continuations) in [(9354, 5942, 26_698), (8715, 5479, 24_796)] {
        let draws = python_compat_draws(examples, 15, None, 0.3);
        let first: Vec<(usize, Vec<usize>)> = draws
            .iter()
            .take(FIRST.len())
            .map(|draw| (draw.example, draw.strategies.iter().map(|strategy| strategy + 1).collect()))
            .collect();
        let expected: Vec<(usize, Vec<usize>)> = FIRST.iter().map(|(example, all)| (*example, all.to_vec())).collect();
        assert_eq!(first, expected);
        assert_eq!(draws.len(), drawn);
        assert_eq!(draws.iter().map(|draw| draw.strategies.len()).sum::<usize>(), continuations);
    }
}
