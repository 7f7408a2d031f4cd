//! What a decoder remembers of outputs that grow token by token.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use llm_runtime::ops::{KeyGroup, KeyRows};

use crate::attention::KeyValues;
use crate::{HiddenStates, Seq2SeqError};
use llm_runtime::starts_of;

/// Keys and values of growing outputs, and those of the memory they look at, computed once.
///
/// Rows are outputs. All are of one length; several rows may continue one sequence of the memory (beams, samples), and then share its
/// keys and values. [`Self::reorder`] repeats, permutes and drops rows. It moves no keys and values: each output knows where those of its
/// tokens lie, and outputs with a common past share them.
pub struct DecoderCache {
    layers: Vec<LayerCache>,
    memory: Memory,
    /// For each output the places of its tokens in the layers' caches.
    places: Vec<Vec<u32>>,
    /// Places in use.
    used: usize,
    length: usize,
}

impl DecoderCache {
    /// One output for each sequence of the memory.
    pub(crate) fn new(layers: Vec<LayerCache>, memory: &HiddenStates) -> Result<Self> {
        let memory = Memory::new(memory)?;
        Ok(Self { layers, places: vec![Vec::new(); memory.of_row.len()], memory, used: 0, length: 0 })
    }

    /// Number of outputs.
    pub fn rows(&self) -> usize {
        self.memory.of_row.len()
    }

    /// Tokens that each output has.
    pub fn length(&self) -> usize {
        self.length
    }

    /// For each row the sequence of the memory that it looks at.
    pub fn sources(&self) -> &[u32] {
        &self.memory.of_row
    }

    /// Row `i` becomes a continuation of what was row `parents[i]`: `[0, 0, 0]` makes three beams of the first row, and a row that is nobody's
    /// parent is gone. Its keys and values keep their memory until the cache is dropped. Before the first step rows can be repeated too.
    ///
    /// # Errors
    /// There is no such row or none at all is left; then nothing was changed.
    pub fn reorder(&mut self, parents: &[u32]) -> std::result::Result<(), Seq2SeqError> {
        let rows = self.rows();
        if parents.is_empty() {
            return Err(Seq2SeqError::Invalid("outputs need at least one row".into()));
        }
        if let Some(parent) = parents.iter().find(|parent| **parent as usize >= rows) {
            return Err(Seq2SeqError::Invalid(format!("there is no row {parent} among {rows}")));
        }
        if parents.iter().copied().eq(0..rows as u32) {
            return Ok(());
        }
        self.memory.reorder(parents)?;
        self.places = parents.iter().map(|parent| self.places[*parent as usize].clone()).collect();
        Ok(())
    }

    /// Where the next token of each row lies, and what it sees.
    pub(crate) fn next_step(&self) -> Result<Step> {
        let group = |(row, places): (usize, &Vec<u32>)| KeyGroup {
            queries: vec![row as u32],
            keys: places.iter().copied().chain([(self.used + row) as u32]).collect(),
            is_blind: false,
        };
        let own = KeyRows::new(self.places.iter().enumerate().map(group).collect())?;
        Ok(Step { first_place: self.used, own, memory: self.memory.seen.clone() })
    }

    pub(crate) fn layer(&mut self, number: usize) -> &mut LayerCache {
        &mut self.layers[number]
    }

    /// The tokens of this step are now part of the outputs.
    pub(crate) fn grow(&mut self) {
        let first = self.used;
        self.places.iter_mut().enumerate().for_each(|(row, places)| places.push((first + row) as u32));
        self.used += self.places.len();
        self.length += 1;
    }
}

/// What all layers of a step need to know.
pub(crate) struct Step {
    first_place: usize,
    pub(crate) own: Arc<KeyRows>,
    pub(crate) memory: Arc<KeyRows>,
}

/// Of one layer.
pub(crate) struct LayerCache {
    /// `[heads, capacity, head width]`; none before the first token.
    own: Option<KeyValues>,
    /// `[heads, rows of the memory, head width]`
    pub(crate) memory: KeyValues,
}

/// Tokens of each output for which room is made at first; it doubles when they do not suffice.
const FIRST_CAPACITY: usize = 16;

impl LayerCache {
    pub(crate) fn new(memory: KeyValues) -> Self {
        Self { own: None, memory }
    }

    /// Puts a step's keys and values, `[heads, rows, head width]`, at their places, and gives those of all tokens.
    pub(crate) fn append(&mut self, new: &KeyValues, step: &Step) -> Result<&KeyValues> {
        let first = step.first_place;
        let end = first + new.keys.dim(1)?;
        // What is there stays if there is no room for more.
        let own = match self.own.clone() {
            Some(own) if own.keys.dim(1)? >= end => own,
            Some(own) => KeyValues { keys: with_room(&own.keys, 2 * end)?, values: with_room(&own.values, 2 * end)? },
            None => {
                let capacity = FIRST_CAPACITY * end;
                KeyValues { keys: with_room(&new.keys, capacity)?, values: with_room(&new.values, capacity)? }
            }
        };
        own.keys.slice_set(&new.keys, 1, first)?;
        own.values.slice_set(&new.values, 1, first)?;
        Ok(self.own.insert(own))
    }
}

/// The same rows at the front of a larger tensor.
fn with_room(rows: &Tensor, capacity: usize) -> Result<Tensor> {
    let (heads, _, head_width) = rows.dims3()?;
    let room = Tensor::zeros((heads, capacity, head_width), rows.dtype(), rows.device())?;
    room.slice_set(rows, 1, 0)?;
    Ok(room)
}

/// Which rows of the memory each output sees.
struct Memory {
    sequences: Vec<Sequence>,
    of_row: Vec<u32>,
    seen: Arc<KeyRows>,
}

/// The rows of a sequence that are to be looked at; all of them, alike, where none is.
struct Sequence {
    rows: Vec<u32>,
    is_blind: bool,
}

impl Memory {
    fn new(memory: &HiddenStates) -> Result<Self> {
        let sequence = |(start, length): (usize, &usize)| {
            let all = start..start + length;
            let rows: Vec<u32> = all.clone().filter(|row| memory.attended()[*row]).map(|row| row as u32).collect();
            match rows.is_empty() {
                false => Sequence { rows, is_blind: false },
                true => Sequence { rows: all.map(|row| row as u32).collect(), is_blind: true },
            }
        };
        let sequences: Vec<Sequence> = starts_of(memory.lengths()).zip(memory.lengths()).map(sequence).collect();
        let of_row: Vec<u32> = (0..sequences.len() as u32).collect();
        Ok(Self { seen: seen(&sequences, &of_row)?, sequences, of_row })
    }

    fn reorder(&mut self, parents: &[u32]) -> Result<()> {
        let of_row: Vec<u32> = parents.iter().map(|parent| self.of_row[*parent as usize]).collect();
        if of_row != self.of_row {
            self.seen = seen(&self.sequences, &of_row)?;
            self.of_row = of_row;
        }
        Ok(())
    }
}

/// Outputs of one sequence look at it together.
fn seen(sequences: &[Sequence], of_row: &[u32]) -> Result<Arc<KeyRows>> {
    let mut queries = vec![Vec::new(); sequences.len()];
    of_row.iter().enumerate().for_each(|(row, sequence)| queries[*sequence as usize].push(row as u32));
    let looked_at = sequences.iter().zip(queries).filter(|(_, queries)| !queries.is_empty());
    let group = |(sequence, queries): (&Sequence, Vec<u32>)| KeyGroup {
        queries,
        keys: sequence.rows.clone(),
        is_blind: sequence.is_blind,
    };
    KeyRows::new(looked_at.map(group).collect())
}
