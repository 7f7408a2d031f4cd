//! Sufficient statistics of items: numbers whose sums over any set of items give the set's score.

use std::collections::BTreeMap;

use crate::Error;

/// Sufficient statistics: a row of numbers for each item, whose sums over any set of items give the set's score.
///
/// For a mean a row is the item's value and a 1; for BLEU it is matched and generated n-grams by order and the two
/// lengths.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemSums {
    width: usize,
    /// `[item, statistic]`.
    values: Vec<f64>,
}

impl ItemSums {
    /// Takes one row for each item.
    ///
    /// # Errors
    /// There are no rows, they are empty or differ in length, or a number is not finite.
    pub fn from_rows<R: AsRef<[f64]>>(rows: &[R]) -> Result<Self, Error> {
        let width = rows.first().map_or(0, |row| row.as_ref().len());
        if width == 0 {
            return Err(Error::Empty("statistics of items"));
        }
        let mut values = Vec::with_capacity(rows.len() * width);
        for (item, row) in rows.iter().map(AsRef::as_ref).enumerate() {
            if row.len() != width {
                return Err(Error::Lengths { what: "statistics of different items", left: width, right: row.len() });
            }
            if let Some(unusable) = row.iter().find(|value| !value.is_finite()) {
                let problem = format!("a statistic of item {item} is {unusable}, but must be a finite number");
                return Err(Error::Undefined { metric: "significance", problem });
            }
            values.extend_from_slice(row);
        }
        Ok(Self { width, values })
    }

    /// Rows of a value and a 1, for metrics that are means over items: score them with [`mean_of_sums`].
    ///
    /// # Errors
    /// There are no values, or one is not finite.
    pub fn of_values(values: &[f64]) -> Result<Self, Error> {
        Self::from_rows(&values.iter().map(|value| [*value, 1.0]).collect::<Vec<_>>())
    }

    /// The sums of groups of items, in the groups' order, so that whole conversations are drawn and swapped.
    ///
    /// # Errors
    /// There are more or fewer groups than items.
    pub fn by_group(&self, groups: &[&str]) -> Result<Self, Error> {
        if groups.len() != self.items() {
            return Err(Error::Lengths { what: "items and groups", left: self.items(), right: groups.len() });
        }
        let mut sums: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (group, row) in groups.iter().zip(self.rows()) {
            add(sums.entry(group).or_insert_with(|| vec![0.0; self.width]), row);
        }
        Ok(Self { width: self.width, values: sums.into_values().flatten().collect() })
    }

    /// Each item's row with another's behind it, for as many items as both have.
    pub(super) fn beside(&self, other: &Self) -> Self {
        let values = self.rows().zip(other.rows()).flat_map(|(own, other)| own.iter().chain(other)).copied().collect();
        Self { width: self.width + other.width, values }
    }

    /// Items.
    pub fn items(&self) -> usize {
        self.values.len() / self.width
    }

    /// Numbers of each item.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The sums over all items.
    pub fn total(&self) -> Vec<f64> {
        let mut total = vec![0.0; self.width];
        self.rows().for_each(|row| add(&mut total, row));
        total
    }

    /// The sums over drawn items. Counting first and adding the rows in their order is faster than adding them in the order of the draw.
    pub(crate) fn total_of(&self, drawn: &[usize]) -> Vec<f64> {
        let mut counts = vec![0_u32; self.items()];
        drawn.iter().for_each(|item| counts[*item] += 1);
        let mut total = vec![0.0; self.width];
        for (row, count) in self.rows().zip(counts).filter(|(_, count)| *count > 0) {
            total.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(count) * value);
        }
        total
    }

    /// The rows, item by item.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.width)
    }
}

/// The mean that sums of [`ItemSums::of_values`] stand for.
pub fn mean_of_sums(sums: &[f64]) -> f64 {
    match sums {
        [sum, count, ..] => sum / count,
        _ => f64::NAN,
    }
}

pub(super) fn add(sums: &mut [f64], row: &[f64]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += value;
    }
}
