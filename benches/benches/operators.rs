//! Operators by themselves, at the sizes of a model of a billion parameters: products with quantised and dense matrices, attention, norms and the GELU.
//!
//! Throughput is in multiply-adds for products and attention, in values elsewhere.

use std::hint::black_box;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main, measurement};
use llm_runtime::ops::{AttentionLayout, gelu, layer_norm, packed_attention};
use llm_runtime::{DenseLinear, Linear, QuantLinear};

const WIDTH: usize = 2048;
const ROWS: [usize; 4] = [1, 8, 64, 512];

fn random(rows: usize, width: usize) -> Tensor {
    Tensor::randn(0f32, 1.0, (rows, width), &Device::Cpu).expect("the CPU has memory")
}

/// `[rows, 2048]` with `[2048, 2048]`, in each type of weights.
fn products(criterion: &mut Criterion) {
    let weight = random(WIDTH, WIDTH);
    for dtype in [GgmlDType::Q4_0, GgmlDType::Q4K, GgmlDType::Q6K, GgmlDType::Q8_0] {
        let quantised = Arc::new(QTensor::quantize(&weight, dtype).expect("a width that blocks divide"));
        let ours = QuantLinear::new(quantised.clone(), None).expect("a matrix");
        let plain = QuantLinear::plain(quantised, None).expect("a matrix");
        product(&mut criterion.benchmark_group(format!("product {dtype:?}")), &ours);
        product(&mut criterion.benchmark_group(format!("product {dtype:?}, candle's kernels")), &plain);
    }
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let weight = weight.to_dtype(dtype).expect("a float type");
        let dense = DenseLinear::new(weight, None).expect("a matrix");
        product(&mut criterion.benchmark_group(format!("product {dtype:?}")), &dense);
    }
}

fn product(group: &mut BenchmarkGroup<'_, measurement::WallTime>, layer: &dyn Linear) {
    for rows in ROWS {
        let x = random(rows, WIDTH);
        group.throughput(Throughput::Elements((rows * WIDTH * WIDTH) as u64));
        group.bench_function(BenchmarkId::from_parameter(rows), |bencher| {
            bencher.iter(|| layer.forward(black_box(&x)).expect("shapes that fit"));
        });
    }
}

/// Twelve heads of 64 over sequences that look at themselves, as in an encoder of BART-base.
fn attention(criterion: &mut Criterion) {
    let (heads, width) = (12, 768);
    let mut group = criterion.benchmark_group("packed attention");
    for length in [64, 512] {
        let layout =
            AttentionLayout::of_itself(&[length; 4], &vec![true; 4 * length], false).expect("lengths that fit");
        let [queries, keys, values] = std::array::from_fn(|_| random(4 * length, width));
        group.throughput(Throughput::Elements((2 * 4 * length * length * width) as u64));
        group.bench_function(BenchmarkId::from_parameter(length), |bencher| {
            bencher.iter(|| packed_attention(&queries, &keys, &values, heads, &layout, None).expect("shapes that fit"));
        });
    }
}

fn rows(criterion: &mut Criterion) {
    let (x, weight) = (random(512, WIDTH), Tensor::ones(WIDTH, DType::F32, &Device::Cpu).expect("memory"));
    let mut group = criterion.benchmark_group("512 rows");
    group.throughput(Throughput::Elements((512 * WIDTH) as u64));
    group.bench_function("layer norm", |bencher| {
        bencher.iter(|| layer_norm(black_box(&x), &weight, &weight, 1e-5).expect("shapes that fit"));
    });
    group.bench_function("gelu", |bencher| bencher.iter(|| gelu(black_box(&x)).expect("a float tensor")));
}

criterion_group!(benches, products, attention, rows);
criterion_main!(benches);
