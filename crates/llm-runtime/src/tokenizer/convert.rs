//! Vocabularies between the form of GGUF files and that of Hugging Face folders.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::TokenizerError;
use super::gguf::{GgufVocabulary, LLAMA3_WORDS};
use crate::{Error, input_file};

/// Numbers of GGUF's token types.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const BYTE: i32 = 6;

impl GgufVocabulary {
    /// The vocabulary of a Hugging Face folder with a `tokenizer.json`: SentencePiece's kind, or byte-level BPE with the words of GPT-2
    /// or Llama-3.
    ///
    /// # Errors
    /// There is no such file, or it is of a kind that GGUF files do not know.
    pub fn of_folder(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("tokenizer.json");
        let read = |path: &Path| input_file::read_text(path).map_err(|source| Error::Io { path: path.into(), source });
        let problem = |problem: String| Error::Format { path: path.clone(), problem };
        if !path.is_file() && folder.join("tokenizer.model").is_file() {
            let bytes = std::fs::read(folder.join("tokenizer.model"));
            let bytes = bytes.map_err(|source| Error::Io { path: folder.join("tokenizer.model"), source })?;
            return Ok(Self::of_sentencepiece(&bytes)?);
        }
        let json: Value =
            serde_json::from_str(&read(&path)?).map_err(|error| problem(format!("not a JSON file: {error}")))?;
        let config_path = folder.join("tokenizer_config.json");
        let config: Value = match config_path.is_file() {
            true => serde_json::from_str(&read(&config_path)?).unwrap_or_default(),
            false => Value::Null,
        };
        let tokenizer = super::Tokenizer::from_tokenizer_json(json.to_string().as_bytes(), Some(&config.to_string()))?;
        let mut vocabulary = of_json(&json).map_err(problem)?;
        vocabulary.bos = tokenizer.bos();
        vocabulary.eos = tokenizer.eos().first().copied();
        vocabulary.extra_eos = tokenizer.eos().iter().skip(1).copied().collect();
        vocabulary.unk = tokenizer.unk();
        vocabulary.add_bos = Some(tokenizer.adds_bos());
        Ok(vocabulary)
    }

    /// `tokenizer.json` and `tokenizer_config.json` that say the same.
    ///
    /// # Errors
    /// The vocabulary is of a kind that is not supported here.
    pub fn to_hugging_face(&self, chat_template: Option<&str>) -> Result<(Value, Value), TokenizerError> {
        let tokenizer = match (self.model.as_str(), self.pre.as_deref()) {
            ("llama", _) => self.sentencepiece_json(),
            ("gpt2", None | Some("" | "default" | "gpt-2" | "gpt2")) => self.byte_level_json(
                json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}),
                false,
            ),
            ("gpt2", Some("llama-bpe" | "llama3" | "llama-v3")) => {
                let split = json!({"type": "Split", "pattern": {"Regex": LLAMA3_WORDS}, "behavior": "Isolated", "invert": false});
                let bytes =
                    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
                self.byte_level_json(json!({"type": "Sequence", "pretokenizers": [split, bytes]}), true)
            }
            (model, pre) => {
                return Err(TokenizerError::Unsupported {
                    what: "vocabulary to be written as tokenizer.json",
                    found: format!("{model} {}", pre.unwrap_or_default()),
                    supported: "llama, gpt2 with the words of gpt-2 or llama-bpe",
                });
            }
        };
        let text = |id: Option<u32>| id.and_then(|id| self.tokens.get(id as usize));
        let config = json!({
            "bos_token": text(self.bos),
            "eos_token": text(self.eos),
            "unk_token": text(self.unk),
            "add_bos_token": self.add_bos.unwrap_or(self.model == "llama"),
            "add_eos_token": false,
            "chat_template": chat_template,
        });
        Ok((tokenizer, config))
    }

    fn kind(&self, id: usize) -> i32 {
        let is_end = [self.bos, self.eos]
            .into_iter()
            .flatten()
            .chain(self.extra_eos.iter().copied())
            .any(|end| end as usize == id);
        if is_end { CONTROL } else { self.token_types.get(id).copied().unwrap_or(NORMAL) }
    }

    fn added_tokens(&self) -> Vec<Value> {
        let added = |id: &usize| [UNKNOWN, CONTROL, USER_DEFINED].contains(&self.kind(*id));
        (0..self.tokens.len())
            .filter(added)
            .map(|id| {
                json!({
                    "id": id, "content": self.tokens[id], "special": self.kind(id) != USER_DEFINED,
                    "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                })
            })
            .collect()
    }

    fn vocab(&self) -> Map<String, Value> {
        self.tokens.iter().enumerate().map(|(id, piece)| (piece.clone(), json!(id))).collect()
    }

    fn sentencepiece_json(&self) -> Value {
        let prefix = self.add_space_prefix.unwrap_or(true);
        let mut normalizers = vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})];
        let mut decoders = vec![
            json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if prefix {
            normalizers.insert(0, json!({"type": "Prepend", "prepend": "▁"}));
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
                "type": "BPE", "unk_token": self.unk.and_then(|id| self.tokens.get(id as usize)), "fuse_unk": true,
                "byte_fallback": true, "vocab": self.vocab(), "merges": self.merges_by_score(),
            },
        })
    }

    /// All ways to split a piece into two pieces, by the score of the whole, as SentencePiece merges.
    fn merges_by_score(&self) -> Vec<[&str; 2]> {
        let plain = |id: usize| self.kind(id) == NORMAL || self.kind(id) == USER_DEFINED;
        let pieces = self.tokens.iter().enumerate().filter(|(id, _)| plain(*id));
        let ids: HashMap<&str, usize> = pieces.clone().map(|(id, piece)| (piece.as_str(), id)).collect();
        let mut all: Vec<(f32, usize, usize, [&str; 2])> = Vec::new();
        for (id, piece) in pieces {
            let score = self.scores.get(id).copied().unwrap_or_default();
            let splits = piece.char_indices().skip(1).map(|(at, _)| piece.split_at(at));
            let mut own: Vec<_> = splits
                .filter_map(|(left, right)| Some((score, *ids.get(left)?, *ids.get(right)?, [left, right])))
                .collect();
            own.sort_by_key(|(_, left, right, _)| (*left, *right));
            all.extend(own);
        }
        all.sort_by(|left, right| right.0.total_cmp(&left.0));
        all.into_iter().map(|(_, _, _, pair)| pair).collect()
    }

    fn byte_level_json(&self, pre_tokenizer: Value, ignore_merges: bool) -> Value {
        let merges: Vec<Vec<&str>> = self.merges.iter().map(|merge| merge.splitn(2, ' ').collect()).collect();
        json!({
            "version": "1.0",
            "added_tokens": self.added_tokens(),
            "normalizer": null,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": null,
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "ignore_merges": ignore_merges, "vocab": self.vocab(), "merges": merges},
        })
    }
}

