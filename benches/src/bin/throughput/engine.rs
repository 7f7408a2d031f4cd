//! Scenarios of the engine: our process and its peers', asked in turn.

use std::path::PathBuf;
use std::process::Command;

use benches::Outcome;
use benches::limits::Limits;
use benches::report::Report;
use benches::side::Side;
use clap::{Args, ValueEnum};

use crate::model::ModelArguments;
use crate::output::OutputArguments;
use crate::request::{Answer, Description, Request};
use crate::rounds;
use crate::scenario::{Case, Setting};

/// What all scenarios of the engine are told.
#[derive(Debug, Args)]
pub(crate) struct EngineArguments {
    #[command(flatten)]
    pub(crate) model: ModelArguments,
    /// Who else does the same: candle, llama.cpp, llama.cpp-no-repack, llama.cpp-alone, transformers, transformers-batch, transformers-nf4
    #[arg(long, value_enum, value_delimiter = ',')]
    peers: Vec<Peer>,
    /// Python that has the peers' packages (benches/peers/requirements*.txt)
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Where the peers' programs are
    #[arg(long, default_value = "benches/peers")]
    peers_folder: PathBuf,
    /// Measured rounds
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    #[command(flatten)]
    output: OutputArguments,
}

/// Who else does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// Our engine with candle's kernels for quantised products
    Candle,
    /// llama.cpp as it is by default
    #[value(name = "llama.cpp")]
    LlamaCpp,
    /// llama.cpp with --no-repack
    #[value(name = "llama.cpp-no-repack")]
    LlamaCppNoRepack,
    /// llama.cpp, one prompt after the other, each from nothing
    #[value(name = "llama.cpp-alone")]
    LlamaCppAlone,
    /// transformers in bf16, one prompt after the other
    Transformers,
    /// transformers in bf16, all prompts in one batch
    TransformersBatch,
    /// transformers with bitsandbytes' 4-bit matrices, all prompts in one batch
    TransformersNf4,
}

impl Peer {
    fn is_llama_cpp(self) -> bool {
        matches!(self, Self::LlamaCpp | Self::LlamaCppNoRepack | Self::LlamaCppAlone)
    }
}

/// Makes a scenario's cases.
pub(crate) type Cases<'a> = Box<dyn Fn(&Setting) -> Outcome<Vec<Case>> + 'a>;

/// A scenario's sizes, and how its cases are made.
pub(crate) struct Scenario<'a> {
    pub(crate) name: &'static str,
    /// Most sequences at a time.
    pub(crate) batch: usize,
    /// Most tokens of a sequence, new ones included.
    pub(crate) context: usize,
    /// Words that our processes are started with, one process for each; the first is compared with.
    pub(crate) own: Vec<Vec<&'static str>>,
    pub(crate) cases: Cases<'a>,
}

impl EngineArguments {
    /// Refuses peers whose programs only generate.
    pub(crate) fn check_that_peers_score(&self) -> Outcome<()> {
        match self.peers.iter().all(|peer| matches!(peer, Peer::Candle)) {
            true => Ok(()),
            false => Err("only our engine scores here: of the peers, `score` knows `candle`".into()),
        }
    }

    /// Measures a scenario and tells it.
    pub(crate) fn run(&self, scenario: &Scenario<'_>) -> Outcome<()> {
        if self.repetitions == 0 || scenario.batch == 0 {
            return Err("repetitions and numbers of sequences must be at least 1".into());
        }
        let mut sides = Vec::new();
        for words in &scenario.own {
            sides.push(Side::start(self.own(scenario, words)?, self.model.threads())?);
        }
        let Answer { model, config, .. } = sides[0].ask(&Request::Describe {})?.answer;
        let (Some(description), Some(config)) = (model, config) else {
            return Err("our side does not tell its model".into());
        };
        let on_device = description.device != "Cpu";
        if on_device && self.peers.iter().any(|peer| peer.is_llama_cpp()) {
            return Err("llama.cpp is measured on the CPU only: leave it out, or say --device cpu".into());
        }
        for peer in &self.peers {
            sides.push(Side::start(self.peer(*peer, scenario, &config, on_device)?, self.model.threads())?);
        }
        let limits = description.limits.unwrap_or_else(|| Limits::measure(self.model.threads()));
        let setting = Setting { vocabulary: description.vocabulary, work: description.work, limits };
        let mut rows = Vec::new();
        for case in (scenario.cases)(&setting)? {
            let measured = rounds::measure(&case, &mut sides, self.repetitions)?;
            // A scenario can take long, and what is told at its end be lost.
            measured
                .iter()
                .for_each(|row| eprintln!("{}, {}: {:.4} {}", row.case, row.side, row.rate.median, row.unit));
            rows.extend(measured);
        }
        let model = self.describe(&description)?;
        let limits = Some(limits);
        let report = Report { scenario: scenario.name.to_owned(), model, repetitions: self.repetitions, limits, rows };
        self.output.tell(&report)
    }

    fn describe(&self, description: &Description) -> Outcome<String> {
        let Description { dtype, device, .. } = description;
        Ok(format!("{} ({dtype}), {device}, {} threads", self.model.model()?, self.model.threads()))
    }

    fn own(&self, scenario: &Scenario<'_>, words: &[&str]) -> Outcome<Command> {
        let mut own = Command::new(std::env::current_exe()?);
        own.arg("answer").args(self.model.words()?).args(words);
        own.args(["--batch", &scenario.batch.to_string(), "--context", &scenario.context.to_string()]);
        Ok(own)
    }

    fn peer(
        &self,
        peer: Peer,
        scenario: &Scenario<'_>,
        config: &serde_json::Value,
        on_device: bool,
    ) -> Outcome<Command> {
        if peer == Peer::Candle {
            return self.own(scenario, &["--plain-kernels"]);
        }
        let program = if peer.is_llama_cpp() { "llama_cpp_side.py" } else { "transformers_side.py" };
        let mut command = Command::new(&self.python);
        command.arg(self.peers_folder.join(program)).arg(self.model.model()?);
        command.args(["--threads", &self.model.threads().to_string()]);
        command.args(["--batch", &scenario.batch.to_string(), "--context", &scenario.context.to_string()]);
        match peer {
            Peer::LlamaCppNoRepack => drop(command.arg("--no-repack")),
            Peer::LlamaCppAlone => drop(command.arg("--alone")),
            Peer::Transformers | Peer::TransformersBatch | Peer::TransformersNf4 => {
                command.args(["--config", &config.to_string(), "--device", &self.model.torch_device(on_device)]);
                command.args((peer != Peer::Transformers).then_some("--together"));
                command.args((peer == Peer::TransformersNf4).then_some("--four-bit"));
            }
            Peer::LlamaCpp | Peer::Candle => (),
        }
        Ok(command)
    }
}
