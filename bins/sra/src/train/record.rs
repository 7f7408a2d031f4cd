//! What happens in a run, written down and shown.

use training::{RunDir, TrainEvent, TrainingError};

use super::Settings;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::training_arguments::Loop;

/// Writes events and shows a progress line.
pub(crate) struct Recorder {
    bar: Option<Progress>,
}

impl Recorder {
    pub(crate) fn open(_run: &RunDir, _options: &Loop, _settings: &Settings) -> Result<Self, Failure> {
        Ok(Self { bar: None })
    }

    pub(crate) fn see(&mut self, event: &TrainEvent) -> Result<(), TrainingError> {
        match event {
            TrainEvent::Started { step, total_steps, .. } => {
                self.bar = Some(Progress::new("training", *step, *total_steps));
            }
            TrainEvent::Step(step) => {
                if let Some(bar) = &mut self.bar {
                    bar.set_with(
                        step.step,
                        &format!(
                            "loss {:.4}  lr {:.2e}  {:.0} tok/s",
                            step.loss, step.learning_rate, step.tokens_per_second
                        ),
                    );
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self, _good: bool) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
        Ok(())
    }
}
