//! The length limit: what is dropped, what is cut, what is skipped.

use llm_runtime::{ChatTemplate, ControlTokenText, Message, Tokenizer};
use lora::sft::{BadRecords, BuiltInPlain, EncodeOptions, Encoded, SftEncoder, SftRecord, SftTemplate};
use proptest::prelude::*;

use crate::sft_models::{byte_level, chat, dialogue, place, templates, tiny};

fn llama3() -> SftTemplate {
    SftTemplate::from(ChatTemplate::built_in_by_name("llama3").unwrap())
}

fn encode(tokenizer: &Tokenizer, template: &SftTemplate, cutoff: Option<usize>, record: &SftRecord) -> Encoded {
    let options = EncodeOptions { cutoff, ..EncodeOptions::default() };
    SftEncoder::new(tokenizer, template, options).unwrap().encode(record).unwrap()
}

/// Length, text, dropped turns, cut tokens.
fn example(tokenizer: &Tokenizer, encoded: Encoded) -> (usize, String, usize, usize) {
    let Encoded::Example { example, dropped_turns, cut_tokens, .. } = encoded else { panic!("{encoded:?}") };
    let text = tokenizer.decode(&example.ids, ControlTokenText::Keep).unwrap();
    (example.ids.len(), text, dropped_turns, cut_tokens)
}

#[test]
fn whole_old_turns_go_first_and_the_system_message_stays() {
    let tokenizer = byte_level();
    let record = dialogue("SYSTEM", &["one", "ONE", "two", "TWO", "three", "THREE"]);
    let whole = example(&tokenizer, encode(&tokenizer, &llama3(), None, &record)).0;
    let (length, text, dropped, cut) = example(&tokenizer, encode(&tokenizer, &llama3(), Some(whole - 1), &record));
    assert!(length < whole);
    assert_eq!((dropped, cut), (2, 0));
    assert!(text.contains("SYSTEM") && !text.contains("one") && !text.contains("ONE"), "{text}");
    assert!(text.contains("two") && text.contains("TWO") && text.contains("three"), "{text}");
}

#[test]
fn then_the_front_of_the_last_question_is_cut() {
    let tokenizer = byte_level();
    let record = dialogue("SYSTEM", &["old", "OLD", "0123456789", "ANSWER"]);
    let alone = dialogue("SYSTEM", &["0123456789", "ANSWER"]);
    let limit = example(&tokenizer, encode(&tokenizer, &llama3(), None, &alone)).0 - 4;
    let (length, text, dropped, cut) = example(&tokenizer, encode(&tokenizer, &llama3(), Some(limit), &record));
    assert_eq!((length, dropped, cut), (limit, 2, 4));
    assert!(text.contains("SYSTEM") && text.contains("456789<|eot_id|>") && !text.contains("3456"), "{text}");
    assert!(text.ends_with("ANSWER<|eot_id|>"));
}

#[test]
fn an_opening_of_the_assistant_is_dropped_with_the_first_turns() {
    let tokenizer = byte_level();
    let mut messages = vec![Message::assistant("WELCOME")];
    messages.extend([Message::user("one"), Message::assistant("ONE"), Message::user("two"), Message::assistant("TWO")]);
    let record = chat(messages);
    let whole = example(&tokenizer, encode(&tokenizer, &llama3(), None, &record)).0;
    let (_, text, dropped, _) = example(&tokenizer, encode(&tokenizer, &llama3(), Some(whole - 1), &record));
    assert_eq!(dropped, 1);
    assert!(!text.contains("WELCOME") && text.contains("one"), "{text}");
}

