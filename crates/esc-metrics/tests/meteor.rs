//! Tests of METEOR 1.5 and NLTK's METEOR.
//!
//! Golden values come from `meteor-1.5.jar` (as `pycocoevalcap` 1.2 calls it) and NLTK 3.10 with WordNet 3.0. Those that need METEOR's
//! own tables or WordNet are skipped unless `SOLACE_METEOR` and `SOLACE_WORDNET` name their folders.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use esc_metrics::Error;
use esc_metrics::meteor::{
    CorpusStatistics, Meteor, MeteorResources, MeteorVariant, NltkMeteor, SegmentStatistics, WordNet,
};
use esc_metrics::tokenize::{MeteorNorm, Tokenizer, WhiteSpace};
use proptest::prelude::*;
use serde_json::Value;

use crate::goldens::{Pair, assert_close, expected, family, pairs};

const FILES: [(&str, &str); 2] = [("single", "pairs_single.jsonl"), ("multi", "pairs_multi.jsonl")];

// ---- goldens that need nothing else

#[test]
fn golden_metrics_meteor_norm_gives_the_tokens_of_the_jar() {
    for pair in all_pairs() {
        let expected = strings(&pair.expected["tok"]["meteor_norm"]);
        let texts: Vec<_> = std::iter::once(&pair.hypothesis).chain(&pair.references).collect();
        assert_eq!(texts.len(), expected.len(), "{}", pair.id);
        for (text, expected) in texts.iter().zip(expected) {
            // As METEOR's callers do with its separator.
            let found = MeteorNorm::WithPunctuation.tokens(&text.replace("|||", "")).join(" ");
            assert_eq!(found, expected, "{}", pair.id);
        }
    }
}

#[test]
fn golden_metrics_meteor_exact_and_stem_without_resources() {
    check_segments_and_corpora(None, &["exact", "exact_stem", "exact_stem_nopunct"]);
}

#[test]
fn golden_metrics_meteor_exact_stem_of_the_tiny_subset() {
    check_tiny_subset(None, "meteor15.exact_stem");
}

#[test]
fn golden_metrics_nltk_meteor_without_wordnet() {
    check_nltk_meteor(&NltkMeteor::new(None), "no_wordnet");
}

// ---- goldens that need METEOR's tables or WordNet

#[test]
fn golden_metrics_meteor_with_the_tables_of_the_jar() {
    if let Some(resources) = resources() {
        let names = ["exact_stem_synonym", "default", "default_nonorm", "default_on_nltk_tokens"];
        check_segments_and_corpora(Some(resources), &names);
    }
}

#[test]
fn golden_metrics_meteor_of_the_tiny_subset_with_the_tables_of_the_jar() {
    if let Some(resources) = resources() {
        check_tiny_subset(Some(resources), "meteor15.default");
    }
}

#[test]
fn golden_metrics_meteor_of_empty_hypotheses_as_a_mark() {
    let (Some(resources), Some(folder)) = (resources(), family("metrics")) else { return };
    let expected = expected(&folder);
    let meteor = meteor(MeteorVariant::Full, Some(&resources));
    for (name, file) in FILES {
        let score_as_a_mark = |pair: &Pair| {
            let (mut hypothesis, references) = nltk_texts(pair);
            if hypothesis.is_empty() {
                hypothesis = "&".into();
            }
            meteor.segment(&hypothesis, &borrowed(&references))
        };
        let segments: Vec<_> = pairs(&folder, file).iter().map(score_as_a_mark).collect();
        let score = corpus_score(&segments);
        assert_close(score, &expected[name]["meteor15.default_on_nltk_tokens_amp_for_empty"], name);
    }
}

#[test]
fn golden_metrics_nltk_meteor_with_wordnet() {
    match std::env::var_os("SOLACE_WORDNET") {
        Some(folder) => {
            let wordnet = WordNet::open(Path::new(&folder)).unwrap();
            check_nltk_meteor(&NltkMeteor::new(Some(Arc::new(wordnet))), "wordnet30");
        }
        None => println!("skipped: SOLACE_WORDNET doesn't name the folder of WordNet 3.0"),
    }
}

