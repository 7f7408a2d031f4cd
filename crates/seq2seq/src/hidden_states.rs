//! Hidden states of sequences: what an encoder gives and what a decoder looks at.

use candle_core::{Device, Tensor};
use llm_runtime::Packing;

use crate::batch::starts_of;
use crate::{Seq2SeqError, TokenBatch};

/// Hidden states of sequences that lie one after the other, and which of them a decoder looks at.
#[derive(Debug, Clone)]
pub struct HiddenStates {
    states: Tensor,
    attended: Vec<bool>,
    lengths: Vec<usize>,
}

impl HiddenStates {
    pub(crate) fn of_batch(states: Tensor, batch: &TokenBatch) -> Self {
        Self { states, attended: batch.attended().to_vec(), lengths: batch.lengths().to_vec() }
    }

    /// From padded states `[batch, longest, width]` and whether each is to be looked at, row by row. What is not looked at is left
    /// out at once; of a sequence with nothing to look at everything stays, and is looked at alike.
    ///
    /// # Errors
    /// The mask has not one value for each state, there is no state, or the device fails.
    pub fn from_padded(states: &Tensor, mask: &[bool]) -> Result<Self, Seq2SeqError> {
        let (batch, longest, width) = states.dims3()?;
        if batch * longest == 0 || mask.len() != batch * longest {
            let problem = format!("a mask of {} values for states of {:?}", mask.len(), states.dims());
            return Err(Seq2SeqError::Invalid(problem));
        }
        let (mut kept, mut lengths) = (Vec::new(), Vec::with_capacity(batch));
        for (sequence, mask) in mask.chunks(longest).enumerate() {
            let is_empty = !mask.contains(&true);
            let before = kept.len();
            kept.extend(
                (0..longest).filter(|place| mask[*place] || is_empty).map(|place| (sequence * longest + place) as u32),
            );
            lengths.push(kept.len() - before);
        }
        let rows = states.reshape((batch * longest, width))?;
        let states = match kept.len() == batch * longest {
            true => rows.contiguous()?,
            false => rows.contiguous()?.index_select(&Tensor::new(kept.as_slice(), states.device())?, 0)?,
        };
        Ok(Self { states, attended: vec![true; kept.len()], lengths })
    }

    /// Of all tokens of all sequences, one after the other: `[rows, width]` f32.
    pub fn states(&self) -> &Tensor {
        &self.states
    }

    /// Whether a decoder looks at each row.
    pub fn attended(&self) -> &[bool] {
        &self.attended
    }

    /// Rows of each sequence.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Number of sequences.
    pub fn sequences(&self) -> usize {
        self.lengths.len()
    }

    /// Padded to the longest sequence: `[batch, longest, width]`, padding 0, and which of them a decoder looks at, row by row.
    ///
    /// # Errors
    /// The device fails.
    pub fn padded(&self) -> Result<(Tensor, Vec<bool>), Seq2SeqError> {
        let packing = Packing::new(&self.lengths, self.device())?;
        let (sequences, longest) = (self.sequences(), packing.longest());
        let mut mask = vec![false; sequences * longest];
        for (sequence, (start, length)) in starts_of(&self.lengths).zip(&self.lengths).enumerate() {
            let place = sequence * longest;
            mask[place..place + length].copy_from_slice(&self.attended[start..start + length]);
        }
        let padded = packing.pad_with_zeros(&self.states)?.reshape((sequences, longest, ()))?;
        Ok((padded, mask))
    }

    /// Of each sequence's first token: `[batch, width]`.
    ///
    /// # Errors
    /// The device fails.
    pub fn first(&self) -> Result<Tensor, Seq2SeqError> {
        let starts: Vec<u32> = starts_of(&self.lengths).map(|start| start as u32).collect();
        Ok(self.states.index_select(&Tensor::new(starts, self.device())?, 0)?)
    }

    fn device(&self) -> &Device {
        self.states.device()
    }
}
