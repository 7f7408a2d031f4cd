//! What may be asked of decoding: lengths, rules, sampling, beams and groups of beams.

use llm_runtime::beam::Ranking;
use llm_runtime::{EarlyStopping, InvalidOption};
use serde::{Deserialize, Serialize};

/// Settings of decoding; the names are those of [`llm_runtime::GenerationOptions`] and of transformers. The default is greedy decoding of up to
/// 64 new ids.
///
/// With a temperature ids are drawn; else one beam is greedy decoding, several are a beam search, in several groups a diverse one.
///
/// A new id is one behind the prompt, which is the decoder's start id and whatever else is given. transformers counts the
/// prompt into `max_length` and `min_length`: its `max_length` is `max_new_tokens` plus the prompt's length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecodingOptions {
    /// At most this many new ids (the end-of-sequence id counts).
    pub max_new_tokens: usize,
    /// The end-of-sequence id is not allowed before this many new ids.
    pub min_new_tokens: usize,
    /// The end-of-sequence id is not allowed before prompt and new ids together are this many.
    pub min_length: usize,
    /// Divides positive and multiplies negative scores of ids that occurred already, prompt included; `1` changes nothing.
    pub repetition_penalty: f32,
    /// No n-gram of this size occurs twice, prompt included; `0` allows all.
    pub no_repeat_ngram_size: usize,
    /// No n-gram of this size of what the encoder read occurs; `0` allows all.
    pub encoder_no_repeat_ngram_size: usize,
    /// Sequences of ids that do not occur.
    pub bad_words: Vec<Vec<u32>>,
    /// The first new id, behind a prompt of one id.
    pub forced_first_id: Option<u32>,
    /// The id at the last place of `max_new_tokens`, for an end where there would be none.
    pub forced_last_id: Option<u32>,
    /// Softmax temperature of sampling; `0` does not sample.
    pub temperature: f32,
    /// Draw from the `top_k` most likely ids (ties with the k-th are kept); `0` keeps all.
    pub top_k: usize,
    /// Draw from the smallest set of most likely ids whose probability reaches `top_p`; `1` keeps all.
    pub top_p: f32,
    /// Seed of sampling. The draws of a row come from a stream of its own: see [`super::DecodingRow::stream`].
    pub seed: u64,
    /// Number of beams, all groups together; `1` is greedy decoding or sampling.
    pub beam_width: usize,
    /// The beams fall into so many groups of equal size, each of which avoids what those before it choose.
    pub beam_groups: usize,
    /// Taken off an id's log-probability for each beam of an earlier group that chose it at the same step. Needs groups.
    pub diversity_penalty: f32,
    /// Scores are the sum of log-probabilities divided by the number of new ids to this power.
    pub length_penalty: f32,
    /// Scores hypotheses by variety and length instead; `length_penalty` has no effect then.
    pub variety_ranking: Option<VarietyRanking>,
    /// When beam search may end.
    pub early_stopping: EarlyStopping,
    /// How many hypotheses are given per row: of beams the best, at most `beam_width`; of sampling so many draws.
    pub num_return_sequences: usize,
}

/// MAGIC's score of a hypothesis: `sum / (diversity · distinct / n + length · n / max_new_tokens)`, where `distinct` of the `n` new ids are
/// different, and the plain sum if both weights are 0. Beams still compete by the plain sum.
///
/// With [`EarlyStopping::Never`] a search ends when no running beam can reach a better score than the worst hypothesis kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VarietyRanking {
    /// Weight of the share of different ids, at least 0.
    pub diversity: f32,
    /// Weight of the length, at least 0.
    pub length: f32,
}

