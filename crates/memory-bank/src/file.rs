//! A memory in a folder: `memory_bank.safetensors` with the vectors `bank.0`, `bank.1` … by strategy, and `memory_bank.json` with what is known of
//! their rows.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::bank::List;
use crate::{BankOptions, BankRow, MemoryError, StrategyBank};

const VECTORS: &str = "memory_bank.safetensors";
const ROWS: &str = "memory_bank.json";

/// `memory_bank.json`.
#[derive(Serialize, Deserialize)]
struct Account {
    width: usize,
    options: BankOptions,
    writings: u64,
    strategies: Vec<Vec<BankRow>>,
}

impl StrategyBank {
    /// Writes it into a folder that is there.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn save(&self, folder: &Path) -> Result<(), MemoryError> {
        let vectors: HashMap<String, Tensor> = self
            .lists()
            .iter()
            .enumerate()
            .filter_map(|(strategy, list)| Some((format!("bank.{strategy}"), list.vectors.clone()?)))
            .collect();
        let path = folder.join(VECTORS);
        candle_core::safetensors::save(&vectors, &path).map_err(|error| MemoryError::file(&path, error))?;
        let strategies = self.lists().iter().map(|list| list.rows.clone()).collect();
        let account =
            Account { width: self.width(), options: self.options().clone(), writings: self.writings(), strategies };
        let path = folder.join(ROWS);
        let text = serde_json::to_vec_pretty(&account).map_err(|error| MemoryError::file(&path, error))?;
        fs::write(&path, text).map_err(MemoryError::io(&path))
    }

    /// Reads one that [`Self::save`] has written.
    ///
    /// # Errors
    /// A file can't be read or does not fit the other.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, MemoryError> {
        let path = folder.join(ROWS);
        let text = fs::read(&path).map_err(MemoryError::io(&path))?;
        let account: Account = serde_json::from_slice(&text)
            .map_err(|error| MemoryError::file(&path, format!("not the account of a strategy memory: {error}")))?;
        let empty = Self::new(account.strategies.len(), account.width, account.options.clone(), device);
        empty.map_err(|error| MemoryError::file(&path, error))?;

        let path = folder.join(VECTORS);
        let bytes = fs::read(&path).map_err(MemoryError::io(&path))?;
        let mut vectors =
            candle_core::safetensors::load_buffer(&bytes, device).map_err(|error| MemoryError::file(&path, error))?;
        let mut lists = Vec::with_capacity(account.strategies.len());
        for (strategy, rows) in account.strategies.into_iter().enumerate() {
            let name = format!("bank.{strategy}");
            let vectors = vectors.remove(&name);
            let found = vectors.as_ref().map_or_else(|| vec![0, account.width], |vectors| vectors.dims().to_vec());
            if found != [rows.len(), account.width] || rows.len() > account.options.capacity {
                let (rows, width) = (rows.len(), account.width);
                let problem = format!("{name} has the shape {found:?}; {ROWS} speaks of {rows} rows of width {width}");
                return Err(MemoryError::file(&path, problem));
            }
            lists.push(List { vectors: vectors.filter(|_| !rows.is_empty()), rows });
        }
        Ok(Self::of_lists(lists, account.width, account.options, account.writings, device))
    }
}
