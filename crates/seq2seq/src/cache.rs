//! What a decoder remembers of outputs that grow token by token.

use candle_core::{DType, Device, Result, Tensor, bail};
use llm_runtime::Packing;
use llm_runtime::ops::key_mask;

use crate::attention::KeyValues;
use crate::{HiddenStates, Seq2SeqError};

/// Keys and values of growing outputs, and those of the memory they look at, computed once.
///
/// Rows are outputs. All are of one length; several rows may continue one sequence of the memory (beams, samples), and then share its
/// keys and values. [`Self::reorder`] repeats, permutes and drops rows.
pub struct DecoderCache {
    layers: Vec<LayerCache>,
    sources: Sources,
    length: usize,
}

impl DecoderCache {
    pub(crate) fn new(layers: Vec<LayerCache>, sources: Sources) -> Self {
        Self { layers, sources, length: 0 }
    }

    /// Number of outputs.
    pub fn rows(&self) -> usize {
        self.sources.of_row.len()
    }

    /// Tokens that each output has.
    pub fn length(&self) -> usize {
        self.length
    }

    /// For each row the sequence of the memory that it looks at, counted among those that some row still looks at.
    pub fn sources(&self) -> &[u32] {
        &self.sources.of_row
    }

    pub(crate) fn grouped(&self) -> &Sources {
        &self.sources
    }

    /// Row `i` becomes a continuation of what was row `parents[i]`: `[0, 0, 0]` makes three beams of the first row, a row that is nobody's
    /// parent is gone, and so is the memory that no row looks at any more. Before the first step rows can be repeated too.
    ///
    /// # Errors
    /// There is no such row or none at all is left, or the device fails; then nothing was changed.
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
        let (sources, kept) = self.sources.reordered(parents)?;
        let parents = Tensor::new(parents, self.sources.mask.device())?;
        let layers = self.layers.iter().map(|layer| layer.reordered(&parents, kept.as_ref()));
        self.layers = layers.collect::<Result<_>>()?;
        self.sources = sources;
        Ok(())
    }

    /// Keys and values of a layer's memory, `[sources, heads, longest, head width]`.
    pub(crate) fn memory(&self, layer: usize) -> &KeyValues {
        &self.layers[layer].memory
    }

    /// Adds a token's keys and values, `[rows, heads, 1, head width]`, and gives those of all tokens.
    pub(crate) fn append(&mut self, layer: usize, keys: &Tensor, values: &Tensor) -> Result<KeyValues> {
        let length = self.length;
        self.layers[layer].append(keys, values, length)
    }

    /// A mask that hides nothing from a new token.
    pub(crate) fn seen_mask(&self, device: &Device) -> Result<Tensor> {
        Tensor::zeros((self.rows(), self.length + 1), DType::F32, device)
    }

    /// The token of this step is now part of the outputs.
    pub(crate) fn grow(&mut self) {
        self.length += 1;
    }
}

/// Of one layer.
pub(crate) struct LayerCache {
    /// `[rows, heads, capacity, head width]`; none before the first token.
    own: Option<KeyValues>,
    memory: KeyValues,
}

/// Tokens for which room is made at first; it doubles when they do not suffice.
const FIRST_CAPACITY: usize = 16;

impl LayerCache {
    pub(crate) fn new(memory: KeyValues) -> Self {
        Self { own: None, memory }
    }

    fn append(&mut self, keys: &Tensor, values: &Tensor, length: usize) -> Result<KeyValues> {
        let own = match self.own.take() {
            None => KeyValues { keys: with_room(keys, FIRST_CAPACITY)?, values: with_room(values, FIRST_CAPACITY)? },
            Some(own) if own.keys.dim(2)? == length => {
                let capacity = 2 * length;
                KeyValues { keys: with_room(&own.keys, capacity)?, values: with_room(&own.values, capacity)? }
            }
            Some(own) => own,
        };
        own.keys.slice_set(&keys.contiguous()?, 2, length)?;
        own.values.slice_set(&values.contiguous()?, 2, length)?;
        let seen = KeyValues { keys: own.keys.narrow(2, 0, length + 1)?, values: own.values.narrow(2, 0, length + 1)? };
        self.own = Some(own);
        Ok(seen)
    }

    /// `sources` are those of the memory that stay, if not all do.
    fn reordered(&self, parents: &Tensor, sources: Option<&Tensor>) -> Result<Self> {
        let select = |pair: &KeyValues, rows: &Tensor| {
            Ok::<_, candle_core::Error>(KeyValues {
                keys: pair.keys.index_select(rows, 0)?,
                values: pair.values.index_select(rows, 0)?,
            })
        };
        let memory = match sources {
            Some(sources) => select(&self.memory, sources)?,
            None => self.memory.clone(),
        };
        Ok(Self { own: self.own.as_ref().map(|own| select(own, parents)).transpose()?, memory })
    }
}

