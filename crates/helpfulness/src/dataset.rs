//! Annotated responses as examples of a training loop.

use text_encoder::EncoderTokenizer;
use training::{Dataset, TrainingError};

use crate::{EncodedExchange, Exchange, ExchangeLayout, HelpfulnessError, HelpfulnessRecord, LabelTable, Votes};

/// A response as tokens, with the classes that annotators chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreferenceExample {
    /// What the model reads.
    pub input: EncodedExchange,
    /// One place for each annotator; at least one has chosen.
    pub annotations: Vec<Option<usize>>,
}

/// Examples with the classes of their annotators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreferenceDataset {
    classes: usize,
    examples: Vec<PreferenceExample>,
}

impl PreferenceDataset {
    /// No examples yet, of so many classes.
    pub fn new(classes: usize) -> Self {
        Self { classes, examples: Vec::new() }
    }

    /// All responses of some records; those that nobody has annotated are left out, for there is nothing to be learned from them.
    ///
    /// # Errors
    /// A label is not in the table, or a text can't be tokenised.
    pub fn of_records<'a>(
        records: impl IntoIterator<Item = &'a HelpfulnessRecord>,
        table: &LabelTable,
        layout: &ExchangeLayout,
        tokenizer: &EncoderTokenizer,
    ) -> Result<Self, HelpfulnessError> {
        let mut dataset = Self::new(table.classes());
        for (number, record) in records.into_iter().enumerate() {
            let context = record.context_text();
            for response in &record.responses {
                let annotations =
                    table.classes_of(&response.annotations).map_err(|error| record.problem(number, error))?;
                if annotations.iter().all(Option::is_none) {
                    continue;
                }
                let exchange = Exchange { situation: &record.situation, context: &context, response: &response.text };
                dataset.push(layout.encode(&exchange, tokenizer)?, annotations)?;
            }
        }
        Ok(dataset)
    }

    /// Adds an example.
    ///
    /// # Errors
    /// Nobody has annotated it, or an annotation is none of the classes.
    pub fn push(&mut self, input: EncodedExchange, annotations: Vec<Option<usize>>) -> Result<(), HelpfulnessError> {
        if Votes::of(&annotations, self.classes)?.total() == 0 {
            return Err(HelpfulnessError::Invalid("an example without annotations: there is nothing to learn".into()));
        }
        self.examples.push(PreferenceExample { input, annotations });
        Ok(())
    }

    /// The examples that this annotator (counted from 0) has annotated, with that annotation alone.
    pub fn of_annotator(&self, annotator: usize) -> Self {
        let of_one = |example: &PreferenceExample| {
            let class = example.annotations.get(annotator).copied().flatten()?;
            Some(PreferenceExample { input: example.input.clone(), annotations: vec![Some(class)] })
        };
        Self { classes: self.classes, examples: self.examples.iter().filter_map(of_one).collect() }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The examples.
    pub fn examples(&self) -> &[PreferenceExample] {
        &self.examples
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }
}

/// Examples that go through a model together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PreferenceBatch {
    /// What the model reads.
    pub inputs: Vec<EncodedExchange>,
    /// The votes on each.
    pub votes: Vec<Votes>,
}

impl Dataset for PreferenceDataset {
    type Batch = PreferenceBatch;

    fn lengths(&self) -> Vec<usize> {
        self.examples.iter().map(|example| example.input.token_count()).collect()
    }

    fn batch(&self, examples: &[usize]) -> Result<PreferenceBatch, TrainingError> {
        let mut batch = PreferenceBatch::default();
        for number in examples {
            let example = self.examples.get(*number).ok_or_else(|| {
                HelpfulnessError::Invalid(format!("there is no example {number} among {}", self.len()))
            })?;
            batch.inputs.push(example.input.clone());
            batch.votes.push(Votes::of(&example.annotations, self.classes)?);
        }
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AnnotatedResponse, ConversationId};

    fn tokenizer() -> EncoderTokenizer {
        let pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "sad", "tell"];
        EncoderTokenizer::word_piece(&pieces.map(str::to_owned)).unwrap()
    }

    fn record(annotations: &[Option<&str>]) -> HelpfulnessRecord {
        let annotations = annotations.iter().map(|label| label.map(str::to_owned)).collect();
        HelpfulnessRecord {
            conversation: Some(ConversationId::Number(7)),
            situation: "sad".into(),
            context: vec!["sad".into(), "sad".into()],
            responses: vec![AnnotatedResponse { text: "tell".into(), annotations }],
            ..HelpfulnessRecord::default()
        }
    }

    fn dataset(records: &[HelpfulnessRecord]) -> Result<PreferenceDataset, HelpfulnessError> {
        let table = LabelTable::published(2).unwrap();
        PreferenceDataset::of_records(records, &table, &ExchangeLayout::default(), &tokenizer())
    }

    #[test]
    fn labels_become_votes() {
        let records = [record(&[Some("Affirm"), None, Some("Warn"), Some("Other")]), record(&[None, None])];
        let dataset = dataset(&records).unwrap();
        assert_eq!(dataset.lengths(), [8]);
        let batch = dataset.batch(&[0]).unwrap();
        assert_eq!(batch.votes[0].counts(), [2, 1]);
        assert_eq!(batch.inputs[0].ids(), [2, 5, 2, 5, 5, 2, 6, 3]);
    }

    #[test]
    fn one_annotator_alone_has_fewer_examples() {
        let records = [record(&[Some("Affirm"), None]), record(&[Some("Warn"), Some("Warn")])];
        let dataset = dataset(&records).unwrap();
        assert_eq!((dataset.of_annotator(0).len(), dataset.of_annotator(1).len()), (2, 1));
        assert!(dataset.of_annotator(9).is_empty());
    }

    #[test]
    fn a_label_without_a_class_is_named_with_its_record() {
        let records = [record(&[Some("Affirm")]), record(&[Some("Nice")])];
        let error = dataset(&records).unwrap_err().to_string();
        assert!(error.starts_with("record 2 (of `7`): the label `Nice` is in no class"), "{error}");
        let mut dataset = PreferenceDataset::new(2);
        let input = EncodedExchange::new(vec![2, 3], 1).unwrap();
        assert!(dataset.push(input.clone(), vec![None]).is_err());
        assert!(dataset.push(input, vec![Some(2)]).is_err());
        assert!(dataset.batch(&[0]).is_err());
    }
}
