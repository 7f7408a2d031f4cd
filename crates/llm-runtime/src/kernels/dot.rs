//! Dot products of a tile of rows with a tile of columns.
//!
//! Each product of the tile has its own vector of running sums that walks the inner dimension upwards, so its value does not
//! depend on the tile's shape, nor on the parts in which the inner dimension is walked.

/// The instruction set the kernels use, found once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Simd {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Simd {
    pub(crate) fn detect() -> Self {
        use std::sync::OnceLock;
        static SIMD: OnceLock<Simd> = OnceLock::new();
        *SIMD.get_or_init(|| {
            #[cfg(target_arch = "x86_64")]
            {
                if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma") {
                    return Simd::Avx512;
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    return Simd::Avx2;
                }
            }
            Simd::Portable
        })
    }

    /// Running sums of each product.
    pub(crate) fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 16,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 8,
            Self::Portable => PORTABLE_LANES,
        }
    }
}

const PORTABLE_LANES: usize = 8;

/// Asks for the line of the cache with this value, which will be needed soon. It may lie behind the slice: it is not read.
#[inline(always)]
pub(super) fn prefetch<T>(values: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().wrapping_add(at).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, at);
}

/// `a · b + c`, in one rounding where the processor can.
#[inline(always)]
pub(super) fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Walks a part of the inner dimension, which is not the last: `sums`, `R · C` times [`Simd::lanes`], go on from where they are, or from 0 where
/// the part is the `first`. All slices are of one length, a multiple of 16. What stands `ahead` values behind in the columns will be needed soon; 0 says
/// that nothing will.
#[inline]
pub(crate) fn walk_tile<const R: usize, const C: usize>(
    simd: Simd,
    rows: &[&[f32]; R],
    cols: &[&[f32]; C],
    first: bool,
    ahead: usize,
    sums: &mut [f32],
) {
    let k = checked_length(simd, rows, cols, sums);
    assert!(k.is_multiple_of(16));
    match simd {
        // SAFETY: the instruction set was detected, and the slices' lengths were checked.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { x86::walk_tile_avx512(rows, cols, k, first, ahead, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { x86::walk_tile_avx2(rows, cols, k, first, ahead, sums) },
        Simd::Portable => walk_tile_portable(rows, cols, k, first, sums),
    }
}

/// Walks the last part of the inner dimension, of any length, and gives `out[r][c] = Σ_k rows[r][k] · cols[c][k]` over all parts.
#[inline]
pub(crate) fn finish_tile<const R: usize, const C: usize>(
    simd: Simd,
    rows: &[&[f32]; R],
    cols: &[&[f32]; C],
    first: bool,
    ahead: usize,
    sums: &mut [f32],
) -> [[f32; C]; R] {
    let k = checked_length(simd, rows, cols, sums);
    match simd {
        // SAFETY: the instruction set was detected, and the slices' lengths were checked.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { x86::finish_tile_avx512(rows, cols, k, first, ahead, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { x86::finish_tile_avx2(rows, cols, k, first, ahead, sums) },
        Simd::Portable => finish_tile_portable(rows, cols, k, first, sums),
    }
}

fn checked_length<const R: usize, const C: usize>(
    simd: Simd,
    rows: &[&[f32]; R],
    cols: &[&[f32]; C],
    sums: &[f32],
) -> usize {
    let k = rows[0].len();
    assert!(rows.iter().all(|row| row.len() == k) && cols.iter().all(|col| col.len() == k));
    assert!(sums.len() == R * C * simd.lanes());
    k
}

fn walk_tile_portable<const R: usize, const C: usize>(
    rows: &[&[f32]; R],
    cols: &[&[f32]; C],
    k: usize,
    first: bool,
    sums: &mut [f32],
) {
    if first {
        sums.fill(0.0);
    }
    let products = rows.iter().flat_map(|row| cols.iter().map(move |col| (row, col)));
    for ((row, col), lanes) in products.zip(sums.as_chunks_mut::<PORTABLE_LANES>().0) {
        let whole = k - k % PORTABLE_LANES;
        for (a, b) in row[..whole].chunks_exact(PORTABLE_LANES).zip(col[..whole].chunks_exact(PORTABLE_LANES)) {
            for lane in 0..PORTABLE_LANES {
                lanes[lane] += a[lane] * b[lane];
            }
        }
    }
}

fn finish_tile_portable<const R: usize, const C: usize>(
    rows: &[&[f32]; R],
    cols: &[&[f32]; C],
    k: usize,
    first: bool,
    sums: &mut [f32],
) -> [[f32; C]; R] {
    walk_tile_portable(rows, cols, k, first, sums);
    let whole = k - k % PORTABLE_LANES;
    std::array::from_fn(|r| {
        std::array::from_fn(|c| {
            let tail: f32 = rows[r][whole..].iter().zip(&cols[c][whole..]).map(|(a, b)| a * b).sum();
            sums[(r * C + c) * PORTABLE_LANES..][..PORTABLE_LANES].iter().sum::<f32>() + tail
        })
    })
}

