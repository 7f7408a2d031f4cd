//! What is learned of a conversation, with every template and tokenizer.

use llm_runtime::{ChatTemplate, ControlTokenText, Message, Tokenizer};
use lora::sft::{
    BadRecords, Bos, BuiltInPlain, EncodeOptions, Join, LearnOn, PlainTemplate, SftEncoder, SftExample, SftRecord,
    SftTemplate,
};
use proptest::prelude::*;

use crate::sft_models::{byte_level, chat, dialogue, example, messages, place, templates, tiny, tokenizers};

fn learned_text(tokenizer: &Tokenizer, example: &SftExample) -> String {
    tokenizer.decode(&example.learned_ids(), ControlTokenText::Keep).unwrap()
}

/// The text without an end token's text and the blanks that templates put around an answer.
fn answer_of(tokenizer: &Tokenizer, example: &SftExample) -> String {
    let learned = example.learned_ids();
    let (last, answer) = learned.split_last().unwrap();
    assert!(tokenizer.eos().contains(last), "the last learned token ends the text");
    assert_eq!(learned.iter().filter(|id| tokenizer.eos().contains(id)).count(), 1, "there is one end token");
    // Where the tokenizer does not know the template's end of turn, it is text like any other.
    let text = tokenizer.decode(answer, ControlTokenText::Keep).unwrap();
    ["<|eot_id|>", "<|im_end|>\n", "</s>\n", "</s>"]
        .iter()
        .find_map(|end| text.strip_suffix(end))
        .unwrap_or(&text)
        .trim()
        .to_owned()
}

#[test]
fn only_the_last_answer_and_its_end_are_learned_with_every_template() {
    let record = dialogue("Be kind.", &["Hello there", "Hi! How are you?", "I am sad 😢", "Oh no. Tell me more?"]);
    for (name, tokenizer) in tokenizers() {
        for (template_name, template) in templates() {
            let (example, moved) = example(&tokenizer, &template, EncodeOptions::default(), &record);
            assert_eq!(answer_of(&tokenizer, &example), "Oh no. Tell me more?", "{name} {template_name}");
            let from = example.labels_from().unwrap();
            assert!(example.learned[from..].iter().all(|learned| *learned), "{name} {template_name}");
            let ends_in_blank = template_name == "human-assistant";
            assert!(!moved || ends_in_blank, "{name} {template_name}: the prompt's tokens open the whole's");
        }
    }
}

#[test]
fn what_stands_before_the_labels_is_the_prompt_of_inference() {
    let record = dialogue("Be kind.", &["Hello there", "Hi! How are you?", "I am sad", "Oh no."]);
    for (name, tokenizer) in tokenizers() {
        for (template_name, template) in templates() {
            for join in [Join::Together, Join::Apart] {
                let options = EncodeOptions { join, ..EncodeOptions::default() };
                let (example, moved) = example(&tokenizer, &template, options, &record);
                let encoder = SftEncoder::new(&tokenizer, &template, options).unwrap();
                let prompt = encoder.prompt(&messages(&record)[..4]).unwrap();
                assert!(join == Join::Together || !moved, "{name} {template_name}");
                if !moved {
                    assert_eq!(example.ids[..example.labels_from().unwrap()], prompt, "{name} {template_name}");
                }
            }
        }
    }
}

#[test]
fn all_answers_are_learned_on_request() {
    let record = dialogue("", &["One", "first answer", "Two", "second answer"]);
    let options = EncodeOptions { learn_on: LearnOn::AllAssistants, ..EncodeOptions::default() };
    let tiny = tiny();
    let llama2 = SftTemplate::from(ChatTemplate::built_in_by_name("llama2").unwrap());
    let (encoded, _) = example(&tiny, &llama2, options, &record);
    assert_eq!(learned_text(&tiny, &encoded), "first answer </s> second answer </s>");
    let bytes = byte_level();
    let llama3 = SftTemplate::from(ChatTemplate::built_in_by_name("llama3").unwrap());
    let (encoded, _) = example(&bytes, &llama3, options, &record);
    assert_eq!(learned_text(&bytes, &encoded), "first answer<|eot_id|>second answer<|eot_id|>");
    let plain = SftTemplate::from(BuiltInPlain::Plain.template().unwrap());
    let (encoded, _) = example(&bytes, &plain, options, &record);
    assert_eq!(learned_text(&bytes, &encoded), "first answer<|end_of_text|>second answer<|end_of_text|>");
}

#[test]
fn everything_is_learned_on_request() {
    let record = dialogue("", &["One", "first answer"]);
    let options = EncodeOptions { learn_on: LearnOn::Everything, ..EncodeOptions::default() };
    let template = SftTemplate::from(BuiltInPlain::Plain.template().unwrap());
    let (example, _) = example(&byte_level(), &template, options, &record);
    assert!(example.learned.iter().all(|learned| *learned));
    assert_eq!(example.targets(), example.ids.len() - 1);
}

