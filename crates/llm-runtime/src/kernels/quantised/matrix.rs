//! Packed matrices of all formats.

use std::ops::Range;

use candle_core::quantized::GgmlDType;
use rayon::prelude::*;

use super::activations::{Activations, RowBlock};
use super::pages::Pages;
use super::q4_0::Q4_0;
use super::q4_k::Q4K;
use super::q6_k::Q6K;
#[cfg(target_arch = "x86_64")]
use super::x86;
use super::{BLOCK, Format, OpenCodes, PANEL};
use crate::kernels::SharedOut;

/// Rows of a register tile.
const TILE: usize = 4;
/// Rows that meet a panel together. A block of each stays in the first-level cache, or almost, while its weights are there.
const ROWS: usize = 128;
/// Bytes of their activations, which stay in the second-level cache, or almost, while panels go by.
const ROWS_BYTES: usize = 512 << 10;
/// Rows from which on it pays to open a panel's codes first.
const OPEN_ROWS: usize = 16;
/// Tasks of each thread, so that one that is held up leaves work to the others.
const TASKS_PER_THREAD: usize = 4;

/// A quantised `[out_features, in_features]` matrix as the kernels read it.
pub(crate) struct PackedMatrix {
    kind: Kind,
    out_features: usize,
    in_features: usize,
    bytes: Pages,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Q4_0,
    Q4K,
    Q6K,
}

impl Kind {
    fn of(dtype: GgmlDType) -> Option<Self> {
        match dtype {
            GgmlDType::Q4_0 => Some(Self::Q4_0),
            GgmlDType::Q4K => Some(Self::Q4K),
            GgmlDType::Q6K => Some(Self::Q6K),
            _ => None,
        }
    }

    fn block_bytes(self) -> usize {
        match self {
            Self::Q4_0 => Q4_0::PACKED_BYTES,
            Self::Q4K => Q4K::PACKED_BYTES,
            Self::Q6K => Q6K::PACKED_BYTES,
        }
    }
}

impl PackedMatrix {
    /// Whether this machine has kernels for matrices of this type and width.
    pub(crate) fn has_kernel(dtype: GgmlDType, in_features: usize) -> bool {
        #[cfg(target_arch = "x86_64")]
        let is_there = super::x86::is_there();
        #[cfg(not(target_arch = "x86_64"))]
        let is_there = false;
        is_there && Kind::of(dtype).is_some() && in_features > 0 && in_features.is_multiple_of(BLOCK)
    }

    /// Bytes that so many weights of a type with a kernel take.
    pub(crate) fn bytes(dtype: GgmlDType, weights: u64) -> u64 {
        let of_block = Kind::of(dtype).map_or(0, Kind::block_bytes) as u64;
        weights.div_ceil((PANEL * BLOCK) as u64) * of_block
    }

    /// Packs the bytes of a file; `None` if there is no kernel, or the bytes are not those of such a matrix.
    pub(crate) fn pack(dtype: GgmlDType, file: &[u8], out_features: usize, in_features: usize) -> Option<Self> {
        let kind = Kind::of(dtype).filter(|_| Self::has_kernel(dtype, in_features))?;
        let bytes_per_row = in_features / dtype.block_size() * dtype.type_size();
        if file.len() != out_features * bytes_per_row {
            return None;
        }
        let panels = out_features.div_ceil(PANEL);
        let panel_bytes = in_features / BLOCK * kind.block_bytes();
        let mut bytes = Pages::zeros(panels * panel_bytes);
        let all = bytes.as_mut_slice();
        let columns = file.par_chunks(PANEL * bytes_per_row);
        all.par_chunks_exact_mut(panel_bytes).zip(columns).for_each(|(panel, columns)| match kind {
            Kind::Q4_0 => pack_panel::<Q4_0>(columns, bytes_per_row, panel),
            Kind::Q4K => pack_panel::<Q4K>(columns, bytes_per_row, panel),
            Kind::Q6K => pack_panel::<Q6K>(columns, bytes_per_row, panel),
        });
        Some(Self { kind, out_features, in_features, bytes })
    }

    /// `(out_features, in_features)`.
    pub(crate) fn shape(&self) -> (usize, usize) {
        (self.out_features, self.in_features)
    }

