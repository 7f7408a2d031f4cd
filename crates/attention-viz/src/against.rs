//! Which record each one is compared with.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::Error;
use crate::index::{Entry, RunIndex};

/// What records are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Against {
    /// The record of the same example that has this value in the field and agrees in the others.
    Field(Field, String),
    /// One record for all: an id, or a file.
    Record(String),
}

/// A field of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The layout.
    Layout,
    /// The strategy.
    Strategy,
    /// The model; records may be of different runs.
    Model,
    /// The run.
    Run,
}

impl Field {
    const ALL: [(Self, &str); 4] =
        [(Self::Layout, "layout"), (Self::Strategy, "strategy"), (Self::Model, "model"), (Self::Run, "run")];
}

impl FromStr for Against {
    type Err = String;

    /// `layout=NAME`, `strategy=NAME`, `model=NAME` or `run=NAME`; everything else is a record's id or file.
    fn from_str(text: &str) -> Result<Self, String> {
        let field = text.split_once('=').and_then(|(name, value)| {
            let (field, _) = Field::ALL.into_iter().find(|(_, known)| *known == name)?;
            Some(Self::Field(field, value.to_owned()))
        });
        Ok(field.unwrap_or_else(|| Self::Record(text.to_owned())))
    }
}

/// A record with its run's number and its file.
type Placed<'a> = (usize, &'a Entry, &'a Path);

impl RunIndex {
    /// Records that are compared, in the order of the list: the first one's run, its file, and the second one's file. A
    /// record without a partner is in no pair.
    ///
    /// # Errors
    /// There is no such record, or not one pair.
    pub fn pairs(&self, against: &Against) -> Result<Vec<(usize, PathBuf, PathBuf)>, Error> {
        let partner = |own: Placed<'_>| match against {
            Against::Field(field, value) => Ok(self.partner(own, *field, value)),
            Against::Record(name) => self.named(name).map(Some),
        };
        let mut pairs = Vec::new();
        for own in self.records() {
            if let Some(partner) = partner(own)?
                && partner != own.2
            {
                pairs.push((own.0, own.2.to_owned(), partner));
            }
        }
        match pairs.is_empty() {
            true => Err(Error::Missing(match against {
                Against::Field(..) => "no two records are of the same example and differ in that field only".into(),
                Against::Record(name) => format!("there is no record to compare with `{name}`"),
            })),
            false => Ok(pairs),
        }
    }

    fn partner(&self, own: Placed<'_>, field: Field, value: &str) -> Option<PathBuf> {
        let of = |(run, entry, _): Placed<'_>, field: Field| match field {
            Field::Layout => entry.layout.clone(),
            Field::Strategy => entry.strategy.clone(),
            Field::Model => entry.model.clone(),
            Field::Run => self.listing().runs[run].name.clone(),
        };
        let is_free = |other: Field| other == field || (field == Field::Model && other == Field::Run);
        let agrees = |other: Placed<'_>| {
            let fields = Field::ALL.into_iter().map(|(field, _)| field);
            fields.filter(|field| !is_free(*field)).all(|field| of(other, field) == of(own, field))
        };
        let mut others = self.records().filter(|other| other.1.example == own.1.example && of(*other, field) == value);
        others.find(|other| agrees(*other)).map(|(_, _, file)| file.to_owned())
    }

    fn named(&self, name: &str) -> Result<PathBuf, Error> {
        let known = self.records().find(|(_, entry, _)| entry.id == name).map(|(_, _, file)| file.to_owned());
        let file = || std::fs::canonicalize(name).ok().filter(|path| path.is_file());
        let unknown = || Error::Missing(format!("`{name}` is neither the id of a record nor a file"));
        known.or_else(file).ok_or_else(unknown)
    }
}
