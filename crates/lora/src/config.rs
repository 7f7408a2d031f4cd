//! An adapter's shape, in PEFT's terms.

use std::collections::BTreeMap;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::LoraError;

/// Rank, scale and places of an adapter. Field names on disk are those of PEFT's `adapter_config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoraConfig {
    /// Rank `r` of the update `B A`.
    #[serde(rename = "r")]
    pub rank: usize,
    /// The update is scaled by `alpha / r`, for rsLoRA by `alpha / √r`.
    #[serde(rename = "lora_alpha")]
    pub alpha: f64,
    /// Probability with which inputs of the update are dropped in training.
    #[serde(rename = "lora_dropout")]
    pub dropout: f64,
    /// Which layers are adapted.
    #[serde(rename = "target_modules")]
    pub targets: Targets,
    /// Layers that are not, though they are targets.
    #[serde(rename = "exclude_modules", deserialize_with = "null_is_default")]
    pub exclude: Vec<String>,
    /// Only these layer numbers; empty means all.
    #[serde(rename = "layers_to_transform", deserialize_with = "one_or_many")]
    pub layers: Vec<usize>,
    /// Other ranks for some layers, by regular expressions for the end of their names.
    #[serde(rename = "rank_pattern", deserialize_with = "null_is_default")]
    pub ranks: BTreeMap<String, usize>,
    /// Other alphas for some layers, by regular expressions for the end of their names.
    #[serde(rename = "alpha_pattern", deserialize_with = "null_is_default")]
    pub alphas: BTreeMap<String, f64>,
    /// rsLoRA (arXiv 2312.03732).
    pub use_rslora: bool,
    /// DoRA (arXiv 2402.09353): direction from the update, length learned for each output.
    pub use_dora: bool,
}

/// Which layers are adapted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Targets {
    /// `all-linear`: every linear layer but the output head. Any other text is a regular expression for full names, as in PEFT.
    Named(String),
    /// Layers whose full name is one of these or ends with `.` and one of these.
    Any(Vec<String>),
}

/// PEFT's word for every linear layer but the output head.
pub const ALL_LINEAR: &str = "all-linear";

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            dropout: 0.0,
            targets: Targets::Any(vec!["q_proj".into(), "v_proj".into()]),
            exclude: Vec::new(),
            layers: Vec::new(),
            ranks: BTreeMap::new(),
            alphas: BTreeMap::new(),
            use_rslora: false,
            use_dora: false,
        }
    }
}

impl LoraConfig {
    /// Says which value is out of range.
    ///
    /// # Errors
    /// A value is out of range.
    pub fn check(&self) -> Result<(), LoraError> {
        if self.rank == 0 || self.ranks.values().any(|rank| *rank == 0) {
            return Err(LoraError::Invalid("the rank of an adapter must be at least 1".into()));
        }
        if !self.alpha.is_finite() || self.alphas.values().any(|alpha| !alpha.is_finite()) {
            return Err(LoraError::Invalid("alpha must be a finite number".into()));
        }
        let target = match &self.targets {
            Targets::Named(pattern) if pattern != ALL_LINEAR => Some(whole(pattern)),
            _ => None,
        };
        let patterns = self.ranks.keys().chain(self.alphas.keys()).map(|pattern| at_end(pattern)).chain(target);
        for pattern in patterns {
            Regex::new(&pattern).map_err(|error| LoraError::Invalid(format!("a pattern for layer names: {error}")))?;
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(LoraError::Invalid(format!("the dropout must be in [0, 1), not {}", self.dropout)));
        }
        Ok(())
    }

