//! `y = x Wᵀ` with f32 activations and dense weights in f32, f16 or bf16; every product is summed in f32.

use std::ops::Range;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

use super::SharedOut;
use super::dot::{Simd, finish_tile, prefetch, walk_tile};

/// A weight matrix `[out_features, in_features]`, row by row.
#[derive(Clone, Copy)]
pub(crate) enum Weights<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
}

/// Most output columns of one task: with many rows, and with the few of a step.
const PANEL: usize = 32;
const NARROW_PANEL: usize = 16;
/// Columns whose part of the weights is met by all rows of a block, one after the other.
const STRIP: usize = 8;
/// Rows of a register tile.
const TILE: usize = 6;
/// Rows whose running sums are kept at a time; with a panel's weights they stay in the second-level cache.
const BLOCK: usize = 8 * TILE;
/// Values of the inner dimension that are walked at a time: with many rows, and with the few of a step.
const PART: usize = 768;
const LONG_PART: usize = 1024;

/// `out[t][n] = Σ_k x[t][k] · weights[n][k]`; `x` is `[rows, in_features]`, `out` is `[rows, out_features]`.
pub(crate) fn matmul(x: &[f32], weights: Weights<'_>, in_features: usize, out_features: usize, out: &mut [f32]) {
    if in_features == 0 || out_features == 0 {
        out.fill(0.0);
        return;
    }
    let target = SharedOut::new(out, out_features);
    let product =
        Product { simd: Simd::detect(), x, rows: x.len() / in_features, weights, k: in_features, out: target };
    match weights {
        Weights::F32(weights) if product.rows <= TILE => {
            in_panels(1, out_features, NARROW_PANEL, |_, columns, scratch| {
                product.few_rows(weights, columns, scratch);
            });
        }
        Weights::F32(weights) if product.rows <= BLOCK => {
            let mut rows = PackedRows::default();
            rows.pack(x, in_features, 0..product.rows);
            in_panels(1, out_features, PANEL, |_, columns, scratch| {
                product.one_block(&rows, weights, columns, &mut scratch.sums);
            });
        }
        Weights::F32(weights) => {
            in_panels(
                product.rows.div_ceil(BLOCK),
                out_features,
                PANEL,
                |block, columns, Scratch { rows, sums, .. }| {
                    rows.pack(x, in_features, block * BLOCK..product.rows.min((block + 1) * BLOCK));
                    product.one_block(rows, weights, columns, sums);
                },
            );
        }
        Weights::F16(_) | Weights::Bf16(_) => {
            in_panels(1, out_features, PANEL, |_, columns, scratch| product.all_blocks(columns, scratch));
        }
    }
}

/// Panels of columns, each a task with each block of rows.
fn in_panels(blocks: usize, columns: usize, widest: usize, task: impl Fn(usize, Range<usize>, &mut Scratch) + Sync) {
    let width = panel_width(columns, widest);
    let panels = columns.div_ceil(width);
    (0..blocks * panels).into_par_iter().for_each_init(Scratch::default, |scratch, number| {
        let (block, panel) = (number / panels, number % panels);
        task(block, panel * width..columns.min((panel + 1) * width), scratch);
    });
}

/// Panels are so narrow that each thread gets several.
fn panel_width(out_features: usize, widest: usize) -> usize {
    let share = out_features / (8 * rayon::current_num_threads());
    (share / STRIP * STRIP).clamp(STRIP, widest)
}

/// Values in a line of the cache.
const LINE: usize = 16;

/// What a task works in.
#[derive(Default)]
struct Scratch {
    rows: PackedRows,
    weights: Aligned,
    sums: Aligned,
}

/// Values that begin where a line of the cache begins: vectors that lie across two lines take twice as long to load.
#[derive(Default)]
struct Aligned(Vec<f32>);

impl Aligned {
    fn of(&mut self, length: usize) -> &mut [f32] {
        if self.0.len() < length + LINE {
            self.0.resize(length + LINE, 0.0);
        }
        let offset = self.offset();
        &mut self.0[offset..offset + length]
    }

