//! Support strategies and sets of them: built-in ones in data files, and a user's own.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, read_text};

/// One support strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strategy {
    /// The label, exactly as prompts and records write it.
    pub name: String,
    /// One sentence: what the strategy is.
    pub description: String,
    /// What a supporter might say.
    pub examples: Vec<String>,
}

impl Strategy {
    /// The paragraph that prompts use: `Description: … Examples: '…' '…' '…'`, on one line.
    pub fn paragraph(&self) -> String {
        let examples: Vec<String> = self.examples.iter().map(|example| format!("'{}'", one_line(example))).collect();
        format!("Description: {} Examples: {}", one_line(&self.description), examples.join(" "))
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Strategies in a fixed order, which is also the order of menus and draws.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrategySet {
    /// The set's name.
    pub name: String,
    /// Its strategies.
    #[serde(rename = "strategy")]
    pub strategies: Vec<Strategy>,
}

/// Name and text of each built-in set.
const BUILT_IN: [(&str, &str); 3] = [
    ("extes15", include_str!("../data/strategies/extes15.toml")),
    ("esconv8", include_str!("../data/strategies/esconv8.toml")),
    ("multiesc8", include_str!("../data/strategies/multiesc8.toml")),
];

impl StrategySet {
    /// Names of the built-in sets.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A built-in set: `extes15` (the SRA project's fifteen), `esconv8` or `multiesc8`.
    ///
    /// # Errors
    /// There is no set of that name.
    pub fn built_in(name: &str) -> Result<Self, Error> {
        let found = BUILT_IN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let (known, text) = found.ok_or_else(|| unknown("strategy set", name, Self::built_in_names()))?;
        Self::parse(Path::new(known), text)
    }

    /// Reads a user's set: a TOML file with `name` and a `[[strategy]]` table (`name`, `description`, `examples`) each.
    ///
    /// # Errors
    /// The file can't be read, is no such file, or has empty or repeated names, or a strategy without an example.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        Self::parse(path, &read_text(path)?)
    }

    /// A built-in set's name, or the path of a user's file.
    ///
    /// # Errors
    /// As [`Self::built_in`] and [`Self::from_file`]. A text with a dot or a slash is taken for a path.
    pub fn by_name_or_path(name_or_path: &str) -> Result<Self, Error> {
        let path = PathBuf::from(name_or_path);
        if path.is_file() || name_or_path.contains(['.', '/']) {
            return Self::from_file(&path);
        }
        Self::built_in(name_or_path)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let set: Self = toml::from_str(text)
            .map_err(|error| Error::format(path, "the strategy set", format!("not a strategy set: {error}")))?;
        set.check().map_err(|(place, problem)| Error::format(path, place, problem))?;
        Ok(set)
    }

    fn check(&self) -> Result<(), (String, &'static str)> {
        if self.name.trim().is_empty() || self.strategies.is_empty() {
            return Err(("the strategy set".into(), "a name and at least one [[strategy]] are needed"));
        }
        for (number, strategy) in self.strategies.iter().enumerate() {
            let place = format!("strategy {} `{}`", number + 1, strategy.name);
            if strategy.name.trim().is_empty() || strategy.name.trim() != strategy.name {
                return Err((place, "the name is empty or has blanks around it"));
            }
            if strategy.name.contains(['"', '\n']) {
                return Err((place, "a name can't hold quotes or line breaks: prompts put it between quotes"));
            }
            if strategy.description.trim().is_empty() || strategy.examples.is_empty() {
                return Err((place, "a description and at least one example are needed"));
            }
            if self.strategies[..number].iter().any(|earlier| earlier.name.eq_ignore_ascii_case(&strategy.name)) {
                return Err((place, "the name occurs twice"));
            }
        }
        Ok(())
    }

    /// The strategy of that name, whatever its case.
    ///
    /// # Errors
    /// There is none; the error lists the names and the one that is most alike.
    pub fn find(&self, name: &str) -> Result<&Strategy, Error> {
        let found = self.strategies.iter().find(|strategy| strategy.name.eq_ignore_ascii_case(name.trim()));
        let names = self.strategies.iter().map(|strategy| strategy.name.as_str());
        found.ok_or_else(|| unknown("strategy", name, names))
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.collect();
    let lower = name.to_lowercase();
    let closest = known.iter().min_by_key(|known| edit_distance(&known.to_lowercase(), &lower));
    let hint = match closest {
        Some(closest) if edit_distance(&closest.to_lowercase(), &lower) <= closest.len() / 2 => {
            format!(" Did you mean `{closest}`?")
        }
        _ => String::new(),
    };
    Error::Strategy(format!("there is no {what} `{name}`.{hint} Known: {}", known.join(", ")))
}

/// Levenshtein distance in characters.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_sets_are_whole() {
        for (name, size) in [("extes15", 15), ("esconv8", 8), ("multiesc8", 8)] {
            let set = StrategySet::built_in(name).unwrap();
            assert_eq!((set.name.as_str(), set.strategies.len()), (name, size));
            for strategy in &set.strategies {
                assert_eq!(strategy.examples.len(), 3, "{}", strategy.name);
                assert!(!strategy.paragraph().contains('\n') && strategy.paragraph().starts_with("Description: "));
            }
        }
    }

    #[test]
    fn names_of_the_sets_are_those_of_the_label_table() {
        use crate::label::LabelSet;
        for (name, labels) in
            [("extes15", LabelSet::Extes), ("esconv8", LabelSet::Esconv), ("multiesc8", LabelSet::Multiesc)]
        {
            let set = StrategySet::built_in(name).unwrap();
            let names: Vec<&str> = set.strategies.iter().map(|strategy| strategy.name.as_str()).collect();
            assert_eq!(names, labels.labels());
        }
    }

    #[test]
    fn an_unknown_name_gets_a_hint() {
        let set = StrategySet::built_in("extes15").unwrap();
        assert_eq!(set.find("offer hope").unwrap().name, "Offer Hope");
        let error = set.find("Ofer Hope").unwrap_err().to_string();
        assert!(error.contains("Did you mean `Offer Hope`?"), "{error}");
        assert!(StrategySet::built_in("extes16").unwrap_err().to_string().contains("`extes15`"));
    }
}