    /// Whether the layer of this full name is adapted, e.g. `model.layers.0.self_attn.q_proj`.
    pub fn covers(&self, module: &str) -> bool {
        let named = match &self.targets {
            Targets::Named(name) if name == ALL_LINEAR => module != "lm_head",
            Targets::Named(pattern) => matches(&whole(pattern), module),
            Targets::Any(names) => names.iter().any(|name| ends_with(module, name)),
        };
        let excluded = self.exclude.iter().any(|name| ends_with(module, name));
        let in_layer =
            self.layers.is_empty() || layer_number(module).is_some_and(|number| self.layers.contains(&number));
        named && !excluded && in_layer
    }

    /// The rank in a layer.
    pub fn rank_of(&self, module: &str) -> usize {
        pattern(&self.ranks, module).unwrap_or(self.rank)
    }

    /// The factor of `B A` in a layer.
    pub fn scale_of(&self, module: &str) -> f64 {
        let (rank, alpha) = (self.rank_of(module) as f64, pattern(&self.alphas, module).unwrap_or(self.alpha));
        if self.use_rslora { alpha / rank.sqrt() } else { alpha / rank }
    }
}

fn pattern<T: Copy>(patterns: &BTreeMap<String, T>, module: &str) -> Option<T> {
    patterns.iter().find(|(pattern, _)| matches(&at_end(pattern), module)).map(|(_, value)| *value)
}

/// A pattern for a whole name.
fn whole(pattern: &str) -> String {
    format!("^(?:{pattern})$")
}

/// A pattern for a name or its last parts.
fn at_end(pattern: &str) -> String {
    format!("^(?:.*\\.)?(?:{pattern})$")
}

/// Patterns were checked by [`LoraConfig::check`]; one that is none matches nothing.
fn matches(pattern: &str, module: &str) -> bool {
    Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(module))
}

/// Whether a module is `name` or lies under some path as `name`.
fn ends_with(module: &str, name: &str) -> bool {
    module.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// The first number between dots: `model.layers.3.mlp.up_proj` is of layer 3.
fn layer_number(module: &str) -> Option<usize> {
    module.split('.').find_map(|part| part.parse().ok())
}

fn null_is_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(input: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<usize>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(usize),
        Many(Vec<usize>),
    }
    Ok(match Option::deserialize(input)? {
        None => Vec::new(),
        Some(OneOrMany::One(one)) => vec![one],
        Some(OneOrMany::Many(many)) => many,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_select_layers_as_in_peft() {
        let config = LoraConfig { exclude: vec!["layers.1.self_attn.v_proj".into()], ..LoraConfig::default() };
        assert!(config.covers("model.layers.0.self_attn.q_proj"));
        assert!(config.covers("q_proj"));
        assert!(!config.covers("model.layers.1.self_attn.v_proj"));
        assert!(!config.covers("model.layers.0.self_attn.my_q_proj"));
        let all = LoraConfig { targets: Targets::Named(ALL_LINEAR.into()), layers: vec![2], ..LoraConfig::default() };
        assert!(all.covers("model.layers.2.mlp.up_proj"));
        assert!(!all.covers("model.layers.1.mlp.up_proj") && !all.covers("lm_head"));
        let pattern = |text: &str| LoraConfig { targets: Targets::Named(text.into()), ..LoraConfig::default() };
        let layers = pattern(r".*\.[02]\..*(q|v)_proj");
        assert!(layers.covers("model.layers.2.self_attn.v_proj") && !layers.covers("model.layers.1.self_attn.v_proj"));
        assert!(!pattern("q_proj").covers("model.layers.0.self_attn.q_proj"), "the whole name must match");
        assert!(pattern("(").check().is_err());
    }

    #[test]
    fn scales_follow_rank_and_patterns() {
        let mut config = LoraConfig { rank: 4, alpha: 8.0, ..LoraConfig::default() };
        config.ranks.insert("v_proj".into(), 16);
        assert_eq!((config.scale_of("a.q_proj"), config.scale_of("a.v_proj")), (2.0, 0.5));
        config.use_rslora = true;
        assert_eq!((config.scale_of("a.q_proj"), config.scale_of("a.v_proj")), (4.0, 2.0));
    }
}
