//! Kill and resume, for every command that takes long: each is run once undisturbed, then again and again with kills at random moments, and what is left in the end
//! is compared file by file.
//!
//! The commands are data ([`jobs`]); their inputs are made on the spot ([`Inputs`]) from what is built in. Moments come from a generator that is seeded by the
//! run's seed and the command's name, as shares of the time that the undisturbed run took.

mod comparison;
mod jobs;
mod report;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use self::comparison::compare;
use self::jobs::{Again, JOBS, Job};
use self::report::{JobReport, Report};
use crate::inputs::Inputs;
use crate::programs::{Ended, Programs, Signal, has_written, make_folder, remove_folder, start, work_folder};

/// A round of so many kills is let go on to its end.
const KILLS_OF_A_ROUND: usize = 5;
/// Rounds of a command that ends before it can be killed.
const ROUNDS_IN_VAIN: usize = 8;
/// How long a run may take at most, in times of the undisturbed one, before it counts as stuck.
const PATIENCE: u32 = 20;
const LEAST_PATIENCE: Duration = Duration::from_secs(120);

/// Run every long command undisturbed and with kills, and compare what is left
#[derive(Debug, Parser)]
#[command(name = "xtask soak", max_term_width = 100)]
pub(crate) struct Options {
    /// Kills in all, divided among the commands; 0 runs each command twice without any
    #[arg(long, default_value_t = 100, value_name = "N")]
    kills: usize,
    /// Seed of moments and signals
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Only these commands, separated by commas (see --list)
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// Print the commands and what is compared, run nothing
    #[arg(long)]
    list: bool,
    /// Threads of each program: sums of training depend on their number
    #[arg(long, default_value_t = 2, value_name = "N")]
    threads: usize,
    /// New folder for everything; it is kept [default: a temporary one, which is kept only if something is wrong]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Also write the results here (JSON)
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Runs the soak and prints a table.
///
/// # Errors
/// Something can't be run, or a command did not end with what the undisturbed run left.
pub(crate) fn run(root: &Path, words: impl Iterator<Item = String>) -> Result<(), String> {
    let options = match Options::try_parse_from(words) {
        Ok(options) => options,
        Err(told) => told.exit(),
    };
    let jobs = chosen(&options.only)?;
    if options.list {
        jobs.iter().for_each(|job| print!("{}", job.description()));
        return Ok(());
    }
    let (work, is_kept) = work_folder(options.work.as_deref(), "soak")?;
    let programs = Programs::beside_this_one(options.threads)?;
    let mut inputs = Inputs::new(root, &work, &programs)?;
    let mut report = Report::new(options.kills, options.seed, options.threads);
    for (number, job) in jobs.iter().enumerate() {
        let kills = share(options.kills, jobs.len(), number);
        eprintln!("{} of {}: {} ({kills} kills)", number + 1, jobs.len(), job.name);
        let soak = Soak { job, programs: &programs, folder: work.join(job.name), seed: options.seed };
        let mut found = JobReport::new(job);
        let outcome = words_of(job, &mut inputs).and_then(|words| soak.run(&words, kills, &mut found));
        found.problem = outcome.err();
        report.add(found);
    }
    drop(inputs);
    print!("{}", report.table());
    if let Some(path) = &options.report {
        std::fs::write(path, report.json()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    match report.problems() {
        problems if problems.is_empty() => {
            if !is_kept {
                remove_folder(&work)?;
            }
            Ok(())
        }
        problems => Err(format!("{problems}\neverything is in {}", work.display())),
    }
}

fn chosen(only: &[String]) -> Result<Vec<&'static Job>, String> {
    if let Some(unknown) = only.iter().find(|name| JOBS.iter().all(|job| job.name != **name)) {
        return Err(format!("--only {unknown}: there is no such command; see `xtask soak --list`"));
    }
    Ok(JOBS.iter().filter(|job| only.is_empty() || only.iter().any(|name| name == job.name)).collect())
}

/// The words of a command, after everything that it needs has been made.
fn words_of(job: &Job, inputs: &mut Inputs<'_>) -> Result<Vec<String>, String> {
    job.needs.iter().try_for_each(|name| inputs.make(name))?;
    inputs.words(job.words)
}

/// The kills of one command: all get equally many, the first ones what is left over.
fn share(kills: usize, jobs: usize, number: usize) -> usize {
    kills / jobs + usize::from(number < kills % jobs)
}

/// One command, its folder, and where its moments come from.
struct Soak<'a> {
    job: &'static Job,
    programs: &'a Programs,
    folder: PathBuf,
    seed: u64,
}

impl Soak<'_> {
    /// Runs it undisturbed and then in rounds until it was killed so often.
    fn run(&self, words: &[String], kills: usize, report: &mut JobReport) -> Result<(), String> {
        let whole = self.folder.join("whole");
        make_folder(&whole)?;
        let undisturbed =
            start(self.programs, self.job.program, words, &whole, &self.log("whole"))?.wait(LEAST_PATIENCE * 5)?;
        undisturbed.must_be_good("the undisturbed run")?;
        report.undisturbed = undisturbed.after;
        let mut random = self.generator();
        let mut in_vain = 0;
        while in_vain < ROUNDS_IN_VAIN && (report.kills() < kills || report.rounds == 0) {
            let before = report.kills();
            let round = self.folder.join(format!("round-{}", report.rounds + 1));
            make_folder(&round)?;
            self.round(words, &round, (kills - before).min(KILLS_OF_A_ROUND), &mut random, report)?;
            report.compared(compare(&whole, &round, self.job.rules)?);
            report.rounds += 1;
            in_vain += usize::from(report.kills() == before && kills > 0);
        }
        Ok(())
    }

