//! Why a record can't be used.

/// A kind of record that can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BadRecord {
    /// Its bytes are not UTF-8.
    NotUtf8,
    /// It is not a JSON object.
    NotAnObject,
    /// A row of a CSV file has more or fewer cells than the header.
    WrongCells,
    /// A field is not there.
    MissingField,
    /// A field holds something else than a text or turns.
    WrongType,
    /// A text is empty or blank.
    Empty,
    /// The chosen and the rejected reply are the same.
    Identical,
    /// An earlier record has its id.
    DuplicateId,
}

impl BadRecord {
    /// The name in tables: `not UTF-8`, `duplicate id`, …
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not UTF-8",
            Self::NotAnObject => "not a JSON object",
            Self::WrongCells => "wrong number of cells",
            Self::MissingField => "missing field",
            Self::WrongType => "wrong type",
            Self::Empty => "empty text",
            Self::Identical => "identical replies",
            Self::DuplicateId => "duplicate id",
        }
    }
}

/// A kind, and what exactly is wrong.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) kind: BadRecord,
    pub(super) text: String,
}

impl Problem {
    pub(super) fn new(kind: BadRecord, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}
