//! The memory itself: for each strategy the vectors of responses that followed it, the newest last.

use std::collections::HashSet;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::{BankRow, MemoryError, Place};

/// Which row makes room when a strategy's list is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Eviction {
    /// The oldest.
    #[default]
    FirstInFirstOut,
    /// The one that helped least by its feedback, where nobody said as if in the middle (3); the oldest of equals.
    LeastHelpful,
}

/// How a memory keeps its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BankOptions {
    /// Most rows of a strategy, at least 1. Default 128.
    pub capacity: usize,
    /// Whether a response that is there already takes the place of its older row instead of standing there twice. Default yes.
    pub deduplicate: bool,
    /// Whether rows from the future of the sample's own dialogue are hidden from it: they would tell the answer. Default yes.
    pub exclude_self: bool,
    /// Which row makes room. Default the oldest.
    pub eviction: Eviction,
}

impl Default for BankOptions {
    fn default() -> Self {
        Self { capacity: 128, deduplicate: true, exclude_self: true, eviction: Eviction::default() }
    }
}

/// Feedback of a row of which nobody said anything: the middle of 1 to 5.
const UNKNOWN_FEEDBACK: f32 = 3.0;

/// The strategy memory: a list of rows for each strategy.
#[derive(Debug, Clone)]
pub struct StrategyBank {
    lists: Vec<List>,
    width: usize,
    options: BankOptions,
    /// How often it was written so far.
    writings: u64,
    device: Device,
}

/// The rows of a strategy, the newest last.
#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    /// `[rows, width]` f32; none where there are no rows.
    pub(crate) vectors: Option<Tensor>,
    pub(crate) rows: Vec<BankRow>,
}

impl StrategyBank {
    /// An empty memory of so many strategies, with vectors of this width.
    ///
    /// # Errors
    /// A number is 0.
    pub fn new(strategies: usize, width: usize, options: BankOptions, device: &Device) -> Result<Self, MemoryError> {
        if strategies == 0 || width == 0 || options.capacity == 0 {
            let problem = "a memory needs at least one strategy, a width of at least 1 and room for at least one row";
            return Err(MemoryError::Invalid(problem.to_owned()));
        }
        Ok(Self { lists: vec![List::default(); strategies], width, options, writings: 0, device: device.clone() })
    }

    /// A memory of these lists, after so many writings.
    pub(crate) fn of_lists(
        lists: Vec<List>,
        width: usize,
        options: BankOptions,
        writings: u64,
        device: &Device,
    ) -> Self {
        Self { lists, width, options, writings, device: device.clone() }
    }

    /// How often it was written so far.
    pub fn writings(&self) -> u64 {
        self.writings
    }

    /// How it keeps its rows.
    pub fn options(&self) -> &BankOptions {
        &self.options
    }

    /// Strategies.
    pub fn strategies(&self) -> usize {
        self.lists.len()
    }

    /// Width of the vectors.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows of each strategy.
    pub fn sizes(&self) -> Vec<usize> {
        self.lists.iter().map(|list| list.rows.len()).collect()
    }

    /// What is known of a strategy's rows, the newest last; nothing for a strategy that there is not.
    pub fn rows(&self, strategy: usize) -> &[BankRow] {
        self.lists.get(strategy).map_or(&[], |list| &list.rows)
    }

    /// A strategy's vectors, `[rows, width]` f32; none where it has no rows.
    pub fn vectors(&self, strategy: usize) -> Option<&Tensor> {
        self.lists.get(strategy)?.vectors.as_ref()
    }

    /// The lists, for files.
    pub(crate) fn lists(&self) -> &[List] {
        &self.lists
    }

    /// Adds rows, each with the number of its strategy, in their order, and notes the number of this writing in them; `vectors` is `[rows, width]`.
    /// Older rows are constants from now on, the new
    /// ones keep their history until the next writing, so that what reads them in this step trains what encoded them.
    ///
    /// # Errors
    /// There is not one vector of the right width for each row, there is no such strategy, or the device fails. Nothing is added then.
    pub fn write(&mut self, rows: Vec<(usize, BankRow)>, vectors: &Tensor) -> Result<(), MemoryError> {
        let expected = [rows.len(), self.width];
        if vectors.dims() != expected {
            let problem = format!("vectors of shape {:?} for rows of shape {expected:?}", vectors.dims());
            return Err(MemoryError::Invalid(problem));
        }
        let strategies = self.strategies();
        if let Some((unknown, _)) = rows.iter().find(|(strategy, _)| *strategy >= strategies) {
            return Err(MemoryError::Invalid(format!("there is no strategy {unknown}: {strategies} count from 0")));
        }
        let vectors = vectors.to_dtype(DType::F32)?;
        let written_at = self.writings + 1;
        let mut lists = Vec::with_capacity(strategies);
        for (strategy, list) in self.lists.iter().enumerate() {
            let of_strategy = rows.iter().enumerate().filter(|(_, (other, _))| *other == strategy);
            let (places, new): (Vec<u32>, Vec<BankRow>) =
                of_strategy.map(|(place, (_, row))| (place as u32, BankRow { written_at, ..row.clone() })).unzip();
            lists.push(list.with(new, &places, &vectors, &self.options)?);
        }
        self.lists = lists;
        self.writings = written_at;
        Ok(())
    }

