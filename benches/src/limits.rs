//! What the machine can do at best: bytes read from memory, products of 8-bit integers and of floats, each second.

use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

/// The limits of a machine with a number of threads, or of a device.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Limits {
    /// Threads that worked; none on a device.
    pub threads: Option<usize>,
    /// Bytes read from memory; on a device, read or written by a copy.
    pub bytes_per_second: f64,
    /// Multiply-adds of 8-bit integers; `None` where there is no measurement for the processor.
    pub integer_multiply_adds_per_second: Option<f64>,
    /// Multiply-adds of f32, on a device of bf16 in a matrix product; `None` as above.
    pub float_multiply_adds_per_second: Option<f64>,
}

/// Of each thread; more than any cache holds.
const BYTES: usize = 256 << 20;
/// Measurements of which the best counts.
const ATTEMPTS: usize = 10;
const ATTEMPT: Duration = Duration::from_millis(200);

impl Limits {
    /// Measures for some seconds.
    #[must_use]
    pub fn measure(threads: usize) -> Self {
        Self {
            threads: Some(threads),
            bytes_per_second: bytes_per_second(threads),
            integer_multiply_adds_per_second: products::integer().map(|(work, each)| rate(threads, work, each)),
            float_multiply_adds_per_second: products::float().map(|(work, each)| rate(threads, work, each)),
        }
    }

    /// Measures a device for some milliseconds: by copies of 256 MiB and by products of bf16 matrices of 8192 × 8192. The device's memory pool may keep their memory
    /// (about 1 GiB).
    ///
    /// # Errors
    /// The device fails, by its memory being full above all.
    pub fn of_device(device: &Device) -> candle_core::Result<Self> {
        const COPIED: usize = 1 << 28;
        const SIDE: usize = 8192;
        let memory = Tensor::ones(COPIED / 4, DType::F32, device)?;
        let copies = best_seconds(device, || memory.copy().map(drop))?;
        let matrix = Tensor::rand(-1f32, 1.0, (SIDE, SIDE), device)?.to_dtype(DType::BF16)?;
        let products = best_seconds(device, || matrix.matmul(&matrix).map(drop))?;
        Ok(Self {
            threads: None,
            bytes_per_second: 2.0 * COPIED as f64 / copies,
            integer_multiply_adds_per_second: None,
            float_multiply_adds_per_second: Some((SIDE as f64).powi(3) / products),
        })
    }
}

/// As a table.
impl std::fmt::Display for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let giga =
            |rate: Option<f64>| rate.map_or_else(|| "not measured".to_owned(), |rate| format!("{:.1} G/s", rate / 1e9));
        match self.threads {
            Some(threads) => writeln!(f, "limits with {threads} threads")?,
            None => writeln!(f, "limits of the device")?,
        }
        let (memory, float) = if self.threads.is_some() { ("read", "f32 ") } else { ("copy", "bf16") };
        writeln!(f, "  memory {memory}                 {:.1} GB/s", self.bytes_per_second / 1e9)?;
        writeln!(f, "  multiply-adds of 8 bits     {}", giga(self.integer_multiply_adds_per_second))?;
        writeln!(f, "  multiply-adds of {float}       {}", giga(self.float_multiply_adds_per_second))
    }
}

/// Of some tries, one at a time.
fn best_seconds(device: &Device, work: impl Fn() -> candle_core::Result<()>) -> candle_core::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..ATTEMPTS {
        device.synchronize()?;
        let begun = Instant::now();
        work()?;
        device.synchronize()?;
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn bytes_per_second(threads: usize) -> f64 {
    let memory: Vec<Vec<u64>> = (0..threads).map(|_| words_on_large_pages(BYTES / 8)).collect();
    let attempts = (0..ATTEMPTS).map(|_| {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for own in &memory {
                scope.spawn(|| black_box(own.iter().fold(0, |sum: u64, word| sum.wrapping_add(*word))));
            }
        });
        (threads * BYTES) as f64 / begun.elapsed().as_secs_f64()
    });
    attempts.fold(0.0, f64::max)
}

