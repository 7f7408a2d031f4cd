//! The cutting rule, on hand-made and on random conversations.

use esconv_data::{Conversation, Corpus, CorpusForm, Speaker, Utterance, cut, merge_turns};
use proptest::prelude::*;

fn say(speaker: Speaker, content: &str, strategy: &str) -> Utterance {
    let strategy = (!strategy.is_empty()).then(|| strategy.to_owned());
    Utterance { speaker, content: content.into(), strategy, feedback: None }
}

fn conversation(dialog: Vec<Utterance>) -> Conversation {
    Conversation { situation: "A new job.".into(), dialog, ..Conversation::default() }
}

#[test]
fn merging_keeps_line_ends_and_drops_only_repeated_neighbour_strategies() {
    use Speaker::{Seeker, Supporter};
    let dialog = vec![
        say(Seeker, "Hello\n", ""),
        say(Seeker, "you", ""),
        say(Supporter, "a", "A"),
        say(Supporter, "b", "A"),
        say(Supporter, "c", "B"),
        say(Supporter, "d", "A"),
    ];
    let turns = merge_turns(&conversation(dialog));
    assert_eq!(turns[0].text, "Hello\n you");
    assert_eq!(turns[0].strategies, [""]);
    assert_eq!(turns[1].text, "a b c d");
    assert_eq!(turns[1].strategies, ["A", "B", "A"]);
}

#[test]
fn an_opening_supporter_turn_is_history_but_not_counted() {
    use Speaker::{Seeker, Supporter};
    let dialog = (0..8).map(|n| say(if n % 2 == 0 { Supporter } else { Seeker }, &n.to_string(), "")).collect();
    let examples = cut(&conversation(dialog), 1);
    assert_eq!(examples.iter().map(|example| example.turn).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(examples[0].dialog_history, ["0", "1"]);
    assert_eq!(examples[0].response, "2");
}

#[test]
fn a_missing_strategy_is_the_empty_text() {
    use Speaker::{Seeker, Supporter};
    let dialog = (0..6).map(|n| say(if n % 2 == 0 { Seeker } else { Supporter }, "x", "")).collect();
    assert_eq!(cut(&conversation(dialog), 1)[0].strategy, [""]);
}

#[test]
fn conversations_without_enough_supporter_turns_give_nothing() {
    use Speaker::{Seeker, Supporter};
    for dialog in [
        vec![],
        vec![say(Seeker, "a", "")],
        vec![say(Supporter, "a", "")],
        vec![say(Seeker, "a", ""), say(Supporter, "b", ""), say(Seeker, "c", "")],
    ] {
        assert!(cut(&conversation(dialog), 1).is_empty());
    }
}

#[test]
fn an_id_tells_texts_speakers_and_situations_apart() {
    let base = conversation(vec![say(Speaker::Seeker, "ab", ""), say(Speaker::Seeker, "c", "")]);
    let moved = conversation(vec![say(Speaker::Seeker, "a", ""), say(Speaker::Seeker, "bc", "")]);
    let other = conversation(vec![say(Speaker::Supporter, "ab", ""), say(Speaker::Seeker, "c", "")]);
    let elsewhere = Conversation { situation: "An old job.".into(), ..base.clone() };
    let ids = [base.id(), moved.id(), other.id(), elsewhere.id()];
    assert!(ids.iter().all(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
    assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), 4);
    assert_eq!(base.id(), base.clone().id());
}

#[test]
fn repeated_conversations_are_reported_once_each() {
    let named = |name: &str| conversation(vec![say(Speaker::Seeker, name, "")]);
    let conversations = ["a", "b", "a", "a"].map(named).to_vec();
    let corpus = Corpus { form: CorpusForm::Esconv, conversations, unknown_labels: vec![] };
    assert_eq!(corpus.duplicates(), [named("a").id()]);
}

fn utterances() -> impl Strategy<Value = Vec<Utterance>> {
    let one = (any::<bool>(), "[a-z]{1,4}\n?", 0..3usize).prop_map(|(seeker, content, strategy)| match seeker {
        true => say(Speaker::Seeker, &content, ""),
        false => say(Speaker::Supporter, &content, ["", "Question", "Others"][strategy]),
    });
    prop::collection::vec(one, 0..40)
}

proptest! {
    #[test]
    fn k_supporter_turns_give_k_minus_two_examples_numbered_from_one(dialog in utterances()) {
        let conversation = conversation(dialog);
        let supporter_turns =
            merge_turns(&conversation).iter().filter(|turn| turn.speaker == Speaker::Supporter).count();
        let turns: Vec<usize> = cut(&conversation, 1).iter().map(|example| example.turn).collect();
        prop_assert_eq!(turns, (1..=supporter_turns.saturating_sub(2)).collect::<Vec<_>>());
    }

    #[test]
    fn every_history_alternates_and_ends_with_the_seeker(dialog in utterances()) {
        for example in cut(&conversation(dialog), 1) {
            prop_assert_eq!(example.prev_speakers.last(), Some(&Speaker::Seeker));
            prop_assert!(example.prev_speakers.windows(2).all(|pair| pair[0] != pair[1]));
            prop_assert_eq!(example.dialog_history.len(), example.prev_speakers.len());
            prop_assert_eq!(example.dialog_history.len(), example.prev_strategies.len());
            let opening = usize::from(example.prev_speakers[0] == Speaker::Supporter);
            prop_assert_eq!(example.dialog_history.len() - opening, 2 * example.turn - 1);
        }
    }

    #[test]
    fn a_later_start_gives_the_tail_of_the_same_examples(dialog in utterances(), start in 1..6usize) {
        let conversation = conversation(dialog);
        let all = cut(&conversation, 1);
        let tail: Vec<_> = all.into_iter().filter(|example| example.turn >= start).collect();
        prop_assert_eq!(cut(&conversation, start), tail);
    }

    #[test]
    fn merging_loses_no_text(dialog in utterances()) {
        let joined = dialog.iter().map(|one| one.content.as_str()).collect::<Vec<_>>().join(" ");
        let merged = merge_turns(&conversation(dialog)).into_iter().map(|turn| turn.text).collect::<Vec<_>>().join(" ");
        prop_assert_eq!(joined, merged);
    }
}
