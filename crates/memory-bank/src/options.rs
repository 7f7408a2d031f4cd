//! What can be chosen about the generator.

use serde::{Deserialize, Serialize};

use crate::pooling::Pool;

/// How the motivation comes into play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MotivationFusion {
    /// Not at all, as in the published code (which encodes it and leaves it).
    None,
    /// The decoder looks at its encoder states beside those of the dialogue.
    #[default]
    Concat,
    /// Its encoder states ask the memory, beside those of the dialogue.
    Query,
}

/// What a sample reads whose strategy has no rows yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyMemory {
    /// A learned vector.
    #[default]
    Learned,
    /// Nothing: the decoder has one row less to look at.
    Zero,
    /// The published code's arithmetic where it has one (nobody in the batch finds a row), and an error where it has none.
    Refuse,
}

/// What the output layer begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadInit {
    /// The decoder's token table, and BART's bias of the logits.
    #[default]
    Embeddings,
    /// The decoder's token table itself: both are trained as one.
    Tied,
    /// Uniform values, as in the published code.
    Random,
}

/// How the generator reads and pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneratorOptions {
    /// Over which places maxima are taken.
    pub pool: Pool,
    /// How the motivation comes into play.
    pub motivation: MotivationFusion,
    /// What stands for rows that are not there.
    pub empty: EmptyMemory,
    /// What the output layer begins with.
    pub head: HeadInit,
}