#[test]
fn what_a_template_writes_after_the_end_token_is_not_kept() {
    let tokenizer = tiny();
    let zephyr = SftTemplate::from(ChatTemplate::built_in_by_name("zephyr").unwrap());
    let (example, _) =
        example(&tokenizer, &zephyr, EncodeOptions::default(), &dialogue("", &["Hello", "Good morning."]));
    assert_eq!(learned_text(&tokenizer, &example), "Good morning.</s>");
    assert_eq!(example.ids.last(), tokenizer.eos().first());
}

#[test]
fn end_tokens_in_the_text_of_an_answer_are_text() {
    let tokenizer = byte_level();
    let llama3 = SftTemplate::from(ChatTemplate::built_in_by_name("llama3").unwrap());
    let (example, _) =
        example(&tokenizer, &llama3, EncodeOptions::default(), &dialogue("", &["Hi", "say <|eot_id|> now"]));
    assert_eq!(learned_text(&tokenizer, &example), "say <|eot_id|> now<|eot_id|>");
    assert_eq!(example.ids.iter().filter(|id| tokenizer.eos().contains(id)).count(), 2);
}

#[test]
fn a_token_across_the_boundary_is_learned_and_counted() {
    let tokenizer = byte_level();
    let template = SftTemplate::from(BuiltInPlain::Plain.template().unwrap());
    let record = SftRecord::text(place(), "xa", "bc");
    let options = EncodeOptions::default();
    let (together, moved) = example(&tokenizer, &template, options, &record);
    assert!(moved);
    assert_eq!(learned_text(&tokenizer, &together), "abc<|end_of_text|>");
    let apart = EncodeOptions { join: Join::Apart, ..options };
    let (apart, moved) = example(&tokenizer, &template, apart, &record);
    assert!(!moved);
    assert_eq!(learned_text(&tokenizer, &apart), "bc<|end_of_text|>");
    let encoder = SftEncoder::new(&tokenizer, &template, options).unwrap();
    assert_eq!(encoder.encode_all([&record], BadRecords::Fail).unwrap().1.boundary_moved, 1);
}

#[test]
fn a_prompt_that_does_not_open_the_whole_loses_no_token_of_the_answer() {
    let source = "{% for m in messages %}{{ '[' ~ m.role ~ ']' ~ m.content }}{% endfor %}{% if add_generation_prompt %}{{ '[assistant]<think>' }}{% endif %}";
    let template = SftTemplate::from(ChatTemplate::from_source("thinks", source, "", "").unwrap());
    for (_, tokenizer) in tokenizers() {
        for answer in ["yes", "<think>yes"] {
            let (example, moved) =
                example(&tokenizer, &template, EncodeOptions::default(), &dialogue("", &["Well?", answer]));
            assert!(moved);
            assert!(learned_text(&tokenizer, &example).contains(answer));
        }
    }
}

#[test]
fn the_format_of_magic_is_two_encodings_and_an_end() {
    let tokenizer = tiny();
    let template = SftTemplate::from(BuiltInPlain::HumanAssistant.template().unwrap());
    let options = EncodeOptions { join: Join::Apart, bos: Bos::Never, ..EncodeOptions::default() };
    let (example, _) =
        example(&tokenizer, &template, options, &dialogue("", &["What next?", "The motivation is to listen."]));
    let prompt = tokenizer.encode("Human: What next?\nAssistant: ").unwrap().ids;
    let answer = tokenizer.encode("The motivation is to listen.").unwrap().ids;
    assert_eq!(example.ids, [&prompt[..], &answer, &tokenizer.eos()[..1]].concat());
    assert_eq!(example.labels_from(), Some(prompt.len()));
}

#[test]
fn a_template_without_a_system_role_gets_the_system_text_in_the_first_question() {
    let mistral = SftTemplate::from(ChatTemplate::built_in_by_name("mistral").unwrap());
    let tokenizer = tiny();
    let (example, _) =
        example(&tokenizer, &mistral, EncodeOptions::default(), &dialogue("Be kind.", &["Hello", "Hi!"]));
    let text = tokenizer.decode(&example.ids, ControlTokenText::Keep).unwrap();
    assert!(text.contains("[INST] Be kind.\n\nHello [/INST]"), "{text}");
}

