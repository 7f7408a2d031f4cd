//! Exponentials, softmax, SiLU and GELU over slices.
//!
//! The exponential is the usual reduction `e^x = 2^n · e^r` with a polynomial for `e^r` (|r| ≤ ln2 / 2, relative error
//! below 2e-7), written so that the compiler turns the loop into vector code. Each value depends on its own input only.

use super::dot::Simd;

/// `e^x` for finite `x`; 0 below -87.3, the result for 88 above.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding 1.5·2^23 rounds to the nearest integer, which is then in the lowest bits: a cast would look for numbers that no integer holds, one by one.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.3, 88.0);
    let rounded = x * LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let e_r = p * r * r + r + 1.0;
    e_r * f32::from_bits(rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23)
}

/// Softmax over `scores`, in place. All values must be finite. Inlined, so that it uses the caller's vector width; nothing is
/// contracted to fused operations, so the result is the same with any.
#[inline(always)]
pub(crate) fn softmax_in_place(scores: &mut [f32]) {
    let max = largest(scores);
    exp_minus(scores, max);
    // Sixteen partial sums by index: a fixed order that vectorises.
    let mut lanes = [0f32; 16];
    let (chunks, tail) = scores.as_chunks::<16>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    for (lane, value) in lanes.iter_mut().zip(tail) {
        *lane += value;
    }
    let scale = 1.0 / lanes.iter().sum::<f32>();
    for score in scores {
        *score *= scale;
    }
}

