//! The arithmetic of a step of AdamW for one parameter: in place and by all threads for f32 on the CPU, from candle's operators elsewhere. Both
//! give the same bits.

use candle_core::{CpuStorage, DType, InplaceOp2, InplaceOp3, Layout, Result, Tensor, Var, bail};
use rayon::prelude::*;

use crate::adamw::AdamWRule;

/// Values per task.
const CHUNK: usize = 1 << 14;

/// The constants of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arithmetic {
    pub(crate) rule: AdamWRule,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    /// `√c₂`, by which the root of the mean square is divided.
    pub(crate) root_correction: f64,
    /// Added to the denominator.
    pub(crate) eps: f64,
    /// `rate / c₁`.
    pub(crate) scale: f64,
    /// What the decay leaves of a weight.
    pub(crate) kept: f64,
}

impl Arithmetic {
    /// Whether [`Self::update_in_place`] can be used.
    pub(crate) fn works_in_place(variable: &Var, gradient: &Tensor) -> bool {
        let is_plain =
            |tensor: &Tensor| tensor.device().is_cpu() && tensor.dtype() == DType::F32 && tensor.is_contiguous();
        is_plain(variable.as_tensor()) && is_plain(gradient)
    }

    /// Changes the running means and the variable. All must be contiguous f32 of one shape on the CPU, in storages of their own.
    pub(crate) fn update_in_place(
        self,
        variable: &Var,
        mean: &Tensor,
        square: &Tensor,
        gradient: &Tensor,
    ) -> Result<()> {
        mean.inplace_op2(gradient, &RunningMean { beta: self.beta1, of_squares: false })?;
        square.inplace_op2(gradient, &RunningMean { beta: self.beta2, of_squares: true })?;
        variable.as_tensor().inplace_op3(mean, square, &Update(self))
    }

    /// The next running means.
    pub(crate) fn means(self, mean: &Tensor, square: &Tensor, gradient: &Tensor) -> Result<(Tensor, Tensor)> {
        let mean = ((mean * self.beta1)? + (gradient * (1.0 - self.beta1))?)?;
        let square = ((square * self.beta2)? + (gradient.sqr()? * (1.0 - self.beta2))?)?;
        Ok((mean, square))
    }

    /// The next weight.
    pub(crate) fn updated(self, weight: &Tensor, mean: &Tensor, square: &Tensor) -> Result<Tensor> {
        let denominator = ((square.sqrt()? / self.root_correction)? + self.eps)?;
        let update = ((mean / denominator)? * self.scale)?;
        match self.rule {
            AdamWRule::Torch => (weight * self.kept)? - update,
            AdamWRule::Transformers => (weight - update)? * self.kept,
        }
    }
}

struct RunningMean {
    beta: f64,
    of_squares: bool,
}

impl InplaceOp2 for RunningMean {
    fn name(&self) -> &'static str {
        "running-mean"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        let (mean, gradient) = (values_mut(s1, l1)?, values(s2, l2)?);
        let (beta, rest) = (self.beta as f32, (1.0 - self.beta) as f32);
        let of_squares = self.of_squares;
        mean.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).for_each(|(mean, gradient)| {
            let values = mean.iter_mut().zip(gradient);
            match of_squares {
                false => values.for_each(|(mean, g)| *mean = *mean * beta + g * rest),
                true => values.for_each(|(mean, g)| *mean = *mean * beta + g * g * rest),
            }
        });
        Ok(())
    }
}

struct Update(Arithmetic);

impl InplaceOp3 for Update {
    fn name(&self) -> &'static str {
        "adamw-update"
    }

    fn cpu_fwd(
        &self,
        s1: &mut CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<()> {
        let (weight, mean, square) = (values_mut(s1, l1)?, values(s2, l2)?, values(s3, l3)?);
        let Arithmetic { rule, root_correction, eps, scale, kept, .. } = self.0;
        let (correction, eps, scale, kept) = ((1.0 / root_correction) as f32, eps as f32, scale as f32, kept as f32);
        let means = mean.par_chunks(CHUNK).zip(square.par_chunks(CHUNK));
        weight.par_chunks_mut(CHUNK).zip(means).for_each(|(weight, (mean, square))| {
            let values = weight.iter_mut().zip(mean.iter().zip(square));
            let update = |mean: &f32, square: &f32| mean / (square.sqrt() * correction + eps) * scale;
            match rule {
                AdamWRule::Torch => values.for_each(|(weight, (m, v))| *weight = *weight * kept - update(m, v)),
                AdamWRule::Transformers => {
                    values.for_each(|(weight, (m, v))| *weight = (*weight - update(m, v)) * kept)
                }
            }
        });
        Ok(())
    }
}

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("an update in place needs contiguous tensors") };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

fn values_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => bail!("an update in place needs contiguous f32 tensors"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::normal_values;

    #[test]
    fn in_place_gives_the_bits_of_the_composed_arithmetic() {
        let random = |name: &str| {
            let values = normal_values(7, name, 3 * CHUNK / 2, 1.0);
            Tensor::from_vec(values, (3, CHUNK / 2), &Device::Cpu).unwrap()
        };
        let bits = |tensor: &Tensor| -> Vec<u32> {
            tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
        };
        for rule in [AdamWRule::Torch, AdamWRule::Transformers] {
            let arithmetic = Arithmetic {
                rule,
                beta1: 0.9,
                beta2: 0.999,
                root_correction: 0.07,
                eps: 1e-6,
                scale: 3e-3,
                kept: 0.99,
            };
            let (weight, gradient) = (random("weight"), random("gradient"));
            let (mean, square) = (random("mean"), random("square").sqr().unwrap());
            let (next_mean, next_square) = arithmetic.means(&mean, &square, &gradient).unwrap();
            let expected = arithmetic.updated(&weight, &next_mean, &next_square).unwrap();

            let variable = Var::from_tensor(&weight).unwrap();
            assert!(Arithmetic::works_in_place(&variable, &gradient));
            arithmetic.update_in_place(&variable, &mean, &square, &gradient).unwrap();
            assert_eq!(bits(variable.as_tensor()), bits(&expected), "{rule:?}");
            assert_eq!((bits(&mean), bits(&square)), (bits(&next_mean), bits(&next_square)), "{rule:?}");
        }
    }
}
