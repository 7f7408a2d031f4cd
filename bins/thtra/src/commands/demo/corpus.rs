//! The built-in dialogues: a supporter who listens but slips at times, and a seeker who rates every reply.

use std::path::Path;

use command_line::Failure;
use demo_corpus::{Generator, Labels, Manner, Split};
use esconv_data::Conversation;
use thtra::{Dialogue, DialogueTokenizer, EncodedDialogues, Layout, Lengths, Sample};

/// Tokens of the vocabulary, enough for whole words.
const VOCABULARY: usize = 1100;

/// What encoders read of these short dialogues, and what decoders say.
pub(super) const LENGTHS: Lengths = Lengths { max_input_length: 64, max_decoder_input_length: 40 };

/// Dialogues to learn from and dialogues to be answered.
pub(super) struct DemoCorpus {
    pub(super) tokenizer: DialogueTokenizer,
    pub(super) train: Side,
    pub(super) held_out: Side,
}

/// Dialogues of one side.
pub(super) struct Side {
    pub(super) conversations: Vec<Conversation>,
    pub(super) dialogues: Vec<Dialogue>,
}

impl DemoCorpus {
    pub(super) fn new(train: u64, held_out: u64) -> Result<Self, Failure> {
        let train = Side::new(Split::Train, train)?;
        let tokenizer = DialogueTokenizer::learn(&train.dialogues, VOCABULARY)?;
        Ok(Self { tokenizer, train, held_out: Side::new(Split::Heldout, held_out)? })
    }

    pub(super) fn samples(&self, side: &Side, layout: Layout) -> Result<Vec<Sample>, Failure> {
        Ok(EncodedDialogues::new(&self.tokenizer, &side.dialogues)?.lay_out(layout, LENGTHS).samples)
    }
}

impl Side {
    fn new(split: Split, count: u64) -> Result<Self, Failure> {
        let generator = Generator::new(demo_corpus::SEED)?.with_manner(Manner::Responsive);
        let conversation = |number| generator.conversation_with(split.index(number), Labels::Esconv8).conversation;
        let conversations: Vec<Conversation> = (0..count).map(conversation).collect();
        let dialogues = Dialogue::of_corpus(Path::new("the built-in dialogues"), &conversations)?;
        Ok(Self { conversations, dialogues })
    }
}
