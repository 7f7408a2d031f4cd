//! The built-in dialogues as samples: MultiESC's eight strategies, and motivations by template.

use std::path::Path;

use command_line::Failure;
use demo_corpus::{Generator, Split};
use esconv_data::{LabelSet, Speaker};
use magic::{
    Author, Dialogue, EncodingOptions, LetterCase, Sample, SampleEncoder, SampleRule, Strategy, Turn, samples,
};
use memory_bank::Sample as EncodedSample;
use seq2seq::Seq2SeqTokenizer;

const TRAIN_DIALOGUES: u64 = 400;
const HELD_OUT_DIALOGUES: u64 = 40;
/// Tokens of the vocabulary, enough for whole words.
const VOCABULARY: usize = 1000;
/// Tokens of situation and dialogue at most: enough for nearly all of them.
pub(super) const LONGEST: usize = 64;

/// Dialogues to learn from and dialogues to be answered.
pub(super) struct DemoCorpus {
    pub(super) tokenizer: Seq2SeqTokenizer,
    pub(super) train: Vec<EncodedSample>,
    pub(super) held_out: Vec<EncodedSample>,
    /// The same as texts.
    pub(super) held_out_texts: Vec<Sample>,
}

impl DemoCorpus {
    pub(super) fn new() -> Result<Self, Failure> {
        let train = samples_of(Split::Train, TRAIN_DIALOGUES)?;
        let held_out_texts = samples_of(Split::Heldout, HELD_OUT_DIALOGUES)?;
        let texts: Vec<&str> = train
            .iter()
            .flat_map(|sample| {
                [&sample.response, &sample.motivation, &sample.context[0], &sample.context[sample.context.len() - 1]]
            })
            .map(String::as_str)
            .collect();
        let tokenizer = Seq2SeqTokenizer::learn_byte_pairs(&texts, VOCABULARY)?;
        let options = EncodingOptions {
            max_length: LONGEST,
            max_length_situation: 16,
            max_length_res_memory: 24,
            ..EncodingOptions::default()
        };
        let mut encoder = SampleEncoder::new(&tokenizer, &options);
        let mut encode = |samples: &[Sample]| encoder.encode_all(Path::new("the built-in dialogues"), samples);
        let (train, held_out) = (encode(&train)?, encode(&held_out_texts)?);
        Ok(Self { tokenizer, train, held_out, held_out_texts })
    }
}

fn samples_of(split: Split, dialogues: u64) -> Result<Vec<Sample>, Failure> {
    let generator = Generator::new(demo_corpus::SEED)?;
    let dialogues: Vec<Dialogue> = (0..dialogues).map(|number| dialogue(&generator, split.index(number))).collect();
    let mut samples = samples(&dialogues, SampleRule::AllTurns, LetterCase::default());
    for sample in &mut samples {
        sample.motivation = motivation(sample.strategy);
    }
    Ok(samples)
}

fn dialogue(generator: &Generator, number: u64) -> Dialogue {
    let conversation = generator.conversation(number).conversation;
    let turns = conversation.dialog.into_iter().map(|utterance| Turn {
        author: match utterance.speaker {
            Speaker::Seeker => Author::Seeker,
            Speaker::Supporter => Author::Supporter(utterance.strategy.as_deref().map_or(Strategy::Others, strategy)),
        },
        text: utterance.content,
    });
    Dialogue { situation: conversation.situation, turns: turns.collect() }
}

/// What one of the corpus' fifteen strategies is among MultiESC's eight.
pub(super) fn strategy(name: &str) -> Strategy {
    LabelSet::Extes.to_multiesc(name).and_then(Strategy::find).unwrap_or(Strategy::Others)
}

/// Why a strategy fits, in the form that a language model is asked for.
fn motivation(strategy: Strategy) -> String {
    let aim = match strategy {
        Strategy::Question => "learn more about what happened",
        Strategy::Restatement => "show in other words that the trouble was understood",
        Strategy::Reflection => "give the feeling a name",
        Strategy::SelfDisclosure => "tell of a time that was alike",
        Strategy::Affirmation => "let the seeker see their own strength",
        Strategy::Suggestions => "offer a step that could help",
        Strategy::Greeting => "welcome the seeker",
        Strategy::Others => "keep the talk going",
    };
    format!("The motivation of the supporter in choosing the strategy [{}] is to {aim}.", strategy.name())
}
