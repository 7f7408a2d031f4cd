//! The real corpora, where they are at hand, against the published numbers.

use std::collections::{HashMap, HashSet};

use esconv_data::{
    Conversation, Corpus, CorpusForm, Example, Speaker, Split, Statistics, cut, merge_turns, read_corpus,
};
use golden_files::data as real;

fn corpus(file: &str) -> Option<Corpus> {
    Some(read_corpus(&real(file)?).unwrap())
}

fn examples(corpus: &Corpus) -> Vec<Example> {
    corpus.conversations.iter().flat_map(|conversation| cut(conversation, 1)).collect()
}

#[test]
fn cutting_esconv_gives_the_published_counts() {
    let Some(corpus) = corpus("esconv/ESConv.json") else { return };
    assert_eq!((corpus.form, corpus.conversations.len()), (CorpusForm::Esconv, 1300));
    assert!(corpus.unknown_labels.is_empty() && corpus.duplicates().is_empty());
    let examples = examples(&corpus);
    assert_eq!(examples.len(), 12_725);
    let statistics = Statistics::of_conversations(&corpus.conversations);
    let first: Vec<usize> = (1..=12).map(|turn| statistics.examples_per_turn[&turn]).collect();
    assert_eq!(first, [1300, 1300, 1297, 1292, 1280, 1255, 1199, 1054, 791, 547, 377, 262]);
    assert_eq!(statistics.examples_per_turn.keys().max(), Some(&42));
    assert_eq!((statistics.opened_by_supporter, statistics.utterances), (683, 38_365));

    let between = |low, high| examples.iter().filter(move |example| (low..=high).contains(&example.turn));
    assert_eq!((between(3, 12).count(), between(3, 10).count()), (9354, 8715));
    let turns: Vec<&[String]> = between(3, 12)
        .map(|example| {
            let opening = usize::from(example.prev_speakers[0] == Speaker::Supporter);
            &example.dialog_history[opening..]
        })
        .collect();
    assert_eq!(turns.iter().map(|turns| turns[..5].join("_")).collect::<HashSet<_>>().len(), 1297);
    let mean = turns.iter().map(|turns| turns.len()).sum::<usize>() as f64 / turns.len() as f64;
    assert!((mean - 11.763).abs() < 5e-4, "{mean}");
    let of_these: Vec<Example> = between(3, 12).cloned().collect();
    assert!((Statistics::of_examples(&of_these).mean_dialog_length - 11.763).abs() < 5e-4);
    assert_eq!(Statistics::of_examples(&of_these).conversations, 1297);
}

#[test]
fn esconv_has_the_counts_of_its_readme() {
    let Some(corpus) = corpus("esconv/ESConv.json") else { return };
    let statistics = Statistics::of_conversations(&corpus.conversations);
    let strategies: Vec<(&str, usize)> =
        statistics.strategies.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    let expected = [
        ("Question", 3801),
        ("Others", 3341),
        ("Providing Suggestions", 2954),
        ("Affirmation and Reassurance", 2827),
        ("Self-disclosure", 1713),
        ("Reflection of feelings", 1436),
        ("Information", 1215),
        ("Restatement or Paraphrasing", 1089),
    ];
    assert_eq!(strategies, expected);
    assert_eq!(
        statistics.feedback.into_iter().collect::<Vec<_>>(),
        [(1, 73), (2, 179), (3, 1121), (4, 2315), (5, 3993)]
    );
    assert_eq!((statistics.problems.len(), statistics.emotions.len()), (13, 11));
    let surveyed = |score: fn(&Conversation) -> Option<u8>| corpus.conversations.iter().filter_map(score).count();
    assert_eq!(surveyed(|one| one.survey.initial_emotion_intensity), 1300);
    assert_eq!(surveyed(|one| one.survey.final_emotion_intensity), 1150);
    // Four of the 1,115 say 0, which is no answer on a scale from 1 to 5.
    assert_eq!(surveyed(|one| one.survey.supporter_relevance), 1111);
}