#[test]
fn records_that_templates_refuse_are_named_or_skipped() {
    let mistral = SftTemplate::from(ChatTemplate::built_in_by_name("mistral").unwrap());
    let tokenizer = tiny();
    let encoder = SftEncoder::new(&tokenizer, &mistral, EncodeOptions::default()).unwrap();
    let bad = chat(vec![Message::user("a"), Message::user("b"), Message::assistant("c")]);
    let good = dialogue("", &["a", "b"]);
    let error = encoder.encode_all([&good, &bad], BadRecords::Fail).unwrap_err();
    assert!(
        error.to_string().starts_with("memory, item 1: chat template: Conversation roles must alternate"),
        "{error}"
    );
    let (examples, summary) = encoder.encode_all([&good, &bad, &chat(Vec::new())], BadRecords::Skip).unwrap();
    assert_eq!((examples.len(), summary.records, summary.encoded, summary.bad), (1, 3, 1, 2));
    assert_eq!(summary.skipped.len(), 2);
    assert_eq!(summary.learned_tokens, examples[0].targets());
}

#[test]
fn an_own_template_may_drop_the_system_section() {
    let plain = PlainTemplate::from_source("own", "%% turn\nQ: {instruction}\nA:\n{response}\n").unwrap();
    let template = SftTemplate::from(plain);
    let tokenizer = byte_level();
    let options = EncodeOptions { bos: Bos::Always, ..EncodeOptions::default() };
    let (example, _) = example(&tokenizer, &template, options, &dialogue("S", &["x", "y"]));
    let text = tokenizer.decode(&example.ids, ControlTokenText::Keep).unwrap();
    assert_eq!(text, "<|begin_of_text|>Q: S\n\nx\nA:\ny<|end_of_text|>");
}

/// Texts of words, marks of templates, line breaks and characters of several bytes; never blank.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z]{1,6}",
        Just(" ".to_owned()),
        Just("\n".to_owned()),
        Just("</s>".to_owned()),
        Just("<|eot_id|>".to_owned()),
        Just("[/INST]".to_owned()),
        Just("é😢".to_owned()),
        Just("ab".to_owned())
    ];
    (prop::collection::vec(piece, 0..8), "[a-z😢.]").prop_map(|(pieces, last)| pieces.concat() + &last)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn answers_are_never_lost(system in text(), texts in prop::collection::vec(text(), 1..4), apart: bool) {
        let texts: Vec<String> = texts.into_iter().flat_map(|text| [format!("{text}?"), text]).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let record = dialogue(&system, &texts);
        let join = if apart { Join::Apart } else { Join::Together };
        let options = EncodeOptions { join, ..EncodeOptions::default() };
        for tokenizer in [tiny(), byte_level()] {
            for (name, template) in templates() {
                let (example, moved) = example(&tokenizer, &template, options, &record);
                prop_assert_eq!(example.ids.len(), example.learned.len());
                let answer = answer_of(&tokenizer, &example);
                let expected = texts[texts.len() - 1].trim();
                if moved {
                    prop_assert!(answer.ends_with(expected), "{}: {} / {}", name, answer, expected);
                } else {
                    prop_assert_eq!(&answer, expected, "{}", name);
                }
            }
        }
    }

    #[test]
    fn all_answers_are_found_in_order(texts in prop::collection::vec(text(), 1..5), apart: bool) {
        let texts: Vec<String> = texts.into_iter().flat_map(|text| [format!("{text}?"), text]).collect();
        let record = dialogue("", &texts.iter().map(String::as_str).collect::<Vec<_>>());
        let join = if apart { Join::Apart } else { Join::Together };
        let options = EncodeOptions { learn_on: LearnOn::AllAssistants, join, ..EncodeOptions::default() };
        for tokenizer in [tiny(), byte_level()] {
            for (name, template) in templates() {
                let (example, _) = example(&tokenizer, &template, options, &record);
                let learned = learned_text(&tokenizer, &example);
                let mut rest = learned.as_str();
                for answer in texts.iter().skip(1).step_by(2).map(|answer| answer.trim()) {
                    let at = rest.find(answer);
                    prop_assert!(at.is_some(), "{name}: {answer} in {learned}");
                    rest = &rest[at.unwrap() + answer.len()..];
                }
                prop_assert!(!learned.contains('?'), "{name}: a question is learned: {learned}");
            }
        }
    }

    #[test]
    fn completions_are_never_lost(prompt in "[ab x😢]{0,8}", completion in text()) {
        let template = SftTemplate::from(BuiltInPlain::Plain.template().unwrap());
        for tokenizer in [tiny(), byte_level()] {
            let record = SftRecord::text(place(), prompt.clone(), completion.clone());
            let (example, moved) = example(&tokenizer, &template, EncodeOptions::default(), &record);
            let text = learned_text(&tokenizer, &example);
            let end = tokenizer.eos_token();
            prop_assert!(text.ends_with(&format!("{}{end}", completion.trim_start())), "{text}");
            prop_assert!(moved || text.trim() == format!("{completion}{end}").trim(), "{text}");
        }
    }
}
