//! Tokenizers in Hugging Face folders.

use std::path::Path;

use llm_runtime::input_file;
use llm_runtime::tokenizer::{TokenizerError, Vocabulary, byte_level_json, read_merges, read_vocabulary};
use serde_json::{Map, Value, json};

use super::configuration::{
    ADDED_FILE, ADDED_KEY, ADDITIONAL_KEYS, CONFIG_FILE, SPECIAL_FILE, file_error, parse, read_file,
};
use super::pair_merges::PairMerges;
use super::{AddedToken, BlenderbotSmall, ByteLevel, Configuration, Core, Roles, Seq2SeqTokenizer, TokenizerKind};
use crate::Seq2SeqError;

const WHOLE_FILE: &str = "tokenizer.json";
const VOCABULARY_FILE: &str = "vocab.json";
const MERGES_FILE: &str = "merges.txt";

/// Reads a folder.
pub(super) fn open(folder: &Path) -> Result<Seq2SeqTokenizer, Seq2SeqError> {
    let configuration = Configuration::read(folder)?;
    match configuration.kind() {
        Some(TokenizerKind::BlenderbotSmall) => blenderbot_small(folder, &read_pieces(folder)?, configuration),
        kind => match read_file(&folder.join(WHOLE_FILE))? {
            Some(bytes) => bart_of_one_file(folder, &bytes, configuration),
            None => {
                let pieces = read_pieces(folder)?;
                let is_blenderbot =
                    kind.is_none() && ["__start__", "__null__"].iter().all(|name| pieces.contains_key(*name));
                match is_blenderbot {
                    true => blenderbot_small(folder, &pieces, configuration),
                    false => bart_of_two_files(folder, &pieces, configuration),
                }
            }
        },
    }
}

fn bart_of_one_file(
    folder: &Path,
    bytes: &[u8],
    configuration: Configuration,
) -> Result<Seq2SeqTokenizer, Seq2SeqError> {
    let path = folder.join(WHOLE_FILE);
    let json: Value = parse(&path, bytes)?;
    let pieces = json["model"]["vocab"].as_object().ok_or_else(|| {
        file_error(&path, "`model.vocab` is no object of pieces and ids: this is no tokenizer.json of byte pairs")
    })?;
    let vocabulary = vocabulary(&path, pieces)?;
    bart(&path, json, &vocabulary, configuration)
}

fn bart_of_two_files(
    folder: &Path,
    pieces: &Map<String, Value>,
    configuration: Configuration,
) -> Result<Seq2SeqTokenizer, Seq2SeqError> {
    let path = folder.join(VOCABULARY_FILE);
    let vocabulary = vocabulary(&path, pieces)?;
    let merges = read_text(&folder.join(MERGES_FILE))?;
    let json = read_merges(&merges).and_then(|merges| byte_level_json(&vocabulary, &merges));
    let json = json.map_err(in_file(&folder.join(MERGES_FILE)))?;
    bart(&path, json, &vocabulary, configuration)
}

/// `path` is the file to name when the vocabulary lacks something.
fn bart(
    path: &Path,
    json: Value,
    vocabulary: &Vocabulary,
    configuration: Configuration,
) -> Result<Seq2SeqTokenizer, Seq2SeqError> {
    let own: Vec<AddedToken> = match &json["added_tokens"] {
        Value::Null => Vec::new(),
        list => serde_json::from_value(list.clone())
            .map_err(|error| file_error(path, format!("`added_tokens`: {error}")))?,
    };
    let roles = configuration.roles(TokenizerKind::Bart, vocabulary, &own);
    let added = configuration.added_tokens(own, &roles, vocabulary)?;
    let core = ByteLevel::new(json, &added).map_err(in_file(path))?;
    Seq2SeqTokenizer::assemble(Core::Bart(Box::new(core)), roles, added, configuration.config)
        .map_err(|problem| file_error(path, problem))
}

fn blenderbot_small(
    folder: &Path,
    pieces: &Map<String, Value>,
    configuration: Configuration,
) -> Result<Seq2SeqTokenizer, Seq2SeqError> {
    let path = folder.join(VOCABULARY_FILE);
    let vocabulary = vocabulary(&path, pieces)?;
    let merges = read_text(&folder.join(MERGES_FILE))?;
    let merges = PairMerges::new(&read_merges(&merges).map_err(in_file(&folder.join(MERGES_FILE)))?);
    let roles = configuration.roles(TokenizerKind::BlenderbotSmall, &vocabulary, &[]);
    let added = configuration.added_tokens(Vec::new(), &roles, &vocabulary)?;
    let unknown = roles.name("unk_token").and_then(|name| vocabulary.id(name)).ok_or_else(|| {
        file_error(
            &path,
            "has no `__unk__`, which stands for all pieces that are not in the vocabulary: name another `unk_token`",
        )
    })?;
    let core = BlenderbotSmall::new(vocabulary, merges, unknown, &added);
    Seq2SeqTokenizer::assemble(Core::BlenderbotSmall(Box::new(core)), roles, added, configuration.config)
        .map_err(|problem| file_error(&path, problem))
}

/// The object in `vocab.json`.
fn read_pieces(folder: &Path) -> Result<Map<String, Value>, Seq2SeqError> {
    let path = folder.join(VOCABULARY_FILE);
    match read_file(&path)? {
        Some(bytes) => parse(&path, &bytes),
        None => {
            let problem =
                "no tokenizer.json, and no vocab.json with merges.txt, is here: give the folder of a tokenizer";
            Err(file_error(folder, problem))
        }
    }
}

fn vocabulary(path: &Path, pieces: &Map<String, Value>) -> Result<Vocabulary, Seq2SeqError> {
    read_vocabulary(pieces).map_err(in_file(path))
}

