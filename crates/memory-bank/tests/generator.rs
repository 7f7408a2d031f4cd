//! What holds for the generator, whatever its numbers.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use llm_runtime::DropoutPass;
use memory_bank::{
    BankOptions, EmptyMemory, GeneratorOptions, HeadInit, MagicBatch, MagicDataset, MagicObjective, MotivationFusion,
    Place, Response, Sample, Sources, StrategyBank, TrainableMagic,
};
use seq2seq::{Architecture, Seq2SeqConfig, Seq2SeqWeights, StackConfig};
use training::{Control, Gradients, Objective, Pass, RunDir, TrainEvent, Trainer, TrainerOptions};

const STRATEGIES: usize = 3;

fn config() -> Seq2SeqConfig {
    let stack = StackConfig { layers: 1, heads: 2, inner_width: 24 };
    Seq2SeqConfig {
        width: 16,
        encoder: stack,
        decoder: stack,
        max_positions: 32,
        initializer_range: 0.3,
        ..Seq2SeqConfig::tiny(Architecture::Bart, 40)
    }
}

fn model(options: GeneratorOptions) -> TrainableMagic {
    let config = config();
    let bart = Seq2SeqWeights::fresh(&config, &Device::Cpu, 5);
    TrainableMagic::new(&bart, &config, STRATEGIES, options, 5, &Device::Cpu).unwrap()
}

fn objective(model: &TrainableMagic) -> MagicObjective {
    let bank = StrategyBank::new(STRATEGIES, config().width, BankOptions::default(), &Device::Cpu).unwrap();
    MagicObjective::new(model.generator.clone(), bank, 0.2)
}

fn framed(ids: &[u32]) -> Vec<u32> {
    [&[0], ids, &[2]].concat()
}

/// A sample whose history has a response under its own strategy.
fn sample(number: u32) -> Sample {
    let strategy = number as usize % STRATEGIES;
    let answer = framed(&[10 + number % 20, 11 + number % 7, 4 + number % 5]);
    let said = |turn: usize, strategy: usize| {
        let tokens = framed(&[20 + number % 9, 5 + turn as u32]);
        let place = Place { dialogue: format!("d{number}"), turn };
        Arc::new(Response { text: format!("{tokens:?}"), tokens, strategy, place, feedback: None })
    };
    Sample {
        input: framed(&(0..3 + number % 4).map(|place| 4 + (number * 3 + place) % 30).collect::<Vec<_>>()),
        motivation: framed(&[30 + number % 8]),
        output: answer[..answer.len() - 1].to_vec(),
        labels: answer[1..].to_vec(),
        strategy,
        place: Place { dialogue: format!("d{number}"), turn: 9 },
        history: vec![said(1, strategy), said(3, (strategy + 1) % STRATEGIES)],
    }
}

fn training() -> Pass {
    Pass::training(DropoutPass { seed: 1, pass: 1 }, None)
}

fn all_options() -> Vec<GeneratorOptions> {
    let fusions = [MotivationFusion::None, MotivationFusion::Concat, MotivationFusion::Query];
    let heads = [HeadInit::Embeddings, HeadInit::Tied, HeadInit::Random];
    let with = |motivation| heads.map(|head| GeneratorOptions { motivation, head, ..GeneratorOptions::default() });
    fusions.into_iter().flat_map(with).collect()
}

