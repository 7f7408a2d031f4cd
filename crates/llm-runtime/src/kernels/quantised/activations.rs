//! Activations rounded to 8 bits.

use rayon::prelude::*;

use super::BLOCK;

/// Neighbouring values whose sums are kept: what a weight's offset adds to a product is the offset times such a sum.
const SHORT: usize = 16;
const LONG: usize = 32;

/// Rows of activations: of each 256 values the largest magnitude is ±127.
pub(super) struct Activations {
    width: usize,
    codes: Vec<i8>,
    scales: Vec<f32>,
    short_sums: Vec<i16>,
    long_sums: Vec<i16>,
}

/// One row of them.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    /// Rounded values.
    pub(super) codes: &'a [i8],
    /// What a code of 1 is worth, for each 256.
    pub(super) scales: &'a [f32],
    /// Sums of 16 codes each.
    pub(super) short_sums: &'a [i16],
    /// Sums of 32 codes each.
    pub(super) long_sums: &'a [i16],
}

impl Activations {
    /// Rounds rows of `width` values, a multiple of 256.
    pub(super) fn round(x: &[f32], width: usize) -> Self {
        let mut rounded = Self {
            width,
            codes: vec![0; x.len()],
            scales: vec![0.0; x.len() / BLOCK],
            short_sums: vec![0; x.len() / SHORT],
            long_sums: vec![0; x.len() / LONG],
        };
        let blocks = x.par_chunks_exact(width).zip(rounded.codes.par_chunks_exact_mut(width));
        let blocks = blocks.zip(rounded.scales.par_chunks_exact_mut(width / BLOCK));
        let sums = rounded.short_sums.par_chunks_exact_mut(width / SHORT);
        let sums = sums.zip(rounded.long_sums.par_chunks_exact_mut(width / LONG));
        blocks.zip(sums).for_each(|(((x, codes), scales), (short_sums, long_sums))| {
            round_row(x, codes, scales);
            sum_up(codes, short_sums, long_sums);
        });
        rounded
    }

    pub(super) fn rows(&self) -> usize {
        self.codes.len() / self.width
    }

    pub(super) fn row(&self, row: usize) -> Row<'_> {
        let of = |length: usize| row * self.width / length..(row + 1) * self.width / length;
        Row {
            codes: &self.codes[of(1)],
            scales: &self.scales[of(BLOCK)],
            short_sums: &self.short_sums[of(SHORT)],
            long_sums: &self.long_sums[of(LONG)],
        }
    }
}

fn round_row(x: &[f32], codes: &mut [i8], scales: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if super::x86::is_there() {
        // SAFETY: the instruction set was detected.
        return unsafe { super::x86::round_row(x, codes, scales) };
    }
    for ((x, codes), scale) in x.chunks_exact(BLOCK).zip(codes.chunks_exact_mut(BLOCK)).zip(scales) {
        let largest = x.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        let (factor, unit) = unit_of(largest);
        *scale = unit;
        for (code, value) in codes.iter_mut().zip(x) {
            *code = (value * factor).round_ties_even() as i8;
        }
    }
}

/// By what values are multiplied to become codes, and what a code of 1 is worth.
pub(super) fn unit_of(largest: f32) -> (f32, f32) {
    if largest > 0.0 { (127.0 / largest, largest / 127.0) } else { (0.0, 0.0) }
}

fn sum_up(codes: &[i8], short_sums: &mut [i16], long_sums: &mut [i16]) {
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
        for row in 0..3 {
            let own = rounded.row(row);
            for (place, code) in own.codes.iter().enumerate() {
                let scale = own.scales[place / BLOCK];
                let value = x[row * 512 + place];
                assert!((f32::from(*code) * scale - value).abs() <= scale * 0.50001, "{code} for {value}");
            }
            assert!(own.codes.chunks(BLOCK).all(|codes| codes.iter().any(|code| code.abs() == 127)));
            let sum = |codes: &[i8]| codes.iter().map(|code| i16::from(*code)).sum::<i16>();
            assert!(own.codes.chunks(SHORT).map(sum).eq(own.short_sums.iter().copied()));
            assert!(own.codes.chunks(LONG).map(sum).eq(own.long_sums.iter().copied()));
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        let rounded = Activations::round(&[0.0; 256], 256);
        assert!(rounded.row(0).codes.iter().all(|code| *code == 0));
        assert_eq!(rounded.row(0).scales, [0.0]);
    }
}
