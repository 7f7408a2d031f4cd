//! Activations rounded to 8 bits.

use rayon::prelude::*;

use super::BLOCK;

/// Neighbouring values whose sums are kept: what a weight's offset adds to a product is the offset times such a sum.
const SHORT: usize = 16;
const LONG: usize = 32;

/// Values that one task rounds, at least.
const VALUES_OF_TASK: usize = 4096;

/// Rows of activations: of each 256 values the largest magnitude is ±127. The first block of all rows comes first, then the second of all: so blocks of many rows that
/// meet the same weights lie together.
pub(super) struct Activations {
    rows: usize,
    codes: Vec<[i8; BLOCK]>,
    scales: Vec<f32>,
    short_sums: Vec<[i16; BLOCK / SHORT]>,
    long_sums: Vec<[i16; BLOCK / LONG]>,
}

/// A block of one row.
#[derive(Clone, Copy)]
pub(super) struct RowBlock<'a> {
    /// Rounded values.
    pub(super) codes: &'a [i8; BLOCK],
    /// What a code of 1 is worth.
    pub(super) scale: f32,
    /// Sums of 16 codes each.
    pub(super) short_sums: &'a [i16; BLOCK / SHORT],
    /// Sums of 32 codes each.
    pub(super) long_sums: &'a [i16; BLOCK / LONG],
}

impl Activations {
    /// Rounds rows of `width` values, a multiple of 256.
    pub(super) fn round(x: &[f32], width: usize) -> Self {
        let (rows, blocks) = (x.len() / width, x.len() / BLOCK);
        let mut rounded = Self {
            rows,
            codes: vec![[0; BLOCK]; blocks],
            scales: vec![0.0; blocks],
            short_sums: vec![[0; BLOCK / SHORT]; blocks],
            long_sums: vec![[0; BLOCK / LONG]; blocks],
        };
        let codes = rounded.codes.par_chunks_exact_mut(rows).zip(rounded.scales.par_chunks_exact_mut(rows));
        let sums = rounded.short_sums.par_chunks_exact_mut(rows).zip(rounded.long_sums.par_chunks_exact_mut(rows));
        let of_all_rows = codes.zip(sums).enumerate().with_min_len(VALUES_OF_TASK / (rows * BLOCK).min(VALUES_OF_TASK));
        of_all_rows.for_each(|(number, ((codes, scales), (short_sums, long_sums)))| {
            for (row, x) in x.chunks_exact(width).enumerate() {
                scales[row] = round_block(&x.as_chunks().0[number], &mut codes[row]);
                sum_up(&codes[row], &mut short_sums[row], &mut long_sums[row]);
            }
        });
        rounded
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn block(&self, row: usize, number: usize) -> RowBlock<'_> {
        let at = number * self.rows + row;
        RowBlock {
            codes: &self.codes[at],
            scale: self.scales[at],
            short_sums: &self.short_sums[at],
            long_sums: &self.long_sums[at],
        }
    }
}

/// Rounds a block, and gives what a code of 1 is worth.
fn round_block(x: &[f32; BLOCK], codes: &mut [i8; BLOCK]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if super::x86::is_there() {
        // SAFETY: the instruction set was detected.
        return unsafe { super::x86::round_block(x, codes) };
    }
    let largest = x.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let (factor, unit) = unit_of(largest);
    for (code, value) in codes.iter_mut().zip(x) {
        *code = (value * factor).round_ties_even() as i8;
    }
    unit
}

/// By what values are multiplied to become codes, and what a code of 1 is worth.
pub(super) fn unit_of(largest: f32) -> (f32, f32) {
    if largest > 0.0 { (127.0 / largest, largest / 127.0) } else { (0.0, 0.0) }
}

fn sum_up(codes: &[i8; BLOCK], short_sums: &mut [i16; BLOCK / SHORT], long_sums: &mut [i16; BLOCK / LONG]) {
    for (codes, sum) in codes.chunks_exact(SHORT).zip(short_sums.iter_mut()) {
        *sum = codes.iter().map(|code| i16::from(*code)).sum();
    }
    for (short, long) in short_sums.chunks_exact(2).zip(long_sums) {
        *long = short[0] + short[1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_nearest_ones_and_sums_theirs() {
        let x: Vec<f32> = (0..3 * 512).map(|i| ((i * 37 % 211) as f32 - 105.0) / 31.0 * (1 + i / 256) as f32).collect();
        let rounded = Activations::round(&x, 512);
        assert_eq!(rounded.rows(), 3);
        for (row, x) in x.chunks_exact(512).enumerate() {
            for (number, x) in x.chunks_exact(BLOCK).enumerate() {
                let own = rounded.block(row, number);
                for (code, value) in own.codes.iter().zip(x) {
                    let error = (f32::from(*code) * own.scale - value).abs();
                    assert!(error <= own.scale * 0.50001, "{code} for {value}");
                }
                assert!(own.codes.iter().any(|code| code.abs() == 127));
                let sum = |codes: &[i8]| codes.iter().map(|code| i16::from(*code)).sum::<i16>();
                assert!(own.codes.chunks(SHORT).map(sum).eq(own.short_sums.iter().copied()));
                assert!(own.codes.chunks(LONG).map(sum).eq(own.long_sums.iter().copied()));
            }
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        let rounded = Activations::round(&[0.0; 256], 256);
        assert!(rounded.block(0, 0).codes.iter().all(|code| *code == 0));
        assert_eq!(rounded.block(0, 0).scale, 0.0);
    }
}