/// Scores, statistics and corpus values of the named columns of `meteor15`.
fn check_segments_and_corpora(resources: Option<Arc<MeteorResources>>, columns: &[&str]) {
    let Some(folder) = family("metrics") else { return };
    let corpora = expected(&folder);
    for ((name, file), column) in FILES.iter().flat_map(|file| columns.iter().map(move |column| (file, column))) {
        let meteor = meteor_of_column(column, resources.as_ref());
        let pairs = pairs(&folder, file);
        assert!(!pairs.is_empty());
        let texts: Vec<_> = pairs
            .iter()
            .map(|pair| match column.ends_with("nltk_tokens") {
                true => nltk_texts(pair),
                false => (pair.hypothesis.clone(), pair.references.clone()),
            })
            .collect();
        let segments: Vec<_> =
            texts.iter().map(|(hypothesis, references)| meteor.segment(hypothesis, &borrowed(references))).collect();
        for (pair, segment) in pairs.iter().zip(&segments) {
            let what = format!("{} {column}", pair.id);
            assert_close(segment.score(), &pair.expected["meteor15"][*column], &what);
            if let Some(statistics) = pair.expected["meteor15_stats"].get(*column) {
                let statistics: Vec<_> = statistics.as_array().unwrap().iter().filter_map(Value::as_f64).collect();
                assert_eq!(segment.to_array().as_slice(), statistics, "{what}");
            }
        }
        let (hypotheses, references): (Vec<_>, Vec<_>) = texts.into_iter().unzip();
        assert_eq!(meteor.segments(&hypotheses, &references).unwrap(), segments, "in parallel");

        let corpus = &corpora[*name];
        assert_close(corpus_score(&segments), &corpus[format!("meteor15.{column}")], column);
        if let Some(mean) = corpus.get(format!("meteor15.{column}.mean_of_segments")) {
            assert_close(mean_score(&segments), mean, &format!("{column}, mean"));
        }
    }
}

fn check_tiny_subset(resources: Option<Arc<MeteorResources>>, key: &str) {
    let Some(folder) = family("metrics") else { return };
    let subset = &expected(&folder)["tiny_subset"];
    let ids = strings(&subset["ids"]);
    let meteor = meteor_of_column(key.trim_start_matches("meteor15."), resources.as_ref());
    let pairs = pairs(&folder, FILES[0].1);
    let chosen = ids.iter().map(|id| pairs.iter().find(|pair| pair.id == *id).unwrap());
    let segments: Vec<_> = chosen.map(|pair| meteor.segment(&pair.hypothesis, &borrowed(&pair.references))).collect();
    assert_close(corpus_score(&segments), &subset["expected"][key], key);
}

/// NLTK's METEOR was given NLTK's tokens.
fn check_nltk_meteor(meteor: &NltkMeteor, column: &str) {
    let Some(folder) = family("metrics") else { return };
    let corpora = expected(&folder);
    for (name, file) in FILES {
        let pairs = pairs(&folder, file);
        let scores = pairs.iter().map(|pair| {
            let (hypothesis, references) = nltk_texts(pair);
            let references: Vec<_> = references.iter().map(|text| WhiteSpace.tokens(text)).collect();
            let score = meteor.score(&WhiteSpace.tokens(&hypothesis), &references);
            assert_close(score, &pair.expected["nltk_meteor"][column], &pair.id);
            score
        });
        let mean = scores.sum::<f64>() / pairs.len() as f64;
        assert_close(mean, &corpora[name][format!("nltk_meteor.{column}.mean")], name);
    }
}

fn meteor_of_column(column: &str, resources: Option<&Arc<MeteorResources>>) -> Meteor {
    match column {
        "exact" => meteor(MeteorVariant::Exact, resources),
        "exact_stem" => meteor(MeteorVariant::ExactStem, resources),
        "exact_stem_nopunct" => {
            meteor(MeteorVariant::ExactStem, resources).with_tokenizer(MeteorNorm::WithoutPunctuation)
        }
        "exact_stem_synonym" => meteor(MeteorVariant::ExactStemSynonym, resources),
        "default" | "default_on_nltk_tokens" => meteor(MeteorVariant::Full, resources),
        "default_nonorm" => meteor(MeteorVariant::Full, resources).with_tokenizer(WhiteSpace),
        other => panic!("{other} is not a column"),
    }
}