fn logits(model: &TrainableMagic, batch: &MagicBatch, memories: &[Option<Tensor>]) -> Vec<f32> {
    let sources = Sources { inputs: &batch.inputs, motivations: &batch.motivations, memories };
    let states = model.generator.forward(&sources, &batch.outputs, &Pass::evaluation()).unwrap();
    model.generator.head().forward(states.states()).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn memory(rows: usize, seed: u64) -> Tensor {
    let width = config().width;
    Tensor::from_vec(training::normal_values(seed, "memory", rows * width, 1.0), (rows, width), &Device::Cpu).unwrap()
}

/// The learned vector for an empty list is reached by samples that find nothing.
#[test]
fn every_weight_gets_a_gradient() {
    for options in all_options() {
        let model = model(options);
        let objective = objective(&model);
        let mut lonely = sample(7);
        lonely.strategy = 2;
        let mut samples = vec![sample(0), sample(3)];
        samples[0].history.truncate(1);
        samples[1].history.truncate(1);
        samples.push(lonely);
        samples[2].history.clear();
        let batch = MagicBatch::new(&samples, None).unwrap();
        let parts = objective.loss(&batch, &training()).unwrap();
        let mut gradients = Gradients::default();
        gradients.add(&model.parameters, &parts.sum.backward().unwrap()).unwrap();
        for (name, _) in model.parameters.iter() {
            let gradient = gradients.get(name).unwrap_or_else(|| panic!("{options:?}: {name} has no gradient"));
            let size = gradient.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            // Softmax does not see what is added to all scores of a query alike.
            assert!(size > 0.0 || name.ends_with("k_proj.bias"), "{options:?}: the gradient of {name} is zero");
        }
    }
}

/// Otherwise a step would train what an earlier one has written, and a resumed run, which finds constants, would go another way.
#[test]
fn rows_are_constants_for_a_batch_that_writes_nothing() {
    let model = model(GeneratorOptions::default());
    let objective = objective(&model);
    let loss = |batch: &MagicBatch| objective.loss(batch, &training()).unwrap().sum.backward().unwrap();
    loss(&MagicBatch::new(&[sample(1)], None).unwrap());
    let without_history = Sample { history: Vec::new(), ..sample(4) };
    let store = loss(&MagicBatch::new(&[without_history], None).unwrap());
    let mut gradients = Gradients::default();
    gradients.add(&model.parameters, &store).unwrap();
    assert!(gradients.get("memory_enhance_module.multihead_attn.in_proj_weight").is_some(), "the rows are read");
    let trained = model.parameters.iter().filter(|(name, _)| gradients.get(name).is_some());
    assert_eq!(trained.filter(|(name, _)| name.starts_with("strategy_encoder.")).count(), 0);
}

#[test]
fn half_precision_weights_learn_by_masters_in_f32() {
    let config = config();
    let bart = Seq2SeqWeights::fresh(&config, &Device::Cpu, 5);
    let options = GeneratorOptions::default();
    let model = TrainableMagic::new_in(DType::BF16, &bart, &config, STRATEGIES, options, 5, &Device::Cpu).unwrap();
    let dtypes = |part: &str| {
        model
            .parameters
            .iter()
            .filter(|(name, _)| name.contains(part))
            .map(|(_, weight)| weight.dtype())
            .collect::<Vec<_>>()
    };
    assert!(dtypes("fc1.weight").iter().all(|dtype| *dtype == DType::BF16));
    assert!(["bias", "norm", "embed"].iter().all(|part| dtypes(part).iter().all(|dtype| *dtype == DType::F32)));

    let objective = objective(&model);
    let train = MagicDataset::new((0..8).map(sample).collect(), None);
    let options = TrainerOptions { max_steps: Some(120), learning_rate: 3e-3, ..TrainerOptions::default() };
    let trainer = Trainer { objective: &objective, train: &train, evaluation: Vec::new(), options: &options };
    let mut losses = Vec::new();
    let see = &mut |event: &TrainEvent| {
        if let TrainEvent::Step(step) = event {
            losses.push(step.loss);
        }
        Ok(Control::Continue)
    };
    trainer.run(&model.parameters, None, false, see).unwrap();
    // Steps of this size would be lost in bf16's eight bits.
    assert!(losses[losses.len() - 1] < 0.2 * losses[0], "{losses:?}");
}

#[test]
fn the_motivation_matters_where_it_is_fused_and_nowhere_else() {
    for options in all_options() {
        let model = model(options);
        let memories = [Some(memory(2, 1))];
        let mut other = sample(1);
        let batch = MagicBatch::new([&other], None).unwrap();
        other.motivation = framed(&[33, 34, 35]);
        let changed = MagicBatch::new([&other], None).unwrap();
        let same = logits(&model, &batch, &memories) == logits(&model, &changed, &memories);
        assert_eq!(same, options.motivation == MotivationFusion::None, "{options:?}");
    }
}

#[test]
fn a_sample_alone_gives_what_it_gives_among_others() {
    for options in all_options() {
        let model = model(options);
        let samples: Vec<Sample> = (0..4).map(sample).collect();
        let memories = [Some(memory(3, 1)), None, Some(memory(1, 2)), Some(memory(5, 3))];
        let together = logits(&model, &MagicBatch::new(&samples, None).unwrap(), &memories);
        let alone = samples.iter().zip(&memories).flat_map(|(sample, memory)| {
            logits(&model, &MagicBatch::new([sample], None).unwrap(), std::slice::from_ref(memory))
        });
        for (alone, together) in alone.zip(together) {
            assert!((alone - together).abs() < 1e-5, "{options:?}: {alone}, {together}");
        }
    }
}

#[test]
fn an_empty_memory_makes_no_numbers_that_are_none() {
    let batch = MagicBatch::new(&[sample(0), sample(1)], None).unwrap();
    for empty in [EmptyMemory::Learned, EmptyMemory::Zero] {
        let model = model(GeneratorOptions { empty, ..GeneratorOptions::default() });
        for memories in [[None, None], [Some(memory(2, 1)), None]] {
            assert!(logits(&model, &batch, &memories).iter().all(|logit| logit.is_finite()), "{empty:?}");
        }
    }
}

#[test]
fn outputs_that_grow_token_by_token_have_the_logits_of_whole_ones() {
    let model = model(GeneratorOptions::default());
    let samples = [sample(0), sample(5)];
    let batch = MagicBatch::new(&samples, None).unwrap();
    let memories = [Some(memory(2, 1)), Some(memory(4, 2))];
    let whole = logits(&model, &batch, &memories);
    let sources = Sources { inputs: &batch.inputs, motivations: &batch.motivations, memories: &memories };
    let mut cache = model.generator.start(&sources).unwrap();
    let (length, vocabulary) = (samples[0].output.len(), config().vocabulary_size);
    for place in 0..length {
        let step = model.generator.step(&samples.each_ref().map(|sample| sample.output[place]), &mut cache).unwrap();
        for (row, found) in step.to_vec2::<f32>().unwrap().iter().enumerate() {
            let expected = &whole[(row * length + place) * vocabulary..][..vocabulary];
            assert!(found.iter().zip(expected).all(|(left, right)| (left - right).abs() < 1e-4), "{place}, {row}");
        }
    }
}

#[test]
fn attention_to_the_memory_adds_up_to_one() {
    let model = model(GeneratorOptions { motivation: MotivationFusion::Query, ..GeneratorOptions::default() });
    let batch = MagicBatch::new([&sample(2)], None).unwrap();
    let weights = model.generator.attention_to_memory(&batch.inputs, &batch.motivations, &memory(5, 1)).unwrap();
    assert_eq!(weights.len(), 5);
    assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{weights:?}");
}

/// Eight samples are learned by heart.
#[test]
fn it_learns_by_heart() {
    let model = model(GeneratorOptions::default());
    let objective = objective(&model);
    let train = MagicDataset::new((0..8).map(sample).collect(), None);
    let options = TrainerOptions { max_steps: Some(120), learning_rate: 5e-3, ..TrainerOptions::default() };
    let before = objective.loss(&MagicBatch::new(train.samples(), None).unwrap(), &Pass::evaluation()).unwrap();
    let trainer = Trainer { objective: &objective, train: &train, evaluation: Vec::new(), options: &options };
    trainer.run(&model.parameters, None, false, &mut |_| Ok(Control::Continue)).unwrap();
    let after = objective.loss(&MagicBatch::new(train.samples(), None).unwrap(), &Pass::evaluation()).unwrap();
    let loss = |parts: &training::LossParts| f64::from(parts.sum.to_scalar::<f32>().unwrap()) / parts.weight;
    assert!(loss(&after) < 0.1 * loss(&before), "{} after {}", loss(&after), loss(&before));
    assert!(objective.bank().sizes().iter().all(|size| *size > 0));
}

#[test]
fn a_saved_generator_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    for options in all_options() {
        let model = model(options);
        model.save(folder.path()).unwrap();
        let read = TrainableMagic::open(folder.path(), &config(), options, &Device::Cpu).unwrap();
        let batch = MagicBatch::new([&sample(1)], None).unwrap();
        let memories = [Some(memory(2, 1))];
        assert_eq!(logits(&model, &batch, &memories), logits(&read, &batch, &memories));
    }
    let other = Seq2SeqConfig { width: 32, ..config() };
    let told = TrainableMagic::open(folder.path(), &other, GeneratorOptions::default(), &Device::Cpu);
    assert!(told.err().unwrap().to_string().contains("dialogue_model.safetensors"));
    assert!(
        TrainableMagic::open(&folder.path().join("x"), &config(), GeneratorOptions::default(), &Device::Cpu).is_err()
    );
}