impl Default for DecodingOptions {
    fn default() -> Self {
        Self {
            max_new_tokens: 64,
            min_new_tokens: 0,
            min_length: 0,
            repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            encoder_no_repeat_ngram_size: 0,
            bad_words: Vec::new(),
            forced_first_id: None,
            forced_last_id: None,
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            seed: 0,
            beam_width: 1,
            beam_groups: 1,
            diversity_penalty: 0.0,
            length_penalty: 1.0,
            variety_ranking: None,
            early_stopping: EarlyStopping::No,
            num_return_sequences: 1,
        }
    }
}

/// At most this many sequences of one row are decoded at a time.
const MAX_SEQUENCES: usize = 1024;

impl DecodingOptions {
    /// Checks ranges and combinations.
    ///
    /// # Errors
    /// The first option that is out of range or contradicts another.
    pub fn validate(&self) -> Result<(), InvalidOption> {
        self.validate_lengths()?;
        self.validate_rules()?;
        self.validate_sampling()?;
        self.validate_beams()
    }

    /// Whether ids are drawn.
    pub fn samples(&self) -> bool {
        self.temperature > 0.0
    }

    pub(super) fn ranking(&self) -> Ranking {
        match self.variety_ranking {
            None => Ranking::LengthPenalty(self.length_penalty),
            Some(VarietyRanking { diversity, length }) => Ranking::VarietyAndLength { variety: diversity, length },
        }
    }

    fn validate_lengths(&self) -> Result<(), InvalidOption> {
        check(self.max_new_tokens > 0, "max_new_tokens", "must be at least 1")?;
        let (least, most) = (self.min_new_tokens, self.max_new_tokens);
        check(least <= most, "min_new_tokens", format!("{least} is more than max_new_tokens, {most}"))
    }

    fn validate_rules(&self) -> Result<(), InvalidOption> {
        let penalty = self.repetition_penalty;
        let sound = penalty > 0.0 && penalty <= 1e4;
        check(sound, "repetition_penalty", format!("{penalty} is not above 0 and at most 10000 (1 changes nothing)"))?;
        check(!self.bad_words.iter().any(Vec::is_empty), "bad_words", "an entry has no ids")
    }

    fn validate_sampling(&self) -> Result<(), InvalidOption> {
        let within = |value: f32, most: f32| (0.0..=most).contains(&value);
        let temperature = self.temperature;
        check(
            within(temperature, 1e4),
            "temperature",
            format!("{temperature} is not in 0..=10000 (0 does not sample)"),
        )?;
        check(within(self.top_p, 1.0), "top_p", format!("{} is not in 0..=1 (1 keeps all)", self.top_p))
    }

    fn validate_beams(&self) -> Result<(), InvalidOption> {
        let (width, groups, returned) = (self.beam_width, self.beam_groups, self.num_return_sequences);
        check((1..=MAX_SEQUENCES).contains(&width), "beam_width", format!("{width} is not in 1..={MAX_SEQUENCES}"))?;
        let alone = width == 1 || !self.samples();
        check(alone, "beam_width", format!("{width} beams need temperature 0, not {}", self.temperature))?;
        let even = groups > 0 && width.is_multiple_of(groups);
        check(even, "beam_groups", format!("{groups} groups do not divide {width} beams evenly"))?;
        let diversity = self.diversity_penalty;
        check((0.0..=1e9).contains(&diversity), "diversity_penalty", format!("{diversity} is not in 0..=1e9"))?;
        let used = diversity == 0.0 || groups > 1;
        check(used, "diversity_penalty", format!("{diversity} needs at least 2 groups of beams (beam_groups)"))?;
        let penalty = self.length_penalty;
        check(penalty.abs() <= 100.0, "length_penalty", format!("{penalty} is not in -100..=100"))?;
        if let Some(VarietyRanking { diversity, length }) = self.variety_ranking {
            let sound = [diversity, length].iter().all(|weight| weight.is_finite() && *weight >= 0.0);
            check(sound, "variety_ranking", format!("{diversity} and {length} are not both finite and at least 0"))?;
        }
        let (most, whose) = if self.samples() { (MAX_SEQUENCES, "draws") } else { (width, "the beam width") };
        let problem = format!("{returned} is not in 1..={most} ({whose})");
        check((1..=most).contains(&returned), "num_return_sequences", problem)
    }
}

