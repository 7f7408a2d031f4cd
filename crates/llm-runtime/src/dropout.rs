//! Seeded streams of random numbers, and dropout from them.

use candle_core::{Result, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// A generator of its own for each purpose: its key is the SHA-256 of the run's seed (8 bytes, little endian) and a name.
///
/// Nothing in the workspace draws from a device's global generator: candle's CPU device can't be seeded, and one shared
/// stream would make every draw depend on all before it.
pub fn seeded_stream(seed: u64, name: &str) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(name.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// Says which dropout masks a forward pass uses. The same pass at the same place drops the same values, whatever ran before: so
/// a resumed run repeats them, and a checkpointed section computed again agrees with its first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropoutPass {
    /// The run's seed.
    pub seed: u64,
    /// Number of the forward pass within the run.
    pub pass: u64,
}

impl DropoutPass {
    /// Sets each value to 0 with `probability` and scales the others by `1 / (1 − probability)`. `place` names the layer.
    ///
    /// # Errors
    /// The probability is not in `[0, 1)`, or the device fails.
    pub fn apply(self, x: &Tensor, probability: f32, place: &str) -> Result<Tensor> {
        if !(0.0..1.0).contains(&probability) {
            candle_core::bail!("a dropout probability must be in [0, 1), not {probability}")
        }
        if probability == 0.0 {
            return Ok(x.clone());
        }
        let mask: Vec<f32> = self.mask(probability, place).take(x.elem_count()).collect();
        x * Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?
    }

    /// An endless mask: 0 with `probability`, else `1 / (1 − probability)`.
    pub(crate) fn mask(self, probability: f32, place: &str) -> impl Iterator<Item = f32> + use<> {
        let mut generator = seeded_stream(self.seed, &format!("dropout/{}/{place}", self.pass));
        let threshold = (f64::from(probability) * 4_294_967_296.0) as u32;
        let kept = 1.0 / (1.0 - probability);
        std::iter::repeat_with(move || if generator.next_u32() < threshold { 0.0 } else { kept })
    }
}

/// Dropout in training ([`DropoutPass::apply`]), nothing otherwise. `name` and `part` together name the place.
///
/// # Errors
/// As [`DropoutPass::apply`].
pub fn drop_out(pass: Option<DropoutPass>, x: &Tensor, probability: f32, name: &str, part: &str) -> Result<Tensor> {
    match pass {
        Some(pass) if probability > 0.0 => pass.apply(x, probability, &format!("{name}.{part}")),
        _ => Ok(x.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn masks_repeat_by_pass_and_place_and_keep_the_mean() {
        let x = Tensor::ones((100, 100), candle_core::DType::F32, &Device::Cpu).unwrap();
        let run = |pass, place| {
            let dropped = DropoutPass { seed: 3, pass }.apply(&x, 0.25, place).unwrap();
            dropped.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!(run(1, "a"), run(1, "a"));
        assert_ne!(run(1, "a"), run(2, "a"));
        assert_ne!(run(1, "a"), run(1, "b"));
        let zeros = run(1, "a").iter().filter(|value| **value == 0.0).count();
        assert!((2300..2700).contains(&zeros), "{zeros} of 10000 dropped at probability 0.25");
        assert!(run(1, "a").iter().all(|value| *value == 0.0 || (value - 4.0 / 3.0).abs() < 1e-6));
        assert!(DropoutPass { seed: 3, pass: 1 }.apply(&x, 1.0, "a").is_err());
    }
}
