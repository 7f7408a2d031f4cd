//! Shapes of published models: what decides speed and memory, without the weights.

use std::fmt;
use std::str::FromStr;

/// A Llama's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub key_value_heads: usize,
    /// Width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Tokens of the vocabulary.
    pub vocabulary_size: usize,
    /// Tokens that the model was made for.
    pub context_length: usize,
}

/// All shapes that have a name.
pub const SHAPES: [Shape; 7] = [
    Shape {
        name: "tiny",
        hidden_size: 256,
        layers: 2,
        heads: 4,
        key_value_heads: 2,
        intermediate_size: 512,
        vocabulary_size: 512,
        context_length: 2048,
    },
    // Small enough to be trained on a processor in f32, with a vocabulary of real size.
    Shape {
        name: "small",
        hidden_size: 512,
        layers: 8,
        heads: 8,
        key_value_heads: 8,
        intermediate_size: 1536,
        vocabulary_size: 32_000,
        context_length: 2048,
    },
    Shape {
        name: "tinyllama-1.1b",
        hidden_size: 2048,
        layers: 22,
        heads: 32,
        key_value_heads: 4,
        intermediate_size: 5632,
        vocabulary_size: 32_000,
        context_length: 2048,
    },
    Shape {
        name: "llama-2-7b",
        hidden_size: 4096,
        layers: 32,
        heads: 32,
        key_value_heads: 32,
        intermediate_size: 11_008,
        vocabulary_size: 32_000,
        context_length: 4096,
    },
    Shape {
        name: "llama-2-13b",
        hidden_size: 5120,
        layers: 40,
        heads: 40,
        key_value_heads: 40,
        intermediate_size: 13_824,
        vocabulary_size: 32_000,
        context_length: 4096,
    },
    Shape {
        name: "llama-2-70b",
        hidden_size: 8192,
        layers: 80,
        heads: 64,
        key_value_heads: 8,
        intermediate_size: 28_672,
        vocabulary_size: 32_000,
        context_length: 4096,
    },
    Shape {
        name: "llama-3-8b",
        hidden_size: 4096,
        layers: 32,
        heads: 32,
        key_value_heads: 8,
        intermediate_size: 14_336,
        vocabulary_size: 128_256,
        context_length: 8192,
    },
];

impl FromStr for Shape {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || SHAPES.map(|shape| shape.name).join(", ");
        let found = SHAPES.into_iter().find(|shape| shape.name == name);
        found.ok_or_else(|| format!("no shape is called `{name}`: expected one of {}", known()))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
