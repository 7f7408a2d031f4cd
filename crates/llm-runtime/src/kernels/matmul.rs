//! `y = x Wᵀ` with f32 activations and dense weights in f32, f16 or bf16; every product is summed in f32.

use std::ops::Range;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

use super::SharedOut;
use super::dot::{Simd, finish_tile, walk_tile};

/// A weight matrix `[out_features, in_features]`, row by row.
#[derive(Clone, Copy)]
pub(crate) enum Weights<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
}

/// Most output columns of one task: with many rows, and with the few of a step.
const PANEL: usize = 64;
const NARROW_PANEL: usize = 16;
/// Columns whose part of the weights stays in the first-level cache.
const STRIP: usize = 8;
/// Rows of a register tile.
const TILE: usize = 6;
/// Rows whose running sums are kept at a time; with a panel's weights they stay in the second-level cache.
const BLOCK: usize = 8 * TILE;
/// Values of the inner dimension that are walked at a time: with many rows, and with the few of a step.
const PART: usize = 512;
const LONG_PART: usize = 1024;

/// `out[t][n] = Σ_k x[t][k] · weights[n][k]`; `x` is `[rows, in_features]`, `out` is `[rows, out_features]`.
pub(crate) fn matmul(x: &[f32], weights: Weights<'_>, in_features: usize, out_features: usize, out: &mut [f32]) {
    if in_features == 0 || out_features == 0 {
        out.fill(0.0);
        return;
    }
    let simd = Simd::detect();
    let target = SharedOut::new(out, out_features);
    let has_few_rows = x.len() <= TILE * in_features;
    let width = panel_width(out_features, if has_few_rows { NARROW_PANEL } else { PANEL });
    (0..out_features.div_ceil(width)).into_par_iter().for_each_init(Scratch::default, |scratch, panel| {
        let columns = panel * width..out_features.min((panel + 1) * width);
        let product = Product { simd, x, weights, k: in_features, out: target };
        match (has_few_rows, weights) {
            (true, Weights::F32(weights)) => product.few_rows(weights, columns, scratch),
            _ => product.many_rows(columns, scratch),
        }
    });
}

/// Panels are so narrow that each thread gets several.
fn panel_width(out_features: usize, widest: usize) -> usize {
    let share = out_features / (4 * rayon::current_num_threads());
    (share / STRIP * STRIP).clamp(STRIP, widest)
}

/// What a task works in.
#[derive(Default)]
struct Scratch {
    rows: Aligned,
    weights: Aligned,
    sums: Aligned,
}

/// Values that begin where a line of the cache begins: vectors that lie across two lines take twice as long to load.
#[derive(Default)]
struct Aligned(Vec<f32>);

impl Aligned {
    fn of(&mut self, length: usize) -> &mut [f32] {
        const LINE: usize = 16;
        if self.0.len() < length + LINE {
            self.0.resize(length + LINE, 0.0);
        }
        let offset = self.0.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        &mut self.0[offset..offset + length]
    }
}

#[derive(Clone, Copy)]
struct Product<'a> {
    simd: Simd,
    x: &'a [f32],
    weights: Weights<'a>,
    k: usize,
    out: SharedOut,
}

/// Equal parts of the inner dimension, but for the last.
fn parts(k: usize, longest: usize) -> impl Iterator<Item = Range<usize>> {
    let length = k.div_ceil(k.div_ceil(longest)).next_multiple_of(16);
    (0..k).step_by(length).map(move |start| start..k.min(start + length))
}

impl Product<'_> {
    /// Each weight is met once, by all rows: it is read where it lies.
    fn few_rows(self, weights: &[f32], columns: Range<usize>, scratch: &mut Scratch) {
        let rows = self.x.len() / self.k;
        let sums = scratch.sums.of(rows * columns.len() * self.simd.lanes());
        for part in parts(self.k, LONG_PART) {
            let x = Block { values: &self.x[part.start..], stride: self.k, is_far: false };
            let values = &weights[columns.start * self.k + part.start..];
            let weights = Block { values, stride: self.k, is_far: true };
            self.strip(&part, 0..rows, x, columns.clone(), weights, sums);
        }
    }

    /// Rows and weights are laid out anew, so that what is used together lies together.
    fn many_rows(self, columns: Range<usize>, scratch: &mut Scratch) {
        let (rows, lanes) = (self.x.len() / self.k, self.simd.lanes());
        let packed = scratch.weights.of(columns.len() * self.k);
        for part in parts(self.k, PART) {
            let of_part = &mut packed[columns.len() * part.start..columns.len() * part.end];
            self.weights.copy(self.k, columns.clone(), &part, of_part);
        }
        for first in (0..rows).step_by(BLOCK) {
            let block = first..rows.min(first + BLOCK);
            let sums = scratch.sums.of(block.len() * columns.len() * lanes);
            for part in parts(self.k, PART) {
                let of_part = &packed[columns.len() * part.start..columns.len() * part.end];
                let x = scratch.rows.of(block.len() * part.len());
                for (row, x) in block.clone().zip(x.chunks_exact_mut(part.len())) {
                    x.copy_from_slice(&self.x[row * self.k..][part.clone()]);
                }
                let x = Block { values: x, stride: part.len(), is_far: false };
                let strips = of_part.chunks(STRIP * part.len()).zip(sums.chunks_mut(STRIP * block.len() * lanes));
                for (start, (weights, sums)) in columns.clone().step_by(STRIP).zip(strips) {
                    let strip = start..columns.end.min(start + STRIP);
                    let weights = Block { values: weights, stride: part.len(), is_far: false };
                    self.strip(&part, block.clone(), x, strip, weights, sums);
                }
            }
        }
    }

    /// Some rows with some columns; `sums` are theirs.
    fn strip(
        self,
        part: &Range<usize>,
        rows: Range<usize>,
        x: Block<'_>,
        columns: Range<usize>,
        weights: Block<'_>,
        sums: &mut [f32],
    ) {
        let mut rest = sums;
        for start in rows.clone().step_by(TILE) {
            let count = TILE.min(rows.end - start);
            let (sums, later) = rest.split_at_mut(count * columns.len() * self.simd.lanes());
            rest = later;
            let strip = Strip { product: self, part, columns: &columns, weights };
            let x = Block { values: &x.values[(start - rows.start) * x.stride..], ..x };
            match count {
                1 => strip.rows::<1>(start, x, sums),
                2 => strip.rows::<2>(start, x, sums),
                3 => strip.rows::<3>(start, x, sums),
                4 => strip.rows::<4>(start, x, sums),
                5 => strip.rows::<5>(start, x, sums),
                _ => strip.rows::<TILE>(start, x, sums),
            }
        }
    }
}

