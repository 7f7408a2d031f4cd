//! A number of all records over the turns of their dialogues.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use charts::{Axis, Estimate, Figure, Lines, Panel};

use crate::error::Error;
use crate::index::{Entry, Listing};
use crate::sheets::Sheet;
use crate::table::Table;

/// Draws of conversations behind an interval, and the two of them, by size, that are its ends.
const DRAWS: usize = 400;
const LOW: usize = 10;
const HIGH: usize = 389;
/// Equal seeds give equal bands.
const SEED: u32 = 2402;

/// What makes a line of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineBy {
    /// The layout.
    #[default]
    Layout,
    /// The strategy.
    Strategy,
    /// The model.
    Model,
    /// The run.
    Run,
}

impl LineBy {
    fn name(self) -> &'static str {
        match self {
            Self::Layout => "layout",
            Self::Strategy => "strategy",
            Self::Model => "model",
            Self::Run => "run",
        }
    }

    fn of<'a>(self, run: &'a str, entry: &'a Entry) -> &'a str {
        match self {
            Self::Layout => &entry.layout,
            Self::Strategy => &entry.strategy,
            Self::Model => &entry.model,
            Self::Run => run,
        }
    }

    /// The name of a record's line. Models are never pooled: where there are several, the model is part of it.
    fn line(self, run: &str, entry: &Entry, are_several: bool) -> String {
        let own = self.of(run, entry);
        if are_several && self != Self::Model { format!("{} · {own}", entry.model) } else { own.to_owned() }
    }
}

/// A number over turns for some of the records.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnLine {
    /// The layout, strategy, model or run; behind the model's name where records of several models have the number.
    pub name: String,
    /// By turn.
    pub points: Vec<TurnPoint>,
}

/// The number in one turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TurnPoint {
    /// The supporter turn.
    pub turn: usize,
    /// Mean over records.
    pub mean: f64,
    /// Ends of the 95 % interval: percentiles of means over conversations drawn with replacement. One conversation alone
    /// gives none.
    pub interval: Option<(f64, f64)>,
    /// Records.
    pub records: usize,
}

/// A record and its number.
type Valued<'a> = (&'a Entry, f64);

/// Lines of a number that records hold, e.g. `sra`, by name.
///
/// # Errors
/// No record holds it.
pub fn over_turns(listing: &Listing, value: &str, by: LineBy) -> Result<Vec<TurnLine>, Error> {
    let records =
        || listing.runs.iter().flat_map(|run| run.records.iter().map(move |entry| (run.name.as_str(), entry)));
    let valued = || records().filter_map(|(run, entry)| Some((run, entry, *entry.values.get(value)?)));
    let are_several = valued().map(|(_, entry, _)| &entry.model).collect::<BTreeSet<_>>().len() > 1;
    let mut turns: BTreeMap<(String, usize), Vec<Valued<'_>>> = BTreeMap::new();
    for (run, entry, number) in valued() {
        turns.entry((by.line(run, entry, are_several), entry.turn)).or_default().push((entry, number));
    }
    if turns.is_empty() {
        let known: BTreeSet<&str> = records().flat_map(|(_, entry)| entry.values.keys()).map(String::as_str).collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Error::Missing(format!("no record holds a number `{value}` (they hold: {known})")));
    }
    let mut lines: Vec<TurnLine> = Vec::new();
    for ((name, turn), entries) in turns {
        let point = point(turn, &entries);
        match lines.last_mut().filter(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => lines.push(TurnLine { name, points: vec![point] }),
        }
    }
    Ok(lines)
}

fn point(turn: usize, entries: &[Valued<'_>]) -> TurnPoint {
    let groups = by_conversation(entries);
    TurnPoint { turn, mean: mean(&mut groups.iter()), interval: interval(&groups), records: entries.len() }
}

fn mean(groups: &mut dyn Iterator<Item = &(f64, f64)>) -> f64 {
    let (sum, count) = groups.fold((0.0, 0.0), |(sum, count), group| (sum + group.0, count + group.1));
    sum / count
}

fn interval(groups: &[(f64, f64)]) -> Option<(f64, f64)> {
    if groups.len() < 2 {
        return None;
    }
    let mut random = Generator(SEED);
    let mut draw = |_| &groups[(random.next() * groups.len() as f64) as usize];
    let mut means: Vec<f64> = (0..DRAWS).map(|_| mean(&mut (0..groups.len()).map(&mut draw))).collect();
    means.sort_by(f64::total_cmp);
    Some((means[LOW], means[HIGH]))
}

/// Sum and count of each conversation, in the order in which they come.
fn by_conversation(entries: &[Valued<'_>]) -> Vec<(f64, f64)> {
    let mut places = HashMap::new();
    let mut groups: Vec<(f64, f64)> = Vec::new();
    for (entry, value) in entries {
        let place = *places.entry(entry.conversation.as_str()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((sum, count)) => (*sum, *count) = (*sum + value, *count + 1.0),
            None => groups.push((*value, 1.0)),
        }
    }
    groups
}

/// Mulberry32, which the page has too, so that both give the same bands.
struct Generator(u32);

impl Generator {
    /// At least 0 and below 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x6d2b_79f5);
        let mut state = (self.0 ^ (self.0 >> 15)).wrapping_mul(self.0 | 1);
        state ^= state.wrapping_add((state ^ (state >> 7)).wrapping_mul(state | 61));
        f64::from(state ^ (state >> 14)) / 4_294_967_296.0
    }
}

const BANDS: &str = "Bands are 95 % intervals by conversation; one conversation alone gives none.";

/// The lines as a table and a picture.
pub(crate) fn sheet(listing: &Listing, value: &str, by: LineBy) -> Result<Sheet, Error> {
    let lines = over_turns(listing, value, by)?;
    let cells = lines.iter().flat_map(|line| {
        line.points.iter().map(|TurnPoint { turn, mean, interval, records }| {
            let name = line.name.as_str().into();
            let [low, high] = [interval.map(|(low, _)| low), interval.map(|(_, high)| high)];
            vec![name, (*turn).into(), (*mean).into(), low.into(), high.into(), (*records).into()]
        })
    });
    let points = |line: &TurnLine| {
        let estimate = |point: &TurnPoint| {
            let value = Estimate::new(point.mean);
            point.interval.map_or(value, |(low, high)| value.between(low, high))
        };
        line.points.iter().map(|point| (point.turn as f64, estimate(point))).collect::<Vec<_>>()
    };
    let plot = lines.iter().fold(Lines::new(), |plot, line| plot.series(&line.name, points(line)));
    let is_above_zero = lines
        .iter()
        .flat_map(|line| &line.points)
        .all(|point| point.interval.map_or(point.mean, |(low, _)| low) >= 0.0);
    let y = if is_above_zero { Axis::linear(value).starting_at(0.0) } else { Axis::linear(value) };
    let panel = Panel::new("", plot).x(Axis::linear("supporter turn").whole_numbers()).y(y);
    Ok(Sheet {
        name: "turns",
        table: Table::new([by.name(), "turn", value, "low", "high", "records"], cells.collect()),
        picture: Figure::new(format!("{value} over turns")).note(BANDS).panel(panel).into(),
    })
}
