//! Many texts through an encoder: texts of like lengths together, results in the order of the texts.

use crate::{EncoderBatch, EncoderConfig, EncoderError, EncoderTokenizer};

/// How texts are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadingOptions {
    /// Tokens of a text at most, the first and the last included; the beginning of longer ones is cut off. An encoder that takes
    /// fewer cuts at its own limit.
    pub longest: usize,
    /// Tokens of a batch at most (a single text may have more). Decides about memory and speed, not about results.
    pub batch_tokens: usize,
}

impl Default for ReadingOptions {
    fn default() -> Self {
        Self { longest: 512, batch_tokens: 4096 }
    }
}

/// Calls `forward` with batches that hold every text once, and gives the results in the order of the texts.
pub(crate) fn by_length<T>(
    texts: &[&str],
    tokenizer: &EncoderTokenizer,
    config: &EncoderConfig,
    options: &ReadingOptions,
    mut forward: impl FnMut(&EncoderBatch) -> Result<Vec<T>, EncoderError>,
) -> Result<Vec<T>, EncoderError> {
    let longest = options.longest.min(config.longest());
    let sequences =
        texts.iter().map(|text| tokenizer.encode(text, longest)).collect::<Result<Vec<Vec<u32>>, EncoderError>>()?;
    let mut found: Vec<(usize, T)> = Vec::with_capacity(texts.len());
    for numbers in batches(&sequences, options.batch_tokens) {
        let batch = EncoderBatch::of(numbers.iter().map(|number| sequences[*number].as_slice()));
        found.extend(numbers.into_iter().zip(forward(&batch)?));
    }
    found.sort_by_key(|(number, _)| *number);
    Ok(found.into_iter().map(|(_, result)| result).collect())
}

/// Numbers of sequences, the longest first, in batches of at most so many tokens if they were padded: sequences of like lengths come together.
fn batches(sequences: &[Vec<u32>], tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..sequences.len()).collect();
    order.sort_by_key(|number| std::cmp::Reverse(sequences[*number].len()));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut width = 0;
    for number in order {
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * width <= tokens => batch.push(number),
            _ => {
                width = sequences[number].len();
                batches.push(vec![number]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_full_and_of_like_lengths() {
        let sequences: Vec<Vec<u32>> = [3, 9, 3, 2, 8].iter().map(|length| vec![0; *length]).collect();
        assert_eq!(batches(&sequences, 18), [vec![1, 4], vec![0, 2, 3]]);
        assert_eq!(batches(&sequences, 1).len(), 5);
    }
}