/// Pieces, merges, scores and kinds of a `tokenizer.json`.
fn of_json(json: &Value) -> Result<GgufVocabulary, String> {
    let model = &json["model"];
    let vocab = model["vocab"].as_object().ok_or("the vocabulary (`model.vocab`) is missing")?;
    let added = json["added_tokens"].as_array().map(Vec::as_slice).unwrap_or_default();
    let added = added.iter().filter_map(|token| {
        Some((token["id"].as_u64()? as usize, token["content"].as_str()?, token["special"].as_bool().unwrap_or(false)))
    });
    let size = vocab.values().filter_map(Value::as_u64).map(|id| id as usize + 1).max().unwrap_or(0);
    let size = added.clone().map(|(id, _, _)| id + 1).max().unwrap_or(0).max(size);
    if size > 1 << 24 {
        return Err(format!("an id of {size} is beyond every vocabulary"));
    }
    // Ids that nobody uses get a name of their own.
    let mut tokens: Vec<String> = (0..size).map(|id| format!("<unused{id}>")).collect();
    let mut kinds = vec![5; size];
    for (piece, id) in vocab {
        let id = id.as_u64().ok_or_else(|| format!("the id of `{piece}` is no number"))? as usize;
        tokens[id].clone_from(piece);
        kinds[id] = NORMAL;
    }
    let is_sentencepiece = model["byte_fallback"] == true;
    if is_sentencepiece {
        for (id, piece) in tokens.iter().enumerate() {
            if is_byte(piece) {
                kinds[id] = BYTE;
            }
        }
    }
    for (id, content, is_special) in added {
        tokens[id] = content.to_owned();
        kinds[id] = if is_special { CONTROL } else { USER_DEFINED };
        if model["unk_token"] == content {
            kinds[id] = UNKNOWN;
        }
    }
    let merges = merges(&model["merges"])?;
    let mut vocabulary = GgufVocabulary { tokens, token_types: kinds, ..GgufVocabulary::default() };
    if is_sentencepiece {
        vocabulary.model = "llama".into();
        vocabulary.scores = scores(&vocabulary.tokens, &merges);
        vocabulary.add_space_prefix =
            Some(json.to_string().contains("\"prepend\":\"▁\"") || json["pre_tokenizer"]["type"] == "Metaspace");
    } else {
        vocabulary.model = "gpt2".into();
        vocabulary.pre = Some(words_of(json)?.into());
        vocabulary.merges = merges.into_iter().map(|[left, right]| format!("{left} {right}")).collect();
    }
    Ok(vocabulary)
}

fn is_byte(piece: &str) -> bool {
    piece.len() == 6 && piece.starts_with("<0x") && piece.ends_with('>')
}

fn merges(list: &Value) -> Result<Vec<[String; 2]>, String> {
    let wrong = |merge: &Value| format!("the merge {merge} is no pair of pieces");
    let list = list.as_array().ok_or("the merges (`model.merges`) are missing")?;
    list.iter()
        .map(|merge| match merge {
            Value::String(text) => {
                let (left, right) = text.split_once(' ').ok_or_else(|| wrong(merge))?;
                Ok([left.to_owned(), right.to_owned()])
            }
            Value::Array(pair) => match pair.as_slice() {
                [Value::String(left), Value::String(right)] => Ok([left.clone(), right.clone()]),
                _ => Err(wrong(merge)),
            },
            _ => Err(wrong(merge)),
        })
        .collect()
}

/// Scores that make SentencePiece merge in the order of the list: a piece's is minus the number of the first merge that makes it.
fn scores(tokens: &[String], merges: &[[String; 2]]) -> Vec<f32> {
    let mut first: HashMap<String, usize> = HashMap::new();
    for [left, right] in merges {
        let next = first.len();
        first.entry(format!("{left}{right}")).or_insert(next);
    }
    let last = first.len();
    tokens.iter().map(|piece| -(first.get(piece).copied().unwrap_or(last) as f32)).collect()
}

/// GGUF's name for the way in which a byte-level tokenizer cuts words.
fn words_of(json: &Value) -> Result<&'static str, String> {
    let pre = &json["pre_tokenizer"];
    let text = pre.to_string();
    if pre["type"] == "ByteLevel" && pre["use_regex"] != false {
        return Ok("gpt-2");
    }
    if text.contains(&Value::from(LLAMA3_WORDS).to_string()) {
        return Ok("llama-bpe");
    }
    Err("its words are cut in a way that has no name in GGUF files (known: GPT-2's and Llama-3's)".into())
}
