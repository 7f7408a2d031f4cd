//! Texts to ids: against the reference tokenizers, and what is special to encoders.

use std::path::PathBuf;

use golden_files::root;
use text_encoder::{Architecture, EncoderTokenizer, learn_pieces};

/// The folder of real tokenizers, or `None` with the reason printed.
fn real_tokenizers() -> Option<PathBuf> {
    let folder = root().join("../shared/data/tokenizers");
    if !folder.is_dir() {
        println!("skipped: {} is not here", folder.display());
        return None;
    }
    Some(folder)
}

/// BERT's WordPiece (from `tokenizer.json` and from `vocab.txt`) and the byte pairs that RoBERTa shares with BART, against
/// transformers 5.23.0.
#[test]
fn ids_are_those_of_the_reference_tokenizers() {
    let Some(folder) = real_tokenizers() else { return };
    let goldens = std::fs::read_to_string(folder.join("goldens.json")).unwrap();
    let goldens: serde_json::Value = serde_json::from_str(&goldens).unwrap();
    let cases = goldens["cases"].as_array().unwrap();
    assert!(cases.len() > 40);
    let bert = EncoderTokenizer::open(&folder.join("bert-base-uncased")).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join("bert-base-uncased/vocab.txt"), scratch.path().join("vocab.txt")).unwrap();
    let bert_of_pieces = EncoderTokenizer::open(scratch.path()).unwrap();
    let byte_pairs = EncoderTokenizer::open(&folder.join("bart")).unwrap();
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let golden = |name: &str| -> Vec<u32> {
            case[name].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
        };
        assert_eq!(bert.encode(text, 512).unwrap(), golden("bert_base_uncased"), "{text}");
        assert_eq!(bert_of_pieces.encode(text, 512).unwrap(), golden("bert_base_uncased"), "{text}");
        assert_eq!(byte_pairs.encode(text, 512).unwrap(), golden("bart"), "{text}");
    }
    assert_eq!((bert.vocabulary_size(), bert.padding()), (30522, Some(0)));
    assert_eq!((byte_pairs.vocabulary_size(), byte_pairs.padding()), (50265, Some(1)));
}

fn small() -> EncoderTokenizer {
    let pieces = learn_pieces(&["hope is near you", "hope is <here>"], 200).unwrap();
    EncoderTokenizer::word_piece(&pieces).unwrap()
}

#[test]
fn a_long_text_loses_its_beginning() {
    let tokenizer = small();
    let whole = tokenizer.encode("hope is near you", 128).unwrap();
    assert_eq!(whole.len(), 6);
    let cut = tokenizer.encode("hope is near you", 4).unwrap();
    assert_eq!(cut, [whole[0], whole[3], whole[4], whole[5]]);
    assert_eq!(tokenizer.encode("", 128).unwrap(), [whole[0], whole[5]]);
    assert!(tokenizer.encode("hope", 2).unwrap_err().to_string().contains("at least 3"));
}

#[test]
fn no_text_becomes_a_control_token() {
    let tokenizer = small();
    let frame = tokenizer.encode("", 128).unwrap();
    for text in ["[SEP]", "hope [CLS] is", "[PAD][MASK]", "[sep]"] {
        let ids = tokenizer.encode(text, 128).unwrap();
        let inside = &ids[1..ids.len() - 1];
        assert!(
            !inside.is_empty() && inside.iter().all(|id| !frame.contains(id) && *id != 0 && *id != 4),
            "{text}: {ids:?}"
        );
    }
}

#[test]
fn added_tokens_are_matched_whole_and_survive_a_save() {
    let mut tokenizer = small();
    let before = tokenizer.vocabulary_size();
    let seeker = vec!["<supporter>".to_owned(), "<seeker>".to_owned(), "hope".to_owned()];
    assert_eq!(tokenizer.add_tokens(&seeker).unwrap(), 2, "`hope` is known");
    assert_eq!(tokenizer.vocabulary_size(), before + 2);
    let ids = tokenizer.encode("<seeker> hope", 128).unwrap();
    assert_eq!((ids.len(), ids[1]), (4, before as u32 + 1));
    let scratch = tempfile::tempdir().unwrap();
    tokenizer.save(scratch.path(), Architecture::Bert, 128).unwrap();
    let again = EncoderTokenizer::open(scratch.path()).unwrap();
    assert_eq!(again.encode("<seeker> hope", 128).unwrap(), ids);
    assert_eq!(again.vocabulary_size(), before + 2);
    assert!(tokenizer.add_tokens(&[" ".to_owned()]).is_err());
}

/// `vocab.json` and `merges.txt`, as older RoBERTa folders have them.
#[test]
fn byte_pairs_are_read_from_their_two_files() {
    let scratch = tempfile::tempdir().unwrap();
    let vocabulary = r#"{"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "h": 4, "i": 5, "Ġ": 6, "hi": 7, "Ġhi": 8, "<": 9, "s": 10, ">": 11}"#;
    std::fs::write(scratch.path().join("vocab.json"), vocabulary).unwrap();
    std::fs::write(scratch.path().join("merges.txt"), "#version: 0.2\nh i\nĠ hi\n").unwrap();
    let tokenizer = EncoderTokenizer::open(scratch.path()).unwrap();
    assert_eq!(tokenizer.encode("hi hi", 128).unwrap(), [0, 7, 8, 2]);
    assert_eq!(tokenizer.encode("<s>", 128).unwrap(), [0, 9, 10, 11, 2]);
    assert_eq!(tokenizer.padding(), Some(1));
}
