//! Statements about decoding, on models that are tables.

use llm_runtime::EarlyStopping;
use llm_runtime::sampling::log_softmax;
use proptest::prelude::*;
use seq2seq::Seq2SeqError;
use seq2seq::search::{Decoded, DecodingIds, DecodingOptions, DecodingRow, VarietyRanking, decode};

use crate::table_model::{IDS, TableModel, found, hashed, ids, logits_of, row};

const END: u32 = IDS.eos;

fn options() -> DecodingOptions {
    DecodingOptions { max_new_tokens: 4, ..Default::default() }
}

fn beams(beam_width: usize) -> DecodingOptions {
    DecodingOptions { beam_width, num_return_sequences: beam_width, ..options() }
}

fn close(left: f32, right: f64) {
    assert!((f64::from(left) - right).abs() < 1e-5, "{left} is not {right}");
}

// Greedy decoding

#[test]
fn greedy_takes_the_likeliest_id_and_of_equals_the_smallest() {
    let rows = |ids: &[u32]| match ids {
        [2] => logits_of(&[0.1, 0.1, 0.2, 0.3, 0.3]),
        [2, 3] => logits_of(&[0.1, 0.1, 0.1, 0.1, 0.6]),
        _ => logits_of(&[0.5, 0.1, 0.1, 0.1, 0.2]),
    };
    let found = found(&options(), rows);
    assert_eq!(ids(&found), [vec![3, 4, END]]);
    let logprobs = [0.3f64.ln(), 0.6f64.ln(), 0.5f64.ln()];
    found[0].token_logprobs.iter().zip(logprobs).for_each(|(left, right)| close(*left, right));
    close(found[0].score, logprobs.iter().sum::<f64>() / 3.0);
}

#[test]
fn greedy_ends_at_the_greatest_length() {
    let found = found(&options(), |_| logits_of(&[0.1, 0.1, 0.1, 0.1, 0.6]));
    assert_eq!(ids(&found), [vec![4; 4]]);
}

// Rules

/// The likeliest id is the end, the next 3, then 4, 5, and so on.
fn falling(_: &[u32]) -> Vec<f32> {
    vec![9.0, 0.0, 0.5, 8.0, 7.0, 6.0, 5.0]
}

#[test]
fn the_least_length_counts_the_prompt_and_the_least_number_of_new_ids_does_not() {
    let by_length = DecodingOptions { min_length: 3, ..options() };
    assert_eq!(ids(&found(&by_length, falling)), [vec![3, 3, END]]);
    let by_new_ids = DecodingOptions { min_new_tokens: 3, ..options() };
    assert_eq!(ids(&found(&by_new_ids, falling)), [vec![3, 3, 3, END]]);
}

#[test]
fn no_ngram_of_the_output_occurs_twice() {
    let never_ending = |size| DecodingOptions { min_length: 9, no_repeat_ngram_size: size, ..options() };
    assert_eq!(ids(&found(&never_ending(1), falling)), [vec![3, 4, 5, 6]]);
    // The prompt's 2 begins no pair with 3 before the first place.
    assert_eq!(ids(&found(&never_ending(2), falling)), [vec![3, 3, 4, 3]]);
}

#[test]
fn no_ngram_of_the_encoders_text_occurs() {
    let options = DecodingOptions { min_length: 9, encoder_no_repeat_ngram_size: 2, ..options() };
    let row = DecodingRow { encoder_ids: vec![9, 2, 3, 9, 4, 4, 3], ..row(&[2]) };
    let mut model = TableModel::new(1, 7, |_, ids: &[u32]| falling(ids));
    let found = decode(&mut model, &[row], IDS, &options).unwrap().remove(0);
    assert_eq!(ids(&found), [vec![4, 5, 3, 3]]);
}

