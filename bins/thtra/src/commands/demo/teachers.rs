//! The models of helpfulness: d-PM and the ordinal one, each on a small encoder that knows nothing.

use candle_core::Device;
use command_line::{Failure, interrupt};
use helpfulness::{
    AnyModel, ExchangeLayout, FrozenEncoder, HelpfulnessConfig, HelpfulnessKind, HelpfulnessModel, LabelTable,
    NetworkOptions, OrdinalObjective, OrdinalOptions, PreferenceDataset, PreferenceLoss, PreferenceObjective,
    RatedDataset, TrainableHelpfulness, published_options,
};
use thtra::RATERS;
use training::{Control, Dataset, End, Objective, Trainer, TrainerOptions, Warmup};

use super::corpus::DemoCorpus;

/// Tokens of situation, context and response together.
const LONGEST: usize = 96;

/// Which model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Teacher {
    /// d-PM, with the implicit posterior.
    Preference,
    /// The ordinal model, which knows its raters.
    Ordinal,
}

impl Teacher {
    pub(super) const ALL: [Self; 2] = [Self::Preference, Self::Ordinal];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Preference => "d-PM",
            Self::Ordinal => "ordinal",
        }
    }

    /// Trains the model; none after an interrupt.
    pub(super) fn train(self, corpus: &DemoCorpus) -> Result<Option<HelpfulnessModel>, Failure> {
        let records = &corpus.train.records;
        let texts = records.iter().flat_map(|record| {
            [record.situation.as_str()]
                .into_iter()
                .chain(record.context.iter().map(String::as_str))
                .chain(record.responses.iter().map(|response| response.text.as_str()))
        });
        let encoder = FrozenEncoder::fresh(&texts.collect::<Vec<_>>(), LONGEST, 1, &Device::Cpu)?;
        let (labels, layout) =
            (LabelTable::published(2)?, ExchangeLayout { longest: LONGEST, ..ExchangeLayout::default() });
        let network = NetworkOptions { prefix_length: 4, hidden: 32, ..NetworkOptions::default() };
        let tokenizer = encoder.tokenizer().clone();
        match self {
            Self::Preference => {
                let set = PreferenceDataset::of_records(records, &labels, &layout, &tokenizer)?;
                let config = HelpfulnessConfig { kind: HelpfulnessKind::Preference, labels, network, layout };
                let pupil = TrainableHelpfulness::fresh(encoder, config, 1)?;
                let AnyModel::Preference(model) = &pupil.model.model else { return Ok(None) };
                let objective = PreferenceObjective::new(model.clone(), PreferenceLoss::Rq);
                learn(pupil, &objective, &set)
            }
            Self::Ordinal => {
                let set = RatedDataset::of_feedback(records, &labels, &layout, &tokenizer)?;
                let options = OrdinalOptions { ratings: usize::from(RATERS), ..OrdinalOptions::default() };
                let kind = HelpfulnessKind::Ordinal { options, raters: set.raters().to_vec() };
                let pupil =
                    TrainableHelpfulness::fresh(encoder, HelpfulnessConfig { kind, labels, network, layout }, 1)?;
                let AnyModel::Ordinal(model) = &pupil.model.model else { return Ok(None) };
                let objective = OrdinalObjective::new(model.clone(), set.examples().len());
                learn(pupil, &objective, &set)
            }
        }
    }
}

fn learn<O: Objective, D: Dataset<Batch = O::Batch>>(
    pupil: TrainableHelpfulness,
    objective: &O,
    set: &D,
) -> Result<Option<HelpfulnessModel>, Failure> {
    let options = TrainerOptions {
        epochs: 2.0,
        batch: 16,
        accumulate: 1,
        learning_rate: 3e-3,
        warmup: Warmup::Ratio(0.1),
        ..published_options()
    };
    let trainer = Trainer { objective, train: set, evaluation: Vec::new(), options: &options };
    let summary = trainer.run(&pupil.parameters, None, false, &mut |_| {
        Ok(if interrupt::was_asked() { Control::Stop } else { Control::Continue })
    })?;
    Ok((summary.end != End::Stopped).then_some(pupil.model))
}
