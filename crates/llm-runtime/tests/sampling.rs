//! Processors, sampler and beam search against golden files and against their definitions.

use llm_runtime::beam::BeamSearch;
use llm_runtime::sampling::{
    EncoderNoRepeatNgram, EncoderRepetitionPenalty, Epsilon, Eta, ExponentialDecayLengthPenalty, ForcedEos,
    LogNormalization, MinLength, MinNewTokens, MinP, NoBadWords, NoRepeatNgram, ProcessorChain, RepetitionPenalty,
    Sampler, SamplingError, Scratch, SuppressTokens, Temperature, TopK, TopP, Typical, log_softmax, logprob_of,
    top_logprobs,
};
use llm_runtime::{EarlyStopping, GenerationOptions};
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde_json::Value;

/// README of the goldens: same removed set, probabilities within 1e-6.
const PROBABILITY_TOLERANCE: f32 = 1e-6;

/// The rows of `sampling.safetensors`, and what `sampling.json` says about them (transformers 5.23, equal to 4.44).
struct Golden {
    spec: Value,
    bytes: Vec<u8>,
}

impl Golden {
    fn load() -> Option<Self> {
        let folder = golden_files::family("sampling")?;
        let spec = serde_json::from_slice(&std::fs::read(folder.join("sampling.json")).unwrap()).unwrap();
        Some(Self { spec, bytes: std::fs::read(folder.join("sampling.safetensors")).unwrap() })
    }

    fn rows<T>(&self, name: &str, of: impl Fn(&[u8]) -> T, size: usize) -> Vec<Vec<T>> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        let columns = tensor.shape()[1];
        tensor.data().chunks(size * columns).map(|row| row.chunks(size).map(&of).collect()).collect()
    }

    fn floats(&self, name: &str) -> Vec<Vec<f32>> {
        self.rows(name, |bytes| f32::from_le_bytes(bytes.try_into().unwrap()), 4)
    }

    fn tokens(&self, name: &str) -> Vec<Vec<u32>> {
        self.rows(name, |bytes| i64::from_le_bytes(bytes.try_into().unwrap()) as u32, 8)
    }

    fn prompt_len(&self) -> usize {
        self.spec["prompt_len"].as_u64().unwrap() as usize
    }

    fn eos(&self) -> Vec<u32> {
        vec![self.spec["eos_token_id"].as_u64().unwrap() as u32]
    }

    /// Applies `chain(row)` to every row and compares with the tensors `{name}.scores` and `{name}.probs`. Where the
    /// reference cuts through a tie, which of the tied tokens stays depends on its sort: there the kept scores count.
    fn compare(&self, name: &str, cuts_ties: bool, chain: impl Fn(usize) -> ProcessorChain) {
        let (inputs, tokens) = (self.floats("logits"), self.tokens("input_ids"));
        let (scores, probabilities) = (self.floats(&format!("{name}.scores")), self.floats(&format!("{name}.probs")));
        for row in 0..inputs.len() {
            let mut ours = inputs[row].clone();
            chain(row).apply(&tokens[row], &mut ours, &mut Scratch::default());
            let same_set = kept(&ours) == kept(&scores[row]);
            assert!(same_set || cuts_ties, "{name} row {row}: other tokens were removed");
            let ours_probabilities: Vec<f32> = log_softmax(&ours).iter().map(|logprob| logprob.exp()).collect();
            let (mut ours, mut theirs) = (ours_probabilities, probabilities[row].clone());
            if !same_set {
                ours.sort_by(f32::total_cmp);
                theirs.sort_by(f32::total_cmp);
            }
            for (token, (a, b)) in ours.iter().zip(&theirs).enumerate() {
                assert!((a - b).abs() <= PROBABILITY_TOLERANCE, "{name} row {row} token {token}: {a}, expected {b}");
            }
        }
    }
}

fn kept(scores: &[f32]) -> Vec<usize> {
    (0..scores.len()).filter(|token| scores[*token] != f32::NEG_INFINITY).collect()
}

