//! `tokenizer.json` of the `tokenizers` library, with what `tokenizer_config.json` adds.
//!
//! The parts are taken one by one: truncation, padding and post-processing never apply, since they would cut prompts or
//! add tokens unseen.

use std::collections::HashMap;

use serde_json::Value;
use tokenizers::AddedToken;

use super::bpe::{CoreParts, DummyPrefix};
use super::control::ControlToken;
use super::vocabulary::checked_id;
use super::{Assembly, Spelling, Tokenizer, TokenizerError, Vocabulary};
use crate::sha256::sha256_of;

const FORMAT: &str = "tokenizer.json";

/// Control tokens that end an answer, beside the one that `tokenizer_config.json` names.
const ENDS_OF_TURN: [&str; 3] = ["<|eot_id|>", "<|eom_id|>", "<|im_end|>"];

impl Tokenizer {
    /// Reads `tokenizer.json`, and `tokenizer_config.json` where there is one (its text, not its path): it names the
    /// beginning and end of sequence and says whether a beginning is added. Only byte-pair models are supported.
    ///
    /// # Errors
    /// The text is no JSON, the model is of another kind, or a part of it is damaged or not supported.
    pub fn from_tokenizer_json(bytes: &[u8], tokenizer_config: Option<&str>) -> Result<Self, TokenizerError> {
        let json: Value = serde_json::from_slice(bytes).map_err(|error| unreadable(FORMAT, &error))?;
        let config: Value = match tokenizer_config {
            Some(text) => serde_json::from_str(text).map_err(|error| unreadable("tokenizer_config.json", &error))?,
            None => Value::Null,
        };
        let model = &json["model"];
        check_model(model)?;
        let mut vocabulary = read_vocabulary(model)?;
        let mut added = read_added_tokens(&json["added_tokens"], &mut vocabulary)?;
        let names = Names::new(&json, &config, &added, &vocabulary);
        for token in &mut added {
            token.is_control |= token.text == names.bos || token.text == names.eos;
        }
        let control: Vec<ControlToken> =
            added.iter().filter(|token| token.is_control).map(AddedEntry::control_token).collect();
        let is_control = |text: &&str| control.iter().any(|token| token.text == **text);
        let mut ends: Vec<&str> = vec![&names.eos];
        ends.extend(ENDS_OF_TURN.into_iter().filter(is_control).filter(|end| *end != names.eos));
        let unk = token_text(&config["unk_token"]).or_else(|| model["unk_token"].as_str().map(str::to_owned));
        let adds_bos = config["add_bos_token"].as_bool().unwrap_or(names.adds_bos);
        let bos = vocabulary.id(&names.bos);
        Self::assemble(Assembly {
            spelling: spelling(&json["decoder"])?,
            parts: core_parts(&json, &added)?,
            bos,
            eos: ends.iter().filter_map(|end| vocabulary.id(end)).collect(),
            unk: unk.and_then(|unk| vocabulary.id(&unk)),
            adds_bos: adds_bos && bos.is_some(),
            bos_token: Some(names.bos),
            eos_token: Some(names.eos),
            sha256: sha256_of(bytes),
            vocabulary,
            control,
        })
    }
}

/// Refuses models that are no plain byte-pair encoding.
fn check_model(model: &Value) -> Result<(), TokenizerError> {
    let unsupported =
        |what, found: &str, supported| Err(TokenizerError::Unsupported { what, found: found.to_owned(), supported });
    match model["type"].as_str() {
        Some("BPE") => {}
        None if model["merges"].is_array() => {}
        None => return Err(TokenizerError::field("model", "missing, or without a type: this is no tokenizer.json")),
        Some(other) => return unsupported("tokenizer model", other, "BPE"),
    }
    for option in ["continuing_subword_prefix", "end_of_word_suffix"] {
        if let Some(affix) = model[option].as_str().filter(|affix| !affix.is_empty()) {
            return unsupported("model option", &format!("{option} = {affix}"), "pieces without affixes");
        }
    }
    Ok(())
}

fn read_vocabulary(model: &Value) -> Result<Vocabulary, TokenizerError> {
    let pieces = model["vocab"]
        .as_object()
        .ok_or_else(|| TokenizerError::field("model.vocab", "missing (expected an object of pieces and ids)"))?;
    let mut vocabulary = Vocabulary::default();
    for (piece, id) in pieces {
        let field = || format!("model.vocab[`{piece}`]");
        let id = id.as_u64().ok_or_else(|| TokenizerError::field(field(), format!("{id} (expected a token id)")))?;
        vocabulary.insert(checked_id(id, field)?, piece);
    }
    Ok(vocabulary)
}

/// An entry of `added_tokens`.
struct AddedEntry {
    id: u32,
    text: String,
    is_control: bool,
    flags: HashMap<&'static str, bool>,
}

impl AddedEntry {
    fn flag(&self, name: &str) -> bool {
        self.flags.get(name).copied().unwrap_or(false)
    }

    fn control_token(&self) -> ControlToken {
        ControlToken {
            strips_left: self.flag("lstrip"),
            strips_right: self.flag("rstrip"),
            single_word: self.flag("single_word"),
            ..ControlToken::new(self.id, &self.text)
        }
    }

