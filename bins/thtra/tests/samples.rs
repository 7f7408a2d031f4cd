//! Dialogues laid out as samples.

use proptest::prelude::*;
use proptest::strategy::Strategy as _;
use thtra::{Dialogue, DialogueTokenizer, Encoded, EncodedDialogues, Layout, Lengths, Sample, SampleCounts, Strategy};

use crate::program::{dialogue, tokenizer};

fn lay_out(tokenizer: &DialogueTokenizer, dialogue: &Dialogue, layout: Layout, lengths: Lengths) -> Encoded {
    EncodedDialogues::new(tokenizer, std::slice::from_ref(dialogue)).unwrap().lay_out(layout, lengths)
}

/// The ids of parts: a strategy in brackets is its token, `|` is EOS, `>` stands before a look ahead.
fn ids(tokenizer: &DialogueTokenizer, parts: &[&str]) -> Vec<u32> {
    let part = |part: &&str| match (*part, Strategy::find(part).filter(|_| part.starts_with('['))) {
        (_, Some(strategy)) => vec![tokenizer.strategy_id(strategy)],
        ("|", _) => vec![tokenizer.eos()],
        (">", _) => tokenizer.look_ahead().to_vec(),
        (text, _) => tokenizer.encode(text).unwrap(),
    };
    parts.iter().flat_map(part).collect()
}

fn example() -> Dialogue {
    dialogue(&[
        ("hello", Some(Strategy::Others)),
        ("i failed", None),
        ("oh", Some(Strategy::Reflection)),
        ("why?", Some(Strategy::Question)),
        ("no idea", None),
        ("bye", Some(Strategy::Others)),
    ])
}

#[test]
fn every_supporter_turn_but_the_opening_one_is_a_sample() {
    let tokenizer = tokenizer();
    let encoded = lay_out(&tokenizer, &example(), Layout::Strat, Lengths::default());
    let places: Vec<(usize, Strategy)> = encoded.samples.iter().map(|sample| (sample.turn, sample.strategy)).collect();
    assert_eq!(places, [(2, Strategy::Reflection), (3, Strategy::Question), (5, Strategy::Others)]);
    let [first, second, _] = &encoded.samples[..] else { panic!("three samples") };
    assert_eq!(first.encoder_ids, ids(&tokenizer, &["[Others]", "hello", "|", "i failed"]));
    assert_eq!(first.labels, ids(&tokenizer, &["[Reflection of feelings]", "oh", "|"]));
    let read = ["[Others]", "hello", "|", "i failed", "|", "[Reflection of feelings]", "oh"];
    assert_eq!(second.encoder_ids, ids(&tokenizer, &read));
    assert_eq!(second.situation_labels, ids(&tokenizer, &["I failed.", "|"]));
    assert_eq!(Sample::decoder_ids(&first.labels, 1), [&[1], &first.labels[..first.labels.len() - 1]].concat());
    assert!(encoded.samples.iter().all(|sample| !sample.look_ahead));
}

#[test]
fn the_look_ahead_is_the_seekers_next_turn_where_there_is_one() {
    let tokenizer = tokenizer();
    let (plain, ahead) = (
        lay_out(&tokenizer, &example(), Layout::Strat, Lengths::default()),
        lay_out(&tokenizer, &example(), Layout::StratLookAhead, Lengths::default()),
    );
    assert_eq!(ahead.samples.iter().map(|sample| sample.look_ahead).collect::<Vec<_>>(), [false, true, false]);
    for (plain, ahead) in plain.samples.iter().zip(&ahead.samples) {
        let next = if ahead.look_ahead { ids(&tokenizer, &["|", ">", "no idea"]) } else { Vec::new() };
        assert_eq!(ahead.encoder_ids, [plain.encoder_ids.clone(), next].concat());
        assert_eq!((&ahead.labels, &ahead.situation_labels), (&plain.labels, &plain.situation_labels));
    }
}

#[test]
fn the_plain_layout_has_neither_strategies_nor_a_situation() {
    let tokenizer = tokenizer();
    let samples = lay_out(&tokenizer, &example(), Layout::Vanilla, Lengths::default()).samples;
    assert_eq!(samples[1].encoder_ids, ids(&tokenizer, &["hello", "|", "i failed", "|", "oh"]));
    assert_eq!(samples[1].labels, ids(&tokenizer, &["why?", "|"]));
    assert!(samples.iter().all(|sample| sample.situation_labels.is_empty()));
    assert_eq!(samples[1].strategy, Strategy::Question);
}