#[test]
fn golden_sampling_singles() {
    let Some(golden) = Golden::load() else { return };
    let singles = golden.spec["singles"].as_array().unwrap();
    assert!(!singles.is_empty());
    for (number, single) in singles.iter().enumerate() {
        let processor = single["processor"].as_str().unwrap();
        let cuts_ties = matches!(processor, "TopPLogitsWarper" | "TypicalLogitsWarper");
        golden.compare(&format!("single.{number}"), cuts_ties, |row| single_chain(&golden, processor, single, row));
    }
}

/// The processor that an entry of `singles` names.
fn single_chain(golden: &Golden, processor: &str, single: &Value, row: usize) -> ProcessorChain {
    let args = &single["args"];
    let float = |name: &str| args[name].as_f64().unwrap() as f32;
    let integer = |name: &str| args[name].as_u64().unwrap() as usize;
    let eos = || vec![integer("eos_token_id") as u32];
    let ids =
        |list: &Value| list.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect::<Vec<u32>>();
    let source = || golden.tokens(args["encoder_input_ids"].as_str().unwrap()).swap_remove(row);
    let min_tokens_to_keep = args["min_tokens_to_keep"].as_u64().unwrap_or(1) as usize;
    let mut chain = ProcessorChain::new();
    match processor {
        "TemperatureLogitsWarper" => chain.push(Temperature { temperature: float("temperature") }),
        "TopKLogitsWarper" => chain.push(TopK { top_k: integer("top_k"), min_tokens_to_keep }),
        "TopPLogitsWarper" => chain.push(TopP { top_p: float("top_p"), min_tokens_to_keep }),
        "MinPLogitsWarper" => chain.push(MinP { min_p: float("min_p"), min_tokens_to_keep }),
        "TypicalLogitsWarper" => chain.push(Typical { mass: float("mass"), min_tokens_to_keep }),
        "EpsilonLogitsWarper" => chain.push(Epsilon { epsilon: float("epsilon"), min_tokens_to_keep }),
        "EtaLogitsWarper" => chain.push(Eta { epsilon: float("epsilon"), min_tokens_to_keep }),
        "RepetitionPenaltyLogitsProcessor" => chain.push(RepetitionPenalty { penalty: float("penalty") }),
        "NoRepeatNGramLogitsProcessor" => chain.push(NoRepeatNgram { size: integer("ngram_size") }),
        "MinLengthLogitsProcessor" => chain.push(MinLength { min_length: integer("min_length"), eos: eos() }),
        "MinNewTokensLengthLogitsProcessor" => chain.push(MinNewTokens {
            prompt_len: integer("prompt_length_to_skip"),
            min_new_tokens: integer("min_new_tokens"),
            eos: eos(),
        }),
        "ForcedEOSTokenLogitsProcessor" => chain.push(ForcedEos { max_length: integer("max_length"), eos: eos() }),
        "NoBadWordsLogitsProcessor" => {
            let words = args["bad_words_ids"].as_array().unwrap().iter().map(ids).collect();
            chain.push(NoBadWords::new(words, &eos()));
        }
        "SuppressTokensLogitsProcessor" => chain.push(SuppressTokens { tokens: ids(&args["suppress_tokens"]) }),
        "ExponentialDecayLengthPenalty" => chain.push(ExponentialDecayLengthPenalty {
            start: args["exponential_decay_length_penalty"][0].as_u64().unwrap() as usize,
            factor: args["exponential_decay_length_penalty"][1].as_f64().unwrap(),
            prompt_len: integer("input_ids_seq_length"),
            eos: eos(),
        }),
        "EncoderNoRepeatNGramLogitsProcessor" => {
            chain.push(EncoderNoRepeatNgram { size: integer("encoder_ngram_size"), encoder_tokens: source() });
        }
        "EncoderRepetitionPenaltyLogitsProcessor" => {
            chain.push(EncoderRepetitionPenalty { penalty: float("penalty"), encoder_tokens: source() });
        }
        other => panic!("no processor for {other}"),
    }
    chain
}

