//! What the fields of a record are called in a file.

use std::collections::BTreeMap;

use crate::DpoError;

/// The fields that a record is made of.
pub(super) const FIELDS: [&str; 5] = ["id", "group", "prompt", "chosen", "rejected"];

/// Names that a file uses in place of `id`, `group`, `prompt`, `chosen` and `rejected`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PairColumns(BTreeMap<&'static str, String>);

impl PairColumns {
    /// From assignments like `prompt=question`.
    ///
    /// # Errors
    /// An assignment has another form, names no field of a pair or one for the second time, or two fields would be read from one column.
    pub fn parse<Assignment: AsRef<str>>(assignments: impl IntoIterator<Item = Assignment>) -> Result<Self, DpoError> {
        let mut columns = Self::default();
        for assignment in assignments {
            columns.rename(assignment.as_ref())?;
        }
        columns.check_distinct()?;
        Ok(columns)
    }

    /// The file's name of a field.
    pub fn name<'a>(&'a self, field: &'a str) -> &'a str {
        self.0.get(field).map_or(field, String::as_str)
    }

    fn rename(&mut self, assignment: &str) -> Result<(), DpoError> {
        let refused = |problem: &str| Err(DpoError::invalid(format!("the column `{assignment}`: {problem}")));
        let Some((field, name)) = assignment.split_once('=').filter(|(_, name)| !name.trim().is_empty()) else {
            return refused("write FIELD=NAME, for example prompt=question");
        };
        let Some(field) = FIELDS.into_iter().find(|known| *known == field.trim()) else {
            return refused(&format!("there is no field `{}`; fields are {}", field.trim(), FIELDS.join(", ")));
        };
        match self.0.insert(field, name.trim().to_owned()) {
            None => Ok(()),
            Some(earlier) => refused(&format!("`{field}` was said to be `{earlier}` already; keep one of them")),
        }
    }

    fn check_distinct(&self) -> Result<(), DpoError> {
        for (place, field) in FIELDS.iter().enumerate() {
            let name = self.name(field);
            if let Some(other) = FIELDS[..place].iter().find(|other| self.name(other) == name) {
                return Err(DpoError::invalid(format!("`{other}` and `{field}` would both be read from `{name}`")));
            }
        }
        Ok(())
    }
}