fn check(sound: bool, option: &'static str, problem: impl Into<String>) -> Result<(), InvalidOption> {
    if sound { Ok(()) } else { Err(InvalidOption { option, problem: problem.into() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_sound() {
        DecodingOptions::default().validate().unwrap();
    }

    #[test]
    fn bad_options_are_named() {
        let beams = || DecodingOptions { beam_width: 4, ..Default::default() };
        let ranking = |diversity, length| Some(VarietyRanking { diversity, length });
        let base = DecodingOptions::default;
        let table = [
            ("max_new_tokens", DecodingOptions { max_new_tokens: 0, ..base() }),
            ("min_new_tokens", DecodingOptions { min_new_tokens: 65, ..base() }),
            ("repetition_penalty", DecodingOptions { repetition_penalty: 0.0, ..base() }),
            ("repetition_penalty", DecodingOptions { repetition_penalty: f32::NAN, ..base() }),
            ("bad_words", DecodingOptions { bad_words: vec![vec![3], vec![]], ..base() }),
            ("temperature", DecodingOptions { temperature: -1.0, ..base() }),
            ("temperature", DecodingOptions { temperature: f32::INFINITY, ..base() }),
            ("top_p", DecodingOptions { top_p: 1.1, ..base() }),
            ("top_p", DecodingOptions { top_p: f32::NAN, ..base() }),
            ("beam_width", DecodingOptions { beam_width: 0, ..base() }),
            ("beam_width", DecodingOptions { beam_width: 1025, ..base() }),
            ("beam_width", DecodingOptions { temperature: 0.7, ..beams() }),
            ("beam_groups", DecodingOptions { beam_groups: 0, ..beams() }),
            ("beam_groups", DecodingOptions { beam_groups: 3, ..beams() }),
            ("beam_groups", DecodingOptions { beam_groups: 8, ..beams() }),
            ("diversity_penalty", DecodingOptions { diversity_penalty: 1.0, ..beams() }),
            ("diversity_penalty", DecodingOptions { diversity_penalty: -1.0, beam_groups: 2, ..beams() }),
            ("diversity_penalty", DecodingOptions { diversity_penalty: f32::NAN, beam_groups: 2, ..beams() }),
            ("length_penalty", DecodingOptions { length_penalty: f32::NAN, ..beams() }),
            ("variety_ranking", DecodingOptions { variety_ranking: ranking(-1.0, 1.0), ..beams() }),
            ("variety_ranking", DecodingOptions { variety_ranking: ranking(1.0, f32::NAN), ..beams() }),
            ("num_return_sequences", DecodingOptions { num_return_sequences: 0, ..beams() }),
            ("num_return_sequences", DecodingOptions { num_return_sequences: 5, ..beams() }),
            ("num_return_sequences", DecodingOptions { num_return_sequences: 2, ..base() }),
        ];
        for (option, options) in table {
            let error = options.validate().unwrap_err();
            assert_eq!(error.option, option, "{error}");
        }
    }

    #[test]
    fn a_penalty_without_groups_says_what_is_missing() {
        let options = DecodingOptions { beam_width: 4, diversity_penalty: 4.0, ..Default::default() };
        let text = options.validate().unwrap_err().to_string();
        assert_eq!(text, "generation option `diversity_penalty`: 4 needs at least 2 groups of beams (beam_groups)");
    }

    #[test]
    fn unknown_settings_are_refused() {
        let error = serde_json::from_str::<DecodingOptions>(r#"{"num_beams": 4}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `num_beams`"), "{error}");
        let options: DecodingOptions = serde_json::from_str(r#"{"beam_width": 4, "early_stopping": "never"}"#).unwrap();
        assert_eq!((options.beam_width, options.early_stopping), (4, EarlyStopping::Never));
    }
}
