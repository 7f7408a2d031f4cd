//! Values of 16 bits made into those of 32 bits, for kernels that keep the former and compute with the latter.

use half::f16;

/// Fills `wide` with the values of `narrow`, of which there are as many. Exact.
pub(super) fn widen(narrow: &[f16], wide: &mut [f32]) {
    assert_eq!(narrow.len(), wide.len());
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx") && is_x86_feature_detected!("f16c") {
        // SAFETY: the instruction sets were detected.
        return unsafe { widen_f16c(narrow, wide) };
    }
    widen_portable(narrow, wide);
}

fn widen_portable(narrow: &[f16], wide: &mut [f32]) {
    for (wide, narrow) in wide.iter_mut().zip(narrow) {
        *wide = narrow.to_f32();
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx,f16c")]
fn widen_f16c(narrow: &[f16], wide: &mut [f32]) {
    use std::arch::x86_64::{_mm_loadu_si128, _mm256_cvtph_ps, _mm256_storeu_ps};
    let (narrow, narrow_rest) = narrow.as_chunks::<8>();
    let (wide, wide_rest) = wide.as_chunks_mut::<8>();
    for (wide, narrow) in wide.iter_mut().zip(narrow) {
        // SAFETY: eight values of 16 bits are read, and eight of 32 bits written.
        unsafe { _mm256_storeu_ps(wide.as_mut_ptr(), _mm256_cvtph_ps(_mm_loadu_si128(narrow.as_ptr().cast()))) };
    }
    widen_portable(narrow_rest, wide_rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value of 16 bits, and every length of the rest.
    #[test]
    fn widening_is_exact() {
        let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        for length in (0..20).chain([all.len()]) {
            let mut wide = vec![0f32; length];
            widen(&all[..length], &mut wide);
            for (wide, narrow) in wide.iter().zip(&all) {
                assert!(*wide == narrow.to_f32() || wide.is_nan() && narrow.is_nan());
            }
        }
    }
}
