//! The CPU kernels against the composed operators in f64, and those against finite differences.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var};

use super::*;
use crate::dropout::{DropoutPass, seeded_stream};

fn random(shape: &[usize], seed: u64) -> Tensor {
    use rand::Rng;
    let mut generator = seeded_stream(seed, "ops");
    let count = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|_| f64::from(generator.next_u32()) / 2f64.powi(31) - 1.0).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// A scalar of the output that weighs every element differently.
fn scalar(y: &Tensor) -> Tensor {
    let weights = random(y.dims(), 99).to_dtype(y.dtype()).unwrap();
    (y * weights).unwrap().sum_all().unwrap()
}

/// Checks values and gradients of `op` in f32 (our kernels) against f64 (composed), and f64 against finite differences.
fn check(inputs: &[Tensor], op: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let run = |dtype| {
        let vars: Vec<Var> =
            inputs.iter().map(|input| Var::from_tensor(&input.to_dtype(dtype).unwrap()).unwrap()).collect();
        let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        let y = op(&tensors).unwrap();
        let gradients = scalar(&y).backward().unwrap();
        let gradients: Vec<Vec<f64>> = vars.iter().map(|var| values(gradients.get(var).unwrap())).collect();
        (values(&y), gradients)
    };
    let (y32, g32) = run(DType::F32);
    let (y64, g64) = run(DType::F64);
    close(&y32, &y64, 2e-5);
    for (g32, g64) in g32.iter().zip(&g64) {
        assert!(g64.iter().any(|g| *g != 0.0));
        close(g32, g64, 5e-5);
    }
    finite_differences(inputs, &g64, &op);
}

fn close(left: &[f64], right: &[f64], tolerance: f64) {
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(right) {
        assert!((left - right).abs() <= tolerance * (1.0 + right.abs()), "{left} is not {right}");
    }
}

fn finite_differences(inputs: &[Tensor], gradients: &[Vec<f64>], op: &impl Fn(&[Tensor]) -> Result<Tensor>) {
    const STEP: f64 = 1e-5;
    for (number, input) in inputs.iter().enumerate() {
        let count = input.elem_count();
        for element in (0..count).step_by(count.div_ceil(7)) {
            let at = |shift: f64| {
                let mut moved = values(input);
                moved[element] += shift;
                let mut inputs = inputs.to_vec();
                inputs[number] = Tensor::from_vec(moved, input.shape(), &Device::Cpu).unwrap();
                scalar(&op(&inputs).unwrap()).to_scalar::<f64>().unwrap()
            };
            let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            close(&[gradients[number][element]], &[slope], 1e-6);
        }
    }
}

#[test]
fn rms_norm_and_its_gradients() {
    check(&[random(&[130, 24], 1), random(&[24], 2)], |t| rms_norm(&t[0], &t[1], 1e-5));
}

#[test]
fn layer_norm_and_its_gradients() {
    check(&[random(&[130, 24], 1), random(&[24], 2), random(&[24], 3)], |t| layer_norm(&t[0], &t[1], &t[2], 1e-5));
    let f32s = random(&[2, 24], 1).to_dtype(DType::F32).unwrap();
    let short = random(&[23], 2).to_dtype(DType::F32).unwrap();
    assert!(layer_norm(&f32s, &short, &short, 1e-5).is_err(), "a norm of another width");
}

#[test]
fn gelu_and_its_gradient() {
    check(&[(random(&[9, 300], 1) * 4.0).unwrap()], |t| gelu(&t[0]));
}

/// −∞ and the lowest number hide a key; a query that sees none sees all that exist alike.
#[test]
fn masked_softmax_and_its_gradient() {
    let (open, low, none) = (0f32, f32::MIN, f32::NEG_INFINITY);
    let mask = [[open, open, open], [open, low, none], [low, low, none]];
    let mask = Tensor::new(&mask, &Device::Cpu).unwrap();
    let scores = (random(&[3, 2, 4, 3], 1) * 3.0).unwrap();
    // Not the last sequence: the lowest number swallows its scores, so that they have no slope.
    let seen = mask.narrow(0, 0, 2).unwrap();
    check(&[scores.narrow(0, 0, 2).unwrap()], |t| masked_softmax(&t[0], &seen));
    let found = values(&masked_softmax(&scores.to_dtype(DType::F32).unwrap(), &mask).unwrap());
    for row in found[24..48].chunks(3) {
        assert_eq!(row, [1.0, 0.0, 0.0]);
    }
    for row in found[48..].chunks(3) {
        assert_eq!(row, [0.5, 0.5, 0.0]);
    }
    let f32s = scores.to_dtype(DType::F32).unwrap();
    assert!(masked_softmax(&f32s, &seen).is_err(), "a mask of another batch");
}

