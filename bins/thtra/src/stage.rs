//! The stages that are trained on samples: which layout they read, and what they minimise.

use serde::{Deserialize, Serialize};

use crate::sample::Layout;

/// A training on samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The first: the encoder also reads the seeker's next turn, so that the model learns what answers lead to.
    LookAhead,
    /// The second: the situation is said beside the response.
    Situation,
    /// A baseline of ESConv (ACL 2021): strategy and response, one after the other.
    Joint,
    /// A baseline of ESConv (ACL 2021): the response alone.
    Vanilla,
}

impl Stage {
    /// What it learns from.
    pub fn layout(self) -> Layout {
        match self {
            Self::LookAhead => Layout::StratLookAhead,
            Self::Situation | Self::Joint => Layout::Strat,
            Self::Vanilla => Layout::Vanilla,
        }
    }

    /// What decides which evaluation is the best: what can be read when somebody is to be answered.
    pub fn judged_layout(self) -> Layout {
        match self {
            Self::Vanilla => Layout::Vanilla,
            Self::LookAhead | Self::Situation | Self::Joint => Layout::Strat,
        }
    }
}
