//! What was measured of an answer: the line beneath it, its place in the table of all turns, and its columns in files.

use serde::{Deserialize, Serialize};
use strategy_prompting::{Layout, Sra};

use crate::chat::state::{Answer, Exchange, name_or_none};

/// Attention to the strategy and adherence of one answer; all empty where nothing was to be measured. In a printed or kept
/// turn they stand among its other fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Measured {
    /// Strategy-relevant attention by the preset `ours`, per token of the strategy's name.
    pub(crate) sra: Option<f64>,
    /// Attention on the name over what uniform attention would give it.
    pub(crate) sra_uniform_ratio: Option<f64>,
    /// By how many nats per token the strategy's prompt makes the answer likelier than those of the others do on average.
    pub(crate) adherence: Option<f64>,
    /// The strategy whose prompt makes the answer likeliest.
    pub(crate) fits_best: Option<String>,
    /// Why something that was to be measured is missing.
    pub(crate) unmeasured: Option<String>,
    /// The layout of the answers after this one, where its adherence changed it.
    pub(crate) relayout: Option<Layout>,
}

impl Measured {
    /// Nothing, for this reason.
    pub(crate) fn nothing(reason: impl Into<String>) -> Self {
        Self { unmeasured: Some(reason.into()), ..Self::default() }
    }

    /// Attention, and nothing else yet.
    pub(crate) fn attention(sra: &Sra) -> Self {
        Self { sra: Some(sra.value), sra_uniform_ratio: Some(sra.uniform_ratio), ..Self::default() }
    }

    fn sra_told(&self) -> Option<String> {
        self.sra.map(|sra| format!("{sra:.6}"))
    }

    fn ratio_told(&self) -> Option<String> {
        self.sra_uniform_ratio.map(|ratio| format!("{ratio:.2}"))
    }

    fn adherence_told(&self) -> Option<String> {
        self.adherence.map(|adherence| format!("{adherence:.4}"))
    }

    /// The numbers that there are.
    fn numbers(&self) -> Vec<String> {
        [self.sra_told(), self.ratio_told(), self.adherence_told()].into_iter().flatten().collect()
    }
}

/// The line beneath an answer: its numbers, those of the first measured answer before it, and what else is to be known.
pub(crate) fn told_beneath(answer: &Answer, before: &[Exchange]) -> String {
    let measured = &answer.measured;
    let mut told = Vec::new();
    let named = [
        measured.sra_told().map(|sra| format!("SRA {sra}")),
        measured.ratio_told().map(|ratio| format!("{ratio} × uniform")),
        measured.adherence_told().map(|adherence| format!("adherence {adherence}")),
    ];
    let named: Vec<String> = named.into_iter().flatten().collect();
    if !named.is_empty() {
        told.push(named.join(", "));
        told.extend(first_told(before));
    }
    if let Some(best) = measured.fits_best.as_ref().filter(|best| answer.strategy.as_ref() != Some(best)) {
        told.push(format!("fits best: {best}"));
    }
    if let Some(reason) = &measured.unmeasured {
        let what = if named.is_empty() { "not measured" } else { "adherence not measured" };
        told.push(format!("{what}: {reason}"));
    }
    format!("[{}]", told.join(" | "))
}

fn first_told(before: &[Exchange]) -> Option<String> {
    let mut measured = before.iter().map(|exchange| exchange.answer.measured.numbers()).enumerate();
    let (index, numbers) = measured.find(|(_, numbers)| !numbers.is_empty())?;
    Some(format!("turn {}: {}", index + 1, numbers.join(", ")))
}

/// The heads of the table.
const HEADS: [&str; 7] = ["turn", "strategy", "layout", "SRA", "× uniform", "adherence", "fits best"];

/// Which columns hold numbers: these are aligned on the right.
const NUMBERS: [bool; 7] = [true, false, false, true, true, true, false];