    /// The vectors of a strategy that a sample at `reader` may see, `[rows, width]`; none where there are none. Without a reader all are seen.
    ///
    /// # Errors
    /// There is no such strategy, or the device fails.
    pub fn read(&self, strategy: usize, reader: Option<&Place>) -> Result<Option<Tensor>, MemoryError> {
        let seen = self.seen(strategy, reader)?;
        let list = &self.lists[strategy];
        Ok(match &list.vectors {
            Some(vectors) if seen.len() == list.rows.len() => Some(vectors.clone()),
            Some(vectors) if !seen.is_empty() => {
                let places: Vec<u32> = seen.iter().map(|place| *place as u32).collect();
                Some(vectors.index_select(&Tensor::new(places, &self.device)?, 0)?)
            }
            _ => None,
        })
    }

    /// The places of the rows that a sample at `reader` may see, in the order of [`Self::read`].
    ///
    /// # Errors
    /// There is no such strategy.
    pub fn seen(&self, strategy: usize, reader: Option<&Place>) -> Result<Vec<usize>, MemoryError> {
        let list = self.lists.get(strategy).ok_or_else(|| {
            MemoryError::Invalid(format!("there is no strategy {strategy}: {} count from 0", self.strategies()))
        })?;
        let hides =
            |row: &BankRow| self.options.exclude_self && reader.is_some_and(|reader| row.place.is_ahead_of(reader));
        Ok(list.rows.iter().enumerate().filter(|(_, row)| !hides(row)).map(|(place, _)| place).collect())
    }

    /// Gives every row a new vector by its text: `encode` makes `[texts, width]` of a strategy's texts. Rows grow stale while what encodes them is trained.
    ///
    /// # Errors
    /// As `encode`, or it makes other shapes. Nothing is changed then.
    pub fn refresh(
        &mut self,
        mut encode: impl FnMut(&[&str]) -> Result<Tensor, MemoryError>,
    ) -> Result<(), MemoryError> {
        let mut fresh = Vec::with_capacity(self.strategies());
        for list in &self.lists {
            let texts: Vec<&str> = list.rows.iter().map(|row| row.text.as_str()).collect();
            let vectors = (!texts.is_empty()).then(|| encode(&texts)).transpose()?;
            if let Some(vectors) = &vectors
                && vectors.dims() != [texts.len(), self.width]
            {
                let (found, rows) = (vectors.dims(), texts.len());
                return Err(MemoryError::Invalid(format!("vectors of shape {found:?} for {rows} rows")));
            }
            fresh
                .push(vectors.map(|vectors| vectors.to_dtype(DType::F32)).transpose()?.map(|vectors| vectors.detach()));
        }
        for (list, vectors) in self.lists.iter_mut().zip(fresh) {
            list.vectors = vectors;
        }
        Ok(())
    }

    /// Makes constants of all rows: no gradient flows into what encoded them any more.
    pub fn detach(&mut self) {
        for list in &mut self.lists {
            list.vectors = list.vectors.take().map(|vectors| vectors.detach());
        }
    }
}

impl List {
    /// The list with new rows, which lie at `places` of `vectors`.
    fn with(
        &self,
        new: Vec<BankRow>,
        places: &[u32],
        vectors: &Tensor,
        options: &BankOptions,
    ) -> Result<Self, MemoryError> {
        let old = self.vectors.as_ref().map(Tensor::detach);
        if new.is_empty() {
            return Ok(Self { vectors: old, rows: self.rows.clone() });
        }
        let new_vectors = vectors.index_select(&Tensor::new(places, vectors.device())?, 0)?;
        let all_vectors = match &old {
            Some(old) => Tensor::cat(&[old, &new_vectors], 0)?,
            None => new_vectors,
        };
        let all: Vec<BankRow> = self.rows.iter().cloned().chain(new).collect();
        let kept = kept(&all, options);
        let rows = kept.iter().map(|place| all[*place].clone()).collect();
        let vectors = match kept.len() == all.len() {
            true => all_vectors,
            false => {
                let places: Vec<u32> = kept.iter().map(|place| *place as u32).collect();
                all_vectors.index_select(&Tensor::new(places, all_vectors.device())?, 0)?
            }
        };
        Ok(Self { vectors: Some(vectors), rows })
    }
}

/// The places of the rows that stay, in their order.
fn kept(rows: &[BankRow], options: &BankOptions) -> Vec<usize> {
    let mut kept: Vec<usize> = (0..rows.len()).collect();
    if options.deduplicate {
        let mut texts = HashSet::new();
        let mut newest: Vec<usize> =
            kept.iter().rev().copied().filter(|place| texts.insert(&rows[*place].text)).collect();
        newest.reverse();
        kept = newest;
    }
    let surplus = kept.len().saturating_sub(options.capacity);
    match options.eviction {
        Eviction::FirstInFirstOut => kept.split_off(surplus),
        Eviction::LeastHelpful => without_least_helpful(kept, rows, surplus),
    }
}

fn without_least_helpful(kept: Vec<usize>, rows: &[BankRow], surplus: usize) -> Vec<usize> {
    let feedback = |place: &usize| rows[*place].feedback.unwrap_or(UNKNOWN_FEEDBACK);
    let mut by_help = kept.clone();
    // Stable: the oldest of equals comes first.
    by_help.sort_by(|left, right| feedback(left).total_cmp(&feedback(right)));
    let leaves: HashSet<usize> = by_help.into_iter().take(surplus).collect();
    kept.into_iter().filter(|place| !leaves.contains(place)).collect()
}
