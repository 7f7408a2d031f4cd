//! A judge compares generated replies with others, each pair in both orders; every verdict is kept.

use std::ops::ControlFlow;
use std::path::Path;

use command_line::{AnyModel, Delivery, Failure, ModelOptions, Progress, Runtime, interrupt, is_remote};
use esc_metrics::interval::wilson_of_share;
use esc_metrics::judge::{JudgeReport, VerdictPair};
use judging::{Decision, JudgeTemplate, PairItem, PairJudgement, Question, judge_name, judge_pairs};
use llm_runtime::{GenerationOptions, sha256_of};
use serde::Serialize;
use strategy_prompting::{RowFile, RowKind};

use crate::eval_arguments::{By, JudgeOptions};
use crate::written_replies::write_rows;

/// What the judge is told unless a file says something else.
const PERSUASIVENESS: (&str, &str) = ("persuasiveness", include_str!("../../templates/persuasiveness.txt"));

const JUDGEMENTS: RowKind<PairJudgement> = RowKind {
    name: "verdict of `persuasion eval`",
    beginning: r#"{"id":"#,
    id: |row| row.id.clone(),
    made_by: |row| &row.judge,
};

/// Two replies to a post.
pub(super) struct Contest<'a> {
    /// Names example and sample.
    pub(super) id: String,
    pub(super) group: &'a str,
    pub(super) post: &'a str,
    pub(super) first: &'a str,
    pub(super) second: &'a str,
}

/// All contests of two origins.
pub(super) struct Match<'a> {
    /// Who against whom.
    pub(super) name: String,
    pub(super) contests: Vec<Contest<'a>>,
}

/// How the first of a match did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct MatchReport {
    pub(super) name: String,
    pub(super) judge: String,
    /// Wins among pairs with both verdicts; ties and verdicts that do not follow the reply into its other place count half.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) win_rate: Option<Rate>,
    pub(super) wins: usize,
    /// Ties, and pairs whose two verdicts contradict each other.
    pub(super) ties: usize,
    pub(super) losses: usize,
    pub(super) without_verdict: usize,
    /// Two-sided sign test of wins against losses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sign_test_p: Option<f64>,
    /// Share of pairs whose two verdicts name the same reply, or tie twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) same_in_both_orders: Option<f64>,
    /// Verdicts for the reply shown first among those for either: one half without a bias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_shown: Option<f64>,
}

/// A share with Wilson's interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Rate {
    pub(super) rate: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// What came of judging.
pub(super) struct Judged {
    pub(super) reports: Vec<MatchReport>,
    /// Pairs that could not be judged, and why the first could not.
    pub(super) failed: usize,
    pub(super) failure: String,
    pub(super) stopped: bool,
}

/// The judge's template: ours by name, or a file.
///
/// # Errors
/// There is no such template, or it does not compare.
pub(super) fn template(name: &str) -> Result<JudgeTemplate, Failure> {
    let (ours, source) = PERSUASIVENESS;
    let template = match name == ours {
        true => JudgeTemplate::parse(ours, source)?,
        false => JudgeTemplate::by_name_or_path(name).map_err(Failure::wrong_use)?,
    };
    match template.question() {
        Question::Pair => Ok(template),
        Question::Rating => {
            Err(Failure::wrong_use(format!("--judge-template: {name} rates one reply, but two are to be compared")))
        }
    }
}

