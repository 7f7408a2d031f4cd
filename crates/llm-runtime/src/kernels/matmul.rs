//! `y = x Wᵀ` with f32 activations and dense weights in f32, f16 or bf16; every product is summed in f32.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

use super::SharedOut;
use super::dot::{Simd, dot_tile};

/// A weight matrix `[out_features, in_features]`, row by row.
#[derive(Clone, Copy)]
pub(crate) enum Weights<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
}

/// Output columns of one task: their weights stay in the second-level cache while the rows of `x` pass by.
const PANEL: usize = 16;
/// Rows and columns of one register tile.
const TILE: usize = 4;

/// `out[t][n] = Σ_k x[t][k] · weights[n][k]`; `x` is `[rows, in_features]`, `out` is `[rows, out_features]`.
pub(crate) fn matmul(x: &[f32], weights: Weights<'_>, in_features: usize, out_features: usize, out: &mut [f32]) {
    if in_features == 0 || out_features == 0 {
        out.fill(0.0);
        return;
    }
    let simd = Simd::detect();
    let target = SharedOut::new(out, out_features);
    (0..out_features.div_ceil(PANEL)).into_par_iter().for_each_init(Vec::new, |scratch, panel| {
        let first = panel * PANEL;
        let count = PANEL.min(out_features - first);
        let panel = panel_f32(weights, first, count, in_features, scratch);
        multiply_panel(simd, x, panel, in_features, first, target);
    });
}

fn panel_f32<'a>(
    weights: Weights<'a>,
    first: usize,
    count: usize,
    in_features: usize,
    scratch: &'a mut Vec<f32>,
) -> &'a [f32] {
    let range = first * in_features..(first + count) * in_features;
    match weights {
        Weights::F32(all) => &all[range],
        Weights::F16(all) => {
            scratch.resize(range.len(), 0.0);
            all[range].convert_to_f32_slice(scratch);
            scratch
        }
        Weights::Bf16(all) => {
            scratch.resize(range.len(), 0.0);
            all[range].convert_to_f32_slice(scratch);
            scratch
        }
    }
}

fn multiply_panel(simd: Simd, x: &[f32], panel: &[f32], k: usize, first: usize, out: SharedOut) {
    let mut row_tiles = x.chunks_exact(TILE * k);
    for (tile, rows) in row_tiles.by_ref().enumerate() {
        let rows: [&[f32]; TILE] = std::array::from_fn(|r| &rows[r * k..(r + 1) * k]);
        multiply_rows(simd, &rows, panel, k, tile * TILE, first, out);
    }
    let done = x.len() / k - row_tiles.remainder().len() / k;
    for (r, row) in row_tiles.remainder().chunks_exact(k).enumerate() {
        multiply_rows(simd, &[row], panel, k, done + r, first, out);
    }
}

fn multiply_rows<const R: usize>(
    simd: Simd,
    rows: &[&[f32]; R],
    panel: &[f32],
    k: usize,
    first_row: usize,
    first_column: usize,
    out: SharedOut,
) {
    let mut column = first_column;
    let mut column_tiles = panel.chunks_exact(TILE * k);
    for columns in column_tiles.by_ref() {
        let columns: [&[f32]; TILE] = std::array::from_fn(|c| &columns[c * k..(c + 1) * k]);
        store(dot_tile(simd, rows, &columns), first_row, column, out);
        column += TILE;
    }
    for single in column_tiles.remainder().chunks_exact(k) {
        store(dot_tile(simd, rows, &[single]), first_row, column, out);
        column += 1;
    }
}

fn store<const R: usize, const C: usize>(tile: [[f32; C]; R], first_row: usize, first_column: usize, out: SharedOut) {
    for (r, row) in tile.iter().enumerate() {
        for (c, value) in row.iter().enumerate() {
            // SAFETY: rows come from chunks of `x`, and each column belongs to one task's panel.
            unsafe { out.write(first_row + r, first_column + c, *value) };
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
        let (k, n, rows) = (37, 21, 9);
        let (x, w) = (numbers(rows * k), numbers(n * k));
        let mut all = vec![0f32; rows * n];
        matmul(&x, Weights::F32(&w), k, n, &mut all);
        for row in 0..rows {
            let mut alone = vec![0f32; n];
            matmul(&x[row * k..(row + 1) * k], Weights::F32(&w), k, n, &mut alone);
            assert_eq!(alone, all[row * n..(row + 1) * n]);
            for column in 0..n {
                let exact: f32 = (0..k).map(|i| x[row * k + i] * w[column * k + i]).sum();
                assert!((alone[column] - exact).abs() < 1e-4);
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