#[test]
fn the_failed_conversations_are_read_and_unknown_labels_counted() {
    let Some(corpus) = corpus("esconv/FailedESConv.json") else { return };
    assert_eq!((corpus.form, corpus.conversations.len()), (CorpusForm::FailedEsconv, 196));
    assert_eq!(corpus.unknown_labels, [("Direct Guidance".to_owned(), 11)]);
    let statistics = Statistics::of_conversations(&corpus.conversations);
    assert_eq!(statistics.utterances, 5230);
    assert_eq!(statistics.strategies[0], ("Question".to_owned(), 528));
}

#[test]
fn thtra_equals_esconv_at_the_split_indices() {
    let (Some(esconv), Some(splits)) = (corpus("esconv/ESConv.json"), real("esconv/splits.json")) else { return };
    let split = Split::read(&splits, esconv.conversations.len()).unwrap();
    for (file, list, size) in [
        ("thtra/train.txt", &split.train, 910),
        ("thtra/valid.txt", &split.valid, 195),
        ("thtra/test.txt", &split.test, 195),
    ] {
        let Some(lines) = corpus(file) else { return };
        assert_eq!((lines.form, lines.conversations.len(), list.len()), (CorpusForm::Thtra, size, size));
        for (line, index) in lines.conversations.iter().zip(list) {
            let original = &esconv.conversations[*index];
            assert_eq!(line.id(), original.id(), "{file}: conversation {index}");
            let strategies = |one: &Conversation| one.dialog.iter().map(|one| one.strategy.clone()).collect::<Vec<_>>();
            assert_eq!(strategies(line), strategies(original));
        }
    }
}

#[test]
fn multiesc_has_the_turns_of_its_split() {
    let (Some(esconv), Some(splits)) = (corpus("esconv/ESConv.json"), real("esconv/splits.json")) else { return };
    let split = Split::read(&splits, esconv.conversations.len()).unwrap();
    for (file, list, turns, supporter_turns) in [
        ("multiesc/train.reconstructed.txt", &split.train, 21_173, 10_679),
        ("multiesc/valid.txt", &split.valid, 4467, 2257),
        ("multiesc/test.txt", &split.test, 4752, 2389),
    ] {
        let Some(lines) = corpus(file) else { return };
        assert_eq!((lines.form, lines.conversations.len()), (CorpusForm::Multiesc, list.len()));
        let utterances: Vec<_> = lines.conversations.iter().flat_map(|one| &one.dialog).collect();
        assert_eq!(utterances.len(), turns);
        assert_eq!(utterances.iter().filter(|one| one.speaker == Speaker::Supporter).count(), supporter_turns);
        assert!(utterances.iter().all(|one| one.strategy.is_some() == (one.speaker == Speaker::Supporter)));
        for (line, index) in lines.conversations.iter().zip(list) {
            let original = &esconv.conversations[*index];
            assert_eq!(line.situation, original.situation);
            assert_eq!(line.dialog.len(), merge_turns(original).len(), "{file}: conversation {index}");
        }
    }
}

#[test]
fn real_rows_of_the_published_form_are_grouped_as_the_conversations_are() {
    let Some(corpus) = corpus("esconv/ESConv.json") else { return };
    let folder = tempfile::tempdir().unwrap();
    for starting_turn in [1, 3] {
        let path = folder.path().join("published.json");
        let examples: Vec<Example> =
            corpus.conversations.iter().flat_map(|conversation| cut(conversation, starting_turn)).collect();
        let anonymous = examples.iter().map(|example| {
            let mut row = serde_json::to_value(example).unwrap();
            row.as_object_mut().unwrap().retain(|field, _| !["id", "conversation"].contains(&field.as_str()));
            row.to_string() + "\n"
        });
        std::fs::write(&path, anonymous.collect::<String>()).unwrap();
        let read = esconv_data::read_examples(&path).unwrap();
        let mut keys: HashMap<&str, &str> = HashMap::new();
        for (example, original) in read.iter().zip(&examples) {
            let key = keys.entry(&original.conversation).or_insert(&example.conversation);
            assert_eq!(*key, example.conversation, "one key per conversation");
        }
        assert_eq!(keys.values().collect::<HashSet<_>>().len(), keys.len(), "one conversation per key");
        assert_eq!(read.iter().map(|one| &one.id).collect::<HashSet<_>>().len(), read.len());
    }
}