#[test]
fn bad_words_do_not_occur_and_their_beginnings_do() {
    let options = DecodingOptions { min_length: 9, bad_words: vec![vec![4], vec![3, 3]], ..options() };
    assert_eq!(ids(&found(&options, falling)), [vec![3, 5, 3, 5]]);
}

#[test]
fn the_end_alone_is_no_bad_word() {
    let options = DecodingOptions { bad_words: vec![vec![END]], ..options() };
    assert_eq!(ids(&found(&options, falling)), [vec![END]]);
}

#[test]
fn forced_ids_come_first_and_last_and_cost_nothing() {
    let options = DecodingOptions {
        forced_first_id: Some(6),
        forced_last_id: Some(END),
        min_length: 9,
        // What is forced comes after what is forbidden.
        bad_words: vec![vec![6]],
        ..options()
    };
    for options in [options.clone(), DecodingOptions { beam_width: 2, ..options }] {
        let found = found(&options, falling);
        assert_eq!(ids(&found), [vec![6, 3, 3, END]]);
        assert_eq!((found[0].token_logprobs[0], found[0].token_logprobs[3]), (0.0, 0.0));
    }
}

/// Greedy decoding divides the positive logit of what occurred; beams multiply its negative log-probability.
#[test]
fn the_repetition_penalty_works_on_logits_of_one_and_on_log_probabilities_of_several_beams() {
    let logits = |_: &[u32]| vec![-9.0, -9.0, 4.0, 3.0, -9.0];
    let penalised = DecodingOptions { repetition_penalty: 1.2, max_new_tokens: 1, ..options() };
    // 4 / 1.2 is still more than 3.
    let greedy = found(&penalised, logits);
    assert_eq!(ids(&greedy), [vec![2]]);
    let expected = log_softmax(&[-9.0, -9.0, 4.0 / 1.2, 3.0, -9.0]);
    close(greedy[0].token_logprobs[0], f64::from(expected[2]));
    // ln p(2) = −0.31 and ln p(3) = −1.31: the penalty of 5 makes −1.57 of the first.
    let penalised = DecodingOptions { repetition_penalty: 5.0, ..penalised };
    let beams = found(&DecodingOptions { beam_width: 2, num_return_sequences: 2, ..penalised }, logits);
    assert_eq!(ids(&beams), [vec![3], vec![2]]);
    let plain = log_softmax(&logits(&[]));
    close(beams[0].token_logprobs[0], f64::from(plain[3]));
    close(beams[1].token_logprobs[0], 5.0 * f64::from(plain[2]));
}

// Beam search

/// A likely first id with no good continuation, and a less likely one with a certain one.
fn garden_path(ids: &[u32]) -> Vec<f32> {
    match ids {
        [2] => logits_of(&[1e-9, 1e-9, 1e-9, 0.6, 0.4]),
        [2, 3] => logits_of(&[0.3, 1e-9, 1e-9, 0.35, 0.35]),
        [2, 4] => logits_of(&[0.9, 1e-9, 1e-9, 0.05, 0.05]),
        _ => logits_of(&[0.9, 1e-9, 1e-9, 0.05, 0.05]),
    }
}

#[test]
fn beams_find_what_greedy_decoding_walks_past() {
    assert_eq!(ids(&found(&options(), garden_path)), [vec![3, 3, END]]);
    let found = found(&DecodingOptions { length_penalty: 0.0, ..beams(2) }, garden_path);
    assert_eq!(found[0].ids, [4, END]);
    close(found[0].score, (0.4f64 * 0.9).ln());
    let parts = [0.4f64.ln(), 0.9f64.ln()];
    found[0].token_logprobs.iter().zip(parts).for_each(|(left, right)| close(*left, right));
}

