//! Hidden states of sequences: what an encoder gives and what a decoder looks at.

use candle_core::{Device, Tensor};
use llm_runtime::{Packing, starts_of};

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

    /// From states `[rows, width]` f32 of sequences of these lengths that lie one after the other, and whether each row is to be looked at.
    ///
    /// # Errors
    /// The lengths or the mask do not fit the rows.
    pub fn new(states: Tensor, lengths: Vec<usize>, attended: Vec<bool>) -> Result<Self, Seq2SeqError> {
        let (rows, _) = states.dims2()?;
        if lengths.iter().sum::<usize>() != rows || attended.len() != rows {
            let (sum, mask) = (lengths.iter().sum::<usize>(), attended.len());
            let problem = format!("{rows} rows of states for sequences of {sum} tokens and a mask of {mask}");
            return Err(Seq2SeqError::Invalid(problem));
        }
        Ok(Self { states, attended, lengths })
    }

    /// Several states of the same sequences, one behind the other within each sequence. A part may have no rows in a sequence.
    ///
    /// # Errors
    /// The parts differ in the number of sequences or in width, or there is none.
    pub fn joined(parts: &[&Self]) -> Result<Self, Seq2SeqError> {
        let Some(first) = parts.first() else {
            return Err(Seq2SeqError::Invalid("no states to be joined".to_owned()));
        };
        let sequences = first.sequences();
        if let Some(other) = parts.iter().find(|part| part.sequences() != sequences) {
            let problem = format!("states of {sequences} and of {} sequences can't be joined", other.sequences());
            return Err(Seq2SeqError::Invalid(problem));
        }
        if parts.len() == 1 {
            return Ok((*first).clone());
        }
        let mut before: Vec<usize> =
            starts_of(&parts.iter().map(|part| part.attended.len()).collect::<Vec<_>>()).collect();
        let (mut places, mut attended) = (Vec::new(), Vec::new());
        let mut lengths = vec![0; sequences];
        let mut within = vec![0; parts.len()];
        for (sequence, length) in lengths.iter_mut().enumerate() {
            for (number, part) in parts.iter().enumerate() {
                let rows = part.lengths[sequence];
                places.extend((before[number]..before[number] + rows).map(|place| place as u32));
                attended.extend(&part.attended[within[number]..within[number] + rows]);
                before[number] += rows;
                within[number] += rows;
                *length += rows;
            }
        }
        let rows = Tensor::cat(&parts.iter().map(|part| &part.states).collect::<Vec<_>>(), 0)?;
        let states = rows.index_select(&Tensor::new(places, rows.device())?, 0)?;
        Ok(Self { states, attended, lengths })
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