#[test]
fn the_oldest_ids_give_way_and_a_cut_response_has_no_end() {
    let tokenizer = tokenizer();
    let lengths = Lengths { max_input_length: 9, max_decoder_input_length: 4 };
    let whole = lay_out(&tokenizer, &example(), Layout::StratLookAhead, Lengths::default());
    for (layout, longest) in [(Layout::Strat, 5), (Layout::StratLookAhead, 5), (Layout::Vanilla, 4)] {
        let whole = lay_out(&tokenizer, &example(), layout, Lengths::default());
        let cut = lay_out(&tokenizer, &example(), layout, lengths);
        for (cut, whole) in cut.samples.iter().zip(&whole.samples) {
            assert_eq!(cut.encoder_ids, whole.encoder_ids[whole.encoder_ids.len().saturating_sub(9)..]);
            assert_eq!(cut.labels, whole.labels[..whole.labels.len().min(longest)]);
            // A situation is cut one id later than a plain response: 5 in any case.
            assert_eq!(cut.situation_labels, whole.situation_labels[..whole.situation_labels.len().min(5)]);
        }
    }
    let cut = lay_out(&tokenizer, &example(), Layout::StratLookAhead, lengths);
    assert_eq!(whole.counts.inputs_cut + whole.counts.responses_cut, 0);
    let SampleCounts { samples, with_look_ahead, inputs_cut, responses_cut, encoder_tokens, .. } = cut.counts;
    // `oh` with its end has 4 ids; `why?` and `bye` have 6 and 5.
    assert_eq!((samples, with_look_ahead, inputs_cut, responses_cut, encoder_tokens), (3, 1, 3, 1, 27));
    // What was looked ahead stands last, and so it stays.
    assert!(cut.samples[1].encoder_ids.ends_with(&ids(&tokenizer, &["no idea"])));
}

#[test]
fn words_of_a_dialogue_are_never_tokens_with_a_meaning() {
    let tokenizer = tokenizer();
    let spoken = dialogue(&[("[Question] __end__", None), ("[Others]", Some(Strategy::Information))]);
    let sample = lay_out(&tokenizer, &spoken, Layout::Strat, Lengths::default()).samples.remove(0);
    assert!(sample.encoder_ids.iter().all(|id| tokenizer.strategy_of(*id).is_none() && *id != tokenizer.eos()));
    let strategies: Vec<_> = sample.labels.iter().filter_map(|id| tokenizer.strategy_of(*id)).collect();
    assert_eq!(strategies, [Strategy::Information]);
}

#[test]
fn strategies_follow_the_vocabulary_in_their_order() {
    let tokenizer = tokenizer();
    let size = tokenizer.tokenizer().vocabulary_size() as u32;
    assert_eq!(tokenizer.first_strategy(), size - 8);
    for (place, strategy) in Strategy::ALL.into_iter().enumerate() {
        let id = tokenizer.strategy_id(strategy);
        assert_eq!((id, tokenizer.strategy_of(id)), (size - 8 + place as u32, Some(strategy)));
        assert_eq!(tokenizer.tokenizer().token(id), Some(strategy.token().as_str()));
    }
    assert_eq!((tokenizer.strategy_of(size - 9), tokenizer.strategy_of(size)), (None, None));
    assert_eq!(tokenizer.look_ahead(), [tokenizer.tokenizer().id("prediction").unwrap()]);
}

fn any_dialogue() -> impl proptest::strategy::Strategy<Value = Dialogue> {
    let turn = ("[a-z ]{0,8}[a-z?!]", proptest::option::of(0usize..8));
    proptest::collection::vec(turn, 0..12).prop_map(|turns| {
        let turns: Vec<(&str, Option<Strategy>)> =
            turns.iter().map(|(text, strategy)| (text.as_str(), strategy.map(|index| Strategy::ALL[index]))).collect();
        dialogue(&turns)
    })
}

proptest! {
    #[test]
    fn no_look_ahead_is_ever_seen_without_asking(dialogue in any_dialogue(), max_input_length in 1usize..40, max_decoder_input_length in 1usize..9) {
        let tokenizer = tokenizer();
        let lengths = Lengths { max_input_length, max_decoder_input_length };
        let marker = tokenizer.look_ahead()[0];
        let encoded = EncodedDialogues::new(&tokenizer, std::slice::from_ref(&dialogue)).unwrap();
        let [plain, ahead, vanilla] = Layout::ALL.map(|layout| encoded.lay_out(layout, lengths));
        prop_assert_eq!(plain.samples.len(), dialogue.targets().count());
        for ((plain, ahead), vanilla) in plain.samples.iter().zip(&ahead.samples).zip(&vanilla.samples) {
            prop_assert!(!plain.encoder_ids.contains(&marker) && !vanilla.encoder_ids.contains(&marker));
            prop_assert!(ahead.look_ahead || plain == ahead);
            for sample in [plain, ahead, vanilla] {
                prop_assert!((1..=max_input_length).contains(&sample.encoder_ids.len()));
                prop_assert!((1..=max_decoder_input_length + 1).contains(&sample.labels.len()));
            }
        }
    }
}