#[test]
fn golden_sampling_chains() {
    let Some(golden) = Golden::load() else { return };
    let chains = golden.spec["chains"].as_array().unwrap();
    assert!(!chains.is_empty());
    for (number, entry) in chains.iter().enumerate() {
        let order: Vec<&str> = entry["order"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let cuts_ties = order.iter().any(|name| matches!(*name, "TopPLogitsWarper" | "TypicalLogitsWarper"));
        let options = options_of(&entry["generation_config"]);
        golden.compare(&format!("chain.{number}"), cuts_ties, |_| {
            let mut chain = ProcessorChain::from_options(&options, golden.prompt_len(), &golden.eos());
            if order.contains(&"LogitNormalization") {
                chain.push(LogNormalization);
            }
            chain
        });
    }
}

/// Our options for a `GenerationConfig` of transformers, whose own defaults are temperature 1 and top-k 50.
fn options_of(config: &Value) -> GenerationOptions {
    let mut options = GenerationOptions { temperature: 1.0, top_k: 50, ..Default::default() };
    let mut sampled = true;
    for (name, value) in config.as_object().unwrap() {
        let float = || value.as_f64().unwrap() as f32;
        let integer = || value.as_u64().unwrap() as usize;
        match name.as_str() {
            "do_sample" => sampled = value.as_bool().unwrap(),
            "temperature" => options.temperature = float(),
            "top_k" => options.top_k = integer(),
            "top_p" => options.top_p = float(),
            "min_p" => options.min_p = float(),
            "typical_p" => options.typical_p = float(),
            "repetition_penalty" => options.repetition_penalty = float(),
            "no_repeat_ngram_size" => options.no_repeat_ngram_size = integer(),
            "min_length" => options.min_length = integer(),
            "min_new_tokens" => options.min_new_tokens = integer(),
            "renormalize_logits" => {} // A processor of its own here.
            other => panic!("no option for {other}"),
        }
    }
    if !sampled {
        options.temperature = 0.0;
    }
    options
}

fn sampled(seed: u64) -> GenerationOptions {
    GenerationOptions { temperature: 1.0, seed, ..Default::default() }
}

#[test]
fn greedy_takes_the_first_of_equals() {
    let mut sampler = Sampler::new(&GenerationOptions::default(), &[0], &[]);
    assert_eq!(sampler.sample(&mut [0.5, 2.0, 2.0, -1.0], &[0]), Ok(1));
}

#[test]
fn the_same_seed_gives_the_same_tokens_and_another_seed_others() {
    let logits: Vec<f32> = (0..500).map(|token| (token as f32 * 0.7).sin()).collect();
    let draw = |seed| {
        let mut sampler = Sampler::new(&sampled(seed), &[], &[]);
        (0..50).map(|_| sampler.sample(&mut logits.clone(), &[]).unwrap()).collect::<Vec<u32>>()
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}

#[test]
fn the_generator_is_the_documented_one() {
    // With equal logits the token is the uniform number itself. First words of ChaCha8 under a key of zeros.
    let mut sampler = Sampler::new(&sampled(0), &[], &[]);
    let first = sampler.sample(&mut vec![0.0; 1 << 16], &[]).unwrap();
    let words = [0x3eu8, 0x00, 0xef, 0x2f, 0x89, 0x5f, 0x40, 0xd6];
    assert_eq!(first, u32::from(u16::from_le_bytes([words[6], words[7]])));
}

#[test]
fn draws_follow_the_probabilities() {
    let probabilities = [0.5f32, 0.25, 0.15, 0.1];
    let logits: Vec<f32> = probabilities.iter().map(|probability| probability.ln()).collect();
    let mut sampler = Sampler::new(&sampled(3), &[], &[]);
    let draws = 20_000;
    let mut counts = [0; 4];
    for _ in 0..draws {
        counts[sampler.sample(&mut logits.clone(), &[]).unwrap() as usize] += 1;
    }
    for (count, probability) in counts.iter().zip(probabilities) {
        assert!((*count as f32 / draws as f32 - probability).abs() < 0.015, "{counts:?}");
    }
}

#[test]
fn rows_without_a_choice_are_typed_errors() {
    for temperature in [0.0, 1.0] {
        let options = GenerationOptions { temperature, ..Default::default() };
        let sample = |logits: &mut [f32]| Sampler::new(&options, &[], &[]).sample(logits, &[]);
        assert_eq!(sample(&mut []), Err(SamplingError::EmptyRow));
        assert_eq!(sample(&mut [f32::NEG_INFINITY; 3]), Err(SamplingError::NothingLeft));
        assert!(matches!(sample(&mut [0.0, f32::NAN]), Err(SamplingError::NotFinite { token: 1, .. })));
        assert!(matches!(sample(&mut [f32::INFINITY, 0.0]), Err(SamplingError::NotFinite { token: 0, .. })));
    }
    let forbids_all = GenerationOptions { no_repeat_ngram_size: 1, ..Default::default() };
    assert_eq!(
        Sampler::new(&forbids_all, &[0, 1], &[]).sample(&mut [0.3, 0.1], &[0, 1]),
        Err(SamplingError::NothingLeft)
    );
}

#[test]
fn a_sharp_temperature_that_overflows_is_an_error_and_not_a_wrong_token() {
    let options = GenerationOptions { temperature: 1e-30, ..Default::default() };
    let sampled = Sampler::new(&options, &[], &[]).sample(&mut [1e10, 2e10], &[]);
    assert!(matches!(sampled, Err(SamplingError::NotFinite { token: 0, .. })));
}

#[test]
fn top_logprobs_are_ordered_and_normalised() {
    let logits = [1.0, 3.0, f32::NEG_INFINITY, 3.0, 0.0];
    let top = top_logprobs(&logits, 10);
    assert_eq!(top.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [1, 3, 0, 4]);
    assert_eq!(top_logprobs(&logits, 2), top[..2]);
    assert!(top_logprobs(&logits, 0).is_empty());
    assert!((top.iter().map(|(_, logprob)| logprob.exp()).sum::<f32>() - 1.0).abs() < 1e-6);
    assert_eq!(logprob_of(&logits, 3), top[1].1);
    assert_eq!(logprob_of(&logits, 2), f32::NEG_INFINITY);
    assert_eq!(logprob_of(&logits, 99), f32::NEG_INFINITY);
}

#[test]
fn top_p_finds_the_same_nucleus_in_a_flat_vocabulary_as_a_full_sort() {
    let logits: Vec<f32> = (0..5000).map(|token| ((token * 7919 % 5000) as f32) * 1e-4).collect();
    let mut ours = logits.clone();
    let mut chain = ProcessorChain::new();
    chain.push(TopP { top_p: 0.83, min_tokens_to_keep: 1 });
    chain.apply(&[], &mut ours, &mut Scratch::default());

    let mut sorted: Vec<f64> = log_softmax(&logits).iter().map(|logprob| f64::from(logprob.exp())).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let cumulated = sorted.iter().scan(0.0, |mass, probability| {
        *mass += probability;
        Some(*mass)
    });
    let nucleus = 1 + cumulated.take_while(|mass| *mass < 0.83).count();
    assert!(kept(&ours).len().abs_diff(nucleus) <= 1);
}

fn any_logits() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-20.0f32..20.0, 1..80)
}

