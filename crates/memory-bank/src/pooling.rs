//! One vector of many: the maximum of each channel over the places of a sequence.

use candle_core::{Result, Tensor};

/// Over which places of a sequence a maximum is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pool {
    /// Those that hold a token.
    #[default]
    Masked,
    /// All, padding too, as the published code does: what comes out then depends on how far the sequence was padded.
    All,
}

impl Pool {
    /// The maximum over rows `[places, width]`, of which `attended` says which hold a token: `[1, width]`. In the backward pass the first
    /// of equal maxima gets the whole gradient. A sequence without any token is pooled over all of its places.
    pub(crate) fn over(self, rows: &Tensor, attended: &[bool]) -> Result<Tensor> {
        let is_whole = self == Self::All || !attended.contains(&false) || !attended.contains(&true);
        let rows = match is_whole {
            true => rows.contiguous()?,
            false => {
                let places = attended.iter().enumerate().filter(|(_, attended)| **attended);
                let places: Vec<u32> = places.map(|(place, _)| place as u32).collect();
                rows.contiguous()?.index_select(&Tensor::new(places, rows.device())?, 0)?
            }
        };
        // `max` would share the gradient out among equal maxima.
        rows.gather(&rows.detach().argmax_keepdim(0)?, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn the_maximum_is_taken_channel_by_channel_over_tokens() {
        let rows = Tensor::new(&[[1f32, 9.0], [3.0, 2.0], [7.0, 7.0]], &Device::Cpu).unwrap();
        let values = |pool: Pool| pool.over(&rows, &[true, true, false]).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(values(Pool::Masked), [[3.0, 9.0]]);
        assert_eq!(values(Pool::All), [[7.0, 9.0]]);
    }

    #[test]
    fn the_first_of_equal_maxima_gets_the_gradient() {
        let rows = Var::new(&[[1f32], [5.0], [5.0]], &Device::Cpu).unwrap();
        let pooled = Pool::Masked.over(rows.as_tensor(), &[true; 3]).unwrap();
        let gradients = pooled.sum_all().unwrap().backward().unwrap();
        assert_eq!(gradients.get(&rows).unwrap().to_vec2::<f32>().unwrap(), [[0.0], [1.0], [0.0]]);
    }
}
