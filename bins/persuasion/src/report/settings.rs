//! The settings of a run as names and values, and where runs differ.

use std::path::Path;

use serde::Serialize;
use toml::{Table, Value};

use super::ReportError;

/// The settings of a run, in the order of the file; those of a section are called `section.name`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings(Vec<(String, String)>);

/// A setting in which runs differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The setting.
    pub name: String,
    /// What each run has, as TOML; `None` where it has nothing.
    pub values: Vec<Option<String>>,
}

impl Settings {
    pub(super) fn parse(path: &Path, content: &[u8]) -> Result<Self, ReportError> {
        let text = std::str::from_utf8(content).map_err(|error| {
            let before = content.get(..error.valid_up_to()).unwrap_or_default();
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            ReportError::line(path, line, "not UTF-8 text")
        })?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let end = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(end).filter(|byte| *byte == b'\n').count();
            ReportError::line(path, line, format!("not TOML: {}", error.message()))
        })?;
        let mut settings = Vec::new();
        collect(&table, "", &mut settings);
        Ok(Self(settings))
    }

    /// Names and values, these as TOML writes them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What a setting is.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The settings in which any two of several runs differ.
    pub fn differences(all: &[&Self]) -> Vec<Difference> {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in all.iter().flat_map(|settings| settings.iter()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let values = |name: &str| all.iter().map(|settings| settings.get(name).map(str::to_owned)).collect::<Vec<_>>();
        let differ = |values: &Vec<Option<String>>| values.windows(2).any(|two| two[0] != two[1]);
        let found = names.into_iter().map(|name| Difference { name: name.to_owned(), values: values(name) });
        found.filter(|difference| differ(&difference.values)).collect()
    }
}

fn collect(table: &Table, before: &str, settings: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let name = if before.is_empty() { key.clone() } else { format!("{before}.{key}") };
        match value {
            Value::Table(inner) if !inner.is_empty() => collect(inner, &name, settings),
            Value::String(text) => settings.push((name, text.clone())),
            other => settings.push((name, other.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, ReportError> {
        Settings::parse(Path::new("config.toml"), text.as_bytes())
    }

    #[test]
    fn only_what_differs_is_told_and_what_is_missing_too() {
        let first = settings("beta = 0.1\nseed = 7\n[lora]\nrank = 8\ntargets = [\"q\", \"v\"]\n").unwrap();
        let second = settings("seed = 7\nbeta = 0.2\n[lora]\ntargets = [\"q\", \"v\"]\n").unwrap();
        let told = Settings::differences(&[&first, &second]);
        let value = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                Difference { name: "beta".into(), values: vec![value("0.1"), value("0.2")] },
                Difference { name: "lora.rank".into(), values: vec![value("8"), None] },
            ]
        );
        assert_eq!(first.get("lora.targets"), Some("[\"q\", \"v\"]"));
        assert!(Settings::differences(&[&first]).is_empty());
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line() {
        let told = settings("beta = 0.1\nseed = = 2\n").unwrap_err().to_string();
        assert!(told.starts_with("config.toml, line 2: not TOML"), "{told}");
        let told = Settings::parse(Path::new("config.toml"), b"a = 1\nb = \"\xff\"\n").unwrap_err().to_string();
        assert_eq!(told, "config.toml, line 2: not UTF-8 text");
    }
}