fn any_bits() -> impl Strategy<Value = Vec<f32>> {
    let special = prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 0.0, -0.0]);
    prop::collection::vec(prop_oneof![any::<f32>(), special, -20.0f32..20.0], 0..60)
}

/// Everything but typical sampling, which may remove the most likely token by design.
fn any_truncation() -> impl Strategy<Value = GenerationOptions> {
    (0.05f32..3.0, 0usize..100, 0.0f32..=1.0, 0.0f32..=1.0, any::<u64>()).prop_map(
        |(temperature, top_k, top_p, min_p, seed)| GenerationOptions {
            temperature,
            top_k,
            top_p,
            min_p,
            seed,
            ..Default::default()
        },
    )
}

proptest! {
    #[test]
    fn kept_probabilities_sum_to_one(logits in any_logits(), options in any_truncation(), typical_p in 0.01f32..=1.0) {
        let mut scores = logits;
        ProcessorChain::from_options(&GenerationOptions { typical_p, ..options }, 0, &[]).apply(&[], &mut scores, &mut Scratch::default());
        let total: f32 = log_softmax(&scores).iter().map(|logprob| logprob.exp()).sum();
        prop_assert!((total - 1.0).abs() < 1e-5, "{}", total);
    }

    #[test]
    fn the_most_likely_token_survives_every_truncation(logits in any_logits(), options in any_truncation()) {
        let (best, _) = top_logprobs(&logits, 1)[0];
        let mut scores = logits;
        ProcessorChain::from_options(&options, 0, &[]).apply(&[], &mut scores, &mut Scratch::default());
        prop_assert!(scores[best as usize].is_finite());
    }

    #[test]
    fn a_drawn_token_was_kept(logits in any_logits(), options in any_truncation()) {
        let mut scores = logits;
        let token = Sampler::new(&options, &[], &[]).sample(&mut scores, &[]).unwrap();
        prop_assert!(scores[token as usize].is_finite());
    }

    #[test]
    fn sampling_at_temperature_zero_in_the_limit_is_greedy(
        order in prop::collection::vec(any::<u32>(), 2..60),
        tokens in prop::collection::vec(0u32..60, 0..20),
        seed in any::<u64>(),
    ) {
        // Multiples of 1/64 and a penalty of 2 stay exact, so that two scores are equal or clearly apart, never almost tied.
        let logits: Vec<f32> = order.iter().map(|value| (value % 1000) as f32 / 64.0 - 6.0).collect();
        let greedy = GenerationOptions { repetition_penalty: 2.0, no_repeat_ngram_size: 3, ..Default::default() };
        let cold = GenerationOptions { temperature: 1e-5, seed, ..greedy.clone() };
        let mut processed = logits.clone();
        let best = Sampler::new(&greedy, &[], &[]).sample(&mut processed, &tokens).unwrap();
        let drawn = Sampler::new(&cold, &[], &[]).sample(&mut logits.clone(), &tokens).unwrap();
        prop_assert_eq!(processed[best as usize], processed[drawn as usize]);
    }

    #[test]
    fn no_row_makes_the_sampler_panic(
        logits in any_bits(),
        tokens in prop::collection::vec(any::<u32>(), 0..10),
        mut options in any_truncation(),
        typical_p in 0.01f32..=1.0,
        repetition_penalty in 0.01f32..10.0,
        no_repeat_ngram_size in 0usize..4,
    ) {
        options.typical_p = typical_p;
        options.repetition_penalty = repetition_penalty;
        options.no_repeat_ngram_size = no_repeat_ngram_size;
        options.min_length = 4;
        let finite = logits.iter().all(|logit| !logit.is_nan() && *logit != f32::INFINITY);
        let outcome = Sampler::new(&options, &[], &[1, 70]).sample(&mut logits.clone(), &tokens);
        prop_assert!(finite || outcome.is_err());
        let greedy = GenerationOptions { temperature: 0.0, ..options };
        let outcome = Sampler::new(&greedy, &[], &[1, 70]).sample(&mut logits.clone(), &tokens);
        prop_assert!(finite || outcome.is_err());
        top_logprobs(&logits, 5);
        logprob_of(&logits, 0);
    }

    #[test]
    fn single_processors_never_panic(logits in any_bits(), tokens in prop::collection::vec(0u32..70, 0..10), n in 0usize..9) {
        let mut chain = ProcessorChain::new();
        chain.push(Epsilon { epsilon: 0.1, min_tokens_to_keep: n });
        chain.push(Eta { epsilon: 0.1, min_tokens_to_keep: n });
        chain.push(Typical { mass: 0.5, min_tokens_to_keep: n });
        chain.push(TopP { top_p: 0.5, min_tokens_to_keep: n });
        chain.push(MinP { min_p: 0.5, min_tokens_to_keep: n });
        chain.push(TopK { top_k: n, min_tokens_to_keep: 1 });
        chain.push(NoBadWords::new(vec![vec![], vec![1], vec![1, 2]], &[]));
        chain.push(EncoderNoRepeatNgram { size: n, encoder_tokens: tokens.clone() });
        chain.push(ForcedEos { max_length: tokens.len() + n, eos: vec![3, 99] });
        chain.apply(&tokens, &mut logits.clone(), &mut Scratch::default());
    }

    #[test]
    fn beam_search_is_the_reference_library_s(case in any_beam_case()) {
        let ours = case.ours();
        let theirs = case.reference();
        prop_assert_eq!(ours.len(), theirs.len());
        for ((tokens, score), (expected_tokens, expected_score)) in ours.iter().zip(&theirs) {
            prop_assert_eq!(tokens, expected_tokens);
            prop_assert!((f64::from(*score) - expected_score).abs() < 1e-4 * expected_score.abs().max(1.0));
        }
    }

    #[test]
    fn one_beam_is_greedy_decoding(case in any_beam_case()) {
        let case = BeamCase { width: 1, returned: 1, penalty: 1.0, early_stopping: EarlyStopping::Yes, ..case };
        let options = case.options();
        let mut sampler = Sampler::new(&options, &case.prompt, &case.eos);
        let mut tokens = case.prompt.clone();
        for _ in 0..case.max_new_tokens {
            let token = sampler.sample(&mut case.row(&tokens), &tokens).unwrap();
            tokens.push(token);
            if case.eos.contains(&token) {
                break;
            }
        }
        prop_assert_eq!(&case.ours()[0].0, &tokens[case.prompt.len()..]);
    }
}

