//! What the kernels of all formats have in common on x86.

use std::arch::x86_64::*;
use std::sync::OnceLock;

use super::activations::{Row, unit_of};
use super::{BLOCK, LINE, PANEL};

/// Whether the processor has what the kernels need.
pub(super) fn is_there() -> bool {
    static IS_THERE: OnceLock<bool> = OnceLock::new();
    *IS_THERE.get_or_init(|| {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
    })
}

/// Eight columns are a vector of sums; a panel is two.
pub(super) const HALVES: usize = PANEL / 8;

/// 32-bit sums of a tile's rows with a panel's columns.
pub(super) type Sums<const R: usize> = [[__m256i; HALVES]; R];

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn zeros<const R: usize>() -> Sums<R> {
    [[_mm256_setzero_si256(); HALVES]; R]
}

/// What is asked of memory ahead of a line that is read: the processor's own guesses end with each page of 4 KiB.
const AHEAD: usize = 4096;

/// Both halves of a line of bytes.
///
/// # Safety
/// The line lies inside `bytes`.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn line(bytes: &[u8], at: usize) -> [__m256i; HALVES] {
    debug_assert!(at + LINE <= bytes.len());
    // SAFETY: the caller's promise.
    unsafe {
        let start = bytes.as_ptr().add(at);
        // It may lie behind the matrix: a prefetch reads nothing and never faults.
        _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(AHEAD).cast());
        [_mm256_loadu_si256(start.cast()), _mm256_loadu_si256(start.add(32).cast())]
    }
}

/// Four codes of a row in each lane.
///
/// # Safety
/// `at + 4` is at most the row's length.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn four_codes(row: &Row<'_>, at: usize) -> __m256i {
    debug_assert!(at + 4 <= row.codes.len());
    // SAFETY: the caller's promise.
    unsafe { _mm256_set1_epi32(row.codes.as_ptr().add(at).cast::<i32>().read_unaligned()) }
}

/// Two neighbouring sums of a row in each lane.
///
/// # Safety
/// `at + 2` is at most their number.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn two_sums(sums: &[i16], at: usize) -> __m256i {
    debug_assert!(at + 2 <= sums.len());
    // SAFETY: the caller's promise.
    unsafe { _mm256_set1_epi32(sums.as_ptr().add(at).cast::<i32>().read_unaligned()) }
}

/// Two bytes of each of sixteen columns as 16-bit numbers, by eight columns.
///
/// # Safety
/// 32 bytes from `at` lie inside `bytes`.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn pairs<const SIGNED: bool>(bytes: &[u8], at: usize) -> [__m256i; HALVES] {
    debug_assert!(at + 32 <= bytes.len());
    // SAFETY: the caller's promise.
    let both = unsafe {
        let start = bytes.as_ptr().add(at);
        [_mm_loadu_si128(start.cast()), _mm_loadu_si128(start.add(16).cast())]
    };
    both.map(|bytes| if SIGNED { _mm256_cvtepi8_epi16(bytes) } else { _mm256_cvtepu8_epi16(bytes) })
}

/// The first (`SECOND` false) or second number of each lane's pair, twice.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn twice<const SECOND: bool>(pairs: [__m256i; HALVES]) -> [__m256i; HALVES] {
    let low = if SECOND { 0x0302_0302 } else { 0x0100_0100 };
    let four = |offset: i32| low + offset * 0x0404_0404;
    let (a, b, c, d) = (four(0), four(1), four(2), four(3));
    let order = _mm256_setr_epi32(a, b, c, d, a, b, c, d);
    pairs.map(|pairs| _mm256_shuffle_epi8(pairs, order))
}

/// f16 numbers of sixteen columns.
///
/// # Safety
/// The processor has F16C, and 32 bytes from `at` lie inside `bytes`.
#[target_feature(enable = "avx2,f16c")]
#[inline]
pub(super) unsafe fn halves(bytes: &[u8], at: usize) -> [__m256; HALVES] {
    debug_assert!(at + 32 <= bytes.len());
    // SAFETY: the caller's promise.
    unsafe {
        let start = bytes.as_ptr().add(at);
        [_mm256_cvtph_ps(_mm_loadu_si128(start.cast())), _mm256_cvtph_ps(_mm_loadu_si128(start.add(16).cast()))]
    }
}

