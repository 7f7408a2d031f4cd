//! Word vectors and BERTScore's matching: against nlg-eval's formulas, by hand, and files that are not as they should
//! be.

use std::io::{Cursor, Write};

use esc_metrics::Error;
use esc_metrics::bertscore::{BertScore, Idf, TokenEmbeddings};
use esc_metrics::embedding::{EmbeddingScores, WordVectors};
use esc_metrics::tokenize::{NltkWords, PunktParameters, Tokenizer};
use proptest::prelude::*;
use serde_json::Value;

use crate::goldens::{Pair, assert_close, expected, family, pairs};

/// The tokens of the response and of its references. nlg-eval is given NLTK's tokens joined by spaces and splits them
/// with NLTK once more.
fn tokens(pair: &Pair) -> (Vec<String>, Vec<Vec<String>>) {
    let words = NltkWords::new(PunktParameters::built_in());
    let split = |text: &Value| words.tokens(text.as_str().unwrap());
    let mut texts: Vec<Vec<String>> = pair.expected["tok"]["nltk"].as_array().unwrap().iter().map(split).collect();
    (texts.remove(0), texts)
}

#[test]
fn golden_metrics_word_vectors_score_as_nlg_eval() {
    let Some(folder) = family("metrics") else { return };
    let vectors = WordVectors::read(&folder.join("word_vectors.txt")).unwrap();
    let pairs = pairs(&folder, "pairs_single.jsonl");
    let (hypotheses, references): (Vec<_>, Vec<_>) = pairs.iter().map(tokens).unzip();
    let report = vectors.report(&hypotheses, &references).unwrap();
    let mut scored = 0;
    for (pair, found) in pairs.iter().zip(&report.items) {
        let expected = pair.expected.get("embedding");
        assert_eq!(found.is_some(), expected.is_some(), "{}", pair.id);
        if let (Some(found), Some(expected)) = (found, expected) {
            assert_close(found.average, &expected[0], &format!("average of {}", pair.id));
            assert_close(found.extrema, &expected[1], &format!("extrema of {}", pair.id));
            assert_close(found.greedy, &expected[2], &format!("greedy matching of {}", pair.id));
            scored += 1;
        }
    }
    assert_eq!(report.skipped, pairs.len() - scored);
    let corpus = &expected(&folder)["single"]["embedding.mean_average_extrema_greedy"];
    let mean = report.mean.unwrap();
    for (place, found) in [mean.average, mean.extrema, mean.greedy].into_iter().enumerate() {
        assert_close(found, &corpus[place], &report.signatures[place]);
    }

    // Keeping only the words that occur changes nothing.
    let words = hypotheses.iter().chain(references.iter().flatten()).flatten().map(String::as_str);
    let fewer = WordVectors::read_for(&folder.join("word_vectors.txt"), words).unwrap();
    assert_eq!(fewer.report(&hypotheses, &references).unwrap(), report);
}

#[test]
fn golden_metrics_token_embeddings_match_as_bert_score_defines() {
    let Some(folder) = family("metrics") else { return };
    let golden = &expected(&folder)["bertscore_maths"];
    for (number, case) in golden["cases"].as_array().unwrap().iter().enumerate() {
        let numbers = |name: &str| -> Vec<f64> { serde_json::from_value(case[name].clone()).unwrap() };
        let embeddings = |name: &str| {
            let rows: Vec<Vec<f64>> = serde_json::from_value(case[name].clone()).unwrap();
            TokenEmbeddings::new(&rows.concat(), rows[0].len()).unwrap()
        };
        let (hypothesis, reference) = (embeddings("hyp_emb"), embeddings("ref_emb"));
        let plain = BertScore::of(&hypothesis, &reference).unwrap();
        let weighted = BertScore::of(
            &hypothesis.with_weights(numbers("hyp_idf")).unwrap(),
            &reference.with_weights(numbers("ref_idf")).unwrap(),
        );
        for (found, suffix) in [(plain, ""), (weighted.unwrap(), "_idf")] {
            for (name, found) in [("p", found.precision), ("r", found.recall), ("f1", found.f1)] {
                assert_close(
                    found,
                    &case["expected"][format!("{name}{suffix}")],
                    &format!("{name}{suffix} of {number}"),
                );
            }
        }
    }
}

fn vectors(text: &str) -> WordVectors {
    WordVectors::from_reader("test", Cursor::new(text)).unwrap()
}

fn problem(text: &str) -> String {
    WordVectors::from_reader("test", Cursor::new(text)).unwrap_err().to_string()
}

