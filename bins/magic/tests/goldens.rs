//! Real files, where they are at hand, against hashes of what the published preprocessing (Python 3, `json.dump`) makes of them.

use std::path::Path;

use magic::{
    Author, Dialogue, Indent, LetterCase, MotivationChecks, SampleRule, collection_clips, inference_clips, read_array,
    samples, write_json, write_samples,
};
use sha2::{Digest, Sha256};

use crate::program::{Place, real};

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn written_samples(raw: &Path, rule: SampleRule) -> Vec<u8> {
    let place = Place::new();
    let path = place.path("samples.json");
    let dialogues = Dialogue::read_all(raw).unwrap();
    write_samples(&path, &samples(&dialogues, rule, LetterCase::Table)).unwrap();
    std::fs::read(&path).unwrap()
}

#[test]
fn golden_magic_samples_of_valid_are_the_published_bytes() {
    let Some(raw) = real("multiesc/valid.txt") else { return };
    let written = written_samples(&raw, SampleRule::AllTurns);
    assert_eq!(written.len(), 6_216_410);
    assert_eq!(sha256(&written), "1ed0fb996941c86c91e724a3bb025a46d870192e7615d82dae0105c70fd50b31");
}

#[test]
fn golden_magic_samples_of_test_are_the_published_bytes() {
    let Some(raw) = real("multiesc/test.txt") else { return };
    let written = written_samples(&raw, SampleRule::LastTurn);
    assert_eq!(written.len(), 627_728);
    assert_eq!(sha256(&written), "7dce1ad6e458a6004ed63bdf964ddd79e74ff484985337ea3e11f7baf1d71c25");
}

#[test]
fn the_real_files_have_the_published_counts() {
    for (name, dialogues, samples) in [("train.reconstructed", 910, 10_191), ("valid", 195, 2156), ("test", 195, 2295)]
    {
        let Some(raw) = real(&format!("multiesc/{name}.txt")) else { continue };
        let read = Dialogue::read_all(&raw).unwrap();
        let targets: usize = read.iter().map(|dialogue| dialogue.targets(SampleRule::AllTurns).len()).sum();
        assert_eq!((read.len(), targets), (dialogues, samples), "{name}");
        assert!(read.iter().all(|dialogue| dialogue.targets(SampleRule::LastTurn).len() == 1), "{name}");
    }
}

/// The hash of clips joined by a byte that is in none of them.
fn sha256_of_clips(clips: &[String]) -> String {
    sha256(clips.join("\u{1e}").as_bytes())
}

/// The published collection marks the opening turn too in the first clip of a dialogue that the supporter opens; ours marks the last only.
#[test]
fn golden_magic_collection_clips_are_the_published_ones_but_for_one_mark() {
    let Some(raw) = real("multiesc/valid.txt") else { return };
    let dialogues = Dialogue::read_all(&raw).unwrap();
    let is_quirky = |dialogue: &Dialogue, turn| turn == 2 && dialogue.turns[0].author != Author::Seeker;
    let mut marked_twice = 0;
    let clips: Vec<String> = collection_clips(&dialogues)
        .into_iter()
        .map(|clip| {
            assert_eq!(clip.text.matches("***[").count(), 1);
            if !is_quirky(&dialogues[clip.dialogue], clip.turn) {
                return clip.text;
            }
            marked_twice += 1;
            let (opening, rest) = clip.text.split_once('\n').unwrap();
            let (text, label) = opening.rsplit_once('[').unwrap();
            format!("{text}***[{label}***\n{rest}")
        })
        .collect();
    assert_eq!((clips.len(), marked_twice), (2156, 101));
    assert_eq!(sha256_of_clips(&clips), "c66424c63879c29f4006f1453a7abb49c218186675edcb82c4288d5e1fcf9c11");
}

