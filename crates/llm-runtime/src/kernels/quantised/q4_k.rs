//! Q4_K: 256 weights are eight runs of 32; a weight is `d · scale · code − dmin · minimum` with codes of 4 bits, and scale and minimum of 6 bits for each run.

use super::{BLOCK, Format, OpenCodes, PANEL, half_at, nibble};

/// The format.
pub(super) struct Q4K;

/// f16 numbers of all columns: `d`, then `dmin`.
const MINIMUM_UNIT: usize = 2 * PANEL;
/// Scales of runs 0 and 1 of all columns, of 2 and 3 …
const SCALES: usize = 2 * MINIMUM_UNIT;
const RUNS: usize = 8;
/// Minima alike.
const MINIMA: usize = SCALES + RUNS * PANEL;
const CODES: usize = MINIMA + RUNS * PANEL;

/// Where a run's scale or minimum lies among those of its kind.
fn of_run(run: usize, column: usize) -> usize {
    (run / 2 * PANEL + column) * 2 + run % 2
}

/// Scale and minimum of a run, of twelve bytes that hold all.
fn scale_and_minimum(bytes: &[u8], run: usize) -> (u8, u8) {
    if run < 4 {
        return (bytes[run] & 63, bytes[run + 4] & 63);
    }
    let low = bytes[run + 4];
    (low & 15 | bytes[run - 4] >> 6 << 4, low >> 4 | bytes[run] >> 6 << 4)
}

impl Format for Q4K {
    const FILE_BYTES: usize = 144;
    const PACKED_BYTES: usize = CODES + PANEL * BLOCK / 2;

    fn pack(block: &[u8], column: usize, packed: &mut [u8]) {
        packed[2 * column..][..2].copy_from_slice(&block[..2]);
        packed[MINIMUM_UNIT + 2 * column..][..2].copy_from_slice(&block[2..4]);
        for run in 0..RUNS {
            let (scale, minimum) = scale_and_minimum(&block[4..16], run);
            packed[SCALES + of_run(run, column)] = scale;
            packed[MINIMA + of_run(run, column)] = minimum;
        }
        // In a file a byte has the codes of weights 32 apart.
        for (byte, codes) in block[16..].iter().enumerate() {
            let weight = byte / 32 * 64 + byte % 32;
            for (code, weight) in [(codes & 15, weight), (codes >> 4, weight + 32)] {
                let (at, shift) = nibble(weight, column);
                packed[CODES + at] |= code << shift;
            }
        }
    }

    fn dequantise(packed: &[u8], column: usize, values: &mut [f32; BLOCK]) {
        let (unit, minimum_unit) = (half_at(packed, 2 * column), half_at(packed, MINIMUM_UNIT + 2 * column));
        for (run, values) in values.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let scale = unit * f32::from(packed[SCALES + of_run(run, column)]);
            let minimum = minimum_unit * f32::from(packed[MINIMA + of_run(run, column)]);
            for (place, value) in values.iter_mut().enumerate() {
                let (at, shift) = nibble(run * 32 + place, column);
                *value = scale * f32::from(packed[CODES + at] >> shift & 15) - minimum;
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    unsafe fn open(block: &[u8], codes: &mut OpenCodes) {
        super::x86::open_nibbles(&block[CODES..], codes);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    #[inline]
    unsafe fn add_block<const R: usize>(
        rows: &[super::activations::RowBlock<'_>; R],
        block: &[u8],
        codes: Option<&OpenCodes>,
        totals: &mut super::x86::Totals<R>,
    ) {
        use super::x86::{HALVES, Sums, add_scaled, halves, pairs, run_of_nibbles, twice, two_sums, zeros};
        use std::arch::x86_64::*;

        let (mut products, mut minima): (Sums<R>, Sums<R>) = (zeros(), zeros());
        for pair in 0..RUNS / 2 {
            // SAFETY: the offsets are those of the format.
            let (scales, pair_minima) = unsafe {
                (pairs::<false>(block, SCALES + pair * 2 * PANEL), pairs::<false>(block, MINIMA + pair * 2 * PANEL))
            };
            for (part, scales) in [twice::<false>(scales), twice::<true>(scales)].into_iter().enumerate() {
                // SAFETY: as above.
                let sums = unsafe { run_of_nibbles(rows, 2 * pair + part, &block[CODES..], codes) };
                for (products, sums) in products.iter_mut().zip(sums) {
                    for h in 0..HALVES {
                        products[h] = add_scaled(products[h], sums[h], scales[h]);
                    }
                }
            }
            for (minima, row) in minima.iter_mut().zip(rows) {
                // SAFETY: as above.
                let sums = unsafe { two_sums(row.long_sums, pair * 2) };
                for h in 0..HALVES {
                    minima[h] = add_scaled(minima[h], pair_minima[h], sums);
                }
            }
        }
        // SAFETY: the offsets are those of the format.
        let (units, minimum_units) = unsafe { (halves(block, 0), halves(block, MINIMUM_UNIT)) };
        for (r, row) in rows.iter().enumerate() {
            let scale = _mm256_set1_ps(row.scale);
            for h in 0..HALVES {
                let (unit, minimum_unit) = (_mm256_mul_ps(units[h], scale), _mm256_mul_ps(minimum_units[h], scale));
                let total = _mm256_fmadd_ps(unit, _mm256_cvtepi32_ps(products[r][h]), totals[r][h]);
                totals[r][h] = _mm256_fnmadd_ps(minimum_unit, _mm256_cvtepi32_ps(minima[r][h]), total);
            }
        }
    }
}