    /// Starts, kills and resumes until the command comes to its end.
    fn round(
        &self,
        words: &[String],
        folder: &Path,
        kills: usize,
        random: &mut ChaCha8Rng,
        report: &mut JobReport,
    ) -> Result<(), String> {
        let patience = (report.undisturbed * PATIENCE).max(LEAST_PATIENCE);
        let words = self.job.again.first(words);
        for attempt in 0.. {
            let name = format!("round-{}-{attempt}", report.rounds + 1);
            let running = start(self.programs, self.job.program, &words, folder, &self.log(&name))?;
            if attempt == kills {
                return running.wait(patience)?.must_be_good(&format!("{name}, resumed after {kills} kills"));
            }
            let (signal, share) = draw(random, attempt);
            let ended = running.signal(signal, report.undisturbed.mul_f64(share), patience)?;
            match ended.ended {
                Ended::Well => return Ok(()),
                Ended::Cut => report.killed(signal, share, has_written(folder)),
                Ended::Badly => {
                    return Err(ended.complaint(&format!("{name}, {} at {:.0} %", signal.name(), 100.0 * share)));
                }
            }
        }
        Ok(())
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// Each command has draws of its own, whichever others run.
    fn generator(&self) -> ChaCha8Rng {
        let name =
            self.job.name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        ChaCha8Rng::seed_from_u64(self.seed ^ name)
    }
}

/// How and when a run is ended: a signal, and a share of the undisturbed run's time. A resumed run has less to do, so it is cut earlier.
fn draw(random: &mut ChaCha8Rng, attempt: usize) -> (Signal, f64) {
    let signal = match random.random_range(0..100) {
        0..70 => Signal::Kill,
        70..85 => Signal::Terminate,
        _ => Signal::Interrupt,
    };
    let latest = if attempt == 0 { 1.0 } else { 0.6 };
    (signal, random.random_range(0.01..latest))
}

impl Again {
    /// The words of all starts but the undisturbed one: a command that resumes is told so from the beginning, since a kill may come before it has a folder.
    fn first(self, words: &[String]) -> Vec<String> {
        let resume = (self == Self::Resume).then(|| "--resume".to_owned());
        words.iter().cloned().chain(resume).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_divided_among_the_commands() {
        let shares: Vec<usize> = (0..4).map(|number| share(10, 4, number)).collect();
        assert_eq!(shares, [3, 3, 2, 2]);
    }

    #[test]
    fn names_are_different_and_unknown_ones_are_refused() {
        let mut names: Vec<&str> = JOBS.iter().map(|job| job.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), JOBS.len());
        assert!(chosen(&["nothing".to_owned()]).unwrap_err().contains("--list"));
        assert_eq!(chosen(&["sra-judge".to_owned()]).unwrap().len(), 1);
    }
}