#[test]
fn golden_magic_inference_clips_are_the_published_ones() {
    for (name, rule, count, hash) in [
        ("valid", SampleRule::AllTurns, 2156, "10aa3228f3dc65ab945b2505ce463e07cf917bec6a2e914e95e132f149eb9ce8"),
        ("test", SampleRule::LastTurn, 195, "fed0812d03fea5541699ff83e292bf11bb94b373c392a8033ad7f7adc60a317d"),
    ] {
        let Some(raw) = real(&format!("multiesc/{name}.txt")) else { continue };
        let clips = inference_clips(&Dialogue::read_all(&raw).unwrap(), rule);
        assert_eq!((clips.len(), sha256_of_clips(&clips).as_str()), (count, hash), "{name}");
    }
}

#[test]
fn golden_magic_published_lists_are_written_as_they_were() {
    for (name, indent) in [("motivations_4_LLaMA", Indent::Four), ("prompts_4_LLaMA_test", Indent::Two)] {
        let Some(published) = real(&format!("magic/{name}.json")) else { continue };
        let texts: Vec<String> = read_array(&published, "text").unwrap();
        let place = Place::new();
        write_json(&place.path("again.json"), &texts, indent).unwrap();
        let (again, before) = (std::fs::read(place.path("again.json")).unwrap(), std::fs::read(&published).unwrap());
        assert_eq!((again.len(), sha256(&again)), (before.len(), sha256(&before)), "{name}");
    }
}

#[test]
fn golden_magic_published_test_prompts_hold_the_inference_clips() {
    let (Some(raw), Some(published)) = (real("multiesc/test.txt"), real("magic/prompts_4_LLaMA_test.json")) else {
        return;
    };
    let prompts: Vec<String> = read_array(&published, "prompt").unwrap();
    let clips = inference_clips(&Dialogue::read_all(&raw).unwrap(), SampleRule::LastTurn);
    assert_eq!(prompts.len(), clips.len());
    for (number, (prompt, clip)) in prompts.iter().zip(&clips).enumerate() {
        assert!(prompt.ends_with(&format!("{clip}\nMotivation:\n")), "prompt {number}");
    }
}

/// Every published motivation names the strategy of its turn and is one line; 8.9 % are longer than was asked for.
#[test]
fn the_published_motivations_belong_to_the_clips_of_the_train_file() {
    let (Some(raw), Some(published)) =
        (real("multiesc/train.reconstructed.txt"), real("magic/motivations_4_LLaMA.json"))
    else {
        return;
    };
    let motivations = magic::read_motivations(&published).unwrap();
    let clips = collection_clips(&Dialogue::read_all(&raw).unwrap());
    assert_eq!(motivations.len(), clips.len());
    let checks: Vec<MotivationChecks> = clips
        .iter()
        .zip(&motivations)
        .map(|(clip, motivation)| {
            MotivationChecks::of(
                motivation.as_deref().unwrap(),
                clip.strategy,
                llm_runtime::FinishReason::EndOfSequence,
            )
        })
        .collect();
    assert!(checks.iter().all(|checks| checks.names_strategy && checks.is_one_line));
    let long = checks.iter().filter(|checks| !checks.is_short).count() as f64 / checks.len() as f64;
    assert!((long - 0.089).abs() < 5e-4, "{long}");
}

/// The parser finds the one bracketed name in each.
#[test]
fn the_published_motivations_are_parsed_to_their_strategies() {
    let (Some(raw), Some(published)) =
        (real("multiesc/train.reconstructed.txt"), real("magic/motivations_4_LLaMA.json"))
    else {
        return;
    };
    let template = magic::Template::built_in(magic::Task::Inference);
    let motivations = magic::read_motivations(&published).unwrap();
    for (clip, motivation) in collection_clips(&Dialogue::read_all(&raw).unwrap()).iter().zip(motivations) {
        let parsed = magic::parse_answer(&motivation.unwrap(), None, &template);
        assert_eq!((parsed.strategy, parsed.parse_status), (clip.strategy, magic::ParseStatus::Bracket));
    }
}