/// Judges what the file does not hold yet. `confidence` is of the intervals.
///
/// # Errors
/// The judge can't be loaded or fails as a whole, or the file can't be used.
pub(super) fn judge(
    model: &str,
    options: &JudgeOptions,
    runtime: &Runtime,
    matches: &[Match<'_>],
    (path, resume, confidence): (&Path, bool, f64),
) -> Result<Judged, Failure> {
    let template = template(&options.judge_template)?;
    let mut model = AnyModel::load(model, &judges_runtime(model, runtime), &options.server, Delivery::Whole)?;
    let decision = decision(options);
    if let Decision::Text { options } = &decision {
        model.check(options)?;
    }
    let judge = judge_name(&model, &template, &decision);
    let items: Vec<PairItem> = matches.iter().flat_map(items).collect();
    let mut file = RowFile::open(path, resume, &judge, JUDGEMENTS)?;
    if let Some(other) = file.rows().iter().find(|row| !items.iter().any(|item| item.id == row.id)) {
        return Err(Failure::work(format!(
            "{}: holds what was judged of other replies (`{}`, say): choose another --out",
            path.display(),
            other.id
        )));
    }
    let pending: Vec<PairItem> = items.iter().filter(|item| !file.contains(&item.id)).cloned().collect();
    let mut bar = Progress::new("judging", file.rows().len() as u64, items.len() as u64);
    let (mut failed, mut failure) = (0, String::new());
    judge_pairs(&pending, &template, &decision, &mut model, &mut |row| {
        match row {
            Some(row) if row.failure().is_none() => {
                file.append(row).map_err(|error| judging::Error::Keep(Box::new(error)))?;
            }
            // One that failed is not kept, so that it is asked again.
            Some(row) => {
                failed += 1;
                if failed == 1 {
                    failure = row.failure().unwrap_or_default().to_owned();
                }
            }
            None => {}
        }
        bar.set((file.rows().len() + failed) as u64);
        Ok(if interrupt::was_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    bar.finish();
    let rows = in_order(&items, file.rows());
    let stopped = interrupt::was_asked() && rows.len() + failed < items.len();
    if !stopped && rows != file.rows() {
        write_rows(path, &rows)?;
    }
    let report = |own: &Match<'_>| {
        let verdicts: Vec<VerdictPair> =
            rows.iter().filter(|row| row.strategy == own.name).map(PairJudgement::verdicts).collect();
        MatchReport::of(&own.name, &judge, &verdicts, confidence)
    };
    Ok(Judged { reports: matches.iter().map(report).collect::<Result<_, _>>()?, failed, failure, stopped })
}

impl MatchReport {
    fn of(name: &str, judge: &str, verdicts: &[VerdictPair], confidence: f64) -> Result<Self, Failure> {
        let report = JudgeReport::of_verdicts(verdicts).ok();
        let (wins, ties, losses) =
            report.as_ref().map_or((0, 0, 0), |report| (report.wins, report.ties, report.losses));
        let win_rate = match &report {
            Some(report) => wilson_of_share(report.win_rate_half_ties, wins + ties + losses, confidence)?
                .map(|(low, high)| Rate { rate: report.win_rate_half_ties, low, high }),
            None => None,
        };
        let positions = report.as_ref().and_then(|report| report.positions);
        Ok(Self {
            name: name.to_owned(),
            judge: judge.to_owned(),
            win_rate,
            wins,
            ties,
            losses,
            without_verdict: verdicts.len() - wins - ties - losses,
            sign_test_p: report.as_ref().map(|report| report.sign_test_p),
            same_in_both_orders: positions.map(|positions| positions.swap_consistency),
            first_shown: positions.and_then(|positions| positions.first_shown_rate_decided),
        })
    }
}

fn items<'a>(own: &'a Match<'_>) -> impl Iterator<Item = PairItem> + 'a {
    own.contests.iter().map(|contest| PairItem {
        // Other texts of the same name are other pairs.
        id: format!("{} {} {}", contest.id, own.name, texts_hash(contest)),
        conversation: contest.group.to_owned(),
        strategy: own.name.clone(),
        instruction: contest.post.trim().to_owned(),
        history: Vec::new(),
        first: contest.first.to_owned(),
        second: contest.second.to_owned(),
    })
}

fn texts_hash(contest: &Contest<'_>) -> String {
    let Contest { post, first, second, .. } = contest;
    sha256_of(format!("{post}\u{1f}{first}\u{1f}{second}"))[..12].to_owned()
}

fn in_order(items: &[PairItem], rows: &[PairJudgement]) -> Vec<PairJudgement> {
    let known: std::collections::HashMap<&str, &PairJudgement> =
        rows.iter().map(|row| (row.id.as_str(), row)).collect();
    items.iter().filter_map(|item| known.get(item.id.as_str()).map(|row| (*row).clone())).collect()
}

fn decision(options: &JudgeOptions) -> Decision {
    match options.by {
        By::Likelihood => Decision::Likelihood,
        By::Text => Decision::Text {
            options: GenerationOptions {
                max_new_tokens: options.judge_tokens,
                temperature: options.judge_temperature,
                ..GenerationOptions::default()
            },
        },
    }
}

/// The judge is another model: of the options of the judged one only the machine is shared.
fn judges_runtime(model: &str, runtime: &Runtime) -> Runtime {
    let machine = runtime.model.machine.clone();
    let own = ModelOptions {
        tokenizer: None,
        chat_template: None,
        dtype: None,
        quantize: None,
        plain_kernels: false,
        machine,
    };
    let own = Runtime { model: own, adapter: None, context: None, ..runtime.clone() };
    if is_remote(model) { own.without_local_options() } else { own }
}

#[cfg(test)]
mod tests {
    use esc_metrics::judge::Verdict;

    use super::*;

    #[test]
    fn verdicts_that_do_not_follow_the_reply_count_half() {
        let pair = |first_as_a, second_as_a| VerdictPair { first_as_a, second_as_a };
        let (a, b, tie) = (Some(Verdict::A), Some(Verdict::B), Some(Verdict::Tie));
        let verdicts = [pair(a, b), pair(a, b), pair(a, a), pair(tie, tie), pair(b, a), pair(None, a)];
        let report = MatchReport::of("model against base", "judge", &verdicts, 0.95).unwrap();
        assert_eq!((report.wins, report.ties, report.losses, report.without_verdict), (2, 2, 1, 1));
        let Rate { rate, low, high } = report.win_rate.unwrap();
        assert_eq!(rate, 0.6);
        // Wilson's formula by hand for p = 0.6, n = 5, z = 1.959964.
        assert!((low - 0.230_724).abs() < 1e-5 && (high - 0.882_379).abs() < 1e-5, "{low} {high}");
        assert_eq!(report.same_in_both_orders, Some(0.8));
    }

    #[test]
    fn the_template_compares_two_replies_to_a_post() {
        assert!(template("persuasiveness").is_ok());
        assert!(template("rate-empathy").unwrap_err().message().contains("rates one reply"));
        assert!(template("no/such.txt").is_err());
    }
}