/// [`softmax_in_place`] with the widest vectors of the processor, for callers that have none of their own.
pub(crate) fn softmax(scores: &mut [f32]) {
    match Simd::detect() {
        // SAFETY: the instruction set was detected.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { softmax_avx512(scores) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { softmax_avx2(scores) },
        Simd::Portable => softmax_in_place(scores),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn softmax_avx512(scores: &mut [f32]) {
    softmax_in_place(scores);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn softmax_avx2(scores: &mut [f32]) {
    softmax_in_place(scores);
}

/// The largest value, in lanes: a running maximum in one variable does not vectorise.
#[inline(always)]
fn largest(scores: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let (chunks, tail) = scores.as_chunks::<16>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    tail.iter().chain(&lanes).copied().fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn exp_minus(values: &mut [f32], max: f32) {
    for value in values {
        let shifted = *value - max;
        // Masked entries would be -inf; scores far below the maximum vanish either way.
        *value = if shifted < -87.0 { 0.0 } else { exp(shifted) };
    }
}

/// `Σ e^(x - max)` over the row and its largest value `max`, added up in f64. NaN spreads; a row of −∞ only gives NaN and −∞.
pub(crate) fn sum_of_exponentials(row: &[f32]) -> (f64, f32) {
    match Simd::detect() {
        // SAFETY: the instruction set was detected.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { sum_of_exponentials_avx512(row) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { sum_of_exponentials_avx2(row) },
        Simd::Portable => sum_of_exponentials_here(row),
    }
}

#[inline(always)]
fn sum_of_exponentials_here(row: &[f32]) -> (f64, f32) {
    let max = largest(row);
    let mut lanes = [0f64; 16];
    for chunk in row.chunks(256) {
        let mut powers = [0f32; 256];
        let powers = &mut powers[..chunk.len()];
        powers.copy_from_slice(chunk);
        exp_minus(powers, max);
        let (whole, tail) = powers.as_chunks::<16>();
        for power in whole {
            for (lane, power) in lanes.iter_mut().zip(power) {
                *lane += f64::from(*power);
            }
        }
        for (lane, power) in lanes.iter_mut().zip(tail) {
            *lane += f64::from(*power);
        }
    }
    (lanes.iter().sum(), max)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn sum_of_exponentials_avx512(row: &[f32]) -> (f64, f32) {
    sum_of_exponentials_here(row)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sum_of_exponentials_avx2(row: &[f32]) -> (f64, f32) {
    sum_of_exponentials_here(row)
}

/// `gate · σ(gate) · up`, element by element, into `out`.
pub(crate) fn silu(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for ((gate, up), out) in gate.iter().zip(up).zip(out) {
        *out = gate / (1.0 + exp(-gate)) * up;
    }
}

/// Gradients of [`silu`]'s inputs for the output's gradient `g`.
pub(crate) fn silu_backward(gate: &[f32], up: &[f32], g: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
    for i in 0..gate.len().min(up.len()).min(g.len()).min(dgate.len()).min(dup.len()) {
        let sigmoid = 1.0 / (1.0 + exp(-gate[i]));
        dgate[i] = g[i] * up[i] * sigmoid * (1.0 + gate[i] * (1.0 - sigmoid));
        dup[i] = g[i] * gate[i] * sigmoid;
    }
}

/// The normal distribution function `Φ(x)` and its density `φ(x)`.
///
/// `Φ(−|x|) = e^(−x²/2) · P(t)` with `t = 1 / (1 + 0.29 |x|)` and a polynomial of degree 8, fitted so that its largest relative error over
/// `|x| ≤ 14` is small (6.5e-8, and 3.5e-7 in f32): small probabilities are as exact as large ones.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    const TAIL: [f32; 9] = [
        2.420_807_5e-5,
        0.115_144_35,
        0.121_023_03,
        0.076_943_75,
        0.183_748_47,
        -0.146_285_58,
        0.300_202_85,
        -0.189_264_34,
        0.038_463_23,
    ];
    const DENSITY_AT_0: f32 = 0.398_942_3;
    let fall = exp(-0.5 * x * x);
    let t = 1.0 / (1.0 + 0.29 * x.abs());
    let mut tail = TAIL[8];
    for coefficient in TAIL[..8].iter().rev() {
        tail = tail * t + coefficient;
    }
    let tail = tail * fall;
    (if x > 0.0 { 1.0 - tail } else { tail }, fall * DENSITY_AT_0)
}

/// `x · Φ(x)`, element by element, into `out`.
pub(crate) fn gelu(x: &[f32], out: &mut [f32]) {
    match Simd::detect() {
        // SAFETY: the instruction set was detected.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { gelu_avx512(x, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { gelu_avx2(x, out) },
        Simd::Portable => gelu_here(x, out),
    }
}

/// `g · (Φ(x) + x·φ(x))`, element by element, into `out`.
pub(crate) fn gelu_backward(x: &[f32], g: &[f32], out: &mut [f32]) {
    match Simd::detect() {
        // SAFETY: the instruction set was detected.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { gelu_backward_avx512(x, g, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { gelu_backward_avx2(x, g, out) },
        Simd::Portable => gelu_backward_here(x, g, out),
    }
}

#[inline(always)]
fn gelu_here(x: &[f32], out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = x * normal(*x).0;
    }
}

#[inline(always)]
fn gelu_backward_here(x: &[f32], g: &[f32], out: &mut [f32]) {
    for ((out, x), g) in out.iter_mut().zip(x).zip(g) {
        let (below, density) = normal(*x);
        *out = g * (below + x * density);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn gelu_avx512(x: &[f32], out: &mut [f32]) {
    gelu_here(x, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn gelu_avx2(x: &[f32], out: &mut [f32]) {
    gelu_here(x, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn gelu_backward_avx512(x: &[f32], g: &[f32], out: &mut [f32]) {
    gelu_backward_here(x, g, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn gelu_backward_avx2(x: &[f32], g: &[f32], out: &mut [f32]) {
    gelu_backward_here(x, g, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_accurate() {
        for i in -8700..880 {
            let x = i as f32 / 100.0;
            let exact = f64::from(x).exp();
            let relative = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(relative < 3e-7, "exp({x}) is off by {relative}");
        }
    }

    #[test]
    fn the_normal_distribution_is_accurate_in_its_tails_too() {
        // Values of Φ from tables.
        let known =
            [(-10.0, 7.619_853e-24), (-5.0, 2.866_515_7e-7), (-1.0, 0.158_655_25), (0.0, 0.5), (1.5, 0.933_192_8)];
        for (x, expected) in known {
            let (below, density) = normal(x);
            assert!((below / expected - 1.0f32).abs() < 2e-6, "Φ({x}) = {below}, not {expected}");
            let exact = (-0.5 * f64::from(x) * f64::from(x)).exp() / std::f64::consts::TAU.sqrt();
            assert!((f64::from(density) / exact - 1.0).abs() < 1e-6, "φ({x})");
        }
        assert!(normal(f32::NAN).0.is_nan() && normal(-200.0).0 < 1e-30 && normal(200.0).0 == 1.0);
    }

    #[test]
    fn softmax_sums_to_one() {
        let mut scores: Vec<f32> = (0..77).map(|i| ((i * 7) % 23) as f32 - 11.0).collect();
        softmax_in_place(&mut scores);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(scores.iter().all(|p| *p >= 0.0));
    }

    #[test]
    fn softmax_is_the_same_at_every_vector_width() {
        for length in [1, 5, 16, 77, 512] {
            let scores: Vec<f32> = (0..length).map(|i| ((i * 7) % 23) as f32 / 3.0 - 4.0).collect();
            let (mut wide, mut narrow) = (scores.clone(), scores);
            softmax(&mut wide);
            softmax_in_place(&mut narrow);
            assert_eq!(wide, narrow);
        }
    }

    #[test]
    fn exponentials_are_summed_as_in_f64() {
        let row: Vec<f32> = (0..1003).map(|i| ((i * 7) % 230) as f32 / 3.0 - 40.0).chain([f32::NEG_INFINITY]).collect();
        let (sum, max) = sum_of_exponentials(&row);
        let exact: f64 = row.iter().map(|x| (f64::from(*x) - f64::from(max)).exp()).sum();
        assert_eq!(max, 229.0 / 3.0 - 40.0);
        assert!((sum / exact - 1.0).abs() < 3e-7, "{sum} and {exact}");
        assert_eq!(sum_of_exponentials_here(&row), (sum, max));
        assert!(sum_of_exponentials(&[1.0, f32::NAN, 3.0]).0.is_nan());
        assert!(sum_of_exponentials(&[1.0, f32::INFINITY]).0.is_nan());
        let (sum, max) = sum_of_exponentials(&[f32::NEG_INFINITY; 3]);
        assert!(sum.is_nan() && max == f32::NEG_INFINITY);
    }

    #[test]
    fn silu_of_large_values_is_finite() {
        let mut out = [0f32; 3];
        silu(&[-200.0, 0.0, 200.0], &[1.0; 3], &mut out);
        assert!(out[0].abs() < 1e-20 && out[1] == 0.0 && (out[2] - 200.0).abs() < 1e-3);
    }
}