#[test]
fn silu_mul_and_its_gradients() {
    check(&[random(&[9, 24], 1), random(&[9, 24], 2)], |t| silu_mul(&t[0], &t[1]));
}

#[test]
fn rope_and_its_gradient() {
    let angles = random(&[5, 4], 3);
    check(&[random(&[5, 3, 8], 1)], |t| {
        let dtype = t[0].dtype();
        rope(&t[0], &angles.cos()?.to_dtype(dtype)?, &angles.sin()?.to_dtype(dtype)?)
    });
}

#[test]
fn dense_products_and_their_gradients() {
    for (precision, rows) in [(Precision::Exact, 7), (Precision::General, 40)] {
        let inputs = [random(&[rows, 24], 1), random(&[13, 24], 2), random(&[13], 3)];
        check(&inputs[..2], |t| dense(&t[0], &t[1], None, precision));
        check(&inputs, |t| dense(&t[0], &t[1], Some(&t[2]), precision));
    }
}

/// More rows than a task of the bias' gradient sums.
#[test]
fn a_bias_gets_the_gradients_of_all_rows() {
    let inputs = [random(&[150, 5], 1), random(&[3, 5], 2), random(&[3], 3)];
    check(&inputs, |t| dense(&t[0], &t[1], Some(&t[2]), Precision::General));
    let [x, weight, bias] = inputs.map(|input| input.to_dtype(DType::F32).unwrap());
    assert!(dense(&x, &weight, Some(&random(&[4], 3).to_dtype(DType::F32).unwrap()), Precision::Exact).is_err());
    let constant = Var::from_tensor(&x).unwrap();
    let gradients =
        scalar(&dense(constant.as_tensor(), &weight, Some(&bias), Precision::Exact).unwrap()).backward().unwrap();
    assert!(gradients.get(&bias).is_none() && gradients.get(&weight).is_none());
}

#[test]
fn log_probabilities_and_their_gradient() {
    let targets = Tensor::new(&[3u32, 0, 10, 3], &Device::Cpu).unwrap();
    check(&[(random(&[4, 11], 1) * 5.0).unwrap()], |t| log_probs_of(&t[0], &targets));
    check(&[(random(&[4, 11], 1) * 5.0).unwrap()], |t| smoothed_log_probs_of(&t[0], &targets, 0.1));
    let outside = Tensor::new(&[3u32, 0, 11, 3], &Device::Cpu).unwrap();
    assert!(log_probs_of(&random(&[4, 11], 1).to_dtype(DType::F32).unwrap(), &outside).is_err());
}

#[test]
fn causal_attention_and_its_gradients() {
    for window in [None, Some(1), Some(5)] {
        // Grouped heads, sequences shorter and longer than a block.
        let (rows, lengths) = (80, [1, 70, 9]);
        let inputs = [random(&[rows, 4, 8], 1), random(&[rows, 2, 8], 2), random(&[rows, 2, 8], 3)];
        if window == Some(1) {
            // Each row sees itself only: no gradient for queries and keys, so the helper's check of coverage fails.
            let f32s: Vec<Tensor> = inputs.iter().map(|t| t.to_dtype(DType::F32).unwrap()).collect();
            let y = causal_attention(&f32s[0], &f32s[1], &f32s[2], &lengths, window).unwrap();
            let expected = composed_f64(&inputs, &lengths, window);
            close(&values(&y), &values(&expected), 1e-6);
            continue;
        }
        check(&inputs, |t| causal_attention(&t[0], &t[1], &t[2], &lengths, window));
    }
}

fn composed_f64(inputs: &[Tensor], lengths: &[usize], window: Option<usize>) -> Tensor {
    causal_attention(&inputs[0], &inputs[1], &inputs[2], lengths, window).unwrap()
}

/// QLoRA: the gradient of a quantised product is exactly that of the product with the dequantised matrix.
#[test]
fn quantised_gradients_are_those_of_the_dequantised_weight() {
    use candle_core::quantized::{GgmlDType, QTensor};
    let device = Device::Cpu;
    let weight = random(&[16, 256], 1).to_dtype(DType::F32).unwrap();
    for dtype in [GgmlDType::Q4_0, GgmlDType::Q4K, GgmlDType::Q6K, GgmlDType::Q8_0] {
        let quantised = QuantisedMatrix::packed(Arc::new(QTensor::quantize(&weight, dtype).unwrap())).unwrap();
        let dense = quantised.dequantise(&device).unwrap();
        let gradient = |f: &dyn Fn(&Tensor) -> Result<Tensor>| {
            let x = Var::from_tensor(&random(&[5, 256], 2).to_dtype(DType::F32).unwrap()).unwrap();
            let y = f(x.as_tensor()).unwrap();
            values(scalar(&y).backward().unwrap().get(&x).unwrap())
        };
        let of_quantised = gradient(&|x| quantised.product(x));
        let of_dense = gradient(&|x| super::dense(x, &dense, None, Precision::Exact));
        assert_eq!(of_quantised, of_dense, "{dtype:?}");
    }
}