#[test]
fn scores_are_divided_by_length_with_the_end_and_without_the_prompt() {
    for penalty in [-1.0, 0.5, 2.0] {
        let options = DecodingOptions { length_penalty: penalty, ..beams(3) };
        let mut model = TableModel::new(1, 5, |_, ids: &[u32]| garden_path(&ids[1..]));
        for found in decode(&mut model, &[row(&[3, 2])], IDS, &options).unwrap().remove(0) {
            let sum: f32 = found.token_logprobs.iter().sum();
            close(found.score, f64::from(sum) / (found.ids.len() as f64).powf(f64::from(penalty)));
        }
    }
}

/// Of the four candidates of two beams, an end counts only among the first two.
#[test]
fn an_end_behind_the_first_candidates_does_not_count() {
    let options = DecodingOptions { max_new_tokens: 1, ..beams(2) };
    let third = found(&options, |_| logits_of(&[0.2, 1e-9, 1e-9, 0.45, 0.35]));
    assert_eq!(ids(&third), [[3], [4]]);
    let second = found(&options, |_| logits_of(&[0.4, 1e-9, 1e-9, 0.45, 0.15]));
    assert_eq!(ids(&second), [[3], [END]]);
}

/// After two steps both hypotheses are there, `[0]` of −1.05 and `[3, 0]` of −0.92 / 2^penalty; a running beam could become better when longer.
#[test]
fn early_stopping_takes_the_first_hypotheses() {
    let logits = |ids: &[u32]| match ids {
        [2] => logits_of(&[0.35, 1e-9, 1e-9, 0.5, 0.15]),
        [2, 3] => logits_of(&[0.8, 1e-9, 1e-9, 0.1, 0.1]),
        _ => logits_of(&[0.02, 1e-9, 1e-9, 0.97, 0.01]),
    };
    let steps = |early_stopping, length_penalty| {
        let options = DecodingOptions { early_stopping, length_penalty, max_new_tokens: 20, ..beams(2) };
        let mut model = TableModel::new(1, 5, |_, ids: &[u32]| logits(ids));
        let found = decode(&mut model, &[row(&[2])], IDS, &options).unwrap().remove(0);
        (model.widths.len(), ids(&found))
    };
    let first = vec![vec![3, END], vec![END]];
    assert_eq!(steps(EarlyStopping::Yes, 1.0), (2, first.clone()));
    // The best candidate of the second step ends: −0.92 / 2 is better than the worst kept, −1.05, so it goes on; at the third step the
    // best running sum, −3 and less, over 3 is not.
    let (length, _) = steps(EarlyStopping::No, 1.0);
    assert!(length > 2, "{length}");
    // With a reward for length the longest possible text wins, and only `Never` is sure to wait for it.
    let (length, longest) = steps(EarlyStopping::Never, 2.0);
    assert_eq!((length, longest[0].len()), (20, 20));
}

#[test]
fn running_beams_count_at_the_greatest_length() {
    let found = found(&beams(2), |_| logits_of(&[1e-9, 1e-9, 1e-9, 0.7, 0.3]));
    assert_eq!(found[0].ids, [3; 4]);
    close(found[0].score, 0.7f64.ln());
    assert_eq!(found.len(), 2);
}