    fn ordinary_token(&self) -> AddedToken {
        AddedToken::from(self.text.clone(), false)
            .lstrip(self.flag("lstrip"))
            .rstrip(self.flag("rstrip"))
            .single_word(self.flag("single_word"))
            .normalized(self.flag("normalized"))
    }
}

/// Reads the added tokens and gives them their ids. A token that the model's vocabulary has keeps the id it has there.
fn read_added_tokens(list: &Value, vocabulary: &mut Vocabulary) -> Result<Vec<AddedEntry>, TokenizerError> {
    let empty = Vec::new();
    let entries = match list {
        Value::Null => &empty,
        Value::Array(entries) => entries,
        _ => return Err(TokenizerError::field("added_tokens", "expected a list")),
    };
    let mut added = Vec::with_capacity(entries.len());
    for (number, entry) in entries.iter().enumerate() {
        let field = || format!("added_tokens[{number}]");
        let (Some(id), Some(text)) = (entry["id"].as_u64(), entry["content"].as_str()) else {
            return Err(TokenizerError::field(field(), "expected an object with `id` and `content`"));
        };
        if text.is_empty() {
            continue;
        }
        let id = match vocabulary.id(text) {
            Some(id) => id,
            None => checked_id(id, field)?,
        };
        vocabulary.insert(id, text);
        let flags = ["lstrip", "rstrip", "single_word", "normalized"];
        let flags = flags.into_iter().filter_map(|flag| Some((flag, entry[flag].as_bool()?))).collect();
        added.push(AddedEntry { id, text: text.into(), is_control: entry["special"] == true, flags });
    }
    Ok(added)
}

/// What the beginning and end of sequence are called.
struct Names {
    bos: String,
    eos: String,
    /// Whether the tokenizer by itself puts a beginning before each text.
    adds_bos: bool,
}

impl Names {
    /// From the configuration, else from the post-processor, else the usual names that the vocabulary has.
    fn new(json: &Value, config: &Value, added: &[AddedEntry], vocabulary: &Vocabulary) -> Self {
        let usual = |names: &[&str]| {
            let is_control = |name: &&&str| added.iter().any(|token| token.is_control && token.text == **name);
            names.iter().find(is_control).map(|name| (*name).to_owned())
        };
        let (first, _) = tokens_around(&json["post_processor"]);
        let first = first.filter(|name| vocabulary.id(name).is_some());
        // The configuration may say `null` and mean that there is none.
        let named = |key: &str| config.get(key).map(|token| token_text(token).unwrap_or_default());
        let bos = named("bos_token").or_else(|| first.clone()).or_else(|| usual(&["<s>", "<|begin_of_text|>"]));
        let eos = named("eos_token")
            .or_else(|| usual(&["</s>", "<|eot_id|>", "<|im_end|>", "<|end_of_text|>", "<|endoftext|>"]));
        let bos = bos.unwrap_or_default();
        let is_llama = config["tokenizer_class"].as_str().is_some_and(|class| class.starts_with("LlamaTokenizer"));
        let adds_bos = is_llama || first.is_some_and(|first| first == bos);
        Self { bos, eos: eos.unwrap_or_default(), adds_bos }
    }
}

/// A token's text, written as a text or as an object.
fn token_text(token: &Value) -> Option<String> {
    token.as_str().or_else(|| token["content"].as_str()).map(str::to_owned)
}

/// The control tokens that a post-processor, as `tokenizer.json` has it, puts before and behind one text.
pub fn tokens_around(post_processor: &Value) -> (Option<String>, Option<String>) {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match post_processor["type"].as_str() {
        Some("TemplateProcessing") => {
            let pieces = post_processor["single"].as_array().map(Vec::as_slice).unwrap_or_default();
            let special = |piece: Option<&Value>| piece.and_then(|piece| text(&piece["SpecialToken"]["id"]));
            (special(pieces.first()), special(pieces.last()))
        }
        Some("BertProcessing" | "RobertaProcessing") => {
            (text(&post_processor["cls"][0]), text(&post_processor["sep"][0]))
        }
        Some("Sequence") => {
            let parts = post_processor["processors"].as_array().into_iter().flatten();
            parts.map(tokens_around).find(|(first, _)| first.is_some()).unwrap_or_default()
        }
        _ => (None, None),
    }
}

/// Which of the two known ways a decoder spells bytes.
fn spelling(decoder: &Value) -> Result<Spelling, TokenizerError> {
    let steps: Vec<&Value> = match decoder["decoders"].as_array() {
        Some(steps) => steps.iter().collect(),
        None => vec![decoder],
    };
    let has = |kind: &str| steps.iter().find(|step| step["type"] == kind);
    if has("ByteLevel").is_some() {
        return Ok(Spelling::ByteLevel);
    }
    if let Some(metaspace) = has("Metaspace") {
        let keeps = metaspace["prepend_scheme"] == "never" || metaspace["add_prefix_space"] == false;
        return Ok(Spelling::SentencePiece { strip_first_blank: !keeps });
    }
    if has("ByteFallback").is_some() {
        let strip = has("Strip").is_some_and(|strip| strip["content"] == " " && strip["start"] != 0);
        return Ok(Spelling::SentencePiece { strip_first_blank: strip });
    }
    let names: Vec<&str> = steps.iter().filter_map(|step| step["type"].as_str()).collect();
    Err(TokenizerError::Unsupported {
        what: "decoder",
        found: if names.is_empty() { "null".into() } else { names.join(", ") },
        supported: "ByteLevel, Metaspace, sequences with ByteFallback",
    })
}

