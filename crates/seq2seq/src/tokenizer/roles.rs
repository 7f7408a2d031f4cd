//! Which tokens have a role: beginning, end, padding, unknown, mask.

use crate::Seq2SeqError;

use super::TokenizerKind;

/// The roles as configuration files call them.
pub(super) const ROLES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The ids of the tokens that have a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialIds {
    /// The beginning of a sequence: `<s>`, `__start__`.
    pub bos: u32,
    /// The end of a sequence: `</s>`, `__end__`.
    pub eos: u32,
    /// Fills batches up: `<pad>`, `__null__`.
    pub pad: u32,
    /// Stands for what the vocabulary can't spell: `<unk>`, `__unk__`. BART's bytes spell everything.
    pub unk: Option<u32>,
    /// Stands for what a pretrained model was to guess: `<mask>`. BlenderBot-small has none.
    pub mask: Option<u32>,
}

/// The texts of the tokens that have a role.
#[derive(Debug, Clone, Default)]
pub(super) struct Roles {
    names: Vec<(&'static str, String)>,
}

impl Roles {
    /// Roles as they are named, else as they usually are; those whose token nothing knows are left out.
    pub(super) fn new(
        kind: TokenizerKind,
        named: impl Fn(&str) -> Option<String>,
        is_known: impl Fn(&str) -> bool,
    ) -> Self {
        let name = |role: &str| named(role).or_else(|| usual(kind, role)).filter(|name| is_known(name));
        Self { names: ROLES.into_iter().filter_map(|role| Some((role, name(role)?))).collect() }
    }

    /// The text of the token that has a role.
    pub(super) fn name(&self, role: &str) -> Option<&str> {
        self.names.iter().find(|(known, _)| *known == role).map(|(_, name)| name.as_str())
    }

    /// Roles and texts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.names.iter().map(|(role, name)| (*role, name.as_str()))
    }

    /// Whether a token has a role.
    pub(super) fn has(&self, token: &str) -> bool {
        self.names.iter().any(|(_, name)| name == token)
    }

    /// The ids of the roles.
    ///
    /// # Errors
    /// Nothing is the beginning, the end or padding.
    pub(super) fn ids(
        &self,
        kind: TokenizerKind,
        id: impl Fn(&str) -> Option<u32>,
    ) -> Result<SpecialIds, Seq2SeqError> {
        let optional = |role: &str| self.name(role).and_then(&id);
        let required = |role: &str| {
            optional(role).ok_or_else(|| {
                Seq2SeqError::Invalid(format!(
                    "no token is the `{role}`: name one of the vocabulary in tokenizer_config.json (usual: `{}`)",
                    usual(kind, role).unwrap_or_default()
                ))
            })
        };
        Ok(SpecialIds {
            bos: required("bos_token")?,
            eos: required("eos_token")?,
            pad: required("pad_token")?,
            unk: optional("unk_token"),
            mask: optional("mask_token"),
        })
    }
}

fn usual(kind: TokenizerKind, role: &str) -> Option<String> {
    let name = match (kind, role) {
        (TokenizerKind::Bart, "bos_token" | "cls_token") => "<s>",
        (TokenizerKind::Bart, "eos_token" | "sep_token") => "</s>",
        (TokenizerKind::Bart, "unk_token") => "<unk>",
        (TokenizerKind::Bart, "pad_token") => "<pad>",
        (TokenizerKind::Bart, "mask_token") => "<mask>",
        (TokenizerKind::BlenderbotSmall, "bos_token") => "__start__",
        (TokenizerKind::BlenderbotSmall, "eos_token") => "__end__",
        (TokenizerKind::BlenderbotSmall, "unk_token") => "__unk__",
        (TokenizerKind::BlenderbotSmall, "pad_token") => "__null__",
        _ => return None,
    };
    Some(name.to_owned())
}