/// Rows of random numbers for ragged sequences, as queries, keys and values of two heads.
fn ragged(queries: usize, keys: usize) -> [Tensor; 3] {
    [random(&[queries, 6], 1), random(&[keys, 6], 2), random(&[keys, 6], 3)]
}

#[test]
fn packed_attention_and_its_gradients() {
    let dropout = AttentionDropout { pass: DropoutPass { seed: 1, pass: 2 }, probability: 0.3, place: "here".into() };
    let mut seen = vec![true; 75];
    (seen[1], seen[4]) = (false, false);
    // The last sequence is longer than a block.
    let others = AttentionLayout::of_others(&[3, 1, 70], &[4, 1, 70], &seen).unwrap();
    for dropout in [None, Some(dropout)] {
        let attend = |layout: &Arc<AttentionLayout>, t: &[Tensor]| {
            packed_attention(&t[0], &t[1], &t[2], 2, layout, dropout.clone())
        };
        check(&ragged(74, 75), |t| attend(&others, t));
        for causal in [true, false] {
            let itself = AttentionLayout::of_itself(&[4, 1, 70], &seen, causal).unwrap();
            check(&ragged(75, 75), |t| attend(&itself, t));
        }
    }
}

#[test]
fn packed_attention_of_a_sequence_is_the_same_alone() {
    let [queries, keys, values] = ragged(8, 9).map(|rows| rows.to_dtype(DType::F32).unwrap());
    let together = AttentionLayout::of_others(&[5, 3], &[2, 7], &[true; 9]).unwrap();
    let alone = AttentionLayout::of_others(&[3], &[7], &[true; 7]).unwrap();
    let attend = |q: &Tensor, k: &Tensor, v: &Tensor, layout| packed_attention(q, k, v, 2, layout, None).unwrap();
    let found = attend(&queries, &keys, &values, &together).narrow(0, 5, 3).unwrap();
    let part = |rows: &Tensor, first, count| rows.narrow(0, first, count).unwrap();
    let expected = attend(&part(&queries, 5, 3), &part(&keys, 2, 7), &part(&values, 2, 7), &alone);
    assert_eq!(found.to_vec2::<f32>().unwrap(), expected.to_vec2::<f32>().unwrap());
}

#[test]
fn layouts_that_do_not_fit_are_refused() {
    assert!(AttentionLayout::of_others(&[1, 2], &[3], &[true; 3]).is_err());
    assert!(AttentionLayout::of_others(&[1, 0], &[3, 1], &[true; 4]).is_err());
    assert!(AttentionLayout::of_itself(&[3], &[true; 2], false).is_err());
    let layout = AttentionLayout::of_itself(&[3], &[true; 3], false).unwrap();
    let [q, k, v] = ragged(3, 3);
    assert!(packed_attention(&q, &k, &v, 2, &layout, None).is_ok());
    assert!(packed_attention(&q, &k, &v, 4, &layout, None).is_err(), "heads that do not divide the width");
    assert!(packed_attention(&q, &k, &random(&[4, 6], 3), 2, &layout, None).is_err());
    let dropout = AttentionDropout { pass: DropoutPass { seed: 1, pass: 2 }, probability: 1.0, place: "here".into() };
    assert!(packed_attention(&q, &k, &v, 2, &layout, Some(dropout)).is_err());
}

/// Two heads of width 21: two vectors and a rest.
fn by_head(rows: usize, seed: u64) -> Tensor {
    random(&[2, rows, 21], seed)
}

fn group(queries: &[u32], keys: &[u32]) -> KeyGroup {
    KeyGroup { queries: queries.to_vec(), keys: keys.to_vec(), is_blind: false }
}

/// Groups of every size up to one that needs two tiles, in any order, with shared, repeated and skipped rows.
fn groups() -> Vec<KeyGroup> {
    let mut groups = Vec::new();
    let mut next = 0;
    for size in 1..=8u32 {
        let queries: Vec<u32> = (next..next + size).rev().collect();
        let keys: Vec<u32> = (0..=2 * size).map(|place| (place * 7 + size) % 23).collect();
        groups.push(KeyGroup { queries, keys, is_blind: size == 4 });
        next += size;
    }
    groups.reverse();
    groups
}

