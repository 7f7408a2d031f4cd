//! Whose version of an objective is computed, where versions of TRL differ.

use serde::{Deserialize, Serialize};

use crate::DpoError;

/// The version of TRL whose reading of an objective is followed. What a version lacks is computed as in the others.
///
/// | | TRL 0.11 | TRL 1 | TRL 0.7 |
/// |---|---|---|---|
/// | `ipo` | log-probabilities, and with them rewards, are means over tokens | the log-ratios are averaged, rewards are not | as 0.11 |
/// | `sigmoid` | smooths labels | ignores label smoothing | as 0.11 |
/// | `exo` without label smoothing | 0.001 | refused | as 0.11 |
/// | `bco` | δ is the running mean of rewards | δ = 0 | as 0.11 |
/// | `kto-pair` | gradients pass the KL terms by | as 0.11 | gradients flow through the KL terms |
/// | α-divergence | (1 − e^(−αr))/α | (e^((α−1)r) − 1)/(α−1) | as 0.11 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Rules {
    /// `trl-0.11`: version 0.11.1.
    #[default]
    Trl011,
    /// `trl-1`: version 1.16.
    Trl1,
    /// `trl-0.7`: version 0.7.11.
    Trl07,
}

impl Rules {
    const ALL: [Self; 3] = [Self::Trl011, Self::Trl1, Self::Trl07];

    /// The name it is written by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trl011 => "trl-0.11",
            Self::Trl1 => "trl-1",
            Self::Trl07 => "trl-0.7",
        }
    }
}

impl std::fmt::Display for Rules {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl std::str::FromStr for Rules {
    type Err = DpoError;

    fn from_str(name: &str) -> Result<Self, DpoError> {
        Self::ALL.into_iter().find(|rules| rules.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            DpoError::invalid(format!("there are no rules `{name}`; rules are {names}"))
        })
    }
}

impl TryFrom<String> for Rules {
    type Error = DpoError;

    fn try_from(name: String) -> Result<Self, DpoError> {
        name.parse()
    }
}

impl From<Rules> for String {
    fn from(rules: Rules) -> Self {
        rules.name().to_owned()
    }
}
