//! Which series looks how: the same name looks the same in all panels of a figure.

use crate::theme::{Colour, Theme};

/// How a legend shows a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Key {
    Area,
    Line,
    Point,
}

/// How a series is drawn.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) colour: Colour,
    /// Of its points.
    pub(crate) shape: usize,
    /// Of its line; empty for a solid one.
    pub(crate) dash: &'static str,
}

/// The series of a figure in the order in which they come up.
#[derive(Debug)]
pub(crate) struct Palette<'a> {
    theme: Theme,
    entries: Vec<(&'a str, Key)>,
}

impl<'a> Palette<'a> {
    pub(crate) fn new(theme: Theme, series: impl Iterator<Item = (&'a str, Key)>) -> Self {
        let mut entries: Vec<(&str, Key)> = Vec::new();
        for (name, key) in series {
            if entries.iter().all(|(known, _)| *known != name) {
                entries.push((name, key));
            }
        }
        Self { theme, entries }
    }

    pub(crate) fn look(&self, name: &str) -> Look {
        self.look_of(self.entries.iter().position(|(known, _)| *known == name).unwrap_or(0))
    }

    /// What a legend lists; a series without a name is not told.
    pub(crate) fn legend(&self) -> impl Iterator<Item = (&'a str, Key, Look)> {
        let entries = self.entries.iter().enumerate();
        entries.filter(|(_, (name, _))| !name.is_empty()).map(|(index, (name, key))| (*name, *key, self.look_of(index)))
    }

    fn look_of(&self, index: usize) -> Look {
        let dash = ["", "6 3", "2 2.5", "8 3 2 3"][index / 8 % 4];
        Look { colour: self.theme.series(index), shape: index, dash }
    }
}