/// Stopped after a step and resumed with fresh objects, a run has the bits of one that ran through, in parameters and memory.
#[test]
fn the_memory_goes_on_with_a_resumed_run() {
    let train = MagicDataset::new((0..12).map(sample).collect(), None);
    let options = TrainerOptions {
        max_steps: Some(9),
        batch: 3,
        save_every: 2,
        learning_rate: 1e-3,
        ..TrainerOptions::default()
    };
    let run = |folder: &RunDir, stop_after: u64| {
        let model = model(GeneratorOptions::default());
        let objective = objective(&model);
        let trainer = Trainer { objective: &objective, train: &train, evaluation: Vec::new(), options: &options };
        let mut observer = |event: &TrainEvent| match event {
            TrainEvent::Step(step) if step.step == stop_after => Ok(Control::Stop),
            _ => Ok(Control::Continue),
        };
        trainer.run(&model.parameters, Some(folder), true, &mut observer).unwrap();
        let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let parameters: Vec<Vec<f32>> =
            model.parameters.iter().map(|(_, variable)| values(variable.as_tensor())).collect();
        let bank = objective.bank();
        let rows: Vec<_> = (0..STRATEGIES).map(|strategy| bank.rows(strategy).to_vec()).collect();
        let vectors: Vec<Option<Vec<f32>>> =
            (0..STRATEGIES).map(|strategy| bank.vectors(strategy).map(values)).collect();
        (parameters, rows, vectors)
    };
    let place = tempfile::tempdir().unwrap();
    let whole = run(&RunDir::create(&place.path().join("whole")).unwrap(), u64::MAX);
    let parts = RunDir::create(&place.path().join("parts")).unwrap();
    for stop_after in [4, 7] {
        assert!(run(&parts, stop_after) != whole);
    }
    assert!(run(&parts, u64::MAX) == whole, "the resumed run differs");
}