fn meteor(variant: MeteorVariant, resources: Option<&Arc<MeteorResources>>) -> Meteor {
    Meteor::new(variant, resources.cloned()).unwrap()
}

/// METEOR's own tables, read once for all tests.
fn resources() -> Option<Arc<MeteorResources>> {
    static RESOURCES: OnceLock<Option<Arc<MeteorResources>>> = OnceLock::new();
    let resources = RESOURCES.get_or_init(|| MeteorResources::find().unwrap().map(Arc::new));
    if resources.is_none() {
        println!("skipped: SOLACE_METEOR doesn't name the folder of METEOR 1.5");
    }
    resources.clone()
}

fn all_pairs() -> Vec<Pair> {
    family("metrics")
        .map(|folder| FILES.iter().flat_map(|(_, file)| pairs(&folder, file)).collect())
        .unwrap_or_default()
}

/// Hypothesis and references as NLTK's tokens between spaces.
fn nltk_texts(pair: &Pair) -> (String, Vec<String>) {
    let mut texts = strings(&pair.expected["tok"]["nltk"]);
    let references = texts.split_off(1);
    (texts.remove(0), references)
}

fn strings(values: &Value) -> Vec<String> {
    values.as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn corpus_score(segments: &[SegmentStatistics]) -> f64 {
    segments.iter().collect::<CorpusStatistics>().score()
}

fn mean_score(segments: &[SegmentStatistics]) -> f64 {
    segments.iter().map(SegmentStatistics::score).sum::<f64>() / segments.len() as f64
}

// ---- METEOR on texts written for these tests

#[test]
fn an_identical_text_scores_one_and_an_unrelated_one_zero() {
    for variant in [MeteorVariant::Exact, MeteorVariant::ExactStem] {
        let meteor = meteor(variant, None);
        assert_eq!(meteor.segment("You did well, truly!", &["You did well, truly!"]).score(), 1.0);
        assert_eq!(meteor.segment("You did well", &["Nobody saw it"]).score(), 0.0);
        assert_eq!(meteor.segment("", &["Nobody saw it"]).score(), 0.0);
        assert_eq!(meteor.segment("", &[""]).score(), 0.0);
        assert_eq!(meteor.segment("You did well", &[]).score(), 0.0);
    }
}

#[test]
fn stems_match_for_less_than_words() {
    let exact = meteor(MeteorVariant::Exact, None).segment("she was walking home", &["she was walked home"]);
    let stem = meteor(MeteorVariant::ExactStem, None).segment("she was walking home", &["she was walked home"]);
    assert_eq!((exact.hypothesis_matches, stem.hypothesis_matches), (3, 4));
    assert!(exact.score() < stem.score() && stem.score() < 1.0);
    assert_eq!(stem.matches[1].hypothesis_content, 1);
}

#[test]
fn the_best_reference_counts_and_the_first_of_equals() {
    let meteor = meteor(MeteorVariant::ExactStem, None);
    let best = meteor.segment("the long way home", &["a way", "the long way home", "the long way home ."]);
    assert_eq!((best.score(), best.reference_length), (1.0, 4));
    let first = meteor.segment("no", &["one two", "one two three"]);
    assert_eq!(first.reference_length, 2);
}

#[test]
fn words_with_the_same_hash_code_in_java_are_equal() {
    let meteor = meteor(MeteorVariant::Exact, None);
    let statistics = meteor.segment("you will again", &["you win. again"]);
    assert_eq!(statistics.hypothesis_matches, 3);
    assert_eq!(statistics.score(), 1.0, "unlike `will`, `win.` is no function word, but all is matched");
}

#[test]
fn a_corpus_is_scored_by_its_sums_without_the_chunks_of_whole_matches() {
    let meteor = meteor(MeteorVariant::ExactStem, None);
    let whole = meteor.segment("quite the same", &["quite the same"]);
    let parts = meteor.segment("one thing and another", &["another thing"]);
    let corpus: CorpusStatistics = [whole, parts].iter().collect();
    assert_eq!(corpus.to_array()[20], parts.chunks as f64);
    assert_eq!(SegmentStatistics::from_array(&corpus.to_array()).score(), corpus.score());
    assert_eq!((whole.in_corpus().chunks, parts.in_corpus()), (0, parts));
    assert_eq!(corpus_score(&[whole, whole]), 1.0);
    assert_ne!(corpus.score(), mean_score(&[whole, parts]));
    assert_eq!(corpus_score(&[]), 0.0);
}

#[test]
fn segments_are_the_same_alone_and_together() {
    let meteor = meteor(MeteorVariant::ExactStem, None);
    let hypotheses: Vec<_> = (0..1500).map(|item| format!("item {item} is {} of them", item % 7)).collect();
    let references: Vec<_> = (0..1500).map(|item| vec![format!("{item} items are {}", item % 5)]).collect();
    let together = meteor.segments(&hypotheses, &references).unwrap();
    for item in [0, 1, 299, 300, 1499] {
        assert_eq!(together[item], meteor.segment(&hypotheses[item], &borrowed(&references[item])), "{item}");
    }
}

#[test]
fn lists_that_do_not_fit_are_refused() {
    let meteor = meteor(MeteorVariant::Exact, None);
    let lengths = meteor.segments(&["a"], &[vec!["a"], vec!["b"]]).unwrap_err();
    assert!(matches!(lengths, Error::Lengths { left: 1, right: 2, .. }), "{lengths}");
    let none = meteor.segments(&["a", "b"], &[vec!["a"], vec![]]).unwrap_err();
    assert!(matches!(none, Error::NoReference(1)), "{none}");
}

#[test]
fn variants_that_need_tables_say_so() {
    for variant in MeteorVariant::ALL {
        let meteor = Meteor::new(variant, None);
        assert_eq!(meteor.is_err(), variant.needs_resources());
        if let Err(error) = meteor {
            assert!(error.to_string().contains("SOLACE_METEOR"), "{error}");
        }
    }
}

#[test]
fn names_tell_modules_and_tokens() {
    let meteor = meteor(MeteorVariant::ExactStem, None);
    assert_eq!(meteor.name(), "meteor15-exact-stem|tok:meteor-norm");
    assert_eq!(
        meteor.with_tokenizer(MeteorNorm::WithoutPunctuation).name(),
        "meteor15-exact-stem|tok:meteor-norm-nopunct"
    );
    assert_eq!(NltkMeteor::new(None).name(), "nltk-meteor-no-wordnet");
}

#[test]
fn texts_of_a_megabyte_are_scored() {
    let meteor = meteor(MeteorVariant::ExactStem, None);
    let texts = ["x".repeat(1 << 20), "so it goes ".repeat(100_000), "😢 ".repeat(200_000), "'.,-".repeat(1 << 18)];
    for text in &texts {
        for score in [
            meteor.segment(text, &["so it goes, x"]).score(),
            meteor.segment("so it goes, x", &[text]).score(),
            NltkMeteor::new(None).score(&[text.as_str()], &[["so", "it"]]),
        ] {
            assert!((0.0..=1.0).contains(&score));
        }
    }
}

fn any_text() -> impl Strategy<Value = String> {
    let marks =
        prop::sample::select(" \t\n.,'`-–—‘’“”|\"aAsé5İΣ\u{A0}\u{301}\u{B}\u{1}שא😢我".chars().collect::<Vec<_>>());
    let character = prop_oneof![4 => marks, 1 => any::<char>()];
    prop::collection::vec(character, 0..60).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn any_two_texts_have_a_score(hypothesis in any_text(), reference in any_text(), other in any_text()) {
        for variant in [MeteorVariant::Exact, MeteorVariant::ExactStem] {
            for tokenizer in [MeteorNorm::WithPunctuation, MeteorNorm::WithoutPunctuation] {
                let meteor = meteor(variant, None).with_tokenizer(tokenizer);
                let best = meteor.segment(&hypothesis, &[&reference, &other]).score();
                prop_assert!((0.0..=1.0).contains(&best));
                let each = [&reference, &other].map(|reference| meteor.segment(&hypothesis, &[reference]).score());
                prop_assert_eq!(best, each[0].max(each[1]));
            }
        }
    }

    #[test]
    fn no_text_scores_higher_than_itself(text in any_text()) {
        let score = meteor(MeteorVariant::ExactStem, None).segment(&text, &[&text]).score();
        let is_empty = MeteorNorm::WithPunctuation.tokens(&text.replace("|||", "")).is_empty();
        prop_assert_eq!(score, if is_empty { 0.0 } else { 1.0 });
    }

    #[test]
    fn tokens_have_no_spaces_and_are_lower_case(text in any_text()) {
        for token in MeteorNorm::WithPunctuation.tokens(&text) {
            let is_one_token = !token.is_empty() && !token.contains([' ', '\n', '\u{A0}']);
            prop_assert!(is_one_token, "{token:?}");
            prop_assert_eq!(token.to_lowercase(), token);
        }
    }

    #[test]
    fn any_tokens_have_an_nltk_score(hypothesis in prop::collection::vec(any_text(), 0..6), reference in prop::collection::vec(any_text(), 0..6)) {
        let score = NltkMeteor::new(None).score(&hypothesis, &[reference]);
        prop_assert!((0.0..=1.0).contains(&score));
    }
}

// ---- resources written for these tests

const SYNSETS: &str = "glad\n00000001\nhappy\n00000001 00000002\ntalk\n00000003\nspeak\n00000003\n";
const EXCEPTIONS: &str = "happy\nhappier happiest\nspeak\nspoke spoken\n";
const TABLE: &str = "0.5\na lot\nmuch\n0.1\nhappier\nhappy\n0.3\nmuch\na lot\n";

/// A folder like METEOR's.
fn meteor_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_jar(&folder.path().join("meteor-1.5.jar"));
    std::fs::create_dir(folder.path().join("data")).unwrap();
    write_gzip(&folder.path().join("data/paraphrase-en.gz"), TABLE);
    folder
}