#[cfg(target_arch = "x86_64")]
// Row and column number tiles, pointers and sums alike: with iterators over one of them the other two would still be counted.
#[expect(clippy::needless_range_loop)]
mod x86 {
    use core::arch::x86_64::*;

    /// Running sums after the whole vectors of the slices.
    ///
    /// # Safety
    /// All slices are `k` long, `sums` has `R · C` vectors.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn sums_avx512<const R: usize, const C: usize>(
        rows: &[&[f32]; R],
        cols: &[&[f32]; C],
        k: usize,
        first: bool,
        ahead: usize,
        sums: &[f32],
    ) -> [[__m512; C]; R] {
        let mut acc = [[_mm512_setzero_ps(); C]; R];
        let mut at = 0;
        // SAFETY: loads stay below `k` and inside `sums`.
        unsafe {
            if !first {
                for r in 0..R {
                    for c in 0..C {
                        acc[r][c] = _mm512_loadu_ps(sums.as_ptr().add((r * C + c) * 16));
                    }
                }
            }
            while at + 16 <= k {
                if ahead > 0 {
                    for col in cols {
                        // Never read: it may lie behind the matrix.
                        _mm_prefetch::<_MM_HINT_T0>(col.as_ptr().wrapping_add(at + ahead).cast());
                    }
                }
                let right: [__m512; C] = std::array::from_fn(|c| _mm512_loadu_ps(cols[c].as_ptr().add(at)));
                for r in 0..R {
                    let left = _mm512_loadu_ps(rows[r].as_ptr().add(at));
                    for c in 0..C {
                        acc[r][c] = _mm512_fmadd_ps(left, right[c], acc[r][c]);
                    }
                }
                at += 16;
            }
        }
        acc
    }

    /// # Safety
    /// All slices are `k` long, `sums` has `R · C` vectors.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn walk_tile_avx512<const R: usize, const C: usize>(
        rows: &[&[f32]; R],
        cols: &[&[f32]; C],
        k: usize,
        first: bool,
        ahead: usize,
        sums: &mut [f32],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let acc = sums_avx512(rows, cols, k, first, ahead, sums);
            for r in 0..R {
                for c in 0..C {
                    _mm512_storeu_ps(sums.as_mut_ptr().add((r * C + c) * 16), acc[r][c]);
                }
            }
        }
    }

    /// # Safety
    /// All slices are `k` long, `sums` has `R · C` vectors.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn finish_tile_avx512<const R: usize, const C: usize>(
        rows: &[&[f32]; R],
        cols: &[&[f32]; C],
        k: usize,
        first: bool,
        ahead: usize,
        sums: &[f32],
    ) -> [[f32; C]; R] {
        let at = k - k % 16;
        // SAFETY: the caller's promise; the last loads are masked.
        unsafe {
            let mut acc = sums_avx512(rows, cols, k, first, ahead, sums);
            if at < k {
                let mask: __mmask16 = (1u16 << (k - at)) - 1;
                for r in 0..R {
                    let left = _mm512_maskz_loadu_ps(mask, rows[r].as_ptr().add(at));
                    for c in 0..C {
                        let right = _mm512_maskz_loadu_ps(mask, cols[c].as_ptr().add(at));
                        acc[r][c] = _mm512_fmadd_ps(left, right, acc[r][c]);
                    }
                }
            }
            add_lanes(acc.map(|row| {
                row.map(|lanes| {
                    let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(lanes)));
                    _mm256_add_ps(_mm512_castps512_ps256(lanes), high)
                })
            }))
        }
    }

    /// As [`sums_avx512`].
    ///
    /// # Safety
    /// All slices are `k` long, `sums` has `R · C` vectors.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn sums_avx2<const R: usize, const C: usize>(
        rows: &[&[f32]; R],
        cols: &[&[f32]; C],
        k: usize,
        first: bool,
        ahead: usize,
        sums: &[f32],
    ) -> [[__m256; C]; R] {
        let mut acc = [[_mm256_setzero_ps(); C]; R];
        let mut at = 0;
        // SAFETY: loads stay below `k` and inside `sums`.
        unsafe {
            if !first {
                for r in 0..R {
                    for c in 0..C {
                        acc[r][c] = _mm256_loadu_ps(sums.as_ptr().add((r * C + c) * 8));
                    }
                }
            }
            while at + 8 <= k {
                if ahead > 0 {
                    for col in cols {
                        // Never read: it may lie behind the matrix.
                        _mm_prefetch::<_MM_HINT_T0>(col.as_ptr().wrapping_add(at + ahead).cast());
                    }
                }
                let right: [__m256; C] = std::array::from_fn(|c| _mm256_loadu_ps(cols[c].as_ptr().add(at)));
                for r in 0..R {
                    let left = _mm256_loadu_ps(rows[r].as_ptr().add(at));
                    for c in 0..C {
                        acc[r][c] = _mm256_fmadd_ps(left, right[c], acc[r][c]);
                    }
                }
                at += 8;
            }
        }
        acc
    }

    /// # Safety
    /// All slices are `k` long, `sums` has `R · C` vectors.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn walk_tile_avx2<const R: usize, const C: usize>(
        rows: &[&[f32]; R],
        cols: &[&[f32]; C],
        k: usize,
        first: bool,
        ahead: usize,
        sums: &mut [f32],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let acc = sums_avx2(rows, cols, k, first, ahead, sums);
            for r in 0..R {
                for c in 0..C {
                    _mm256_storeu_ps(sums.as_mut_ptr().add((r * C + c) * 8), acc[r][c]);
                }
            }
        }
    }

    /// # Safety
    /// All slices are `k` long, `sums` has `R · C` vectors.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn finish_tile_avx2<const R: usize, const C: usize>(
        rows: &[&[f32]; R],
        cols: &[&[f32]; C],
        k: usize,
        first: bool,
        ahead: usize,
        sums: &[f32],
    ) -> [[f32; C]; R] {
        // SAFETY: the caller's promise.
        let acc = unsafe { sums_avx2(rows, cols, k, first, ahead, sums) };
        let mut out = add_lanes(acc);
        let whole = k - k % 8;
        if whole < k {
            for (row, out) in rows.iter().zip(&mut out) {
                for (col, out) in cols.iter().zip(out) {
                    *out += row[whole..].iter().zip(&col[whole..]).map(|(a, b)| a * b).sum::<f32>();
                }
            }
        }
        out
    }

    /// The sum of each vector's lanes, four vectors at a time; in an order that does not depend on the four.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add_lanes<const R: usize, const C: usize>(sums: [[__m256; C]; R]) -> [[f32; C]; R] {
        let mut out = [[0f32; C]; R];
        let at = |number: usize| if number < R * C { sums[number / C][number % C] } else { _mm256_setzero_ps() };
        for first in (0..R * C).step_by(4) {
            let (ab, cd) = (_mm256_hadd_ps(at(first), at(first + 1)), _mm256_hadd_ps(at(first + 2), at(first + 3)));
            let halves = _mm256_hadd_ps(ab, cd);
            let four = _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps::<1>(halves));
            let mut values = [0f32; 4];
            // SAFETY: `values` holds four values.
            unsafe { _mm_storeu_ps(values.as_mut_ptr(), four) };
            for number in first..(first + 4).min(R * C) {
                out[number / C][number % C] = values[number - first];
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: u32, len: usize) -> Vec<f32> {
        (0..len as u32).map(|i| (((i * 37 + seed * 101) % 61) as f32 - 30.0) / 17.0).collect()
    }

    #[test]
    fn a_product_does_not_depend_on_its_parts() {
        let (a, b) = (numbers(1, 83), numbers(2, 83));
        for simd in [Simd::detect(), Simd::Portable] {
            let mut sums = vec![f32::NAN; simd.lanes()];
            let whole = finish_tile(simd, &[&a], &[&b], true, 0, &mut sums)[0][0];
            walk_tile(simd, &[&a[..32]], &[&b[..32]], true, 0, &mut sums);
            walk_tile(simd, &[&a[32..48]], &[&b[32..48]], false, 64, &mut sums);
            let parts = finish_tile(simd, &[&a[48..]], &[&b[48..]], false, 64, &mut sums)[0][0];
            assert_eq!(whole.to_bits(), parts.to_bits(), "{simd:?}");
        }
    }

    #[test]
    fn a_product_does_not_depend_on_its_tile() {
        for k in [1, 7, 8, 15, 16, 17, 33, 64, 172] {
            let (a, b, c) = (numbers(1, k), numbers(2, k), numbers(3, k));
            for simd in [Simd::detect(), Simd::Portable] {
                let alone = finish_tile(simd, &[&a], &[&b], true, 0, &mut vec![0.0; simd.lanes()])[0][0];
                let mut sums = vec![0.0; 16 * simd.lanes()];
                let tiled = finish_tile(simd, &[&c, &a, &c, &b], &[&a, &b, &c, &a], true, 0, &mut sums);
                assert_eq!(alone.to_bits(), tiled[1][1].to_bits(), "k = {k}, {simd:?}");
                let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                assert!((f64::from(alone) - exact).abs() < 1e-3, "k = {k}: {alone} and {exact}");
            }
        }
    }
}