/// A vocabulary that leaves fewer hypotheses than were asked for.
#[test]
fn what_is_forbidden_is_not_carried_on() {
    let options = DecodingOptions { bad_words: vec![vec![1], vec![2], vec![4]], max_new_tokens: 1, ..beams(4) };
    let found = found(&options, |_| vec![1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(ids(&found), [vec![END], vec![3]]);
}

// Ranking by variety and length

#[test]
fn varied_texts_win_by_variety() {
    let logits = |ids: &[u32]| match ids {
        [2] => logits_of(&[1e-9, 1e-9, 1e-9, 0.52, 0.48]),
        [_, first] if *first == 3 => logits_of(&[1e-9, 1e-9, 1e-9, 0.98, 0.02]),
        [_, _] => logits_of(&[1e-9, 1e-9, 1e-9, 0.98, 0.02]),
        _ => logits_of(&[0.97, 1e-9, 1e-9, 0.02, 0.01]),
    };
    let by = |variety_ranking| DecodingOptions {
        variety_ranking,
        length_penalty: 0.0,
        early_stopping: EarlyStopping::Never,
        ..beams(2)
    };
    assert_eq!(found(&by(None), logits)[0].ids, [3, 3, END]);
    let weighted = found(&by(Some(VarietyRanking { diversity: 1.0, length: 0.5 })), logits);
    assert_eq!(weighted[0].ids, [4, 3, END]);
    // All three ids differ, and three of four places are used.
    close(weighted[0].score, (0.48f64 * 0.98 * 0.97).ln() / (1.0 + 0.5 * 3.0 / 4.0));
    let plain = found(&by(Some(VarietyRanking { diversity: 0.0, length: 0.0 })), logits);
    assert_eq!(plain, found(&by(None), logits));
}

// Groups

fn groups(beam_groups: usize, diversity_penalty: f32) -> DecodingOptions {
    DecodingOptions { beam_groups, diversity_penalty, ..beams(beam_groups) }
}

#[test]
fn a_group_avoids_what_those_before_it_choose() {
    let options = DecodingOptions { max_new_tokens: 1, ..groups(3, 1.0) };
    let probabilities = [0.05, 1e-9, 1e-9, 0.5, 0.3, 0.15];
    let found = found(&options, |_| logits_of(&probabilities));
    // The second group's 3 has ln 0.5 − 1, less than ln 0.3; the third's 3 and 4 have ln 0.5 − 1 and ln 0.3 − 1, less than ln 0.15 and more.
    assert_eq!(ids(&found), [[3], [4], [3]]);
    // The penalty stays in the sum.
    for (found, sum) in found.iter().zip([0.5f64.ln(), 0.3f64.ln(), 0.5f64.ln() - 1.0]) {
        close(found.score, sum);
        close(found.token_logprobs[0], sum);
    }
}

#[test]
fn each_choice_of_an_earlier_beam_counts() {
    let options = DecodingOptions { max_new_tokens: 1, ..groups(3, 2.0) };
    let found = found(&options, |_| logits_of(&[0.002, 1e-9, 1e-9, 0.99, 0.008]));
    // Third group: 3 was chosen twice, ln 0.99 − 4 = −4.01; 4 not at all, ln 0.008 = −4.83.
    assert_eq!(ids(&found), [[3], [3], [3]]);
    close(found[2].score, 0.99f64.ln() - 4.0);
}

/// The second of three groups ends at its second step, and from the third on counts as choosing padding, which the third group would like to say.
#[test]
fn a_finished_group_chooses_padding() {
    let likely = |likely: &[(usize, f64)]| {
        let mut probabilities = [1e-9; 8];
        likely.iter().for_each(|(id, probability)| probabilities[*id] = *probability);
        logits_of(&probabilities)
    };
    let logits = |_: usize, ids: &[u32]| match ids {
        [2] => likely(&[(3, 0.5), (4, 0.3), (5, 0.15)]),
        [2, 4] => likely(&[(END as usize, 0.9), (4, 0.08)]),
        [2, 5] => likely(&[(6, 0.9)]),
        [2, 5, 6] => likely(&[(1, 0.6), (4, 0.3)]),
        _ => likely(&[(3, 0.9)]),
    };
    let options = DecodingOptions { max_new_tokens: 3, early_stopping: EarlyStopping::Yes, ..groups(3, 2.0) };
    let third_group = |pad| {
        let mut model = TableModel::new(1, 8, logits);
        let found = decode(&mut model, &[row(&[2])], DecodingIds { pad, ..IDS }, &options).unwrap().concat();
        assert!(ids(&found).contains(&vec![4, END]));
        // What has ended is not computed again.
        assert_eq!(model.widths, [1, 3, 2]);
        ids(&found).into_iter().find(|ids| ids[0] == 5).unwrap()
    };
    assert_eq!(third_group(1), [5, 6, 4]);
    assert_eq!(third_group(7), [5, 6, 1]);
}

// Sampling

fn sampling(seed: u64) -> DecodingOptions {
    DecodingOptions { temperature: 1.0, seed, max_new_tokens: 8, ..Default::default() }
}

fn hashed_rows(rows: &[DecodingRow], options: &DecodingOptions) -> Vec<Vec<Decoded>> {
    let mut model = TableModel::new(rows.len(), 30, |_, ids: &[u32]| hashed(7, 30, ids));
    decode(&mut model, rows, IDS, options).unwrap()
}

#[test]
fn the_same_seed_and_stream_draw_the_same_alone_and_in_a_batch() {
    let options = DecodingOptions { num_return_sequences: 3, ..sampling(5) };
    let rows: Vec<DecodingRow> = (0..6).map(|stream| DecodingRow { stream, ..row(&[2]) }).collect();
    let together = hashed_rows(&rows, &options);
    for (row, found) in rows.iter().zip(&together) {
        assert_eq!(&hashed_rows(std::slice::from_ref(row), &options)[0], found);
    }
    assert_ne!(together[0], together[1]);
    assert_ne!(together[0][0], together[0][1]);
    assert_ne!(hashed_rows(&rows, &DecodingOptions { seed: 6, ..options }), together);
}

/// Draws part after the prompt, and each is told the logits of its own ids.
#[test]
fn each_draw_goes_on_from_its_own_ids() {
    let rows = vec![row(&[2]); 2];
    let found = hashed_rows(&rows, &DecodingOptions { num_return_sequences: 5, ..sampling(2) }).concat();
    for found in found {
        for (place, (id, logprob)) in found.ids.iter().zip(&found.token_logprobs).enumerate() {
            let so_far = [&[2], &found.ids[..place]].concat();
            assert_eq!(*logprob, log_softmax(&hashed(7, 30, &so_far))[*id as usize]);
        }
    }
}

#[test]
fn draws_follow_the_probabilities_that_top_p_leaves() {
    let options = DecodingOptions { max_new_tokens: 1, num_return_sequences: 1000, top_p: 0.8, ..sampling(1) };
    let found = found(&options, |_| logits_of(&[0.05, 0.1, 0.25, 0.45, 0.15]));
    let share = |id: u32| found.iter().filter(|found| found.ids == [id]).count() as f64 / 1000.0;
    assert_eq!(share(0) + share(1), 0.0);
    // Of 0.85 that are left; three standard deviations of 1000 draws are 0.05 at most.
    for (id, probability) in [(2, 0.25 / 0.85), (3, 0.45 / 0.85), (4, 0.15 / 0.85)] {
        assert!((share(id) - probability).abs() < 0.05, "{id}: {}", share(id));
    }
    let three = found.iter().find(|found| found.ids == [3]).unwrap();
    close(three.token_logprobs[0], (0.45f64 / 0.85).ln());
}

#[test]
fn one_id_to_draw_from_is_greedy_decoding() {
    let greedy = DecodingOptions { temperature: 0.0, ..sampling(1) };
    for narrow in [DecodingOptions { top_k: 1, ..sampling(1) }, DecodingOptions { top_p: 0.0, ..sampling(1) }] {
        assert_eq!(ids(&hashed_rows(&[row(&[2])], &narrow)[0]), ids(&hashed_rows(&[row(&[2])], &greedy)[0]));
    }
}

// Batches

#[test]
fn rows_end_by_themselves_and_leave_the_batch() {
    // Row `n` says 3 `n` times and ends.
    let logits = |row: usize, ids: &[u32]| match ids.len() > row {
        true => logits_of(&[0.9, 0.025, 0.025, 0.025, 0.025]),
        false => logits_of(&[0.025, 0.025, 0.025, 0.9, 0.025]),
    };
    let mut model = TableModel::new(3, 5, logits);
    let rows = vec![row(&[2]); 3];
    let found = decode(&mut model, &rows, IDS, &options()).unwrap();
    assert_eq!(
        found.concat().iter().map(|found| found.ids.clone()).collect::<Vec<_>>(),
        [vec![END], vec![3, END], vec![3, 3, END]]
    );
    assert_eq!(model.widths, [3, 2, 1]);
}

#[test]
fn prompts_are_read_id_by_id_and_not_given_back() {
    let mut model = TableModel::new(2, 5, |_, ids: &[u32]| match ids {
        [2, 4] => logits_of(&[0.9, 0.025, 0.025, 0.025, 0.025]),
        [2, 3] => logits_of(&[0.025, 0.9, 0.025, 0.025, 0.025]),
        _ => logits_of(&[0.6, 0.1, 0.1, 0.1, 0.1]),
    });
    let found = decode(&mut model, &[row(&[2, 4]), row(&[2, 3])], IDS, &options()).unwrap();
    assert_eq!(ids(&found.concat()), [vec![END], vec![1, END]]);
}

#[test]
fn no_rows_give_nothing() {
    let mut model = TableModel::new(0, 5, |_, _: &[u32]| vec![0.0; 5]);
    assert!(decode(&mut model, &[], IDS, &options()).unwrap().is_empty());
    assert!(model.widths.is_empty());
}

// What can't be decoded

fn problem(rows: &[DecodingRow], options: &DecodingOptions, logits: &[f32]) -> String {
    let mut model = TableModel::new(rows.len(), 5, |_, _: &[u32]| logits.to_vec());
    decode(&mut model, rows, IDS, options).unwrap_err().to_string()
}

#[test]
fn what_can_not_be_decoded_is_named() {
    let even = [0.0; 5];
    let plain = options();
    let table = [
        (problem(&[row(&[])], &plain, &even), "row 0: the prompt is empty"),
        (problem(&[row(&[2]), row(&[2, 3])], &plain, &even), "row 1: the prompt has 2 ids, that of row 0 has 1"),
        (problem(&[row(&[5])], &plain, &even), "the prompt of row 0: the id 5 is outside the vocabulary of 5"),
        (
            problem(&[row(&[2])], &DecodingOptions { bad_words: vec![vec![3, 7]], ..plain.clone() }, &even),
            "bad_words: the id 7 is outside the vocabulary of 5",
        ),
        (
            problem(&[row(&[2])], &DecodingOptions { forced_last_id: Some(8), ..plain.clone() }, &even),
            "forced_last_id: the id 8 is outside",
        ),
        (
            problem(&[row(&[2, 3])], &DecodingOptions { forced_first_id: Some(3), ..plain.clone() }, &even),
            "forced_first_id: the prompts have 2 ids already",
        ),
        (
            problem(&[row(&[2])], &DecodingOptions { beam_width: 0, ..plain.clone() }, &even),
            "generation option `beam_width`: 0 is not in 1..=1024",
        ),
        (problem(&[row(&[2])], &plain, &[0.0; 4]), "the model gave 4 logits for 1 sequences, not 5"),
        (problem(&[row(&[2])], &plain, &[0.0, 0.0, f32::NAN, 0.0, 0.0]), "row 0 of the batch: the score of token 2"),
    ];
    for (problem, expected) in table {
        assert!(problem.contains(expected), "{problem:?} does not say {expected:?}");
    }
}

#[test]
fn a_row_that_nothing_is_left_for_is_named() {
    let options = DecodingOptions { bad_words: (1..5).map(|id| vec![id]).collect(), min_length: 9, ..options() };
    for options in [options.clone(), DecodingOptions { beam_width: 2, ..options }] {
        let mut model = TableModel::new(2, 5, |_, _: &[u32]| vec![0.0; 5]);
        let error = decode(&mut model, &[row(&[2]), row(&[2])], IDS, &options).unwrap_err();
        assert!(matches!(error, Seq2SeqError::Decoding { row: 0 | 1, .. }), "{error}");
    }
}

// Properties

fn any_early_stopping() -> impl Strategy<Value = EarlyStopping> {
    prop_oneof![Just(EarlyStopping::No), Just(EarlyStopping::Yes), Just(EarlyStopping::Never)]
}

fn any_beams() -> impl Strategy<Value = DecodingOptions> {
    let sizes = (1usize..5, 1usize..9, 0usize..4, 0usize..4);
    (sizes, any_early_stopping(), -1.0f32..2.0, any::<bool>()).prop_map(
        |((beam_width, max_new_tokens, min_length, no_repeat_ngram_size), early_stopping, length_penalty, forced)| {
            DecodingOptions {
                max_new_tokens,
                min_length,
                no_repeat_ngram_size,
                early_stopping,
                length_penalty,
                forced_last_id: forced.then_some(END),
                ..beams(beam_width)
            }
        },
    )
}

fn hashed_row(seed: u64, options: &DecodingOptions) -> Vec<Decoded> {
    found(options, |ids| hashed(seed, 25, ids))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..Default::default() })]

    /// Groups of one beam that stop early and avoid nothing are so many greedy searches.
    #[test]
    fn a_group_of_one_beam_is_greedy_decoding(seed: u64, options in any_beams(), beam_groups in 2usize..5) {
        let alone = DecodingOptions { beam_width: 1, num_return_sequences: 1, ..options.clone() };
        let grouped = DecodingOptions {
            beam_width: beam_groups,
            num_return_sequences: beam_groups,
            beam_groups,
            early_stopping: EarlyStopping::Yes,
            ..options
        };
        let greedy = hashed_row(seed, &alone);
        let found = hashed_row(seed, &grouped);
        prop_assert_eq!(found.len(), beam_groups);
        for found in found {
            prop_assert_eq!(&found.ids, &greedy[0].ids);
        }
    }

    /// Groups that avoid nothing find what one group of their width finds.
    #[test]
    fn groups_without_a_penalty_are_alike(seed: u64, options in any_beams(), beam_groups in 2usize..4) {
        let width = options.beam_width.max(2);
        let with = |beam_width, beam_groups| DecodingOptions {
            beam_width,
            beam_groups,
            num_return_sequences: beam_width,
            ..options.clone()
        };
        // Equal scores may stand in either order.
        let by_ids = |mut found: Vec<Decoded>| {
            found.sort_by(|a, b| a.ids.cmp(&b.ids));
            found
        };
        let one = by_ids(hashed_row(seed, &with(width, 1)));
        let repeated: Vec<Decoded> =
            one.iter().flat_map(|found| std::iter::repeat_n(found.clone(), beam_groups)).collect();
        prop_assert_eq!(by_ids(hashed_row(seed, &with(width * beam_groups, beam_groups))), repeated);
    }

    /// Whatever the options: best first, within the lengths, ended by the end or the greatest length, sums as they are scored.
    #[test]
    fn hypotheses_are_sound(seed: u64, options in any_beams(), penalty in 0.0f32..3.0, grouped: bool) {
        let beam_groups = if grouped { options.beam_width } else { 1 };
        let diversity_penalty = if beam_groups > 1 { penalty } else { 0.0 };
        let options = DecodingOptions { beam_groups, diversity_penalty, ..options };
        let found = hashed_row(seed, &options);
        // An end forced at the first step leaves one hypothesis to each group.
        let forced_at_once = options.max_new_tokens == 1 && options.forced_last_id.is_some();
        let wanted = if forced_at_once { beam_groups } else { options.num_return_sequences };
        prop_assert_eq!(found.len(), wanted);
        prop_assert!(found.is_sorted_by(|a, b| a.score >= b.score));
        for found in found {
            let (last, body) = found.ids.split_last().unwrap();
            prop_assert!(!body.contains(&END));
            prop_assert!(found.ids.len() == options.max_new_tokens || *last == END);
            prop_assert!(found.ids.len() <= options.max_new_tokens);
            prop_assert_eq!(found.token_logprobs.len(), found.ids.len());
            let sum: f32 = found.token_logprobs.iter().sum();
            let score = sum / (found.ids.len() as f32).powf(options.length_penalty);
            prop_assert!((found.score - score).abs() <= 1e-4 * score.abs().max(1.0));
        }
    }

    /// Rows have nothing to do with each other.
    #[test]
    fn rows_are_the_same_alone_and_together(seed: u64, options in any_beams(), rows in 1usize..4) {
        let logits = |row: usize, ids: &[u32]| hashed(seed ^ row as u64, 25, ids);
        let mut model = TableModel::new(rows, 25, logits);
        let together = decode(&mut model, &vec![row(&[2]); rows], IDS, &options).unwrap();
        for (number, found) in together.iter().enumerate() {
            prop_assert_eq!(&hashed_row(seed ^ number as u64, &options), found);
        }
    }

    /// No search that waits for what could become better misses the best that a search without an early end finds.
    #[test]
    fn a_search_that_never_stops_early_misses_nothing(
        seed: u64,
        beam_width in 2usize..5,
        max_new_tokens in 1usize..12,
        length_penalty in -1.0f32..2.0,
        weights in prop::option::of((0.0f32..2.0, 0.0f32..2.0)),
    ) {
        let ranking = weights.map(|(diversity, length)| VarietyRanking { diversity, length });
        let options = DecodingOptions {
            max_new_tokens,
            length_penalty,
            variety_ranking: ranking,
            early_stopping: EarlyStopping::Never,
            ..beams(beam_width)
        };
        let score = |ids: &[u32], sum: f32| {
            let n = ids.len() as f32;
            let Some(VarietyRanking { diversity, length }) = ranking else { return sum / n.powf(length_penalty) };
            let different = ids.iter().collect::<std::collections::BTreeSet<_>>().len() as f32;
            let denominator = diversity * different / n + length * n / max_new_tokens as f32;
            if denominator > 0.0 { sum / denominator } else { sum }
        };
        let everything = search_to_the_end(seed, beam_width, max_new_tokens);
        let best = everything.iter().map(|(ids, sum)| score(ids, *sum)).fold(f32::NEG_INFINITY, f32::max);
        let found = hashed_row(seed, &options);
        prop_assert!((found[0].score - best).abs() <= 1e-4 * best.abs().max(1.0), "{} is not {best}", found[0].score);
    }
}

/// All hypotheses that a plain beam search comes by until the greatest length, with their sums.
fn search_to_the_end(seed: u64, width: usize, max_new_tokens: usize) -> Vec<(Vec<u32>, f32)> {
    let mut beams = vec![(Vec::new(), 0.0)];
    let mut finished = Vec::new();
    for _ in 0..max_new_tokens {
        let mut candidates = Vec::new();
        for (ids, sum) in &beams {
            let logprobs = log_softmax(&hashed(seed, 25, &[&[2], &ids[..]].concat()));
            for (id, logprob) in logprobs.into_iter().enumerate() {
                candidates.push(([&ids[..], &[id as u32]].concat(), sum + logprob));
            }
        }
        candidates.sort_by(|a: &(Vec<u32>, f32), b| b.1.total_cmp(&a.1));
        candidates.truncate(2 * width);
        let ended = |ids: &[u32]| ids.last() == Some(&END);
        finished.extend(candidates.iter().take(width).filter(|(ids, _)| ended(ids)).cloned());
        candidates.retain(|(ids, _)| !ended(ids));
        candidates.truncate(width);
        beams = candidates;
    }
    [finished, beams].concat()
}