fn write_jar(path: &Path) {
    let mut jar = zip::ZipWriter::new(File::create(path).unwrap());
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, text) in [("synonym/english.synsets", SYNSETS), ("synonym/english.exceptions", EXCEPTIONS)] {
        jar.start_file(name, stored).unwrap();
        jar.write_all(text.as_bytes()).unwrap();
    }
    jar.finish().unwrap();
}

fn write_gzip(path: &Path, text: &str) {
    let mut file = flate2::write::GzEncoder::new(File::create(path).unwrap(), flate2::Compression::fast());
    file.write_all(text.as_bytes()).unwrap();
    file.finish().unwrap();
}

fn open(folder: &Path) -> Result<MeteorResources, Error> {
    MeteorResources::open_with_cache(folder, None)
}

fn matched_words(resources: &Arc<MeteorResources>, variant: MeteorVariant, pair: [&str; 2]) -> (u64, u64) {
    let statistics = meteor(variant, Some(resources)).segment(pair[0], &[pair[1]]);
    (statistics.hypothesis_matches, statistics.reference_matches)
}

#[test]
fn synonyms_and_paraphrases_match_what_stems_do_not() {
    let resources = Arc::new(open(meteor_folder().path()).unwrap());
    let (stem, synonym, full) = (MeteorVariant::ExactStem, MeteorVariant::ExactStemSynonym, MeteorVariant::Full);
    let spoken = ["we have spoken", "we have talked"];
    assert_eq!(matched_words(&resources, stem, spoken), (2, 2));
    assert_eq!(matched_words(&resources, synonym, spoken), (3, 3));
    let thanks = ["thanks a lot", "thanks much"];
    assert_eq!(matched_words(&resources, synonym, thanks), (1, 1));
    assert_eq!(matched_words(&resources, full, thanks), (3, 2));
}

