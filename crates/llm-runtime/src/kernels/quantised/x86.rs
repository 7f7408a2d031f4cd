//! What the kernels of all formats have in common on x86.

use std::arch::x86_64::*;
use std::sync::OnceLock;

use super::activations::{Activations, RowBlock, unit_of};
use super::{BLOCK, Format, LINE, OpenCodes, PANEL};

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

/// What is summed up over blocks.
pub(super) type Totals<const R: usize> = [[__m256; HALVES]; R];

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
/// `at + 4` is at most their number.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn four_codes(row: &RowBlock<'_>, at: usize) -> __m256i {
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

/// Products of `R` rows, of which `first` is the first, with a panel's columns, over all its blocks.
///
/// # Safety
/// The processor has what [`is_there`] looks for.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn tile<F: Format, const R: usize>(
    activations: &Activations,
    first: usize,
    panel: &[u8],
) -> [[f32; PANEL]; R] {
    let mut totals: Totals<R> = [[_mm256_setzero_ps(); HALVES]; R];
    for (number, block) in panel.chunks_exact(F::PACKED_BYTES).enumerate() {
        let rows: [RowBlock<'_>; R] = std::array::from_fn(|row| activations.block(first + row, number));
        // SAFETY: the caller's promise.
        unsafe { F::add_block(&rows, block, None, &mut totals) };
    }
    let mut values = [[0f32; PANEL]; R];
    put_totals(&totals, &mut values);
    values
}

/// Adds the products of `R` rows with a block of a panel, whose codes are open, to values.
///
/// # Safety
/// As [`tile`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn add_open_block<F: Format, const R: usize>(
    rows: &[RowBlock<'_>; R],
    block: &[u8],
    codes: &OpenCodes,
    values: &mut [[f32; PANEL]; R],
) {
    let mut totals: Totals<R> = [[_mm256_setzero_ps(); HALVES]; R];
    for (totals, values) in totals.iter_mut().zip(values.iter()) {
        for (total, values) in totals.iter_mut().zip(values.as_chunks::<8>().0) {
            // SAFETY: a chunk is as long as a vector.
            *total = unsafe { _mm256_loadu_ps(values.as_ptr()) };
        }
    }
    // SAFETY: the caller's promise.
    unsafe { F::add_block(rows, block, Some(codes), &mut totals) };
    put_totals(&totals, values);
}

#[target_feature(enable = "avx2")]
#[inline]
fn put_totals<const R: usize>(totals: &Totals<R>, values: &mut [[f32; PANEL]; R]) {
    for (values, totals) in values.iter_mut().zip(totals) {
        for (values, total) in values.as_chunks_mut::<8>().0.iter_mut().zip(totals) {
            // SAFETY: a chunk is as long as a vector.
            unsafe { _mm256_storeu_ps(values.as_mut_ptr(), *total) };
        }
    }
}

/// As the plain loop in [`super::activations`].
#[target_feature(enable = "avx2")]
pub(super) fn round_block(x: &[f32; BLOCK], codes: &mut [i8; BLOCK]) -> f32 {
    let sign = _mm256_set1_ps(-0.0);
    // Packing by pairs of 128 bits leaves the four runs of eight in this order.
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
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
    let factor = _mm256_set1_ps(factor);
    for (chunks, codes) in x.as_chunks::<4>().0.iter().zip(codes.as_chunks_mut::<32>().0) {
        let [a, b, c, d] = chunks.each_ref().map(|chunk| _mm256_cvtps_epi32(_mm256_mul_ps(load(chunk), factor)));
        let bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
        let bytes = _mm256_permutevar8x32_epi32(bytes, order);
        // SAFETY: as long as a vector.
        unsafe { _mm256_storeu_si256(codes.as_mut_ptr().cast(), bytes) };
    }
    unit
}

/// Sums of 16 bits of a run of 32 codes of 4 bits of a block; `nibbles` are the block's as they are packed.
///
/// # Safety
/// `nibbles` are those of a whole block.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn run_of_nibbles<const R: usize>(
    rows: &[RowBlock<'_>; R],
    run: usize,
    nibbles: &[u8],
    codes: Option<&OpenCodes>,
) -> Sums<R> {
    let mut sums: Sums<R> = zeros();
    for two in 0..4 {
        // SAFETY: the caller's promise.
        let [low, high] = unsafe {
            match codes {
                Some(codes) => open_lines(codes, (run * 4 + two) * 2 * LINE),
                None => two_lines(nibbles, (run * 4 + two) * LINE),
            }
        };
        let at = run * 32 + 4 * two;
        for (r, row) in rows.iter().enumerate() {
            // SAFETY: as above.
            let [first, second] = unsafe { [four_codes(row, at), four_codes(row, at + 16)] };
            for h in 0..HALVES {
                sums[r][h] = settled(add_products(sums[r][h], low[h], first));
                sums[r][h] = settled(add_products(sums[r][h], high[h], second));
            }
        }
    }
    sums
}

/// The lower and the upper codes of a line of codes of 4 bits.
///
/// # Safety
/// The line lies inside `nibbles`.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn two_lines(nibbles: &[u8], at: usize) -> [[__m256i; HALVES]; 2] {
    let mask = _mm256_set1_epi8(15);
    // SAFETY: the caller's promise.
    let bytes = unsafe { line(nibbles, at) };
    [
        bytes.map(|bytes| _mm256_and_si256(bytes, mask)),
        bytes.map(|bytes| _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask)),
    ]
}

/// Opens the codes of 4 bits of a block.
#[target_feature(enable = "avx2")]
pub(super) fn open_nibbles(nibbles: &[u8], codes: &mut OpenCodes) {
    for (at, codes) in codes.chunks_exact_mut(2 * LINE).enumerate() {
        assert!((at + 1) * LINE <= nibbles.len());
        // SAFETY: the line was looked for.
        put_lines(unsafe { two_lines(nibbles, at * LINE) }, codes);
    }
}

/// Two lines of open codes.
///
/// # Safety
/// They lie inside `codes`.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn open_lines(codes: &OpenCodes, at: usize) -> [[__m256i; HALVES]; 2] {
    debug_assert!(at + 2 * LINE <= codes.len());
    // SAFETY: the caller's promise.
    unsafe {
        let start = codes.as_ptr().add(at).cast::<__m256i>();
        std::array::from_fn(|line| std::array::from_fn(|h| _mm256_loadu_si256(start.add(line * HALVES + h))))
    }
}

/// Writes two lines.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn put_lines(lines: [[__m256i; HALVES]; 2], codes: &mut [u8]) {
    for (codes, vector) in codes.as_chunks_mut::<32>().0.iter_mut().zip(lines.into_iter().flatten()) {
        // SAFETY: a chunk is as long as a vector.
        unsafe { _mm256_storeu_si256(codes.as_mut_ptr().cast(), vector) };
    }
}

/// The same sums, in a register and for good: without this the compiler adds products of several groups to each other first, for which there are no registers.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn settled(mut sums: __m256i) -> __m256i {
    // SAFETY: it does nothing.
    unsafe { std::arch::asm!("/* {0} */", inout(ymm_reg) sums, options(pure, nomem, nostack, preserves_flags)) };
    sums
}
