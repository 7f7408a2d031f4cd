//! `magic bank inspect`: what a strategy memory holds.

use std::collections::HashSet;
use std::process::ExitCode;

use candle_core::{Device, Tensor};
use command_line::{Failure, Format, print_json};
use magic::{Strategy, generator_folder};
use memory_bank::{BankOptions, BankRow, StrategyBank};
use serde::Serialize;

use crate::generator_arguments::{BankCommand, Inspect};

/// A memory.
#[derive(Serialize)]
struct Account<'a> {
    options: &'a BankOptions,
    width: usize,
    writings: u64,
    strategies: Vec<List<'a>>,
}

/// The rows of a strategy.
#[derive(Serialize)]
struct List<'a> {
    strategy: &'static str,
    different_texts: usize,
    dialogues: usize,
    /// Mean cosine of the vectors of two different rows; none of fewer than two rows.
    mean_cosine: Option<f64>,
    rows: &'a [BankRow],
}

pub(crate) fn run(command: &BankCommand, format: Format) -> Result<ExitCode, Failure> {
    let BankCommand::Inspect(options) = command;
    let bank = StrategyBank::load(&generator_folder(&options.folder), &Device::Cpu)?;
    if bank.strategies() != Strategy::ALL.len() {
        let (found, expected) = (bank.strategies(), Strategy::ALL.len());
        return Err(Failure::work(format!("the memory is of {found} strategies, expected {expected}")));
    }
    let account = account(&bank, options)?;
    match format {
        Format::Json => print_json(&account)?,
        Format::Text => print(&account, options.limit),
    }
    Ok(ExitCode::SUCCESS)
}

fn account<'a>(bank: &'a StrategyBank, options: &Inspect) -> Result<Account<'a>, Failure> {
    let wanted = Strategy::ALL.into_iter().filter(|strategy| options.strategy.is_none_or(|only| only == *strategy));
    let list = |strategy: Strategy| {
        let rows = bank.rows(strategy.id());
        let texts: HashSet<&str> = rows.iter().map(|row| row.text.as_str()).collect();
        let dialogues: HashSet<&str> = rows.iter().map(|row| row.place.dialogue.as_str()).collect();
        Ok(List {
            strategy: strategy.name(),
            different_texts: texts.len(),
            dialogues: dialogues.len(),
            mean_cosine: bank.vectors(strategy.id()).map(mean_cosine).transpose()?.flatten(),
            rows,
        })
    };
    let strategies = wanted.map(list).collect::<Result<_, Failure>>()?;
    Ok(Account { options: bank.options(), width: bank.width(), writings: bank.writings(), strategies })
}

/// Of unit vectors `u`: `(|Σ u|² − n) / (n (n − 1))`, which needs no pairs.
fn mean_cosine(vectors: &Tensor) -> Result<Option<f64>, Failure> {
    let rows = vectors.dim(0)? as f64;
    if rows < 2.0 {
        return Ok(None);
    }
    let norms = vectors.sqr()?.sum_keepdim(1)?.sqrt()?.clamp(1e-12, f64::MAX)?;
    let sum = vectors.broadcast_div(&norms)?.sum(0)?;
    let square = f64::from(sum.sqr()?.sum_all()?.to_scalar::<f32>()?);
    Ok(Some((square - rows) / (rows * (rows - 1.0))))
}

fn print(account: &Account<'_>, limit: usize) {
    let Account { options, width, writings, strategies } = account;
    println!("written {writings} times; at most {} rows of width {width} for each strategy", options.capacity);
    let told = |yes: bool| if yes { "yes" } else { "no" };
    println!(
        "rows of the same text stand once: {}; the future of one's own dialogue is hidden: {}",
        told(options.deduplicate),
        told(options.exclude_self)
    );
    println!("\n{:<38} {:>5} {:>9} {:>9} {:>7}", "", "rows", "different", "dialogues", "cosine");
    for list in strategies {
        let cosine = list.mean_cosine.map_or_else(|| "–".to_owned(), |cosine| format!("{cosine:.3}"));
        println!(
            "{:<38} {:>5} {:>9} {:>9} {cosine:>7}",
            list.strategy,
            list.rows.len(),
            list.different_texts,
            list.dialogues
        );
    }
    for list in strategies.iter().filter(|list| !list.rows.is_empty() && limit > 0) {
        println!("\n{}, newest first:", list.strategy);
        for row in list.rows.iter().rev().take(limit) {
            println!("  {} turn {}, writing {}: {}", row.place.dialogue, row.place.turn, row.written_at, row.text);
        }
    }
}