#[test]
fn a_word_that_two_modules_match_competes_and_is_dropped_unless_it_saves_a_chunk() {
    let resources = Arc::new(open(meteor_folder().path()).unwrap());
    let apart = ["it seems happier now", "happy it is"];
    assert_eq!(matched_words(&resources, MeteorVariant::ExactStemSynonym, apart), (2, 2));
    assert_eq!(matched_words(&resources, MeteorVariant::Full, apart), (1, 1));
    let adjacent = ["it seems happier now", "it seems happy now"];
    assert_eq!(matched_words(&resources, MeteorVariant::Full, adjacent), (4, 4));
}

#[test]
fn an_unpacked_folder_is_read_as_the_jar_is() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("synonym")).unwrap();
    std::fs::write(folder.path().join("synonym/english.synsets"), SYNSETS).unwrap();
    std::fs::write(folder.path().join("synonym/english.exceptions"), EXCEPTIONS).unwrap();
    write_gzip(&folder.path().join("paraphrase-en.gz"), TABLE);
    let resources = Arc::new(open(folder.path()).unwrap());
    assert_eq!(matched_words(&resources, MeteorVariant::Full, ["much spoke", "a lot talked"]), (2, 3));
}

#[test]
fn a_folder_without_the_files_is_refused_with_their_names() {
    let folder = tempfile::tempdir().unwrap();
    assert_refused(folder.path(), &["paraphrase-en.gz", "METEOR"]);
    let folder = meteor_folder();
    std::fs::remove_file(folder.path().join("meteor-1.5.jar")).unwrap();
    assert_refused(folder.path(), &["meteor-1.5.jar", "english.synsets"]);
}

