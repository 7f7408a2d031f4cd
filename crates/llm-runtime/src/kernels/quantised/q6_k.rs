//! Q6_K: 256 weights are sixteen runs of 16; a weight is `d · scale · (code − 32)` with codes of 6 bits and a signed scale of 8 bits for each run.

use super::{BLOCK, Format, GROUP, LINE, PANEL, half_at};

/// The format.
pub(super) struct Q6K;

const RUNS: usize = 16;
/// A run is four groups: low halves of the codes of groups 0 and 1 in a line, of 2 and 3 in the next, and the upper two bits of all in a third.
const RUN_BYTES: usize = 3 * LINE;
/// Scales of runs 0 and 1 of all columns, of 2 and 3 …
const SCALES: usize = RUNS * RUN_BYTES;
/// f16 numbers of all columns.
const UNIT: usize = SCALES + RUNS * PANEL;
/// What a code is too large by.
const OFFSET: i32 = 32;

/// Where a code lies: its low half's byte and shift to the right, its upper bits' byte and shift.
fn code_at(weight: usize, column: usize) -> ((usize, u32), (usize, u32)) {
    let (run, within) = (weight / 16, weight % 16);
    let (group, place) = (within / GROUP, column * GROUP + within % GROUP);
    let start = run * RUN_BYTES;
    ((start + group / 2 * LINE + place, 4 * (group % 2) as u32), (start + 2 * LINE + place, 2 * group as u32))
}

fn scale_at(run: usize, column: usize) -> usize {
    SCALES + (run / 2 * PANEL + column) * 2 + run % 2
}

/// The code of a weight of a file's block: low halves and upper bits of 128 weights lie together.
fn file_code(block: &[u8], weight: usize) -> u8 {
    let (half, within) = (weight / 128, weight % 128);
    let (quarter, place) = (within / 32, within % 32);
    let low = block[half * 64 + quarter % 2 * 32 + place] >> (4 * (quarter / 2)) & 15;
    let upper = block[128 + half * 32 + place] >> (2 * quarter) & 3;
    low | upper << 4
}

impl Format for Q6K {
    const FILE_BYTES: usize = 210;
    const PACKED_BYTES: usize = UNIT + 2 * PANEL;

    fn pack(block: &[u8], column: usize, packed: &mut [u8]) {
        for weight in 0..BLOCK {
            let code = file_code(block, weight);
            let ((low, low_shift), (upper, upper_shift)) = code_at(weight, column);
            packed[low] |= (code & 15) << low_shift;
            packed[upper] |= code >> 4 << upper_shift;
        }
        for run in 0..RUNS {
            packed[scale_at(run, column)] = block[192 + run];
        }
        packed[UNIT + 2 * column..][..2].copy_from_slice(&block[208..210]);
    }

    fn dequantise(packed: &[u8], column: usize, values: &mut [f32; BLOCK]) {
        let unit = half_at(packed, UNIT + 2 * column);
        for (weight, value) in values.iter_mut().enumerate() {
            let ((low, low_shift), (upper, upper_shift)) = code_at(weight, column);
            let code = packed[low] >> low_shift & 15 | (packed[upper] >> upper_shift & 3) << 4;
            let scale = packed[scale_at(weight / 16, column)] as i8;
            *value = unit * f32::from(scale) * (i32::from(code) - OFFSET) as f32;
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn tile<const R: usize>(rows: &[super::activations::Row<'_>; R], panel: &[u8]) -> [[f32; PANEL]; R] {
        use super::x86::{HALVES, Sums, add_scaled, halves, pairs, twice, two_sums, values, zeros};
        use std::arch::x86_64::*;

        let mut totals = [[_mm256_setzero_ps(); HALVES]; R];
        for (number, block) in panel.chunks_exact(Self::PACKED_BYTES).enumerate() {
            let (mut products, mut offsets): (Sums<R>, Sums<R>) = (zeros(), zeros());
            for pair in 0..RUNS / 2 {
                // SAFETY: the offsets are those of the format.
                let scales = unsafe { pairs::<true>(block, SCALES + pair * 2 * PANEL) };
                for (part, scales_of_run) in [twice::<false>(scales), twice::<true>(scales)].into_iter().enumerate() {
                    let run = 2 * pair + part;
                    let codes = &block[run * RUN_BYTES..(run + 1) * RUN_BYTES];
                    // SAFETY: a run's bytes are three lines, and rows have as many blocks as the panel.
                    unsafe { add_run(rows, number * BLOCK + run * 16, codes, scales_of_run, &mut products) };
                }
                for (r, row) in rows.iter().enumerate() {
                    // SAFETY: as above.
                    let sums = unsafe { two_sums(row.short_sums, number * RUNS + pair * 2) };
                    for h in 0..HALVES {
                        offsets[r][h] = add_scaled(offsets[r][h], scales[h], sums);
                    }
                }
            }
            // SAFETY: the offsets are those of the format.
            let units = unsafe { halves(block, UNIT) };
            for (r, row) in rows.iter().enumerate() {
                let scale = _mm256_set1_ps(row.scales[number]);
                for h in 0..HALVES {
                    let product = _mm256_sub_epi32(products[r][h], _mm256_slli_epi32::<5>(offsets[r][h]));
                    let unit = _mm256_mul_ps(units[h], scale);
                    totals[r][h] = _mm256_fmadd_ps(unit, _mm256_cvtepi32_ps(product), totals[r][h]);
                }
            }
        }
        values(totals)
    }
}

/// Adds the products of a run's codes, times its scales. Two products of 4 are the most that 16 bits hold.
///
/// # Safety
/// `codes` are three lines, and rows have 16 codes from `at`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn add_run<const R: usize>(
    rows: &[super::activations::Row<'_>; R],
    at: usize,
    codes: &[u8],
    scales: [std::arch::x86_64::__m256i; super::x86::HALVES],
    products: &mut super::x86::Sums<R>,
) {
    use super::x86::{HALVES, add_products, add_scaled, four_codes, line, settled};
    use std::arch::x86_64::*;

    let (low_bits, upper_bits) = (_mm256_set1_epi8(15), _mm256_set1_epi8(48));
    // SAFETY: the caller's promise.
    let upper = unsafe { line(codes, 2 * LINE) };
    for two in 0..2 {
        // SAFETY: as above.
        let low = unsafe { line(codes, two * LINE) };
        let weights: [[__m256i; 2]; HALVES] = std::array::from_fn(|h| {
            let (first, second) = match two {
                0 => (_mm256_slli_epi16::<4>(upper[h]), _mm256_slli_epi16::<2>(upper[h])),
                _ => (upper[h], _mm256_srli_epi16::<2>(upper[h])),
            };
            let lows = [low[h], _mm256_srli_epi16::<4>(low[h])];
            let code =
                |low, upper| _mm256_or_si256(_mm256_and_si256(low, low_bits), _mm256_and_si256(upper, upper_bits));
            [code(lows[0], first), code(lows[1], second)]
        });
        for (r, row) in rows.iter().enumerate() {
            // SAFETY: as above.
            let [first, second] = unsafe { [four_codes(row, at + 8 * two), four_codes(row, at + 8 * two + 4)] };
            for h in 0..HALVES {
                let sums = _mm256_maddubs_epi16(weights[h][0], first);
                let sums = add_products(sums, weights[h][1], second);
                products[r][h] = settled(add_scaled(products[r][h], sums, scales[h]));
            }
        }
    }
}