    /// The matrix's values, row by row.
    pub(crate) fn dequantise(&self) -> Vec<f32> {
        let mut values = vec![0f32; self.out_features * self.in_features];
        let panels = values.par_chunks_mut(PANEL * self.in_features).enumerate();
        panels.for_each(|(number, values)| {
            for (column, values) in values.chunks_exact_mut(self.in_features).enumerate() {
                let blocks = self.panel(number).chunks_exact(self.kind.block_bytes());
                for (block, values) in blocks.zip(values.as_chunks_mut::<BLOCK>().0) {
                    match self.kind {
                        Kind::Q4_0 => Q4_0::dequantise(block, column, values),
                        Kind::Q4K => Q4K::dequantise(block, column, values),
                        Kind::Q6K => Q6K::dequantise(block, column, values),
                    }
                }
            }
        });
        values
    }

    fn panel(&self, number: usize) -> &[u8] {
        let bytes = self.in_features / BLOCK * self.kind.block_bytes();
        &self.bytes.as_slice()[number * bytes..(number + 1) * bytes]
    }

    /// `out[t][n] = Σ_k x[t][k] · W[n][k]` with `x` rounded to 8 bits; `x` is `[rows, in_features]`, `out` is `[rows, out_features]`.
    pub(crate) fn multiply(&self, x: &[f32], out: &mut [f32]) {
        if out.is_empty() {
            return;
        }
        let activations = Activations::round(x, self.in_features);
        let product = Product { matrix: self, activations: &activations, out: SharedOut::new(out, self.out_features) };
        let rows = activations.rows();
        let block = (ROWS_BYTES / self.in_features).min(ROWS).clamp(TILE, rows.max(TILE)).next_multiple_of(TILE);
        let blocks = rows.div_ceil(block);
        let panels = self.out_features.div_ceil(PANEL);
        let tasks = TASKS_PER_THREAD * rayon::current_num_threads();
        let chunk = (panels * blocks).div_ceil(tasks).clamp(1, panels);
        let chunks = panels.div_ceil(chunk);
        // A block's rows are used by all panels before the next block's.
        (0..blocks * chunks).into_par_iter().for_each(|task| {
            let (first, number) = (task / chunks * block, task % chunks);
            let (rows, panels) = (first..rows.min(first + block), number * chunk..panels.min((number + 1) * chunk));
            match self.kind {
                Kind::Q4_0 => product.part::<Q4_0>(rows, panels),
                Kind::Q4K => product.part::<Q4K>(rows, panels),
                Kind::Q6K => product.part::<Q6K>(rows, panels),
            }
        });
    }
}

fn pack_panel<F: Format>(columns: &[u8], bytes_per_row: usize, panel: &mut [u8]) {
    for (column, row) in columns.chunks_exact(bytes_per_row).enumerate() {
        for (block, packed) in row.chunks_exact(F::FILE_BYTES).zip(panel.chunks_exact_mut(F::PACKED_BYTES)) {
            F::pack(block, column, packed);
        }
    }
}

#[derive(Clone, Copy)]
struct Product<'a> {
    matrix: &'a PackedMatrix,
    activations: &'a Activations,
    out: SharedOut,
}