/// A part of a matrix's rows, `stride` apart.
#[derive(Clone, Copy)]
struct Block<'a> {
    values: &'a [f32],
    stride: usize,
    /// Whether it comes from memory, and was not used shortly before.
    is_far: bool,
}

impl<'a> Block<'a> {
    fn rows<const N: usize>(self, first: usize, length: usize) -> [&'a [f32]; N] {
        std::array::from_fn(|row| &self.values[(first + row) * self.stride..][..length])
    }
}

impl Weights<'_> {
    /// A part of some columns, side by side.
    fn copy(self, k: usize, columns: Range<usize>, part: &Range<usize>, out: &mut [f32]) {
        for (column, out) in columns.zip(out.chunks_exact_mut(part.len())) {
            let range = column * k + part.start..column * k + part.end;
            match self {
                Self::F32(all) => out.copy_from_slice(&all[range]),
                Self::F16(all) => all[range].convert_to_f32_slice(out),
                Self::Bf16(all) => all[range].convert_to_f32_slice(out),
            }
        }
    }
}

struct Strip<'a> {
    product: Product<'a>,
    part: &'a Range<usize>,
    columns: &'a Range<usize>,
    weights: Block<'a>,
}

impl Strip<'_> {
    fn rows<const R: usize>(&self, row: usize, x: Block<'_>, sums: &mut [f32]) {
        let rows: [&[f32]; R] = x.rows(0, self.part.len());
        let count = self.columns.len();
        let mut column = 0;
        // More columns than fit the registers beside so many rows would be spilled.
        let is_wide = R <= 2 || self.product.simd.lanes() == 16;
        while is_wide && column + 4 <= count {
            self.tile::<R, 4>(&rows, row, column, sums);
            column += 4;
        }
        while column + 2 <= count {
            self.tile::<R, 2>(&rows, row, column, sums);
            column += 2;
        }
        if column < count {
            self.tile::<R, 1>(&rows, row, column, sums);
        }
    }

    #[inline]
    fn tile<const R: usize, const C: usize>(&self, rows: &[&[f32]; R], row: usize, column: usize, sums: &mut [f32]) {
        let Product { simd, k, out, .. } = self.product;
        let columns: [&[f32]; C] = self.weights.rows(column, self.part.len());
        let lanes = R * simd.lanes();
        let sums = &mut sums[column * lanes..(column + C) * lanes];
        let is_first = self.part.start == 0;
        // The tile after the next.
        let ahead = if self.weights.is_far { 2 * C * self.weights.stride } else { 0 };
        if self.part.end < k {
            return walk_tile(simd, rows, &columns, is_first, ahead, sums);
        }
        let tile = finish_tile(simd, rows, &columns, is_first, ahead, sums);
        for (r, values) in tile.iter().enumerate() {
            for (c, value) in values.iter().enumerate() {
                // SAFETY: row and column are inside `x` and the weights, and each column belongs to one task.
                unsafe { out.write(row + r, self.columns.start + column + c, *value) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 31 % 97) as f32 - 48.0) / 50.0).collect()
    }

    #[test]
    fn a_row_is_the_same_alone_and_among_others() {
        // The second has several parts of the inner dimension, blocks of rows and panels of columns.
        for (k, n, rows) in [(37, 21, 9), (1100, 139, 53)] {
            compare_rows(k, n, rows);
        }
    }

    fn compare_rows(k: usize, n: usize, rows: usize) {
        let (x, w) = (numbers(rows * k), numbers(n * k));
        let mut all = vec![0f32; rows * n];
        matmul(&x, Weights::F32(&w), k, n, &mut all);
        for row in 0..rows {
            let mut alone = vec![0f32; n];
            matmul(&x[row * k..(row + 1) * k], Weights::F32(&w), k, n, &mut alone);
            assert_eq!(alone, all[row * n..(row + 1) * n]);
            for column in 0..n {
                let exact: f32 = (0..k).map(|i| x[row * k + i] * w[column * k + i]).sum();
                assert!((alone[column] - exact).abs() < 1e-5 * k as f32);
            }
        }
    }

    #[test]
    fn half_weights_are_summed_in_f32() {
        let (k, n) = (48, 5);
        let w: Vec<f16> = numbers(n * k).into_iter().map(f16::from_f32).collect();
        let wide: Vec<f32> = w.iter().map(|w| w.to_f32()).collect();
        let x = numbers(3 * k);
        let (mut half, mut full) = (vec![0f32; 3 * n], vec![0f32; 3 * n]);
        matmul(&x, Weights::F16(&w), k, n, &mut half);
        matmul(&x, Weights::F32(&wide), k, n, &mut full);
        assert_eq!(half, full);
    }
}