/// A search over a synthetic model whose logits depend on the last two tokens and the length.
#[derive(Debug, Clone)]
struct BeamCase {
    seed: u64,
    vocabulary: usize,
    prompt: Vec<u32>,
    eos: Vec<u32>,
    width: usize,
    returned: usize,
    max_new_tokens: usize,
    min_new_tokens: usize,
    length_penalty: f32,
    penalty: f32,
    ngram: usize,
    early_stopping: EarlyStopping,
}

fn any_beam_case() -> impl Strategy<Value = BeamCase> {
    let stops = prop::sample::select(vec![EarlyStopping::No, EarlyStopping::Yes, EarlyStopping::Never]);
    let length_penalty = prop::sample::select(vec![-1.0f32, 0.0, 0.6, 1.0, 2.0]);
    let penalty = prop::sample::select(vec![1.0f32, 1.0, 1.3]);
    let sizes = (1usize..5, 1usize..12, 0usize..4, prop::sample::select(vec![0usize, 0, 3]));
    let tokens = (prop::collection::vec(0u32..20, 1..5), prop::collection::btree_set(0u32..20, 0..4));
    (any::<u64>(), sizes, tokens, length_penalty, penalty, stops).prop_map(
        |(
            seed,
            (width, max_new_tokens, min_new_tokens, ngram),
            (prompt, eos),
            length_penalty,
            penalty,
            early_stopping,
        )| {
            BeamCase {
                seed,
                // Large enough for the library's candidates: see the note on excluded tokens in `beam.rs`.
                vocabulary: 40,
                prompt,
                eos: eos.into_iter().collect(),
                width,
                returned: 1 + seed as usize % width,
                max_new_tokens,
                min_new_tokens,
                length_penalty,
                penalty,
                ngram,
                early_stopping,
            }
        },
    )
}

