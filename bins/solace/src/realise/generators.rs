//! The encoder–decoders of MAGIC and ThTra, which read strategies as tokens or as what they remember.

use std::path::Path;

use candle_core::Device;
use command_line::Failure;
use magic::{LetterCase, ResponseGenerator, SampleEncoder, SampleRule};
use seq2seq::search::DecodingOptions;
use thtra::{Answerer, Question, StrategyMode, TrainedModel};

use super::realiser::{Ask, Decoding, Realiser, Said, SaidSink};
use crate::plan::encoder_inputs;
use crate::point::Point;
use crate::strategies::{magic_strategy, thtra_strategy};

/// Answers that go through a model together.
const BATCH: usize = 16;

/// What both do: draw as ThTra is published, or take the likeliest token at each place.
fn options(decoding: Decoding) -> DecodingOptions {
    let Decoding { temperature, max_new_tokens, seed } = decoding;
    let usual = DecodingOptions { max_new_tokens, seed, ..DecodingOptions::default() };
    match temperature > 0.0 {
        true => DecodingOptions { temperature, top_p: 0.9, ..usual },
        false => usual,
    }
}

pub(super) struct MagicRealiser {
    generator: ResponseGenerator,
    sha256: String,
    decoding: Decoding,
}

impl MagicRealiser {
    pub(super) fn open(folder: &Path, device: &Device, decoding: Decoding) -> Result<Self, Failure> {
        let generator = ResponseGenerator::open(folder, device)?;
        let sha256 = generator.sha256()?;
        Ok(Self { generator, sha256, decoding })
    }

    fn sample(ask: &Ask<'_>) -> Result<magic::Sample, Failure> {
        let dialogue = ask.point.for_magic();
        let sample = magic::samples(&[dialogue], SampleRule::AllTurns, LetterCase::default()).pop();
        let nothing = || Failure::work(format!("{}: nothing was said before the answer", ask.point.id()));
        let sample = sample.ok_or_else(nothing)?;
        let Some(strategy) = ask.strategy else {
            let problem = "MAGIC's generator chooses no strategy itself: take another --planner than none";
            return Err(Failure::wrong_use(problem));
        };
        Ok(magic::Sample { strategy: magic_strategy(strategy), motivation: ask.motivation.to_owned(), ..sample })
    }
}

impl Realiser for MagicRealiser {
    fn made_by(&self) -> String {
        format!("magic {} · {}", self.sha256, self.decoding.name())
    }

    fn realise(&mut self, asks: &[Ask<'_>], sink: &mut SaidSink<'_>) -> Result<(), Failure> {
        let encoding = &self.generator.settings.encoding;
        let options = options(self.decoding);
        for asks in asks.chunks(BATCH) {
            let samples = asks.iter().map(Self::sample).collect::<Result<Vec<_>, _>>()?;
            let mut encoder = SampleEncoder::new(&self.generator.tokenizer, encoding);
            let encoded = encoder.encode_all(Path::new("the dialogues"), &samples)?;
            let streams: Vec<u64> = asks.iter().map(Ask::stream).collect();
            for (ask, found) in asks.iter().zip(self.generator.respond(&encoded, &streams, &options)?) {
                let ids = found.first().map(|best| best.ids.as_slice()).unwrap_or_default();
                let said = Said { text: self.generator.text(ids), tokens: ids.len() };
                if sink(ask, Some(said))?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

pub(super) struct ThtraRealiser {
    model: TrainedModel,
    decoding: Decoding,
}

impl ThtraRealiser {
    pub(super) fn open(folder: &Path, device: &Device, decoding: Decoding) -> Result<Self, Failure> {
        let model = TrainedModel::open(folder, None, device)?;
        Ok(Self { model, decoding })
    }

    /// Who chooses the strategies of these answers: whoever planned, or the model.
    fn answerer(&self, is_planned: bool) -> Answerer<'_> {
        let (responder, options, seed) = (&self.model.responder, options(self.decoding), self.decoding.seed);
        match (self.model.layout.has_strategies(), is_planned) {
            (false, _) => Answerer::without_strategies(responder, options, seed),
            (true, true) => Answerer::new(responder, StrategyMode::Gold, options, seed),
            (true, false) => Answerer::new(responder, StrategyMode::Argmax, options, seed),
        }
    }
}

impl Realiser for ThtraRealiser {
    fn made_by(&self) -> String {
        format!("thtra {} · {}", self.model.sha256, self.decoding.name())
    }

    fn realise(&mut self, asks: &[Ask<'_>], sink: &mut SaidSink<'_>) -> Result<(), Failure> {
        for is_planned in [true, false] {
            let asks: Vec<&Ask<'_>> = asks.iter().filter(|ask| ask.strategy.is_some() == is_planned).collect();
            let answerer = self.answerer(is_planned);
            for asks in asks.chunks(BATCH) {
                let points: Vec<&Point> = asks.iter().map(|ask| ask.point).collect();
                let inputs = encoder_inputs(&self.model, &points)?;
                let question =
                    |(ask, ids): (&&Ask<'_>, &Vec<u32>)| (ids.clone(), ask.strategy.map(thtra_strategy), ask.stream());
                let owned: Vec<_> = asks.iter().zip(&inputs).map(question).collect();
                let questions: Vec<Question<'_>> = owned
                    .iter()
                    .map(|(encoder_ids, gold, stream)| Question { encoder_ids, gold: *gold, stream: *stream })
                    .collect();
                for (ask, answer) in asks.iter().zip(answerer.answer(&questions)?) {
                    let ids = answer.responses.first().map(|best| best.ids.as_slice()).unwrap_or_default();
                    let said = Said { text: answerer.text(ids)?, tokens: ids.len() };
                    if sink(ask, Some(said))?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}