/// As weights lie in the engine: on ordinary pages, reading stops at each for its address, and a program on large ones would be faster than the "limit".
fn words_on_large_pages(count: usize) -> Vec<u64> {
    let mut words = Vec::with_capacity(count);
    #[cfg(target_os = "linux")]
    {
        const LARGE: usize = 2 << 20;
        let spare = words.spare_capacity_mut();
        let before = spare.as_ptr().align_offset(LARGE);
        if let Some(aligned) = spare.get_mut(before..) {
            // SAFETY: advice on how to back memory that is ours changes no byte of it; where the system does not follow it, ordinary pages are used.
            unsafe { libc::madvise(aligned.as_mut_ptr().cast(), size_of_val(aligned), libc::MADV_HUGEPAGE) };
        }
    }
    // Not zeros: those may all be one page of the system's.
    words.resize(count, 1);
    words
}

/// How often all threads together do `work`, times `each`, a second.
fn rate(threads: usize, work: fn(), each: f64) -> f64 {
    let own = move || {
        let (begun, mut count) = (Instant::now(), 0u64);
        while begun.elapsed() < ATTEMPT {
            work();
            count += 1;
        }
        count as f64 * each / begun.elapsed().as_secs_f64()
    };
    let attempts = (0..ATTEMPTS).map(|_| {
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(own)).collect();
            running.into_iter().map(|thread| thread.join().unwrap_or(0.0)).sum::<f64>()
        })
    });
    attempts.fold(0.0, f64::max)
}

/// Loops of nothing but multiply-adds in registers, and how many of them a call does.
#[cfg(target_arch = "x86_64")]
mod products {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    const ROUNDS: usize = 10_000;
    /// Sums that do not wait for each other.
    const SUMS: usize = 12;

    pub(super) fn integer() -> Option<(fn(), f64)> {
        if is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512f") {
            return Some((|| unsafe { dot_products() }, (ROUNDS * SUMS * 64) as f64));
        }
        is_x86_feature_detected!("avx2").then_some((|| unsafe { pair_products() }, (ROUNDS * SUMS * 32) as f64))
    }

    pub(super) fn float() -> Option<(fn(), f64)> {
        if is_x86_feature_detected!("avx512f") {
            return Some((|| unsafe { wide_floats() }, (ROUNDS * SUMS * 16) as f64));
        }
        let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        has.then_some((|| unsafe { floats() }, (ROUNDS * SUMS * 8) as f64))
    }

    /// # Safety
    /// The processor has AVX-512 F and VNNI.
    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn dot_products() {
        let factor = _mm512_set1_epi8(black_box(3));
        let mut sums = [_mm512_set1_epi8(1); SUMS];
        for _ in 0..ROUNDS {
            // A closure would not be compiled for the same instructions.
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, *sum, factor);
            }
        }
        black_box(sums);
    }

    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    unsafe fn pair_products() {
        let factor = _mm256_set1_epi8(black_box(3));
        let mut sums = [_mm256_set1_epi8(1); SUMS];
        for _ in 0..ROUNDS {
            // A closure would not be compiled for the same instructions.
            for sum in &mut sums {
                *sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(*sum, factor));
            }
        }
        black_box(sums);
    }

    /// # Safety
    /// The processor has AVX-512 F.
    #[target_feature(enable = "avx512f")]
    unsafe fn wide_floats() {
        let factor = _mm512_set1_ps(black_box(0.5));
        let mut sums = [_mm512_set1_ps(1.0); SUMS];
        for _ in 0..ROUNDS {
            // A closure would not be compiled for the same instructions.
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, factor, factor);
            }
        }
        black_box(sums);
    }

    /// # Safety
    /// The processor has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn floats() {
        let factor = _mm256_set1_ps(black_box(0.5));
        let mut sums = [_mm256_set1_ps(1.0); SUMS];
        for _ in 0..ROUNDS {
            // A closure would not be compiled for the same instructions.
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, factor, factor);
            }
        }
        black_box(sums);
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod products {
    pub(super) fn integer() -> Option<(fn(), f64)> {
        None
    }

    pub(super) fn float() -> Option<(fn(), f64)> {
        None
    }
}