/// All turns with what was measured of them.
pub(crate) fn table(history: &[Exchange]) -> String {
    if history.is_empty() {
        return "nothing was said yet".to_owned();
    }
    if history.iter().all(|exchange| exchange.answer.measured == Measured::default()) {
        return "nothing was measured: `sra chat --monitor` measures every answer".to_owned();
    }
    let rows: Vec<[String; 7]> = std::iter::once(HEADS.map(str::to_owned))
        .chain(history.iter().enumerate().map(|(index, exchange)| row(index + 1, &exchange.answer)))
        .collect();
    let widths: Vec<usize> =
        (0..HEADS.len()).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).zip(NUMBERS).map(|((cell, width), is_number)| match is_number {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(turn: usize, answer: &Answer) -> [String; 7] {
    let measured = &answer.measured;
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    let notes = [
        measured.fits_best.clone(),
        measured.unmeasured.as_ref().map(|reason| format!("({reason})")),
        measured.relayout.map(|layout| format!("→ {layout}")),
    ];
    [
        turn.to_string(),
        name_or_none(answer.strategy.as_deref()).to_owned(),
        answer.layout.to_string(),
        or_dash(measured.sra_told()),
        or_dash(measured.ratio_told()),
        or_dash(measured.adherence_told()),
        notes.into_iter().flatten().collect::<Vec<_>>().join(" "),
    ]
}

#[cfg(test)]
mod tests {
    use llm_runtime::FinishReason;

    use super::*;

    fn exchange(strategy: Option<&str>, measured: Measured) -> Exchange {
        let answer = Answer {
            text: "I see.".to_owned(),
            strategy: strategy.map(str::to_owned),
            layout: Layout::Standard,
            seed: 0,
            finish_reason: FinishReason::EndOfSequence,
            measured,
        };
        Exchange { text: "Hello!".to_owned(), attempt: 0, answer }
    }

    fn chat() -> Vec<Exchange> {
        let measured = |adherence: f64, best: &str, relayout| Measured {
            sra: Some(0.004),
            sra_uniform_ratio: Some(1.5),
            adherence: Some(adherence),
            fits_best: Some(best.to_owned()),
            unmeasured: None,
            relayout,
        };
        vec![
            exchange(None, Measured::nothing("no strategy is in force")),
            exchange(Some("Offer Hope"), measured(0.25, "Offer Hope", None)),
            exchange(Some("Offer Hope"), measured(-0.0625, "Clarification", Some(Layout::C1HistoryFirst))),
        ]
    }

    #[test]
    fn the_line_tells_the_numbers_beside_those_of_the_first_measured_turn() {
        let chat = chat();
        let told = |turn: usize| told_beneath(&chat[turn].answer, &chat[..turn]);
        assert_eq!(told(0), "[not measured: no strategy is in force]");
        assert_eq!(told(1), "[SRA 0.004000, 1.50 × uniform, adherence 0.2500]");
        let third = "[SRA 0.004000, 1.50 × uniform, adherence -0.0625 | turn 2: 0.004000, 1.50, 0.2500 \
                     | fits best: Clarification]";
        assert_eq!(told(2), third);
        let broken_off = Measured { adherence: None, fits_best: None, ..chat[1].answer.measured.clone() };
        let broken_off = Measured { unmeasured: Some("interrupted".to_owned()), ..broken_off };
        let answer = exchange(Some("Offer Hope"), broken_off).answer;
        assert_eq!(told_beneath(&answer, &[]), "[SRA 0.004000, 1.50 × uniform | adherence not measured: interrupted]");
    }

    #[test]
    fn the_table_has_a_line_for_every_turn() {
        let table = table(&chat());
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "turn  strategy     layout         SRA  × uniform  adherence  fits best");
        assert_eq!(lines[1], "   1  no strategy  standard         –          –          –  (no strategy is in force)");
        assert_eq!(lines[2], "   2  Offer Hope   standard  0.004000       1.50     0.2500  Offer Hope");
        assert_eq!(lines[3], "   3  Offer Hope   standard  0.004000       1.50    -0.0625  Clarification → c1_hf");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn without_a_monitor_the_table_says_so() {
        assert_eq!(super::table(&[]), "nothing was said yet");
        assert!(super::table(&[exchange(None, Measured::default())]).contains("--monitor"));
    }
}