    fn values(&self) -> &[f32] {
        &self.0[self.offset()..]
    }

    fn offset(&self) -> usize {
        self.0.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE)
    }
}

/// A block's rows in the order in which they are used: part by part of the inner dimension.
#[derive(Default)]
struct PackedRows {
    values: Aligned,
    rows: Range<usize>,
}

impl PackedRows {
    /// Packs these rows, unless they are packed already.
    fn pack(&mut self, x: &[f32], k: usize, rows: Range<usize>) {
        if self.rows == rows {
            return;
        }
        let mut rest = self.values.of(rows.len() * k);
        for part in parts(k, PART) {
            let (of_part, others) = rest.split_at_mut(rows.len() * part.len());
            rest = others;
            for (row, out) in rows.clone().zip(of_part.chunks_exact_mut(part.len())) {
                out.copy_from_slice(&x[row * k..][part.clone()]);
            }
        }
        self.rows = rows;
    }

    fn part(&self, part: &Range<usize>) -> Block<'_> {
        let rows = self.rows.len();
        Block {
            values: &self.values.values()[rows * part.start..rows * part.end],
            stride: part.len(),
            ahead: Ahead::Nothing,
        }
    }
}

#[derive(Clone, Copy)]
struct Product<'a> {
    simd: Simd,
    x: &'a [f32],
    rows: usize,
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
    /// Each weight is met once, by all rows, and all are read where they lie.
    fn few_rows(self, weights: &[f32], columns: Range<usize>, scratch: &mut Scratch) {
        let sums = scratch.sums.of(self.rows * columns.len() * self.simd.lanes());
        for part in parts(self.k, LONG_PART) {
            let x = Block { values: &self.x[part.start..], stride: self.k, ahead: Ahead::Nothing };
            let values = &weights[columns.start * self.k + part.start..];
            let weights = Block { values, stride: self.k, ahead: Ahead::NextTiles };
            self.strip(&part, 0..self.rows, x, columns.clone(), weights, sums);
        }
    }

    /// The rows of a block meet each weight shortly one after the other: it is read where it lies, and those to come are fetched meanwhile.
    fn one_block(self, x: &PackedRows, weights: &[f32], columns: Range<usize>, sums: &mut Aligned) {
        let (rows, lanes) = (&x.rows, self.simd.lanes());
        let sums = sums.of(rows.len() * columns.len() * lanes);
        for part in parts(self.k, PART) {
            let x = x.part(&part);
            let sums = sums.chunks_mut(STRIP * rows.len() * lanes);
            for (start, sums) in columns.clone().step_by(STRIP).zip(sums) {
                let strip = start..columns.end.min(start + STRIP);
                let values = &weights[start * self.k + part.start..];
                let weights = Block { values, stride: self.k, ahead: Ahead::NextStrip };
                self.strip(&part, rows.clone(), x, strip, weights, sums);
            }
        }
    }

    /// Weights become f32 once for all rows.
    fn all_blocks(self, columns: Range<usize>, scratch: &mut Scratch) {
        let lanes = self.simd.lanes();
        let packed = scratch.weights.of(columns.len() * self.k);
        for part in parts(self.k, PART) {
            let of_part = &mut packed[columns.len() * part.start..columns.len() * part.end];
            self.weights.copy(self.k, columns.clone(), &part, of_part);
        }
        for first in (0..self.rows).step_by(BLOCK) {
            let block = first..self.rows.min(first + BLOCK);
            let sums = scratch.sums.of(block.len() * columns.len() * lanes);
            scratch.rows.pack(self.x, self.k, block.clone());
            for part in parts(self.k, PART) {
                let of_part = &packed[columns.len() * part.start..columns.len() * part.end];
                let x = scratch.rows.part(&part);
                let strips = of_part.chunks(STRIP * part.len()).zip(sums.chunks_mut(STRIP * block.len() * lanes));
                for (start, (weights, sums)) in columns.clone().step_by(STRIP).zip(strips) {
                    let strip = start..columns.end.min(start + STRIP);
                    let weights = Block { values: weights, stride: part.len(), ahead: Ahead::Nothing };
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
        let tiles = rows.len().div_ceil(TILE);
        for (tile, start) in rows.clone().step_by(TILE).enumerate() {
            let count = TILE.min(rows.end - start);
            let (sums, later) = rest.split_at_mut(count * columns.len() * self.simd.lanes());
            rest = later;
            let strip = Strip { product: self, part, columns: &columns, weights, tile, tiles };
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

/// Which weights come from memory and are fetched before they are needed.
#[derive(Clone, Copy)]
enum Ahead {
    /// None: they were used shortly before.
    Nothing,
    /// Those of the tile after the next.
    NextTiles,
    /// Those of the next strip, some with each tile of rows.
    NextStrip,
}

/// A part of a matrix's rows, `stride` apart.
#[derive(Clone, Copy)]
struct Block<'a> {
    values: &'a [f32],
    stride: usize,
    ahead: Ahead,
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
    /// Which of so many tiles of rows it is.
    tile: usize,
    tiles: usize,
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

    /// How far behind these columns those lie that are fetched with them; 0 for none.
    #[inline]
    fn ahead<const C: usize>(&self, column: usize) -> usize {
        match self.weights.ahead {
            Ahead::Nothing => 0,
            Ahead::NextTiles => 2 * C * self.weights.stride,
            Ahead::NextStrip => {
                self.fetch_share::<C>(column);
                0
            }
        }
    }

    /// Fetches this tile's share of the next strip's weights: as many lines with each tile, so that none waits for another.
    fn fetch_share<const C: usize>(&self, column: usize) {
        let lines = self.part.len().div_ceil(LINE);
        let (count, shares) = (self.columns.len(), self.tiles * self.columns.len());
        let share = |number: usize| number * lines * STRIP / shares;
        let first = share(self.tile * count + column);
        let (mut row, mut line) = (STRIP + first / lines, first % lines);
        for _ in first..share(self.tile * count + column + C) {
            prefetch(self.weights.values, row * self.weights.stride + line * LINE);
            line += 1;
            if line == lines {
                (row, line) = (row + 1, 0);
            }
        }
    }

    #[inline]
    fn tile<const R: usize, const C: usize>(&self, rows: &[&[f32]; R], row: usize, column: usize, sums: &mut [f32]) {
        let Product { simd, k, out, .. } = self.product;
        let columns: [&[f32]; C] = self.weights.rows(column, self.part.len());
        let lanes = R * simd.lanes();
        let sums = &mut sums[column * lanes..(column + C) * lanes];
        let is_first = self.part.start == 0;
        let ahead = self.ahead::<C>(column);
        if self.part.end < k {
            return walk_tile(simd, rows, &columns, is_first, ahead, sums);
        }
        let tile = finish_tile(simd, rows, &columns, is_first, ahead, sums);
        for (r, values) in tile.iter().enumerate() {
            for (c, value) in values.iter().enumerate() {
                // SAFETY: row and column are inside `x` and the weights, and each block of rows and panel of columns belongs to one task.
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
        for (k, n, rows) in [(37, 21, 9), (800, 139, 53), (1600, 43, 49)] {
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

    /// Few rows, and more than a block.
    #[test]
    fn half_weights_are_summed_in_f32() {
        let (k, n) = (800, 139);
        let (w, x) = (numbers(n * k), numbers(53 * k));
        let short: Vec<f16> = w.iter().copied().map(f16::from_f32).collect();
        let brain: Vec<bf16> = w.iter().copied().map(bf16::from_f32).collect();
        let wide = [short.iter().map(|w| w.to_f32()).collect(), brain.iter().map(|w| w.to_f32()).collect::<Vec<f32>>()];
        for rows in [3, 53] {
            for (half, wide) in [Weights::F16(&short), Weights::Bf16(&brain)].into_iter().zip(&wide) {
                let (mut found, mut full) = (vec![0f32; rows * n], vec![0f32; rows * n]);
                matmul(&x[..rows * k], half, k, n, &mut found);
                matmul(&x[..rows * k], Weights::F32(wide), k, n, &mut full);
                assert_eq!(found, full);
            }
        }
    }
}
