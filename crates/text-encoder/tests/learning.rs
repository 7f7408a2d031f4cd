//! Training through the workspace's loop: a rule is learned, early stopping looks at the chosen value, resume is exact.

use std::path::Path;

use text_encoder::{
    ACCURACY, ClassificationDataset, ClassificationObjective, MACRO_F1, ReadingOptions, TrainableClassifier,
};
use training::{
    Control, End, RunDir, Schedule, Selection, TrainEvent, TrainSummary, Trainer, TrainerOptions, TrainingError, Warmup,
};

use crate::small::{bits, lessons, pupil};

fn options() -> TrainerOptions {
    TrainerOptions {
        epochs: 12.0,
        batch: 4,
        accumulate: 2,
        by_length: true,
        learning_rate: 3e-3,
        warmup: Warmup::Ratio(0.1),
        evaluation_batch: 16,
        ..TrainerOptions::default()
    }
}

fn examples(model: &TrainableClassifier, count: usize, first: usize) -> ClassificationDataset {
    let mut set = ClassificationDataset::new();
    for (text, class) in lessons(count, first) {
        set.push(model.classifier.tokenizer.encode(&text, 24).unwrap(), class);
    }
    set
}

fn fit(
    model: &TrainableClassifier,
    options: &TrainerOptions,
    run: Option<&Path>,
    stop_after: Option<u64>,
) -> Result<TrainSummary, TrainingError> {
    let (train, dev) = (examples(model, 60, 0), examples(model, 24, 60));
    let objective = ClassificationObjective::new(model.classifier.model.clone());
    let trainer = Trainer { objective: &objective, train: &train, evaluation: vec![("dev".into(), &dev)], options };
    let folder = run.map(|path| {
        RunDir::open(path).unwrap_or_else(|_| {
            let run = RunDir::create(path).unwrap();
            run.write_config(options).unwrap();
            run
        })
    });
    trainer.run(&model.parameters, folder.as_ref(), true, &mut |event| match event {
        TrainEvent::Step(step) if Some(step.step) == stop_after => Ok(Control::Stop),
        _ => Ok(Control::Continue),
    })
}

#[test]
fn a_telling_word_is_learned() {
    let model = pupil();
    let mut seen = Vec::new();
    let (train, dev) = (examples(&model, 60, 0), examples(&model, 24, 60));
    let objective = ClassificationObjective::new(model.classifier.model.clone());
    let options = options();
    let trainer =
        Trainer { objective: &objective, train: &train, evaluation: vec![("dev".into(), &dev)], options: &options };
    let summary = trainer.run(&model.parameters, None, false, &mut |event| {
        if let TrainEvent::Evaluation(evaluation) = event {
            seen.push(evaluation.metrics.clone());
        }
        Ok(Control::Continue)
    });
    assert!(summary.unwrap().best.unwrap().loss < 0.1, "{seen:?}");
    let last = seen.last().unwrap();
    assert_eq!(last, &[(ACCURACY.to_owned(), 1.0), (MACRO_F1.to_owned(), 1.0)]);
    for (text, class) in lessons(24, 100) {
        let found = model.classifier.predict(&[text.as_str()], &ReadingOptions::default()).unwrap();
        assert_eq!(found[0].class, class, "{text}");
    }
}

/// Once everything is right, the macro-F1 can't grow any more and the run ends, though the loss still falls.
#[test]
fn early_stopping_looks_at_the_chosen_value() {
    let scratch = tempfile::tempdir().unwrap();
    let options = TrainerOptions {
        epochs: 60.0,
        schedule: Schedule::Constant,
        patience: 3,
        selection: Selection::Highest(MACRO_F1.into()),
        ..options()
    };
    let by_f1 = fit(&pupil(), &options, Some(&scratch.path().join("f1")), None).unwrap();
    let best = by_f1.best.unwrap();
    assert_eq!((by_f1.end, best.value), (End::Early, Some(1.0)));
    let per_epoch = options.steps_per_epoch(60);
    assert_eq!(by_f1.steps, best.step + 3 * per_epoch);
    let by_loss = TrainerOptions { selection: Selection::Loss, ..options.clone() };
    let by_loss = fit(&pupil(), &by_loss, Some(&scratch.path().join("loss")), None).unwrap();
    assert!(by_loss.steps > by_f1.steps && by_loss.best.unwrap().loss < best.loss);
    assert_eq!(by_loss.best.unwrap().value, None);
    let unknown = TrainerOptions { selection: Selection::Highest("bleu".into()), ..options };
    let error = fit(&pupil(), &unknown, None, None).unwrap_err().to_string();
    assert!(error.contains("`bleu`") && error.contains(MACRO_F1), "{error}");
}

/// Dropout, shuffles, the optimiser and the best value so far are as if nothing had happened.
#[test]
fn an_interrupted_run_ends_like_an_uninterrupted_one() {
    let scratch = tempfile::tempdir().unwrap();
    let options = TrainerOptions {
        epochs: 3.0,
        selection: Selection::Highest(MACRO_F1.into()),
        evaluate_every: 3,
        save_every: 2,
        ..options()
    };
    let run = |folder: &str, stops: &[Option<u64>]| {
        let mut last = None;
        for stop in stops {
            let model = pupil();
            let summary = fit(&model, &options, Some(&scratch.path().join(folder)), *stop).unwrap();
            last = Some((bits(&model.parameters), summary.best, summary.steps));
        }
        last.unwrap()
    };
    assert!(run("parts", &[Some(1), Some(5), Some(7), None]) == run("whole", &[None]));
}
