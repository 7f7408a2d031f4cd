//! A SentencePiece-style byte-pair vocabulary as a `tokenizer.json`.
//!
//! SentencePiece merges the pair whose merged piece has the highest score. As a list of merges: every way to split a piece into two
//! pieces, by descending score of the whole.

use std::collections::HashMap;

use serde_json::{Value, json};

/// What a piece is, in SentencePiece's and GGUF's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceKind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl PieceKind {
    pub(super) fn from_number(number: i64) -> Self {
        match number {
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => Self::Normal,
        }
    }
}

/// One piece.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) score: f32,
    pub(super) kind: PieceKind,
}

/// All pieces; the index is the id.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pieces {
    pub(super) pieces: Vec<Piece>,
    /// A blank is put before each text.
    pub(super) adds_space_prefix: bool,
}

impl Pieces {
    /// The vocabulary as the `tokenizers` library reads it.
    pub(super) fn to_json(&self) -> Value {
        let vocabulary: serde_json::Map<String, Value> =
            self.pieces.iter().enumerate().map(|(id, piece)| (piece.text.clone(), id.into())).collect();
        let unknown = self.pieces.iter().find(|piece| piece.kind == PieceKind::Unknown).map(|piece| &piece.text);
        let byte_fallback = self.pieces.iter().any(|piece| piece.kind == PieceKind::Byte);
        let mut normalizers = Vec::new();
        if self.adds_space_prefix {
            normalizers.push(json!({"type": "Prepend", "prepend": "▁"}));
        }
        normalizers.push(json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}));
        let mut decoders = vec![
            json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if self.adds_space_prefix {
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        json!({
            "version": "1.0",
            "added_tokens": self.added_tokens(),
            "normalizer": {"type": "Sequence", "normalizers": normalizers},
            "pre_tokenizer": null,
            "post_processor": null,
            "decoder": {"type": "Sequence", "decoders": decoders},
            "model": {
                "type": "BPE",
                "unk_token": unknown,
                "fuse_unk": true,
                "byte_fallback": byte_fallback,
                "vocab": vocabulary,
                "merges": self.merges(),
            },
        })
    }

    fn added_tokens(&self) -> Vec<Value> {
        let added = |kind| match kind {
            PieceKind::Unknown | PieceKind::Control => Some(true),
            PieceKind::UserDefined => Some(false),
            _ => None,
        };
        self.pieces
            .iter()
            .enumerate()
            .filter_map(|(id, piece)| {
                let special = added(piece.kind)?;
                Some(json!({
                    "id": id, "content": piece.text, "special": special,
                    "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                }))
            })
            .collect()
    }

    fn merges(&self) -> Vec<[&str; 2]> {
        let mergeable: HashMap<&str, usize> = self
            .pieces
            .iter()
            .enumerate()
            .filter(|(_, piece)| matches!(piece.kind, PieceKind::Normal | PieceKind::UserDefined))
            .map(|(id, piece)| (piece.text.as_str(), id))
            .collect();
        let mut merges: Vec<(f32, usize, usize, [&str; 2])> = Vec::new();
        for piece in &self.pieces {
            if !mergeable.contains_key(piece.text.as_str()) {
                continue;
            }
            for (at, _) in piece.text.char_indices().skip(1) {
                let (left, right) = piece.text.split_at(at);
                if let (Some(left_id), Some(right_id)) = (mergeable.get(left), mergeable.get(right)) {
                    merges.push((piece.score, *left_id, *right_id, [left, right]));
                }
            }
        }
        merges.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)).then(one.2.cmp(&other.2)));
        merges.into_iter().map(|(_, _, _, pair)| pair).collect()
    }
}
