//! Sequences that begin alike, so that their beginning is computed once.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor};

use crate::llama::Attention;
use crate::ops;

/// Tokens that several sequences begin with, and how each of them goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// Tokens they have in common.
    pub trunk: usize,
    /// Tokens of each behind it.
    pub branches: Vec<usize>,
}

impl Fork {
    /// Rows of trunk and branches.
    pub(crate) fn rows(&self) -> usize {
        self.trunk + self.branches.iter().sum::<usize>()
    }

    /// The position of each row in its own sequence.
    pub(crate) fn positions(&self) -> impl Iterator<Item = usize> {
        let trunk = self.trunk;
        (0..trunk).chain(self.branches.iter().flat_map(move |branch| trunk..trunk + branch))
    }
}

/// Causal attention of forks. Everything but attention is computed once for a trunk; for attention each branch is laid out behind its trunk as a
/// sequence of its own, so that the kernel is that of [`crate::Llama::sequences`].
#[derive(Clone)]
pub(crate) struct ForkedSequences {
    /// The rows of all sequences as they are laid out for attention.
    laid_out: Tensor,
    lengths: Arc<[usize]>,
    /// Where each row stands among them.
    places: Tensor,
    window: Option<usize>,
}

impl ForkedSequences {
    pub(crate) fn new(forks: &[Fork], window: Option<usize>, device: &Device) -> Result<Self> {
        let (mut laid_out, mut places, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        let mut trunk_start = 0;
        for Fork { trunk, branches } in forks {
            let mut branch_start = trunk_start + trunk;
            for (number, branch) in branches.iter().enumerate() {
                let own = laid_out.len() as u32;
                laid_out.extend(trunk_start as u32..(trunk_start + trunk) as u32);
                laid_out.extend(branch_start as u32..(branch_start + branch) as u32);
                // The trunk's own rows are read from the first sequence; in all of them they are the same.
                let kept = if number == 0 { 0 } else { *trunk };
                places.extend(own + kept as u32..own + (trunk + branch) as u32);
                lengths.push(trunk + branch);
                branch_start += branch;
            }
            trunk_start = branch_start;
        }
        let (laid_out, places) = (Tensor::new(laid_out, device)?, Tensor::new(places, device)?);
        Ok(Self { laid_out, lengths: lengths.into(), places, window })
    }
}

impl Attention for ForkedSequences {
    fn attend(&mut self, _layer: usize, queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
        let lay_out = |rows: &Tensor| rows.contiguous()?.index_select(&self.laid_out, 0);
        let (queries, keys, values) = (lay_out(queries)?, lay_out(keys)?, lay_out(values)?);
        ops::causal_attention(&queries, &keys, &values, &self.lengths, self.window)?.index_select(&self.places, 0)
    }
}