fn read_text(path: &Path) -> Result<String, Seq2SeqError> {
    let bytes = read_file(path)?.ok_or_else(|| file_error(path, "is not here; vocab.json needs it"))?;
    input_file::text_of(bytes).map_err(|error| file_error(path, error))
}

fn in_file(path: &Path) -> impl FnOnce(TokenizerError) -> Seq2SeqError + '_ {
    move |problem| file_error(path, problem)
}

/// Writes a folder.
pub(super) fn save(tokenizer: &Seq2SeqTokenizer, folder: &Path) -> Result<(), Seq2SeqError> {
    let (pieces, merges) = pieces_and_merges(tokenizer);
    write_json(&folder.join(VOCABULARY_FILE), &Value::Object(pieces))?;
    write(&folder.join(MERGES_FILE), &format!("#version: 0.2\n{merges}"))?;
    if let Core::Bart(core) = &tokenizer.core {
        write_json(&folder.join(WHOLE_FILE), core.json())?;
    }
    write_json(&folder.join(CONFIG_FILE), &Value::Object(config(tokenizer)))?;
    write_json(&folder.join(SPECIAL_FILE), &Value::Object(special_tokens(tokenizer)))?;
    let extra = tokenizer.added.iter().filter(|token| token.is_extra);
    let extra: Map<String, Value> = extra.map(|token| (token.content.clone(), json!(token.id))).collect();
    let path = folder.join(ADDED_FILE);
    // What an earlier save left there would add its tokens.
    if !extra.is_empty() || path.exists() {
        write_json(&path, &Value::Object(extra))?;
    }
    Ok(())
}

/// The lines of the merges.
pub(super) fn merges(tokenizer: &Seq2SeqTokenizer) -> String {
    pieces_and_merges(tokenizer).1
}

/// The vocabulary without added tokens by ascending id, and the lines of the merges.
fn pieces_and_merges(tokenizer: &Seq2SeqTokenizer) -> (Map<String, Value>, String) {
    let mut pieces: Vec<(u32, &str)> = Vec::new();
    let mut lines = String::new();
    let mut add_line = |line: &str| {
        lines.push_str(line);
        lines.push('\n');
    };
    match &tokenizer.core {
        Core::Bart(core) => {
            let model = &core.json()["model"];
            let ids = model["vocab"].as_object().into_iter().flatten();
            pieces.extend(ids.filter_map(|(piece, id)| Some((u32::try_from(id.as_u64()?).ok()?, piece.as_str()))));
            for merge in model["merges"].as_array().into_iter().flatten() {
                match (merge.as_str(), merge[0].as_str(), merge[1].as_str()) {
                    (Some(line), ..) => add_line(line),
                    (_, Some(left), Some(right)) => add_line(&format!("{left} {right}")),
                    _ => {}
                }
            }
        }
        Core::BlenderbotSmall(core) => {
            let ids = 0..u32::try_from(core.vocabulary().size()).unwrap_or(u32::MAX);
            pieces.extend(ids.filter_map(|id| Some((id, core.vocabulary().piece(id)?))));
            let is_extra = |id: u32| {
                tokenizer.added.binary_search_by_key(&id, |token| token.id).is_ok_and(|at| tokenizer.added[at].is_extra)
            };
            pieces.retain(|(id, _)| !is_extra(*id));
            core.merges().lines().for_each(|line| add_line(&line));
        }
    }
    pieces.sort_by_key(|(id, _)| *id);
    (pieces.into_iter().map(|(id, piece)| (piece.to_owned(), json!(id))).collect(), lines)
}

/// `tokenizer_config.json` as it was, with the kind, the roles and the added tokens of now.
fn config(tokenizer: &Seq2SeqTokenizer) -> Map<String, Value> {
    let class = match tokenizer.kind() {
        TokenizerKind::Bart => "BartTokenizer",
        TokenizerKind::BlenderbotSmall => "BlenderbotSmallTokenizer",
    };
    let mut config = tokenizer.config.clone();
    config.entry("tokenizer_class").or_insert_with(|| json!(class));
    ADDITIONAL_KEYS.iter().for_each(|key| drop(config.shift_remove(*key)));
    config.extend(special_tokens(tokenizer));
    let listed: Map<String, Value> =
        tokenizer.added.iter().map(|token| (token.id.to_string(), listed_token(token))).collect();
    config.insert(ADDED_KEY.into(), Value::Object(listed));
    config
}

/// A token in a list that has the ids as keys.
fn listed_token(token: &AddedToken) -> Value {
    let mut entry = json!(token);
    if let Some(fields) = entry.as_object_mut() {
        fields.shift_remove("id");
    }
    entry
}

/// The roles, and the special tokens without one.
fn special_tokens(tokenizer: &Seq2SeqTokenizer) -> Map<String, Value> {
    let roles: &Roles = &tokenizer.roles;
    let mut all: Map<String, Value> = roles.iter().map(|(role, name)| (role.to_owned(), json!(name))).collect();
    let additional = tokenizer.added.iter().filter(|token| token.special && !roles.has(&token.content));
    let additional: Vec<&str> = additional.map(|token| token.content.as_str()).collect();
    if !additional.is_empty() {
        all.insert(ADDITIONAL_KEYS[0].into(), json!(additional));
    }
    all
}

fn write_json(path: &Path, value: &Value) -> Result<(), Seq2SeqError> {
    write(path, &format!("{value:#}\n"))
}

fn write(path: &Path, text: &str) -> Result<(), Seq2SeqError> {
    std::fs::write(path, text).map_err(|error| file_error(path, error))
}
