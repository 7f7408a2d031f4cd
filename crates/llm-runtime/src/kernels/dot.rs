//! Dot products of a tile of rows with a tile of columns.
//!
//! Each product of the tile has its own vector accumulator that walks the inner dimension upwards, so its value does not
//! depend on the tile's shape.

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
}

/// `out[r][c] = Σ_k rows[r][k] · cols[c][k]`, all slices `k` long.
#[inline]
pub(crate) fn dot_tile<const R: usize, const C: usize>(
    simd: Simd,
    rows: &[&[f32]; R],
    cols: &[&[f32]; C],
) -> [[f32; C]; R] {
    let k = rows[0].len();
    assert!(rows.iter().all(|row| row.len() == k) && cols.iter().all(|col| col.len() == k));
    match simd {
        // SAFETY: the instruction set was detected, and all slices were checked to be `k` long.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { x86::dot_tile_avx512(rows, cols, k) },
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { x86::dot_tile_avx2(rows, cols, k) },
        Simd::Portable => dot_tile_portable(rows, cols, k),
    }
}

fn dot_tile_portable<const R: usize, const C: usize>(
    rows: &[&[f32]; R],
    cols: &[&[f32]; C],
    k: usize,
) -> [[f32; C]; R] {
    const LANES: usize = 8;
    let mut out = [[0f32; C]; R];
    for (row, out_row) in rows.iter().zip(&mut out) {
        for (col, out) in cols.iter().zip(out_row) {
            let mut lanes = [0f32; LANES];
            let whole = k - k % LANES;
            for (a, b) in row[..whole].chunks_exact(LANES).zip(col[..whole].chunks_exact(LANES)) {
                for lane in 0..LANES {
                    lanes[lane] += a[lane] * b[lane];
                }
            }
            let tail: f32 = row[whole..].iter().zip(&col[whole..]).map(|(a, b)| a * b).sum();
            *out = lanes.iter().sum::<f32>() + tail;
        }
    }
    out
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::arch::x86_64::*;

    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn dot_tile_avx512<const R: usize, const C: usize>(
        rows: &[&[f32]; R],
        cols: &[&[f32]; C],
        k: usize,
    ) -> [[f32; C]; R] {
        let mut acc = [[_mm512_setzero_ps(); C]; R];
        let mut at = 0;
        // SAFETY: loads stay below `k`, the length of every slice; the last one is masked.
        unsafe {
            while at + 16 <= k {
                let right: [__m512; C] = std::array::from_fn(|c| _mm512_loadu_ps(cols[c].as_ptr().add(at)));
                for r in 0..R {
                    let left = _mm512_loadu_ps(rows[r].as_ptr().add(at));
                    for c in 0..C {
                        acc[r][c] = _mm512_fmadd_ps(left, right[c], acc[r][c]);
                    }
                }
                at += 16;
            }
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
        }
        acc.map(|row| row.map(|lanes| _mm512_reduce_add_ps(lanes)))
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn dot_tile_avx2<const R: usize, const C: usize>(
        rows: &[&[f32]; R],
        cols: &[&[f32]; C],
        k: usize,
    ) -> [[f32; C]; R] {
        let mut acc = [[_mm256_setzero_ps(); C]; R];
        let mut at = 0;
        // SAFETY: loads stay below `k`, the length of every slice.
        unsafe {
            while at + 8 <= k {
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
        let mut out = [[0f32; C]; R];
        for r in 0..R {
            for c in 0..C {
                let mut lanes = [0f32; 8];
                // SAFETY: `lanes` holds eight values.
                unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), acc[r][c]) };
                let tail: f32 = (at..k).map(|i| rows[r][i] * cols[c][i]).sum();
                out[r][c] = lanes.iter().sum::<f32>() + tail;
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
    fn a_product_does_not_depend_on_its_tile() {
        for k in [1, 7, 8, 15, 16, 17, 33, 64, 172] {
            let (a, b, c) = (numbers(1, k), numbers(2, k), numbers(3, k));
            for simd in [Simd::detect(), Simd::Portable] {
                let alone = dot_tile(simd, &[&a], &[&b])[0][0];
                let tiled = dot_tile(simd, &[&c, &a, &c, &b], &[&a, &b, &c, &a]);
                assert_eq!(alone.to_bits(), tiled[1][1].to_bits(), "k = {k}, {simd:?}");
                let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                assert!((f64::from(alone) - exact).abs() < 1e-3, "k = {k}: {alone} and {exact}");
            }
        }
    }
}
