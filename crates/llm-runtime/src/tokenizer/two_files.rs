//! Byte pairs in two files, `vocab.json` and `merges.txt`: the older form of what `tokenizer.json` holds.

use serde_json::{Map, Value, json};

use super::vocabulary::checked_id;
use super::{TokenizerError, Vocabulary};

/// The control tokens of RoBERTa and BART.
const CONTROL: [&str; 5] = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];

/// The vocabulary that `vocab.json` holds: pieces and their ids.
///
/// # Errors
/// An id is no whole number or impossibly large, or two pieces have the same id; the error names the piece.
pub fn read_vocabulary(pieces: &Map<String, Value>) -> Result<Vocabulary, TokenizerError> {
    let mut vocabulary = Vocabulary::default();
    for (piece, id) in pieces {
        let id = id.as_u64().ok_or_else(|| TokenizerError::field(piece, format!("{id} (expected a token id)")))?;
        let id = checked_id(id, || piece.clone())?;
        if let Some(other) = vocabulary.piece(id) {
            return Err(TokenizerError::field(piece, format!("has the id {id}, which `{other}` has already")));
        }
        vocabulary.insert(id, piece);
    }
    Ok(vocabulary)
}

/// A line of `merges.txt`: two pieces that become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge<'a> {
    /// The line's number in the file, from 1.
    pub line: usize,
    /// The piece before.
    pub left: &'a str,
    /// The piece behind.
    pub right: &'a str,
}

/// Reads `merges.txt`, the most important merge first; empty lines and the header (`#version`) are passed over.
///
/// # Errors
/// A line does not hold two pieces with a blank between them; the error names it.
pub fn read_merges(text: &str) -> Result<Vec<Merge<'_>>, TokenizerError> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty() && !line.starts_with("#version"));
    let read = |(number, line): (usize, _)| {
        two_pieces(line).map(|(left, right)| Merge { line: number, left, right }).ok_or_else(|| {
            let problem = format!("`{line}` (expected two pieces with a blank between them)");
            TokenizerError::field(format!("line {number}"), problem)
        })
    };
    lines.map(read).collect()
}

fn two_pieces(line: &str) -> Option<(&str, &str)> {
    let (left, right) = line.split_once(' ')?;
    let is_whole = !left.is_empty() && !right.is_empty() && !right.contains(' ');
    is_whole.then_some((left, right))
}

/// `tokenizer.json` of RoBERTa's and BART's kind: GPT-2's way to cut texts into words and to spell bytes, no blank before a text, and
/// `<s> … </s>` around it where the vocabulary has both.
///
/// # Errors
/// A merge needs a piece that the vocabulary has not; the error names the line.
pub fn byte_level_json(vocabulary: &Vocabulary, merges: &[Merge<'_>]) -> Result<Value, TokenizerError> {
    for Merge { line, left, right } in merges {
        let merged = format!("{left}{right}");
        if let Some(unknown) = [*left, *right, &merged].into_iter().find(|piece| vocabulary.id(piece).is_none()) {
            let problem = format!("`{left}` + `{right}` needs the piece `{unknown}`, which is not in the vocabulary");
            return Err(TokenizerError::field(format!("line {line}"), problem));
        }
    }
    let ids = 0u32..;
    let pieces: Map<String, Value> =
        ids.take(vocabulary.size()).filter_map(|id| Some((vocabulary.piece(id)?.to_owned(), json!(id)))).collect();
    let merges: Vec<String> = merges.iter().map(|Merge { left, right, .. }| format!("{left} {right}")).collect();
    let control: Vec<Value> =
        CONTROL.iter().filter_map(|token| Some(control_token(token, vocabulary.id(token)?))).collect();
    let around = vocabulary.id("<s>").zip(vocabulary.id("</s>")).map(|(first, last)| {
        json!({
            "type": "RobertaProcessing", "sep": ["</s>", last], "cls": ["<s>", first],
            "trim_offsets": true, "add_prefix_space": false,
        })
    });
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": control,
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": around,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "",
            "fuse_unk": false, "byte_fallback": false, "vocab": pieces, "merges": merges,
        },
    }))
}

fn control_token(token: &str, id: u32) -> Value {
    json!({
        "id": id, "content": token, "single_word": false, "lstrip": token == "<mask>", "rstrip": false, "normalized": false,
        "special": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary(pieces: &Value) -> Result<Vocabulary, TokenizerError> {
        read_vocabulary(pieces.as_object().unwrap())
    }

    #[test]
    fn damaged_files_are_refused_by_line_or_piece() {
        for (pieces, named) in [
            (json!({"a": -1}), "`a`"),
            (json!({"a": "x"}), "`a`"),
            (json!({"a": 99_999_999}), "`a`"),
            (json!({"a": 1, "b": 1}), "`b`"),
        ] {
            let error = vocabulary(&pieces).unwrap_err().to_string();
            assert!(error.contains(named), "{pieces}: {error}");
        }
        for (file, line) in [("#version: 0.2\na b\nab", "line 3"), ("a b c", "line 1"), ("a b\n\n a", "line 3")] {
            let error = read_merges(file).unwrap_err().to_string();
            assert!(error.contains(line), "{file}: {error}");
        }
    }

    #[test]
    fn a_merge_needs_its_pieces() {
        let vocabulary = vocabulary(&json!({"a": 0, "b": 1, "ab": 2})).unwrap();
        let json = byte_level_json(&vocabulary, &read_merges("#version: 0.2\na b\n").unwrap()).unwrap();
        assert_eq!(json["model"]["merges"], json!(["a b"]));
        assert_eq!(json["post_processor"], Value::Null, "there is nothing to put around a text");
        let error = byte_level_json(&vocabulary, &read_merges("a b\n\nb a").unwrap()).unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("`ba`"), "{error}");
    }
}
