//! The built-in dialogues: a supporter who listens but slips at times, and a seeker who rates every reply.

use std::path::Path;

use command_line::Failure;
use demo_corpus::{Generator, Labels, Manner, Split};
use helpfulness::HelpfulnessRecord;
use thtra::{Dialogue, DialogueTokenizer, EncodedDialogues, Layout, Lengths, Sample, Strategy, records_of};

const TRAIN_DIALOGUES: u64 = 400;
const VALID_DIALOGUES: u64 = 30;
const TEST_DIALOGUES: u64 = 60;
/// Tokens of the vocabulary, enough for whole words.
const VOCABULARY: usize = 1100;
/// What encoders read of these short dialogues, and what decoders say.
pub(super) const LENGTHS: Lengths = Lengths { max_input_length: 64, max_decoder_input_length: 40 };

/// Dialogues to learn from, to choose by and to be answered.
pub(super) struct DemoCorpus {
    pub(super) tokenizer: DialogueTokenizer,
    pub(super) train: Side,
    pub(super) valid: Side,
    pub(super) test: Side,
}

/// Dialogues, and what their seekers thought of the replies.
pub(super) struct Side {
    pub(super) dialogues: Vec<Dialogue>,
    pub(super) records: Vec<HelpfulnessRecord>,
}

impl DemoCorpus {
    pub(super) fn new() -> Result<Self, Failure> {
        let train = Side::new(Split::Train, 0..TRAIN_DIALOGUES)?;
        let tokenizer = DialogueTokenizer::learn(&train.dialogues, VOCABULARY)?;
        let valid = Side::new(Split::Heldout, 0..VALID_DIALOGUES)?;
        let test = Side::new(Split::Heldout, VALID_DIALOGUES..VALID_DIALOGUES + TEST_DIALOGUES)?;
        Ok(Self { tokenizer, train, valid, test })
    }

    /// How many of a hundred test samples have the commonest strategy: what a model gets right that always names it.
    pub(super) fn commonest(&self) -> f64 {
        let strategies = || self.test.dialogues.iter().flat_map(Dialogue::targets).map(|(_, strategy)| strategy);
        let of = |wanted: Strategy| strategies().filter(|strategy| *strategy == wanted).count();
        let most = Strategy::ALL.into_iter().map(of).max().unwrap_or(0);
        100.0 * most as f64 / strategies().count() as f64
    }

    pub(super) fn samples(&self, side: &Side, layout: Layout) -> Result<Vec<Sample>, Failure> {
        Ok(EncodedDialogues::new(&self.tokenizer, &side.dialogues)?.lay_out(layout, LENGTHS).samples)
    }
}

impl Side {
    fn new(split: Split, numbers: std::ops::Range<u64>) -> Result<Self, Failure> {
        let generator = Generator::new(demo_corpus::SEED)?.with_manner(Manner::Responsive);
        let conversation = |number| generator.conversation_with(split.index(number), Labels::Esconv8).conversation;
        let conversations: Vec<_> = numbers.map(conversation).collect();
        let dialogues = Dialogue::of_corpus(Path::new("the built-in dialogues"), &conversations)?;
        let numbered = conversations.iter().enumerate();
        let records = numbered.flat_map(|(number, conversation)| records_of(number, conversation)).collect();
        Ok(Self { dialogues, records })
    }
}