/// The same values at the front of a larger tensor.
fn with_room(values: &Tensor, capacity: usize) -> Result<Tensor> {
    let (rows, heads, length, width) = values.dims4()?;
    if length > capacity {
        bail!("{length} tokens for a room of {capacity}")
    }
    let room = Tensor::zeros((rows, heads, capacity, width), values.dtype(), values.device())?;
    room.slice_set(&values.contiguous()?, 2, 0)?;
    Ok(room)
}

/// Which sequence of the memory each row looks at.
pub(crate) struct Sources {
    of_row: Vec<u32>,
    count: usize,
    packing: Packing,
    /// [`key_mask`] of the memory, `[sources, longest]`.
    mask: Tensor,
    grouping: Grouping,
}

/// How rows come together whose source is one.
struct Grouping {
    /// The most rows of a source.
    per_source: usize,
    /// None where rows lie source by source, equally many for each.
    places: Option<Places>,
}

struct Places {
    /// For each place `[sources · per_source]` its row, row 0 where there is none.
    rows: Tensor,
    /// For each row its place.
    of_row: Tensor,
}

impl Sources {
    /// One row for each sequence.
    pub(crate) fn new(memory: &HiddenStates, device: &Device) -> Result<Self> {
        let of_row: Vec<u32> = (0..memory.sequences() as u32).collect();
        Ok(Self {
            count: of_row.len(),
            packing: Packing::new(memory.lengths(), device)?,
            mask: key_mask(memory.lengths(), memory.attended(), device)?,
            grouping: Grouping::new(&of_row, of_row.len(), device)?,
            of_row,
        })
    }

    pub(crate) fn packing(&self) -> &Packing {
        &self.packing
    }

    pub(crate) fn mask(&self) -> &Tensor {
        &self.mask
    }

    /// Sources after a reordering of rows, and which of the old ones they are unless all stay.
    fn reordered(&self, parents: &[u32]) -> Result<(Self, Option<Tensor>)> {
        let device = self.mask.device();
        let of_row: Vec<u32> = parents.iter().map(|parent| self.of_row[*parent as usize]).collect();
        let mut kept = of_row.clone();
        kept.sort_unstable();
        kept.dedup();
        let number = |source: &u32| kept.binary_search(source).unwrap_or_default() as u32;
        let of_row: Vec<u32> = of_row.iter().map(number).collect();
        let count = kept.len();
        let grouping = Grouping::new(&of_row, count, device)?;
        if count == self.count {
            let (packing, mask) = (self.packing.clone(), self.mask.clone());
            return Ok((Self { of_row, count, packing, mask, grouping }, None));
        }
        let kept = Tensor::new(kept, device)?;
        let (packing, mask) = (self.packing.clone(), self.mask.index_select(&kept, 0)?);
        Ok((Self { of_row, count, packing, mask, grouping }, Some(kept)))
    }

    /// `[rows, width]` to `[sources, heads, rows of a source, head width]`.
    pub(crate) fn by_source(&self, rows: &Tensor, heads: usize) -> Result<Tensor> {
        let rows = match &self.grouping.places {
            Some(places) => rows.index_select(&places.rows, 0)?,
            None => rows.clone(),
        };
        rows.reshape((self.count, self.grouping.per_source, heads, ()))?.transpose(1, 2)?.contiguous()
    }

    /// And back.
    pub(crate) fn by_row(&self, grouped: &Tensor) -> Result<Tensor> {
        let rows = grouped.transpose(1, 2)?.contiguous()?.reshape((self.count * self.grouping.per_source, ()))?;
        match &self.grouping.places {
            Some(places) => rows.index_select(&places.of_row, 0),
            None => Ok(rows),
        }
    }
}

impl Grouping {
    fn new(of_row: &[u32], sources: usize, device: &Device) -> Result<Self> {
        let mut rows_of = vec![Vec::new(); sources];
        for (row, source) in of_row.iter().enumerate() {
            rows_of[*source as usize].push(row as u32);
        }
        let per_source = rows_of.iter().map(Vec::len).max().unwrap_or(0);
        let is_regular = rows_of.iter().all(|rows| rows.len() == per_source) && of_row.is_sorted();
        if is_regular {
            return Ok(Self { per_source, places: None });
        }
        let (mut rows, mut places) = (vec![0u32; sources * per_source], vec![0u32; of_row.len()]);
        for (source, of_source) in rows_of.iter().enumerate() {
            for (number, row) in of_source.iter().enumerate() {
                let place = source * per_source + number;
                rows[place] = *row;
                places[*row as usize] = place as u32;
            }
        }
        let places = Places { rows: Tensor::new(rows, device)?, of_row: Tensor::new(places, device)? };
        Ok(Self { per_source, places: Some(places) })
    }
}
