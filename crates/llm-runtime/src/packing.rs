//! Sequences that lie one after the other, padded to one length and cut again: attention works on sequences of equal length.

use candle_core::{Device, Result, Tensor};

/// How rows of sequences that lie one after the other become padded sequences and back. All of it has gradients.
#[derive(Debug, Clone)]
pub struct Packing {
    sequences: usize,
    longest: usize,
    /// None where all sequences have one length.
    places: Option<Places>,
}

#[derive(Debug, Clone)]
struct Places {
    /// For each padded place its row, row 0 for padding; `[sequences · longest]`.
    to_padded: Tensor,
    /// For each row its padded place; `[rows]`.
    to_rows: Tensor,
    /// 1 for rows, 0 for padding; `[sequences · longest, 1]`.
    is_row: Tensor,
}

impl Packing {
    /// For sequences of these lengths.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(lengths: &[usize], device: &Device) -> Result<Self> {
        let (sequences, longest) = (lengths.len(), lengths.iter().copied().max().unwrap_or(0));
        if lengths.iter().all(|length| *length == longest) {
            return Ok(Self { sequences, longest, places: None });
        }
        let padded = sequences * longest;
        let (mut to_padded, mut is_row) = (vec![0u32; padded], vec![0f32; padded]);
        let mut to_rows = Vec::with_capacity(lengths.iter().sum());
        for (sequence, length) in lengths.iter().enumerate() {
            for place in 0..*length {
                to_padded[sequence * longest + place] = to_rows.len() as u32;
                is_row[sequence * longest + place] = 1.0;
                to_rows.push((sequence * longest + place) as u32);
            }
        }
        let places = Places {
            to_padded: Tensor::from_vec(to_padded, padded, device)?,
            to_rows: Tensor::new(to_rows, device)?,
            is_row: Tensor::from_vec(is_row, (padded, 1), device)?,
        };
        Ok(Self { sequences, longest, places: Some(places) })
    }

    /// Number of sequences.
    pub fn sequences(&self) -> usize {
        self.sequences
    }

    /// Rows of the longest sequence.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// `[rows, width]` to `[sequences · longest, width]`; padding repeats the first row.
    ///
    /// # Errors
    /// There are not as many rows as the lengths say, or the device fails.
    pub fn pad(&self, rows: &Tensor) -> Result<Tensor> {
        match &self.places {
            Some(places) => rows.index_select(&places.to_padded, 0),
            None => Ok(rows.clone()),
        }
    }

    /// As [`Self::pad`], with zeros.
    ///
    /// # Errors
    /// There are not as many rows as the lengths say, or the device fails.
    pub fn pad_with_zeros(&self, rows: &Tensor) -> Result<Tensor> {
        match &self.places {
            Some(places) => self.pad(rows)?.broadcast_mul(&places.is_row.to_dtype(rows.dtype())?),
            None => Ok(rows.clone()),
        }
    }

    /// `[sequences · longest, width]` to `[rows, width]`.
    ///
    /// # Errors
    /// There are not as many rows as the lengths say, or the device fails.
    pub fn cut(&self, padded: &Tensor) -> Result<Tensor> {
        match &self.places {
            Some(places) => padded.index_select(&places.to_rows, 0),
            None => Ok(padded.clone()),
        }
    }
}

/// Where sequences of these lengths begin when they lie one after the other.
pub fn starts_of(lengths: &[usize]) -> impl Iterator<Item = usize> {
    lengths.iter().scan(0, |next, length| {
        let start = *next;
        *next += length;
        Some(start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_cutting_gives_the_rows_back() {
        let packing = Packing::new(&[3, 1, 2], &Device::Cpu).unwrap();
        let rows = Tensor::arange(5f32, 11.0, &Device::Cpu).unwrap().reshape((6, 1)).unwrap();
        let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let padded = packing.pad_with_zeros(&rows).unwrap();
        assert_eq!(values(&padded), [5.0, 6.0, 7.0, 8.0, 0.0, 0.0, 9.0, 10.0, 0.0]);
        assert_eq!(values(&packing.cut(&padded).unwrap()), values(&rows));
        assert_eq!(values(&packing.cut(&packing.pad(&rows).unwrap()).unwrap()), values(&rows));
    }
}
