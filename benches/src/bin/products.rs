//! `products`: how far products with quantised weights are from those with the same weights dequantised.
//!
//! Both are computed on the device asked for. Activations are quantised to 8 bits for the first and not for the second, so the distance of random
//! data should be below a hundredth, on every device and for every number of rows: kernels differ with it.

use std::process::ExitCode;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use clap::Parser;
use llm_runtime::{DenseLinear, DeviceChoice, Error, Linear, QuantLinear};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Distance of products with quantised weights from those with dequantised weights
#[derive(Debug, Parser)]
#[command(name = "products", version)]
struct Arguments {
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Rows of activations
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 9, 64, 500])]
    rows: Vec<usize>,
    /// Widths of the input
    #[arg(long, value_delimiter = ',', default_values_t = [64, 192, 256, 512, 2048])]
    widths: Vec<usize>,
    /// Width of the output
    #[arg(long, default_value_t = 320)]
    outputs: usize,
}

fn main() -> ExitCode {
    match print(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(arguments: &Arguments) -> Result<(), Error> {
    let device = arguments.device.open()?;
    println!("type    width    rows   distance");
    for dtype in [GgmlDType::Q8_0, GgmlDType::Q4K, GgmlDType::Q6K] {
        for &width in arguments.widths.iter().filter(|width| width.is_multiple_of(dtype.block_size())) {
            let weight = Arc::new(QTensor::quantize(&random(arguments.outputs, width, &device)?, dtype)?);
            let quantised = QuantLinear::new(weight, None)?;
            let dense = DenseLinear::new(quantised.weight()?, None)?;
            for &rows in &arguments.rows {
                let x = random(rows, width, &device)?;
                let distance = distance(&quantised.forward(&x)?, &dense.forward(&x)?)?;
                println!("{dtype:<5?}   {width:>5}   {rows:>5}   {distance:.5}");
            }
        }
    }
    Ok(())
}

fn random(rows: usize, width: usize, device: &Device) -> Result<Tensor, Error> {
    let mut rng = ChaCha8Rng::seed_from_u64((rows * width) as u64);
    let values: Vec<f32> = (0..rows * width).map(|_| rng.random_range(-1.0..1.0)).collect();
    Ok(Tensor::from_vec(values, (rows, width), device)?)
}

/// `|found − expected| / |expected|` over all values.
fn distance(found: &Tensor, expected: &Tensor) -> Result<f32, Error> {
    let length = |tensor: Tensor| tensor.sqr()?.sum_all()?.sqrt()?.to_vec0::<f32>();
    Ok(length((found - expected)?)? / length(expected.clone())?)
}