/// Each strategy has a style, one word, which only the memory shows: the input tells neither strategy nor style.
fn styled(number: usize, style_of: fn(usize) -> usize) -> Sample {
    let strategy = number % STRATEGIES;
    let style = 4 + style_of(strategy) as u32;
    let place = |turn| Place { dialogue: format!("d{number}"), turn };
    let tokens = vec![0, style, 30 + (number % 8) as u32, 2];
    let said = Response { text: format!("{tokens:?}"), tokens, strategy, place: place(1), feedback: None };
    Sample {
        input: framed(&[10 + (number / STRATEGIES % 20) as u32]),
        motivation: framed(&[]),
        output: vec![0, style],
        labels: vec![style, 2],
        strategy,
        place: place(3),
        history: vec![Arc::new(said)],
    }
}

/// How many first words are right.
fn right_styles(model: &TrainableMagic, samples: &[Sample], memories: &[Option<Tensor>]) -> f64 {
    let batch = MagicBatch::new(samples, None).unwrap();
    let sources = Sources { inputs: &batch.inputs, motivations: &batch.motivations, memories };
    let mut cache = model.generator.start(&sources).unwrap();
    let logits = model.generator.step(&vec![0; samples.len()], &mut cache).unwrap();
    let said = logits.argmax(1).unwrap().to_vec1::<u32>().unwrap();
    let right = said.iter().zip(samples).filter(|(said, sample)| **said == sample.labels[0]).count();
    right as f64 / samples.len() as f64
}

/// With the memory the style is right, without it it is guessed; and where the memory shows other styles, the answers follow it.
#[test]
fn what_only_the_memory_shows_is_learned_from_it() {
    for motivation in [MotivationFusion::None, MotivationFusion::Concat, MotivationFusion::Query] {
        let model = model(GeneratorOptions { motivation, ..GeneratorOptions::default() });
        let objective = objective(&model);
        let train = MagicDataset::new((0..240).map(|number| styled(number, |strategy| strategy)).collect(), None);
        let options =
            TrainerOptions { max_steps: Some(150), learning_rate: 3e-3, batch: 12, ..TrainerOptions::default() };
        let trainer = Trainer { objective: &objective, train: &train, evaluation: Vec::new(), options: &options };
        trainer.run(&model.parameters, None, false, &mut |_| Ok(Control::Continue)).unwrap();
        let held_out: Vec<Sample> = (240..300).map(|number| styled(number, |strategy| strategy)).collect();
        let bank = objective.bank();
        let seen = |shift: usize| -> Vec<Option<Tensor>> {
            held_out.iter().map(|sample| bank.read((sample.strategy + shift) % STRATEGIES, None).unwrap()).collect()
        };
        let with = right_styles(&model, &held_out, &seen(0));
        let without = right_styles(&model, &held_out, &vec![None; held_out.len()]);
        assert!(with >= 0.95 && without <= 0.4, "{motivation:?}: {with} with the memory, {without} without it");
        let others: Vec<Sample> =
            (240..300).map(|number| styled(number, |strategy| (strategy + 1) % STRATEGIES)).collect();
        let followed = right_styles(&model, &others, &seen(1));
        assert!(followed >= 0.95, "{motivation:?}: {followed} follow the memory");
    }
}