/// `sums + codes · weights`, four products per lane as two sums of 16 bits. Weights are from 0 to 63, so two such sums do not overflow, with weights to 15 eight.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn add_products(sums: __m256i, weights: __m256i, codes: __m256i) -> __m256i {
    _mm256_add_epi16(sums, _mm256_maddubs_epi16(weights, codes))
}

/// `total + Σ sums · scales` over the two numbers of 16 bits in a lane.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn add_scaled(total: __m256i, sums: __m256i, scales: __m256i) -> __m256i {
    _mm256_add_epi32(total, _mm256_madd_epi16(sums, scales))
}

/// The sums as they are written.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn values<const R: usize>(totals: [[__m256; HALVES]; R]) -> [[f32; PANEL]; R] {
    let mut values = [[0f32; PANEL]; R];
    for (values, totals) in values.iter_mut().zip(totals) {
        for (values, total) in values.as_chunks_mut::<8>().0.iter_mut().zip(totals) {
            // SAFETY: a chunk is as long as a vector.
            unsafe { _mm256_storeu_ps(values.as_mut_ptr(), total) };
        }
    }
    values
}

/// As the plain loop in [`super::activations`].
#[target_feature(enable = "avx2")]
pub(super) fn round_row(x: &[f32], codes: &mut [i8], scales: &mut [f32]) {
    let sign = _mm256_set1_ps(-0.0);
    // Packing by pairs of 128 bits leaves the four runs of eight in this order.
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let blocks = x.as_chunks::<BLOCK>().0.iter().zip(codes.as_chunks_mut::<BLOCK>().0);
    for ((x, codes), scale) in blocks.zip(scales) {
        let (x, _) = x.as_chunks::<8>();
        // SAFETY: each chunk is as long as a vector.
        let load = |chunk: &[f32; 8]| unsafe { _mm256_loadu_ps(chunk.as_ptr()) };
        let mut largest = _mm256_setzero_ps();
        for chunk in x {
            largest = _mm256_max_ps(largest, _mm256_andnot_ps(sign, load(chunk)));
        }
        let mut lanes = [0f32; 8];
        // SAFETY: as long as a vector.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), largest) };
        let (factor, unit) = unit_of(lanes.into_iter().fold(0.0, f32::max));
        *scale = unit;
        let factor = _mm256_set1_ps(factor);
        for (chunks, codes) in x.as_chunks::<4>().0.iter().zip(codes.as_chunks_mut::<32>().0) {
            let [a, b, c, d] = chunks.each_ref().map(|chunk| _mm256_cvtps_epi32(_mm256_mul_ps(load(chunk), factor)));
            let bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
            let bytes = _mm256_permutevar8x32_epi32(bytes, order);
            // SAFETY: as long as a vector.
            unsafe { _mm256_storeu_si256(codes.as_mut_ptr().cast(), bytes) };
        }
    }
}

/// Sums of 16 bits of a run of 32 codes of 4 bits, which lie in four lines.
///
/// # Safety
/// `codes` are at least four lines, and rows have 32 codes from `at`.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn run_of_nibbles<const R: usize>(rows: &[Row<'_>; R], at: usize, codes: &[u8]) -> Sums<R> {
    let mask = _mm256_set1_epi8(15);
    let mut sums: Sums<R> = zeros();
    for two in 0..4 {
        // SAFETY: the caller's promise.
        let bytes = unsafe { line(codes, two * LINE) };
        let low = bytes.map(|bytes| _mm256_and_si256(bytes, mask));
        let high = bytes.map(|bytes| _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask));
        for (r, row) in rows.iter().enumerate() {
            // SAFETY: as above.
            let [first, second] = unsafe { [four_codes(row, at + 4 * two), four_codes(row, at + 16 + 4 * two)] };
            for h in 0..HALVES {
                sums[r][h] = settled(add_products(sums[r][h], low[h], first));
                sums[r][h] = settled(add_products(sums[r][h], high[h], second));
            }
        }
    }
    sums
}

/// The same sums, in a register and for good: without this the compiler adds products of several groups to each other first, for which there are no registers.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn settled(mut sums: __m256i) -> __m256i {
    // SAFETY: it does nothing.
    unsafe { std::arch::asm!("/* {0} */", inout(ymm_reg) sums, options(pure, nomem, nostack, preserves_flags)) };
    sums
}