#[test]
fn a_broken_jar_is_refused() {
    let folder = meteor_folder();
    let jar = folder.path().join("meteor-1.5.jar");
    let whole = std::fs::read(&jar).unwrap();
    std::fs::write(&jar, &whole[..whole.len() / 2]).unwrap();
    assert_refused(folder.path(), &["meteor-1.5.jar"]);
    let mut changed = whole.clone();
    let at = whole.windows(4).position(|bytes| bytes == b"glad").unwrap();
    changed[at] = b'G';
    std::fs::write(&jar, changed).unwrap();
    assert_refused(folder.path(), &["meteor-1.5.jar", "english.synsets"]);
    let mut empty = zip::ZipWriter::new(File::create(&jar).unwrap());
    empty.start_file("other", zip::write::SimpleFileOptions::default()).unwrap();
    empty.finish().unwrap();
    assert_refused(folder.path(), &["meteor-1.5.jar", "english.synsets"]);
}

#[test]
fn a_broken_paraphrase_table_is_refused() {
    let folder = meteor_folder();
    let table = folder.path().join("data/paraphrase-en.gz");
    let whole = std::fs::read(&table).unwrap();
    for broken in [&whole[..whole.len() - 9], b"no gzip".as_slice(), b"".as_slice()] {
        std::fs::write(&table, broken).unwrap();
        assert_refused(folder.path(), &["paraphrase-en.gz"]);
    }
    write_gzip(&table, "0.5\na lot\n");
    assert_refused(folder.path(), &["paraphrase-en.gz", "line 1"]);
}

#[track_caller]
fn assert_refused(folder: &Path, words: &[&str]) {
    let error = open(folder).unwrap_err();
    assert!(matches!(error, Error::Resource { .. }));
    words.iter().for_each(|word| assert!(error.to_string().contains(word), "{error}"));
}

#[test]
fn an_index_is_kept_used_and_made_anew_when_it_is_broken_or_old() {
    let (folder, cache) = (meteor_folder(), tempfile::tempdir().unwrap());
    let table = folder.path().join("data/paraphrase-en.gz");
    let matches_lot = || {
        let resources = Arc::new(MeteorResources::open_with_cache(folder.path(), Some(cache.path())).unwrap());
        assert_eq!(resources.cache_problem(), None);
        matched_words(&resources, MeteorVariant::Full, ["a lot", "much"]) == (2, 1)
    };
    let files = || std::fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();

    assert!(matches_lot());
    let [index] = files().try_into().unwrap();
    let whole = std::fs::read(&index).unwrap();

    std::fs::write(&index, &whole[..whole.len() / 2]).unwrap();
    assert!(matches_lot());
    assert_eq!(std::fs::read(&index).unwrap(), whole, "replaced");

    let before = std::fs::metadata(&index).unwrap().modified().unwrap();
    assert!(matches_lot());
    assert_eq!(std::fs::metadata(&index).unwrap().modified().unwrap(), before, "used");

    write_gzip(&table, "0.5\na lot\nmany\n");
    assert!(!matches_lot());
    assert_eq!(files().len(), 2);
}