#[test]
fn vectors_are_read_with_and_without_a_header() {
    let (with, without) = (vectors("2 3\na 1 2 3\nb 3 4 5\n"), vectors("a 1 2 3 \r\nb\t3 4 5"));
    for vectors in [with, without] {
        assert_eq!((vectors.words(), vectors.dimensions()), (2, 3));
        assert_eq!(vectors.vector("b").unwrap(), [3.0, 4.0, 5.0]);
        assert_eq!(vectors.vector("neither").unwrap(), [2.0, 3.0, 4.0]);
        assert!(vectors.contains("a") && !vectors.contains("neither"));
    }
}

#[test]
fn the_first_of_two_vectors_of_a_word_counts() {
    let vectors = vectors("a 1 2\nb 3 4\na 100 100\n");
    assert_eq!((vectors.words(), vectors.duplicates()), (2, 1));
    assert_eq!(vectors.vector("a").unwrap(), [1.0, 2.0]);
    assert_eq!(vectors.vector("unknown").unwrap(), [2.0, 3.0]);
}

#[test]
fn words_may_hold_spaces_but_not_numbers() {
    let vectors = vectors("a 1 2\n. . . 3 4\nnon\u{a0}breaking 5 6\n");
    assert_eq!(vectors.vector(". . .").unwrap(), [3.0, 4.0]);
    assert_eq!(vectors.vector("non\u{a0}breaking").unwrap(), [5.0, 6.0]);
    assert_eq!(problem("a 1 2\nb 1 2 3\n"), "test: line 2: more than the 2 numbers that are expected");
}

#[test]
fn what_is_wrong_with_a_file_is_named_with_its_line() {
    assert_eq!(problem("2 3\na 1 2 3\n"), "test: 1 word vectors, but the header promises 2");
    assert_eq!(problem("a 1 2\nb 1\n"), "test: line 2: a word and 1 numbers, but 2 are expected");
    assert_eq!(problem("1 2\n\na 1 x\n"), "test: line 3: `x` is not a finite number");
    assert_eq!(problem("a 1 2\nb nan 2\n"), "test: line 2: `nan` is not a finite number");
    assert_eq!(problem(""), "test: it holds no word vectors");
    assert!(problem("1 9999999999999999999\na 1\n").starts_with("test: line 2: a word and 1 numbers"));
    assert!(problem("word\n").starts_with("test: line 1: expected a word and its numbers"));
    let bytes = Cursor::new(b"a 1 2\n\xff 1 2\n");
    assert_eq!(WordVectors::from_reader("test", bytes).unwrap_err().to_string(), "test: line 2: it is not UTF-8");
    let missing = WordVectors::read(std::path::Path::new("no/such/vectors.txt")).unwrap_err();
    assert!(matches!(missing, Error::Resource { .. }) && missing.to_string().starts_with("no/such/vectors.txt: "));
}

#[test]
fn long_files_are_read_in_blocks() {
    let mut file = tempfile::NamedTempFile::with_suffix(".txt").unwrap();
    let lines: String = (0..10_000).map(|word| format!("w{word} {word} 1\n")).collect();
    file.write_all(format!("10000 2\n{lines}").as_bytes()).unwrap();
    let all = WordVectors::read(file.path()).unwrap();
    assert_eq!((all.words(), all.vector("w9999").unwrap()), (10_000, &[9999.0, 1.0][..]));
    assert_eq!(all.vector("unknown").unwrap(), [4999.5, 1.0]);
    assert_eq!(all.name(), file.path().file_stem().unwrap().to_str().unwrap());

    let some = WordVectors::read_for(file.path(), ["w7", "unknown"]).unwrap();
    assert_eq!((some.vector("w7").unwrap(), some.vector("unknown").unwrap()), (&[7.0, 1.0][..], &[4999.5, 1.0][..]));
    assert_eq!((some.words(), some.contains("unknown")), (10_000, false));
    assert!(matches!(some.vector("w8"), Err(Error::Setting(_))));

    file.write_all(b"w10000 1\n").unwrap();
    assert!(WordVectors::read(file.path()).unwrap_err().to_string().contains("line 10002: a word and 1 numbers"));
}

#[test]
fn extremes_follow_the_published_rule() {
    // Smallest and largest by dimension: 1 and 2; -2 and 1; -1 and 2; -1 and 1; 0 and 5.
    let vectors = vectors("low 1 -2 -1 -1 0\nhigh 2 1 2 1 5\nextreme 2 -2 2 -1 0\n");
    let found = vectors.scores(&["low", "high"], &[["extreme"]]).unwrap().unwrap();
    assert!((found.extrema - 1.0).abs() < 1e-12);
}

