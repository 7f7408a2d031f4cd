//! Q6_K: 256 weights are sixteen runs of 16; a weight is `d · scale · (code − 32)` with codes of 6 bits and a signed scale of 8 bits for each run.

use super::{BLOCK, Format, GROUP, LINE, OpenCodes, PANEL, half_at};

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
    #[target_feature(enable = "avx2")]
    unsafe fn open(block: &[u8], codes: &mut OpenCodes) {
        for (run, open) in block[..SCALES].chunks_exact(RUN_BYTES).zip(codes.chunks_exact_mut(4 * LINE)) {
            for (two, open) in open.chunks_exact_mut(2 * LINE).enumerate() {
                // SAFETY: a run's bytes are three lines.
                let codes = unsafe { two_lines(run, two) };
                super::x86::put_lines(codes, open);
            }
        }
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
        use super::x86::{HALVES, Sums, add_scaled, halves, pairs, twice, two_sums, zeros};
        use std::arch::x86_64::*;

        let (mut products, mut offsets): (Sums<R>, Sums<R>) = (zeros(), zeros());
        for pair in 0..RUNS / 2 {
            // SAFETY: the offsets are those of the format.
            let scales = unsafe { pairs::<true>(block, SCALES + pair * 2 * PANEL) };
            for (part, scales_of_run) in [twice::<false>(scales), twice::<true>(scales)].into_iter().enumerate() {
                // SAFETY: as above.
                unsafe { add_run(rows, 2 * pair + part, block, codes, scales_of_run, &mut products) };
            }
            for (r, row) in rows.iter().enumerate() {
                // SAFETY: as above.
                let sums = unsafe { two_sums(row.short_sums, pair * 2) };
                for h in 0..HALVES {
                    offsets[r][h] = add_scaled(offsets[r][h], scales[h], sums);
                }
            }
        }
        // SAFETY: the offsets are those of the format.
        let units = unsafe { halves(block, UNIT) };
        for (r, row) in rows.iter().enumerate() {
            let scale = _mm256_set1_ps(row.scale);
            for h in 0..HALVES {
                let product = _mm256_sub_epi32(products[r][h], _mm256_slli_epi32::<5>(offsets[r][h]));
                let unit = _mm256_mul_ps(units[h], scale);
                totals[r][h] = _mm256_fmadd_ps(unit, _mm256_cvtepi32_ps(product), totals[r][h]);
            }
        }
    }
}

/// Adds the products of a run of a block, times its scales. Two products of 4 are the most that 16 bits hold.
///
/// # Safety
/// The block is packed, and rows have it.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn add_run<const R: usize>(
    rows: &[super::activations::RowBlock<'_>; R],
    run: usize,
    block: &[u8],
    codes: Option<&OpenCodes>,
    scales: [std::arch::x86_64::__m256i; super::x86::HALVES],
    products: &mut super::x86::Sums<R>,
) {
    use super::x86::{HALVES, add_products, add_scaled, four_codes, open_lines, settled};
    use std::arch::x86_64::*;

    for two in 0..2 {
        // SAFETY: the caller's promise.
        let [first, second] = unsafe {
            match codes {
                Some(codes) => open_lines(codes, (run * 2 + two) * 2 * LINE),
                None => two_lines(&block[run * RUN_BYTES..(run + 1) * RUN_BYTES], two),
            }
        };
        let at = run * 16 + 8 * two;
        for (r, row) in rows.iter().enumerate() {
            // SAFETY: as above.
            let four = unsafe { [four_codes(row, at), four_codes(row, at + 4)] };
            for h in 0..HALVES {
                let sums = add_products(_mm256_maddubs_epi16(first[h], four[0]), second[h], four[1]);
                products[r][h] = settled(add_scaled(products[r][h], sums, scales[h]));
            }
        }
    }
}

/// Two neighbouring lines of codes, the first or second two of a run.
///
/// # Safety
/// `run` is three lines.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn two_lines(run: &[u8], two: usize) -> [[std::arch::x86_64::__m256i; super::x86::HALVES]; 2] {
    use super::x86::line;
    use std::arch::x86_64::*;

    let (low_bits, upper_bits) = (_mm256_set1_epi8(15), _mm256_set1_epi8(48));
    // SAFETY: the caller's promise.
    let (low, upper) = unsafe { (line(run, two * LINE), line(run, 2 * LINE)) };
    let code = |low, upper| _mm256_or_si256(_mm256_and_si256(low, low_bits), _mm256_and_si256(upper, upper_bits));
    let first = std::array::from_fn(|h| match two {
        0 => code(low[h], _mm256_slli_epi16::<4>(upper[h])),
        _ => code(low[h], upper[h]),
    });
    let second = std::array::from_fn(|h| match two {
        0 => code(_mm256_srli_epi16::<4>(low[h]), _mm256_slli_epi16::<2>(upper[h])),
        _ => code(_mm256_srli_epi16::<4>(low[h]), _mm256_srli_epi16::<2>(upper[h])),
    });
    [first, second]
}