impl BeamCase {
    fn options(&self) -> GenerationOptions {
        GenerationOptions {
            max_new_tokens: self.max_new_tokens,
            min_new_tokens: self.min_new_tokens,
            repetition_penalty: self.penalty,
            no_repeat_ngram_size: self.ngram,
            beam_width: self.width,
            length_penalty: self.length_penalty,
            early_stopping: self.early_stopping,
            num_return_sequences: self.returned,
            ..Default::default()
        }
    }

    /// Logits between -2 and 6 from a hash; end-of-sequence tokens are somewhat favoured.
    fn row(&self, tokens: &[u32]) -> Vec<f32> {
        let context =
            tokens.iter().rev().take(2).fold(self.seed ^ tokens.len() as u64, |hash, token| mix(hash, *token));
        let logit = |token: u32| (mix(context, token) >> 40) as f32 / (1u64 << 24) as f32 * 8.0 - 2.0;
        (0..self.vocabulary as u32).map(|token| logit(token) + f32::from(self.eos.contains(&token))).collect()
    }

    fn ours(&self) -> Vec<(Vec<u32>, f32)> {
        let mut search = BeamSearch::new(&self.options(), &self.prompt, &self.eos);
        let mut beams = vec![self.prompt.clone()];
        while !search.is_done() {
            assert_eq!(search.live(), beams.len());
            let rows: Vec<Vec<f32>> = beams.iter().map(|tokens| self.row(tokens)).collect();
            let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
            let steps = search.advance(&rows).unwrap();
            beams = steps.iter().map(|step| [&beams[step.parent][..], &[step.token]].concat()).collect();
        }
        search.finish()
    }