#[test]
fn gathered_attention_is_that_of_the_picked_rows() {
    let (queries, keys, values_of) = (random(&[36, 42], 1), by_head(23, 2), by_head(23, 3));
    let seen = KeyRows::new(groups()).unwrap();
    let run = |dtype| {
        let [q, k, v] = [&queries, &keys, &values_of].map(|tensor| tensor.to_dtype(dtype).unwrap());
        gathered_attention(&q, &k, &v, &seen).unwrap()
    };
    let (kernel, composed) = (run(DType::F32), run(DType::F64));
    close(&values(&kernel), &values(&composed), 2e-6);
    for group in groups() {
        let rows = Tensor::new(group.keys.clone(), &Device::Cpu).unwrap();
        let picked = |all: &Tensor| {
            let rows = all.index_select(&rows, 1).unwrap().transpose(0, 1).unwrap();
            rows.reshape((group.keys.len(), 42)).unwrap()
        };
        let layout = AttentionLayout::of_others(&[1], &[group.keys.len()], &vec![!group.is_blind; group.keys.len()]);
        let layout = layout.unwrap();
        for query in group.queries {
            let query = query as usize;
            let alone = queries.narrow(0, query, 1).unwrap();
            let expected = packed_attention(&alone, &picked(&keys), &picked(&values_of), 2, &layout, None).unwrap();
            close(&values(&composed.narrow(0, query, 1).unwrap()), &values(&expected), 1e-12);
        }
    }
}

#[test]
fn gathered_attention_of_a_query_is_the_same_alone() {
    let narrow = |tensor: Tensor| tensor.to_dtype(DType::F32).unwrap();
    let (queries, keys, values_of) = (narrow(random(&[7, 42], 1)), narrow(by_head(9, 2)), narrow(by_head(9, 3)));
    let rows = [3, 0, 8, 5, 2];
    let attend = |queries: &Tensor, groups| {
        let seen = KeyRows::new(groups).unwrap();
        gathered_attention(queries, &keys, &values_of, &seen).unwrap().to_vec2::<f32>().unwrap()
    };
    let together = attend(&queries, vec![group(&[0, 1, 2, 3, 4, 5, 6], &rows)]);
    for (query, among_others) in together.iter().enumerate() {
        let alone = attend(&queries.narrow(0, query, 1).unwrap(), vec![group(&[0], &rows)]);
        assert_eq!(alone[0], *among_others);
    }
}

#[test]
fn key_rows_that_do_not_fit_are_refused() {
    assert!(KeyRows::new(Vec::new()).is_err());
    assert!(KeyRows::new(vec![group(&[0], &[])]).is_err());
    assert!(KeyRows::new(vec![group(&[], &[0]), group(&[0], &[0])]).is_err());
    assert!(KeyRows::new(vec![group(&[0, 0], &[1])]).is_err(), "a query in two places");
    assert!(KeyRows::new(vec![group(&[1], &[1])]).is_err(), "no query 0");
    let seen = KeyRows::new(vec![group(&[0, 1], &[4, 2])]).unwrap();
    let attend = |queries: &[usize], keys: &[usize], values: &[usize]| {
        gathered_attention(&random(queries, 1), &random(keys, 2), &random(values, 3), &seen)
    };
    assert!(attend(&[2, 10], &[2, 5, 5], &[2, 5, 5]).is_ok());
    assert!(attend(&[2, 10], &[2, 4, 5], &[2, 4, 5]).is_err(), "there is no row 4");
    assert!(attend(&[3, 10], &[2, 5, 5], &[2, 5, 5]).is_err());
    assert!(attend(&[2, 12], &[2, 5, 5], &[2, 5, 5]).is_err());
    assert!(attend(&[2, 10], &[2, 5, 5], &[2, 6, 5]).is_err());
}

/// CUDA kernels for inference, on the device, against those of the CPU.
#[cfg(feature = "cuda")]
#[test]
fn device_kernels_compute_as_the_cpu_does() {
    let Some(device) = crate::device::test_device() else { return };
    let on = |tensor: &Tensor, device: &Device| tensor.to_dtype(DType::F32).unwrap().to_device(device).unwrap();
    let compare = |inputs: &[Tensor], op: &dyn Fn(&[Tensor]) -> Result<Tensor>| {
        let run = |device: &Device| op(&inputs.iter().map(|input| on(input, device)).collect::<Vec<_>>()).unwrap();
        close(&values(&run(&device)), &values(&run(&Device::Cpu)), 1e-5);
    };
    for width in [24, 64, 2048] {
        compare(&[random(&[130, width], 1), random(&[width], 2)], &|t| rms_norm(&t[0], &t[1], 1e-5));
        compare(&[random(&[9, width], 1), random(&[9, width], 2)], &|t| silu_mul(&t[0], &t[1]));
    }
    let angles = random(&[5, 32], 3);
    let (cos, sin) = (angles.cos().unwrap(), angles.sin().unwrap());
    compare(&[random(&[5, 12, 64], 1), cos, sin], &|t| rope(&t[0], &t[1], &t[2]));
}