#[test]
fn greedy_matching_by_hand() {
    let vectors = vectors("x 1 0\ny 0 2\nd 3 3\n");
    let found = vectors.scores(&["x", "y"], &[["d"]]).unwrap().unwrap();
    assert!((found.greedy - 0.5_f64.sqrt()).abs() < 1e-12);
    let found = vectors.scores(&["x", "y"], &[["x", "x", "x"]]).unwrap().unwrap();
    assert!((found.greedy - (0.5 + 1.0) / 2.0).abs() < 1e-12);
    assert!((found.average - 1.0 / 5.0_f64.sqrt()).abs() < 1e-12);
}

#[test]
fn of_several_references_the_best_counts_for_each_score() {
    let vectors = vectors("x 1 0\ny 0 2\nd 3 3\n");
    let scores = |references: &[Vec<&str>]| vectors.scores(&["x", "x", "y"], references).unwrap();
    let (first, second) = (vec!["x"], vec!["d", "y"]);
    let alone = [scores(std::slice::from_ref(&first)).unwrap(), scores(std::slice::from_ref(&second)).unwrap()];
    let largest = |of: fn(&EmbeddingScores) -> f64| of(&alone[0]).max(of(&alone[1]));
    let expected = EmbeddingScores {
        average: largest(|scores| scores.average),
        extrema: largest(|scores| scores.extrema),
        greedy: largest(|scores| scores.greedy),
    };
    assert_eq!(scores(&[first.clone(), vec![], second]), Some(expected));
    assert_eq!(scores(&[vec![], vec![]]), None);
}

#[test]
fn texts_without_tokens_are_counted_not_scored() {
    let vectors = vectors("x 1 0\ny 0 2\n");
    let report = vectors.report(&[vec!["x"], vec![]], &[[vec!["x"]], [vec!["y"]]]).unwrap();
    assert_eq!((report.skipped, report.items[1]), (1, None));
    let one = EmbeddingScores { average: 1.0, extrema: 1.0, greedy: 1.0 };
    assert_eq!((report.items[0], report.mean), (Some(one), Some(one)));
    assert_eq!(report.signatures[0], "embedding-average|vectors:test|dim:2|unknown:mean");
    let nothing: [Vec<&str>; 0] = [];
    assert_eq!(vectors.report(&nothing, &[] as &[[Vec<&str>; 1]]).unwrap().mean, None);
    let without_reference = vectors.report(&[vec!["x"], vec!["x"]], &[vec![vec!["x"]], vec![]]);
    assert!(matches!(without_reference, Err(Error::NoReference(1))));
    let short = vectors.report(&[vec!["x"]], &[] as &[[Vec<&str>; 1]]);
    assert!(matches!(short, Err(Error::Lengths { .. })));
}

#[test]
fn a_vector_of_zeros_is_like_nothing() {
    let vectors = vectors("zero 0 0\nx 1 0\nback -1 0\n");
    let found = vectors.scores(&["zero"], &[["x"]]).unwrap().unwrap();
    assert_eq!(found, EmbeddingScores { average: 0.0, extrema: 0.0, greedy: 0.0 });
    assert_eq!(vectors.scores(&["x", "back"], &[["x"]]).unwrap().unwrap().average, 0.0);
}

#[test]
fn identical_tokens_match_perfectly_and_special_ones_do_not_count() {
    let text = TokenEmbeddings::new(&[1.0_f32, 0.0, 0.0, 3.0, 2.0, 2.0], 2).unwrap();
    let found = BertScore::of(&text, &text).unwrap();
    assert!([found.precision, found.recall, found.f1].into_iter().all(|score| (score - 1.0).abs() < 1e-12));
    // The reference's only weighted token is at right angles to the hypothesis' one, but close to its unweighted one.
    let hypothesis = TokenEmbeddings::new(&[1.0, 0.0, 0.0, 1.0], 2).unwrap().with_weights(vec![1.0, 0.0]).unwrap();
    let reference = TokenEmbeddings::new(&[0.0, 1.0], 2).unwrap();
    let found = BertScore::of(&hypothesis, &reference).unwrap();
    assert_eq!((found.precision, found.recall, found.f1), (0.0, 1.0, 0.0));
}

#[test]
fn an_empty_text_scores_zero() {
    let zero = BertScore { precision: 0.0, recall: 0.0, f1: 0.0 };
    let text = TokenEmbeddings::new(&[1.0, 0.0], 2).unwrap();
    assert_eq!(BertScore::of(&TokenEmbeddings::new::<f64>(&[], 2).unwrap(), &text).unwrap(), zero);
    assert_eq!(BertScore::of(&text, &text.clone().with_weights(vec![0.0]).unwrap()).unwrap(), zero);
    let opposite = TokenEmbeddings::new(&[-1.0, 0.0], 2).unwrap();
    assert_eq!(BertScore::of(&text, &opposite).unwrap().f1, -1.0);
}

