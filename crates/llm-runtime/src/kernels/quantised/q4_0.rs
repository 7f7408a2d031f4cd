//! Q4_0: a run of 32 weights has one f16 scale; a weight is `scale · (code − 8)` with codes of 4 bits. Eight runs are packed as one block.

use super::{BLOCK, Format, OpenCodes, PANEL, half_at, nibble};

/// The format.
pub(super) struct Q4_0;

const RUNS: usize = 8;
/// Bytes of a run in a file.
const RUN_BYTES: usize = 18;
/// f16 scales of run 0 of all columns, of run 1 …; then codes.
const CODES: usize = RUNS * 2 * PANEL;
/// What a code is too large by.
const OFFSET: i32 = 8;

impl Format for Q4_0 {
    const FILE_BYTES: usize = RUNS * RUN_BYTES;
    const PACKED_BYTES: usize = CODES + PANEL * BLOCK / 2;

    fn pack(block: &[u8], column: usize, packed: &mut [u8]) {
        for (run, bytes) in block.as_chunks::<RUN_BYTES>().0.iter().enumerate() {
            packed[(run * PANEL + column) * 2..][..2].copy_from_slice(&bytes[..2]);
            // In a file a byte has the codes of weights 16 apart.
            for (place, codes) in bytes[2..].iter().enumerate() {
                for (code, weight) in [(codes & 15, place), (codes >> 4, place + 16)] {
                    let (at, shift) = nibble(run * 32 + weight, column);
                    packed[CODES + at] |= code << shift;
                }
            }
        }
    }

    fn dequantise(packed: &[u8], column: usize, values: &mut [f32; BLOCK]) {
        for (run, values) in values.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let scale = half_at(packed, (run * PANEL + column) * 2);
            for (place, value) in values.iter_mut().enumerate() {
                let (at, shift) = nibble(run * 32 + place, column);
                let code = i32::from(packed[CODES + at] >> shift & 15);
                *value = (code - OFFSET) as f32 * scale;
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
        use super::x86::{HALVES, halves, run_of_nibbles};
        use std::arch::x86_64::*;

        let ones = _mm256_set1_epi16(1);
        let mut sums = [[_mm256_setzero_ps(); HALVES]; R];
        for run in 0..RUNS {
            // SAFETY: the offsets are those of the format.
            let (products, scales) =
                unsafe { (run_of_nibbles(rows, run, &block[CODES..], codes), halves(block, run * 2 * PANEL)) };
            for (r, row) in rows.iter().enumerate() {
                let offset = _mm256_set1_epi32(OFFSET * i32::from(row.long_sums[run]));
                for h in 0..HALVES {
                    let product = _mm256_sub_epi32(_mm256_madd_epi16(products[r][h], ones), offset);
                    sums[r][h] = _mm256_fmadd_ps(scales[h], _mm256_cvtepi32_ps(product), sums[r][h]);
                }
            }
        }
        for (r, row) in rows.iter().enumerate() {
            let scale = _mm256_set1_ps(row.scale);
            for h in 0..HALVES {
                totals[r][h] = _mm256_fmadd_ps(scale, sums[r][h], totals[r][h]);
            }
        }
    }
}