#[test]
fn the_input_is_cut_before_the_instruction() {
    let tokenizer = byte_level();
    let template = SftTemplate::from(BuiltInPlain::Plain.template().unwrap());
    let mut question = Message::user("");
    question.push_part(SftRecord::INSTRUCTION, "INSTRUCTION");
    question.push("\n");
    question.push_part(SftRecord::INPUT, "0123456789");
    let record = chat(vec![question, Message::assistant("ANSWER")]);
    let whole = example(&tokenizer, encode(&tokenizer, &template, None, &record)).0;
    let (_, text, _, cut) = example(&tokenizer, encode(&tokenizer, &template, Some(whole - 6), &record));
    assert_eq!(cut, 6);
    assert!(text.contains("\nINSTRUCTION\n") && text.contains("\n6789\n"), "{text}");
    let bare = example(&tokenizer, encode(&tokenizer, &template, None, &dialogue("", &["INSTRUCTION\n", "ANSWER"]))).0;
    let (_, text, _, _) = example(&tokenizer, encode(&tokenizer, &template, Some(bare - 3), &record));
    assert!(text.contains("\nTRUCTION\n") && !text.contains('9'), "{text}");
}

#[test]
fn an_answer_that_does_not_fit_is_skipped_and_counted() {
    let tokenizer = byte_level();
    let template = llama3();
    let records = [dialogue("", &["q", "a long answer that is never cut"]), dialogue("", &["q", "short"])];
    let options = EncodeOptions { cutoff: Some(24), ..EncodeOptions::default() };
    let encoder = SftEncoder::new(&tokenizer, &template, options).unwrap();
    let (examples, summary) = encoder.encode_all(&records, BadRecords::Fail).unwrap();
    assert_eq!((examples.len(), summary.too_long, summary.encoded), (0, 2, 0));
    assert!(summary.skipped[0].reason.contains("31 of them the answer"), "{}", summary.skipped[0].reason);
    assert!(SftEncoder::new(&tokenizer, &template, EncodeOptions { cutoff: Some(1), ..options }).is_err());
}

#[test]
fn a_prompt_of_plain_text_loses_its_front() {
    let tokenizer = byte_level();
    let record = SftRecord::text(place(), "0123456789", "xyz");
    let (length, text, _, cut) = example(&tokenizer, encode(&tokenizer, &llama3(), Some(8), &record));
    assert!(length <= 8 && cut > 0);
    assert!(text.ends_with("9xyz<|end_of_text|>") && !text.contains('2'), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_limit_holds_and_answers_are_whole(
        system in "[a-zé 😢]{0,12}",
        turns in prop::collection::vec(("[a-zé 😢]{0,30}[a-z😢]", "[a-zé 😢]{0,12}[a-z😢]"), 1..5),
        cutoff in 2usize..120,
    ) {
        let texts: Vec<&str> = turns.iter().flat_map(|(question, answer)| [question.as_str(), answer]).collect();
        let record = dialogue(system.trim(), &texts);
        let answer = texts[texts.len() - 1].trim();
        for tokenizer in [tiny(), byte_level()] {
            for (name, template) in templates() {
                match encode(&tokenizer, &template, Some(cutoff), &record) {
                    Encoded::TooLong { tokens, .. } => prop_assert!(tokens > cutoff, "{name}"),
                    Encoded::Example { example, .. } => {
                        prop_assert!(example.ids.len() <= cutoff, "{name}");
                        let text = tokenizer.decode(&example.learned_ids(), ControlTokenText::Skip).unwrap();
                        prop_assert!(text.contains(answer), "{name}: {text} / {answer}");
                    }
                }
            }
        }
    }
}

#[test]
fn whoever_shortens_otherwise_gets_the_whole_and_the_limit() {
    let (tokenizer, template) = (byte_level(), llama3());
    let record = dialogue("SYSTEM", &["one", "ONE", "two", "TWO"]);
    let whole = encode(&tokenizer, &template, None, &record);
    let options = EncodeOptions { cutoff: Some(20), ..EncodeOptions::default() };
    let encoder = SftEncoder::new(&tokenizer, &template, options).unwrap();
    assert_eq!((encoder.cutoff(), encoder.encode_whole(&record).unwrap()), (Some(20), whole.clone()));
    let records = [record.clone(), record];
    let (examples, summary) =
        encoder.encode_all_by(&|encoder, record| encoder.encode_whole(record), &records, BadRecords::Fail).unwrap();
    let Encoded::Example { example, .. } = whole else { panic!("{whole:?}") };
    assert_eq!((examples, summary.shortened), (vec![example.clone(), example], 0));
}