#[test]
fn the_best_reference_is_taken_number_by_number() {
    let hypothesis = TokenEmbeddings::new(&[1.0, 0.0, 0.0, 1.0], 2).unwrap();
    let references = [
        TokenEmbeddings::new(&[1.0, 0.0], 2).unwrap(),
        TokenEmbeddings::new(&[3.0, 1.0, 1.0, 3.0, -1.0, -1.0], 2).unwrap(),
    ];
    let alone = references.each_ref().map(|reference| BertScore::of(&hypothesis, reference).unwrap());
    let best = BertScore::best_of(&hypothesis, &references).unwrap().unwrap();
    assert!(alone[0].recall > alone[1].recall && alone[1].precision > alone[0].precision);
    assert_eq!((best.recall, best.precision), (alone[0].recall, alone[1].precision));
    assert_eq!(BertScore::best_of(&hypothesis, &[]).unwrap(), None);
}

#[test]
fn rescaling_takes_the_baseline_to_zero_and_one_to_one() {
    let baseline = BertScore { precision: 0.8, recall: 0.7, f1: 0.75 };
    let zero = baseline.rescaled(&baseline).unwrap();
    assert_eq!((zero.precision, zero.recall, zero.f1), (0.0, 0.0, 0.0));
    let one = BertScore { precision: 1.0, recall: 1.0, f1: 1.0 };
    assert_eq!(one.rescaled(&baseline).unwrap(), one);
    assert!(matches!(zero.rescaled(&one), Err(Error::Setting(_))));
    assert!(matches!(zero.rescaled(&BertScore { f1: f64::NAN, ..baseline }), Err(Error::Setting(_))));
}

#[test]
fn rare_tokens_weigh_more_and_special_ones_nothing() {
    let idf = Idf::of_references(&[vec![101, 7, 7, 8, 102], vec![101, 8, 102], vec![101, 9, 102]], &[101, 102]);
    let (two, one, none) = ((4.0_f64 / 3.0).ln(), 2.0_f64.ln(), 4.0_f64.ln());
    assert_eq!(idf.weights(&[101, 8, 7, 55, 102]), [0.0, two, one, none, 0.0]);
}

#[test]
fn embeddings_that_do_not_fit_are_an_error() {
    assert!(matches!(TokenEmbeddings::new(&[1.0, 2.0, 3.0], 2), Err(Error::Setting(_))));
    assert!(matches!(TokenEmbeddings::new(&[1.0], 0), Err(Error::Setting(_))));
    let not_finite = TokenEmbeddings::new(&[1.0, 2.0, f64::NAN, 3.0], 2).unwrap_err();
    assert!(not_finite.to_string().contains("token 1"));
    let text = TokenEmbeddings::new(&[1.0, 2.0], 2).unwrap();
    assert_eq!(text.tokens(), 1);
    assert!(matches!(text.clone().with_weights(vec![]), Err(Error::Lengths { .. })));
    assert!(matches!(text.clone().with_weights(vec![-1.0]), Err(Error::Setting(_))));
    assert!(matches!(BertScore::of(&text, &TokenEmbeddings::new(&[1.0], 1).unwrap()), Err(Error::Lengths { .. })));
}

proptest! {
    #[test]
    fn a_text_is_as_like_another_as_the_other_is_to_it(
        first in prop::collection::vec(0..9_usize, 1..8),
        second in prop::collection::vec(0..9_usize, 1..8),
    ) {
        let lines = (0..8_i32).map(|word| format!("{word} {} {} {}\n", word % 3 - 1, word * word % 5 - 2, 7 - word));
        let lines: String = lines.collect();
        let vectors = vectors(&lines);
        let words = |text: &[usize]| text.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (first, second) = (words(&first), words(&second));
        let one = vectors.scores(&first, std::slice::from_ref(&second)).unwrap().unwrap();
        let other = vectors.scores(&second, std::slice::from_ref(&first)).unwrap().unwrap();
        for (one, other) in [(one.average, other.average), (one.extrema, other.extrema), (one.greedy, other.greedy)] {
            prop_assert!((one - other).abs() < 1e-12 && one.abs() < 1.0 + 1e-12);
        }
    }

    #[test]
    fn any_text_is_read_as_vectors_or_refused(text in "[a0-9. \t\n-]{0,60}") {
        if let Ok(vectors) = WordVectors::from_reader("any", Cursor::new(&text)) {
            prop_assert!(vectors.words() > 0 && vectors.dimensions() > 0);
            prop_assert!(vectors.vector("a").unwrap().iter().all(|value| value.is_finite()));
        }
    }
}