impl Product<'_> {
    /// Some rows with some panels.
    fn part<F: Format>(self, rows: Range<usize>, panels: Range<usize>) {
        if rows.len() < OPEN_ROWS {
            return panels.for_each(|panel| self.panel::<F>(rows.clone(), panel));
        }
        let (mut codes, mut totals) = ([0; PANEL * BLOCK], vec![[0f32; PANEL]; rows.len()]);
        for panel in panels {
            totals.fill([0.0; PANEL]);
            self.open_panel::<F>(rows.start, panel, &mut codes, &mut totals);
            self.write(rows.start, panel, &totals);
        }
    }

    /// Many rows: all of them with a block of the panel, then with the next. There is one of `totals` for each.
    fn open_panel<F: Format>(self, first: usize, panel: usize, codes: &mut OpenCodes, totals: &mut [[f32; PANEL]]) {
        for (number, block) in self.matrix.panel(panel).chunks_exact(F::PACKED_BYTES).enumerate() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: matrices are only packed where the instruction set was detected.
            unsafe {
                F::open(block, codes);
            }
            let (tiles, rest) = totals.as_chunks_mut::<TILE>();
            for (at, totals) in tiles.iter_mut().enumerate() {
                self.open_tile::<F, TILE>(first + at * TILE, number, block, codes, totals);
            }
            let first = first + tiles.len() * TILE;
            for (at, totals) in rest.as_chunks_mut::<1>().0.iter_mut().enumerate() {
                self.open_tile::<F, 1>(first + at, number, block, codes, totals);
            }
        }
    }

    fn open_tile<F: Format, const R: usize>(
        self,
        first: usize,
        number: usize,
        block: &[u8],
        codes: &OpenCodes,
        totals: &mut [[f32; PANEL]; R],
    ) {
        let rows: [RowBlock<'_>; R] = std::array::from_fn(|row| self.activations.block(first + row, number));
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        unsafe {
            x86::add_open_block::<F, R>(&rows, block, codes, totals);
        }
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("nothing is packed here: {} {block:?} {codes:?} {totals:?}", rows.len());
    }

    fn panel<F: Format>(self, rows: Range<usize>, panel: usize) {
        for first in rows.clone().step_by(TILE) {
            match rows.end - first {
                1 => self.tile::<F, 1>(first, panel),
                2 => self.tile::<F, 2>(first, panel),
                3 => self.tile::<F, 3>(first, panel),
                _ => self.tile::<F, TILE>(first, panel),
            }
        }
    }

    fn tile<F: Format, const R: usize>(self, first: usize, panel: usize) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        let values = unsafe { x86::tile::<F, R>(self.activations, first, self.matrix.panel(panel)) };
        #[cfg(not(target_arch = "x86_64"))]
        let values: [[f32; PANEL]; R] = { unreachable!("nothing is packed here: {first}") };
        self.write(first, panel, &values);
    }

    fn write(self, first: usize, panel: usize, values: &[[f32; PANEL]]) {
        let columns = panel * PANEL..self.matrix.out_features.min((panel + 1) * PANEL);
        for (row, values) in values.iter().enumerate() {
            for (column, value) in columns.clone().zip(values) {
                // SAFETY: each block of rows and each panel belongs to one task.
                unsafe { self.out.write(first + row, column, *value) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::{QStorage, QTensor};
    use candle_core::{Device, Tensor};
    use proptest::prelude::*;

    use super::*;

    const TYPES: [GgmlDType; 3] = [GgmlDType::Q4_0, GgmlDType::Q4K, GgmlDType::Q6K];

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
    }

    /// A matrix of a file, and packed; `None` where there are no kernels.
    fn matrices(dtype: GgmlDType, out_features: usize, in_features: usize) -> Option<(QTensor, PackedMatrix)> {
        let dense = Tensor::from_vec(numbers(out_features * in_features, 1), (out_features, in_features), &Device::Cpu);
        let stored = QTensor::quantize(&dense.unwrap(), dtype).unwrap();
        let packed = packed(dtype, &stored.data().unwrap(), out_features, in_features)?;
        Some((stored, packed))
    }

    fn packed(dtype: GgmlDType, file: &[u8], out_features: usize, in_features: usize) -> Option<PackedMatrix> {
        let packed = PackedMatrix::pack(dtype, file, out_features, in_features);
        if packed.is_none() {
            println!("skipped: this processor has no kernel for {dtype:?}");
        }
        packed
    }

    #[test]
    fn packing_loses_nothing() {
        for dtype in TYPES {
            let Some((stored, packed)) = matrices(dtype, 37, 512) else { return };
            let expected = stored.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(packed.dequantise(), expected, "{dtype:?}");
        }
    }

    /// Also with bytes that no quantisation of real weights gives.
    #[test]
    fn packing_loses_nothing_of_any_bytes() {
        for dtype in TYPES {
            let count = 20 * 256 / dtype.block_size() * dtype.type_size();
            let mut bytes: Vec<u8> = (0..count).map(|i| ((i * 7919) % 251) as u8 ^ (i / 3) as u8).collect();
            // f16 numbers stay finite.
            for block in bytes.chunks_exact_mut(dtype.type_size()) {
                let units: &[usize] = match dtype {
                    GgmlDType::Q4_0 => &[1],
                    GgmlDType::Q4K => &[1, 3],
                    _ => &[209],
                };
                units.iter().for_each(|at| block[*at] &= 0b1011_1111);
            }
            let storage = QStorage::from_data(bytes.clone().into(), &Device::Cpu, dtype).unwrap();
            let stored = QTensor::new(storage, (20, 256)).unwrap().dequantize(&Device::Cpu).unwrap();
            let Some(packed) = packed(dtype, &bytes, 20, 256) else { return };
            assert_eq!(packed.dequantise(), stored.flatten_all().unwrap().to_vec1::<f32>().unwrap(), "{dtype:?}");
        }
    }

    fn product(packed: &PackedMatrix, x: &[f32]) -> Vec<f32> {
        let (out_features, in_features) = packed.shape();
        let mut out = vec![0f32; x.len() / in_features * out_features];
        packed.multiply(x, &mut out);
        out
    }

    /// Products of the rounded activations with the file's values, in f64.
    fn exact(packed: &PackedMatrix, x: &[f32]) -> Vec<f64> {
        let (out_features, in_features) = packed.shape();
        let (weights, activations) = (packed.dequantise(), Activations::round(x, in_features));
        let value = |row: usize, k: usize| {
            let block = activations.block(row, k / BLOCK);
            f64::from(block.codes[k % BLOCK]) * f64::from(block.scale)
        };
        let of = |row: usize, column: usize| {
            let weights = &weights[column * in_features..(column + 1) * in_features];
            weights.iter().enumerate().map(|(k, weight)| value(row, k) * f64::from(*weight)).sum()
        };
        (0..activations.rows())
            .flat_map(|row| (0..out_features).map(move |column| (row, column)))
            .map(|(r, c)| of(r, c))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Rows and panels that do not fill a tile, few rows and many, and activations at the ends of what 16 bits must hold.
        #[test]
        fn products_are_those_of_rounded_activations(rows in 1usize..40, out in 1usize..40, blocks in 1usize..4, extreme: bool) {
            for dtype in TYPES {
                let width = blocks * BLOCK;
                let Some((_, packed)) = matrices(dtype, out, width) else { return Ok(()) };
                let x = if extreme { vec![1.0; rows * width] } else { numbers(rows * width, 2) };
                let found = product(&packed, &x);
                for (found, exact) in found.iter().zip(exact(&packed, &x)) {
                    prop_assert!((f64::from(*found) - exact).abs() < 1e-5 * (1.0 + width as f64 / 8.0), "{:?}: {} for {}", dtype, found, exact);
                }
            }
        }
    }

    #[test]
    fn codes_at_their_ends_do_not_overflow() {
        for (dtype, size) in [(GgmlDType::Q4_0, 18), (GgmlDType::Q4K, 144), (GgmlDType::Q6K, 210)] {
            let count = 256 / dtype.block_size() * size;
            let bytes = vec![0xffu8; count];
            let mut bytes = bytes;
            for block in bytes.chunks_exact_mut(size) {
                match dtype {
                    GgmlDType::Q6K => block[209] = 0x3b,
                    GgmlDType::Q4K => (block[1], block[3]) = (0x3b, 0x3b),
                    _ => block[1] = 0x3b,
                }
            }
            let Some(packed) = packed(dtype, &bytes, 1, 256) else { return };
            for sign in [1.0, -1.0] {
                let x = vec![sign; 256];
                let (found, exact) = (product(&packed, &x)[0], exact(&packed, &x)[0]);
                assert!((f64::from(found) - exact).abs() <= 1e-5 * exact.abs(), "{dtype:?}: {found} for {exact}");
            }
        }
    }

    #[test]
    fn a_row_is_the_same_alone_and_among_others() {
        for dtype in TYPES {
            let Some((_, packed)) = matrices(dtype, 139, 1280) else { return };
            let x = numbers(211 * 1280, 3);
            let all = product(&packed, &x);
            for row in 0..211 {
                assert_eq!(product(&packed, &x[row * 1280..(row + 1) * 1280]), all[row * 139..(row + 1) * 139]);
            }
        }
    }

    #[test]
    fn other_widths_and_wrong_lengths_are_not_packed() {
        assert!(!PackedMatrix::has_kernel(GgmlDType::Q4_0, 288));
        assert!(!PackedMatrix::has_kernel(GgmlDType::Q8_0, 512));
        assert!(PackedMatrix::pack(GgmlDType::Q4K, &[0; 143], 1, 256).is_none());
    }
}