    /// The loop of `GenerationMixin._beam_search` with `BeamSearchScorer` and `BeamHypotheses` of transformers 4.44,
    /// written down step by step from their definition.
    fn reference(&self) -> Vec<(Vec<u32>, f64)> {
        let mut hypotheses: Vec<(f64, Vec<u32>)> = Vec::new();
        let mut worst_score = 1e9f64;
        let add =
            |hypotheses: &mut Vec<(f64, Vec<u32>)>, worst: &mut f64, tokens: Vec<u32>, sum: f32, length: usize| {
                let score = f64::from(sum) / (length as f64).powf(f64::from(self.length_penalty));
                if hypotheses.len() < self.width || score > *worst {
                    hypotheses.push((score, tokens));
                    if hypotheses.len() > self.width {
                        let mut order: Vec<(f64, usize)> =
                            hypotheses.iter().enumerate().map(|(at, h)| (h.0, at)).collect();
                        order.sort_by(|a, b| a.partial_cmp(b).unwrap());
                        hypotheses.remove(order[0].1);
                        *worst = order[1].0;
                    } else {
                        *worst = worst.min(score);
                    }
                }
            };

        let mut beams = vec![self.prompt.clone(); self.width];
        let mut beam_scores: Vec<f32> = (0..self.width).map(|beam| if beam == 0 { 0.0 } else { -1e9 }).collect();
        let max_length = self.prompt.len() + self.max_new_tokens;
        let mut done = false;
        while !done && beams[0].len() < max_length {
            let mut flat: Vec<(f32, usize, u32)> = Vec::new();
            for (beam, tokens) in beams.iter().enumerate() {
                for (token, score) in self.reference_scores(tokens).into_iter().enumerate() {
                    flat.push((score + beam_scores[beam], beam, token as u32));
                }
            }
            flat.sort_by(|a, b| b.0.total_cmp(&a.0));
            flat.truncate((1 + self.eos.len()).max(2) * self.width);
            let new_length = beams[0].len() + 1 - self.prompt.len();

            let mut next: Vec<(Vec<u32>, f32)> = Vec::new();
            for (rank, (score, beam, token)) in flat.iter().enumerate() {
                let tokens = [&beams[*beam][..], &[*token]].concat();
                if self.eos.contains(token) {
                    if rank >= self.width {
                        continue;
                    }
                    add(&mut hypotheses, &mut worst_score, tokens, *score, new_length);
                } else {
                    next.push((tokens, *score));
                }
                if next.len() == self.width {
                    break;
                }
            }
            assert_eq!(next.len(), self.width);
            let attainable =
                |length: usize| f64::from(flat[0].0) / (length as f64).powf(f64::from(self.length_penalty));
            done = hypotheses.len() >= self.width
                && match self.early_stopping {
                    EarlyStopping::Yes => true,
                    EarlyStopping::No => worst_score >= attainable(new_length),
                    EarlyStopping::Never if self.length_penalty > 0.0 => worst_score >= attainable(self.max_new_tokens),
                    EarlyStopping::Never => worst_score >= attainable(new_length),
                };
            (beams, beam_scores) = next.into_iter().unzip();
        }
        if !done {
            for (tokens, score) in beams.into_iter().zip(beam_scores) {
                let length = tokens.len() - self.prompt.len();
                add(&mut hypotheses, &mut worst_score, tokens, score, length);
            }
        }
        hypotheses.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap());
        let best = hypotheses.into_iter().rev().take(self.returned);
        best.map(|(score, tokens)| (tokens[self.prompt.len()..].to_vec(), score)).collect()
    }

    /// Log-softmax, then the processors, by their definitions.
    fn reference_scores(&self, tokens: &[u32]) -> Vec<f32> {
        let mut scores = log_softmax(&self.row(tokens));
        for (token, score) in scores.iter_mut().enumerate() {
            if tokens.contains(&(token as u32)) {
                *score = if *score < 0.0 { *score * self.penalty } else { *score / self.penalty };
            }
            let ngram = [&tokens[(tokens.len() + 1).saturating_sub(self.ngram.max(1))..], &[token as u32]].concat();
            let repeats = self.ngram > 0 && tokens.windows(self.ngram).any(|window| window == ngram);
            let too_early = tokens.len() - self.prompt.len() < self.min_new_tokens;
            if repeats || (too_early && self.eos.contains(&(token as u32))) {
                *score = f32::NEG_INFINITY;
            }
        }
        scores
    }
}