fn core_parts(json: &Value, added: &[AddedEntry]) -> Result<CoreParts, TokenizerError> {
    let model = &json["model"];
    let flag = |name: &str| model[name].as_bool().unwrap_or(false);
    let pre_tokenizer = &json["pre_tokenizer"];
    Ok(CoreParts {
        merges: read_merges(&model["merges"])?,
        unk: model["unk_token"].as_str().map(str::to_owned),
        byte_fallback: flag("byte_fallback"),
        fuse_unk: flag("fuse_unk"),
        ignore_merges: flag("ignore_merges"),
        normalizer: part("normalizer", &json["normalizer"])?,
        pre_tokenizer: part("pre_tokenizer", pre_tokenizer)?,
        later_pre_tokenizer: match without_first_prefix(pre_tokenizer) {
            Some(later) => part("pre_tokenizer", &later)?,
            None => None,
        },
        added: added.iter().filter(|token| !token.is_control).map(AddedEntry::ordinary_token).collect(),
        prefix: dummy_prefix(json),
    })
}

/// Reads a part that the library defines.
fn part<T: serde::de::DeserializeOwned>(field: &str, value: &Value) -> Result<Option<T>, TokenizerError> {
    if value.is_null() {
        return Ok(None);
    }
    // Through text, since the library borrows strings from it.
    let read = serde_json::to_vec(value).and_then(|text| serde_json::from_slice(&text));
    read.map(Some).map_err(|error| TokenizerError::field(field, error.to_string()))
}

/// Merges in either notation: `"left right"` or `["left", "right"]`.
fn read_merges(list: &Value) -> Result<Vec<(String, String)>, TokenizerError> {
    let merges = list.as_array().ok_or_else(|| TokenizerError::field("model.merges", "missing (expected a list)"))?;
    let read = |merge: &Value| {
        let (left, right) = match merge {
            Value::String(pair) => pair.split_once(' ')?,
            Value::Array(pair) if pair.len() == 2 => (pair[0].as_str()?, pair[1].as_str()?),
            _ => return None,
        };
        Some((left.to_owned(), right.to_owned()))
    };
    let is_header = |merge: &Value| merge.as_str().is_some_and(|line| line.starts_with("#version"));
    let merges = merges.iter().enumerate().filter(|(_, merge)| !is_header(merge));
    merges
        .map(|(number, merge)| {
            read(merge).ok_or_else(|| {
                TokenizerError::field(format!("model.merges[{number}]"), format!("{merge} (expected two pieces)"))
            })
        })
        .collect()
}

/// All steps of a part that may be a sequence.
fn steps<'a>(part: &'a Value, list: &str) -> Vec<&'a Value> {
    match part[list].as_array() {
        Some(steps) => steps.iter().collect(),
        None => vec![part],
    }
}

/// The blank that the tokenizer puts before a text.
fn dummy_prefix(json: &Value) -> Option<DummyPrefix> {
    let prepends = |step: &&Value| step["type"] == "Prepend" && step["prepend"] == "▁";
    if steps(&json["normalizer"], "normalizers").iter().any(prepends) {
        return Some(DummyPrefix { piece: "▁", unless_before: &[] });
    }
    steps(&json["pre_tokenizer"], "pretokenizers").into_iter().find_map(|step| match step["type"].as_str()? {
        "Metaspace" if step["prepend_scheme"] != "never" => {
            Some(DummyPrefix { piece: "▁", unless_before: &[' ', '▁'] })
        }
        "ByteLevel" if step["add_prefix_space"] == true => Some(DummyPrefix { piece: "Ġ", unless_before: &[' '] }),
        _ => None,
    })
}

/// The pre-tokeniser as it acts behind a control token, if that differs: Metaspace may add its blank to the first
/// segment only.
fn without_first_prefix(pre_tokenizer: &Value) -> Option<Value> {
    let mut later = pre_tokenizer.clone();
    let mut changed = false;
    let mut change = |step: &mut Value| {
        if step["type"] == "Metaspace" && step["prepend_scheme"] == "first" {
            step["prepend_scheme"] = "never".into();
            changed = true;
        }
    };
    match later.get_mut("pretokenizers").and_then(Value::as_array_mut) {
        Some(steps) => steps.iter_mut().for_each(&mut change),
        None => change(&mut later),
    }
    changed.then_some(later)
}

fn unreadable(format: &'static str, error: &serde_json::Error) -> TokenizerError {
    TokenizerError::Unreadable { format, problem: error.to_string() }
}
