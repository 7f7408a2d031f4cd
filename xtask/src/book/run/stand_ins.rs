//! What is other than on the pages, as it is written in `stand_ins.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// For all pages. The file's comments explain each table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct StandIns {
    pub(super) links: BTreeMap<String, String>,
    pub(super) not_run: BTreeMap<String, String>,
    pub(super) smaller: BTreeMap<String, String>,
    pub(super) answers: BTreeMap<String, String>,
    pub(super) serving: Vec<Serving>,
    pub(super) pages: BTreeMap<String, PageStandIns>,
    pub(super) elsewhere: BTreeMap<String, String>,
}

/// Commands that serve until they are ended.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Serving {
    /// A part of their line.
    pub(super) with: String,
    /// What is added to the line.
    pub(super) adds: String,
    /// The path that is asked for.
    pub(super) asks: String,
}

/// For one page.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PageStandIns {
    pub(super) needs: Vec<String>,
    pub(super) links: BTreeMap<String, String>,
    pub(super) instead: Vec<[String; 2]>,
    pub(super) leaves: Vec<String>,
}

impl StandIns {
    pub(super) fn read() -> Result<Self, String> {
        toml::from_str(include_str!("stand_ins.toml")).map_err(|error| format!("stand_ins.toml: {error}"))
    }
}