fn mix(hash: u64, token: u32) -> u64 {
    let mut value = hash.wrapping_add(u64::from(token) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) ^ (value >> 31)
}

#[test]
fn beam_search_wants_a_row_per_live_beam() {
    let options = GenerationOptions { beam_width: 3, ..Default::default() };
    let mut search = BeamSearch::new(&options, &[1], &[]);
    assert_eq!(search.live(), 1);
    let row = [0.1, 0.2, 0.3, 0.4];
    assert_eq!(search.advance(&[&row, &row]), Err(SamplingError::RowCount { expected: 1, got: 2 }));
    let tokens: Vec<u32> = search.advance(&[&row]).unwrap().iter().map(|step| step.token).collect();
    assert_eq!(tokens, [3, 2, 1]);
    assert_eq!(search.live(), 3);
}

#[test]
fn beam_search_in_a_vocabulary_smaller_than_its_width_keeps_what_there_is() {
    let options = GenerationOptions { beam_width: 4, num_return_sequences: 4, max_new_tokens: 2, ..Default::default() };
    let mut search = BeamSearch::new(&options, &[0], &[]);
    let row = [0.0f32, 1.0];
    search.advance(&[&row]).unwrap();
    assert_eq!(search.live(), 2);
    search.advance(&[&row, &row]).unwrap();
    assert!(search.is_done());
    let found: Vec<Vec<u32>> = search.finish().into_iter().map(|(tokens, _)| tokens).collect();
    assert_eq!(found.len(), 4);
    assert_eq!((&found[0], &found[3]), (&vec![1, 1], &vec![0, 0]));
}

#[test]
fn damaged_rows_end_beam_search_with_a_typed_error() {
    let options = GenerationOptions { beam_width: 2, ..Default::default() };
    let advance = |row: &[f32]| BeamSearch::new(&options, &[0], &[]).advance(&[row]);
    assert_eq!(advance(&[]), Err(SamplingError::EmptyRow));
    assert_eq!(advance(&[f32::NEG_INFINITY; 4]), Err(SamplingError::NothingLeft));
    assert!(matches!(advance(&[0.0, f32::NAN]), Err(SamplingError::NotFinite { token: 1, .. })));
}