#[test]
fn an_index_that_cannot_be_kept_is_used_all_the_same() {
    let folder = meteor_folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let resources = MeteorResources::open_with_cache(folder.path(), Some(&file.join("cache"))).unwrap();
    assert!(resources.cache_problem().unwrap().contains("cache"));
    let resources = Arc::new(resources);
    assert_eq!(matched_words(&resources, MeteorVariant::Full, ["a lot", "much"]), (2, 1));
}

/// A WordNet of one synset each for nouns (`mouse computer_mouse`), verbs (`talk speak`), adjectives (`glad happy(a)`) and adverbs.
fn wordnet_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let parts = [
        ("noun", "n", &["mouse", "computer_mouse"][..], "mice mouse\n"),
        ("verb", "v", &["talk", "speak"], "spoke speak\n"),
        ("adj", "a", &["glad", "happy(a)"], "happier happy\n"),
        ("adv", "r", &["gladly"], ""),
    ];
    for (suffix, part, words, exceptions) in parts {
        let licence = "  1 A line of the licence.\n";
        let place = licence.len();
        let fields: Vec<_> = words.iter().map(|word| format!("{word} 0")).collect();
        let data = format!("{licence}{place:08} 00 {part} {:02x} {} 000 | a gloss\n", words.len(), fields.join(" "));
        let entry = |word: &&str| format!("{} {part} 1 1 @ 1 0 {place:08}  \n", word.trim_end_matches("(a)"));
        let index: String = std::iter::once(licence.to_owned()).chain(words.iter().map(entry)).collect();
        std::fs::write(folder.path().join(format!("data.{suffix}")), data).unwrap();
        std::fs::write(folder.path().join(format!("index.{suffix}")), index).unwrap();
        std::fs::write(folder.path().join(format!("{suffix}.exc")), exceptions).unwrap();
    }
    folder
}

#[test]
fn wordnet_gives_the_single_words_of_a_words_synsets() {
    let wordnet = WordNet::open(wordnet_folder().path()).unwrap();
    assert_eq!(wordnet.synonyms("Talking"), ["talk", "speak"]);
    assert_eq!(wordnet.synonyms("spoke"), ["talk", "speak"]);
    assert_eq!(wordnet.synonyms("mice"), ["mouse"]);
    assert_eq!(wordnet.synonyms("happier"), ["glad", "happy"]);
    assert!(wordnet.synonyms("unknown").is_empty());
    assert!(wordnet.synonyms("").is_empty());
}

#[test]
fn nltk_meteor_looks_up_synonyms_of_stems() {
    let wordnet = WordNet::open(wordnet_folder().path()).unwrap();
    let meteor = NltkMeteor::new(Some(Arc::new(wordnet)));
    assert_eq!(meteor.name(), "nltk-meteor");
    assert_eq!(meteor.score(&["talking"], &[["speaks"]]), 0.5);
    assert_eq!(meteor.score(&["happy"], &[["glad"]]), 0.0, "the stem `happi` is not in WordNet");
    assert_eq!(meteor.score(&["glad"], &[["happy"]]), 0.0, "nor is it the word that `glad` leads to");
}

#[test]
fn a_broken_wordnet_is_refused() {
    let folder = wordnet_folder();
    let index = folder.path().join("index.verb");
    let changes = [("1 1 @ 1", "x 1 @ 1", "not a line"), ("00000027", "00000028", "no synset at 00000028")];
    for (old, new, problem) in changes {
        let whole = std::fs::read_to_string(&index).unwrap();
        assert!(whole.contains(old));
        std::fs::write(&index, whole.replacen(old, new, 1)).unwrap();
        let error = WordNet::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("index.verb") && error.contains("line 2") && error.contains(problem), "{error}");
        std::fs::write(&index, whole).unwrap();
    }
    std::fs::remove_file(folder.path().join("data.adv")).unwrap();
    let error = WordNet::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("data.adv"), "{error}");
}
