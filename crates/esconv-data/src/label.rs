//! The label sets of the projects and what their labels correspond to, from one table: `data/strategies/mappings.toml`.

use std::sync::OnceLock;

use toml::Table;

/// The strategy labels of one project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LabelSet {
    /// ESConv's eight (also ThTra's).
    Esconv,
    /// Those of `FailedESConv.json`.
    FailedEsconv,
    /// MultiESC's eight (also MAGIC's).
    Multiesc,
    /// The fifteen of the SRA project.
    Extes,
}

impl LabelSet {
    fn table(self) -> Option<&'static Table> {
        let name = match self {
            Self::Esconv => "esconv",
            Self::FailedEsconv => "failed_esconv",
            Self::Multiesc => "multiesc",
            Self::Extes => "extes",
        };
        mappings().get(name)?.as_table()
    }

    /// The labels, in the table's order.
    pub fn labels(self) -> Vec<&'static str> {
        self.table().map(|table| table.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    /// The label as the set spells it; files differ in case.
    pub fn canonical(self, label: &str) -> Option<&'static str> {
        let label = label.trim();
        self.labels().into_iter().find(|known| known.eq_ignore_ascii_case(label))
    }

    /// What the label corresponds to among ESConv's eight; `None` if it is unknown or has no counterpart.
    pub fn to_esconv(self, label: &str) -> Option<&'static str> {
        let name = self.table()?.get(self.canonical(label)?)?.as_str()?;
        (!name.is_empty()).then_some(name)
    }

    /// What the label corresponds to among MultiESC's eight; `None` if it is unknown or has no counterpart. ESConv's
    /// `Others` is MultiESC's `Greeting` or `Others`, which the label alone can't tell: it stays `Others`.
    pub fn to_multiesc(self, label: &str) -> Option<&'static str> {
        if self == Self::Multiesc {
            return self.canonical(label);
        }
        mappings().get("esconv_to_multiesc")?.get(self.to_esconv(label)?)?.as_str()
    }
}

fn mappings() -> &'static Table {
    static MAPPINGS: OnceLock<Table> = OnceLock::new();
    MAPPINGS.get_or_init(|| include_str!("../data/strategies/mappings.toml").parse().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_have_their_sizes_and_map_into_esconv() {
        let sizes =
            [(LabelSet::Esconv, 8), (LabelSet::FailedEsconv, 12), (LabelSet::Multiesc, 8), (LabelSet::Extes, 15)];
        for (set, size) in sizes {
            assert_eq!(set.labels().len(), size, "{set:?}");
            for label in set.labels() {
                let mapped = set.to_esconv(label);
                assert!(mapped.is_none_or(|name| LabelSet::Esconv.labels().contains(&name)), "{label}");
            }
        }
    }

    #[test]
    fn every_label_of_esconv_has_one_of_multiesc() {
        for label in LabelSet::Esconv.labels() {
            let mapped = LabelSet::Esconv.to_multiesc(label).unwrap();
            assert!(LabelSet::Multiesc.labels().contains(&mapped), "{label}");
        }
        assert_eq!(LabelSet::Esconv.to_multiesc("information"), Some("Providing Suggestions or Information"));
        assert_eq!(LabelSet::Multiesc.to_multiesc("greeting"), Some("Greeting"));
        assert_eq!(LabelSet::Extes.to_multiesc("Reframe Negative Thoughts"), None);
    }

    #[test]
    fn case_does_not_matter() {
        assert_eq!(LabelSet::Multiesc.canonical("reflection of Feelings"), Some("Reflection of feelings"));
        assert_eq!(LabelSet::FailedEsconv.to_esconv("questions"), Some("Question"));
        assert_eq!(LabelSet::FailedEsconv.to_esconv("Direct Guidance"), None);
    }
}
