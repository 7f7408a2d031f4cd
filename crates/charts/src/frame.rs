//! The axes around a plot: margins for their labels, grid, ticks, titles.

use crate::axis::Axis;
use crate::canvas::{Anchor, Canvas, Style, stroke};
use crate::scale::{Scale, Tick};
use crate::text::{LINE, shortened, width, wrapped};

/// Size of tick labels.
pub(crate) const TICK: f64 = 11.0;
/// Size of axis titles.
pub(crate) const TITLE: f64 = 12.0;

const GAP: f64 = 7.0;
const TITLE_ROOM: f64 = 20.0;
/// Labels that are turned are this steep.
const SLANT: f64 = 40.0;
/// A turned label takes no more room than this.
const LONGEST_TURNED: f64 = 230.0;
/// Part of the width that labels at the left may take.
const MOST_LEFT: f64 = 0.42;
/// More lines make a label that stands below a category hard to read.
const MOST_LINES: usize = 3;
const SMALLEST_PLOT: f64 = 40.0;

/// One direction of a plot.
#[derive(Debug, Clone)]
pub(crate) enum Side<'a> {
    Numeric(Scale),
    /// As many places as labels; from top to bottom if it is the vertical one.
    Categories(&'a [String]),
}

/// Where a plot may be drawn: its full width and the height between its axes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Space<'a> {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) x: &'a Axis,
    pub(crate) y: &'a Axis,
}

/// The area between the axes; its upper end is at 0.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) left: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    x: Side<'a>,
    y: Side<'a>,
    x_title: Vec<String>,
    y_title: Vec<String>,
    below: Below,
}

/// How the labels below the plot stand.
#[derive(Debug)]
enum Below {
    Ticks(Vec<Tick>),
    Lines(Vec<Vec<String>>),
    Turned { degrees: f64, every: usize, room: f64 },
}

impl<'a> Frame<'a> {
    /// `right` is kept free at the right.
    pub(crate) fn new(space: &Space<'a>, x: Side<'a>, y: Side<'a>, right: f64) -> Self {
        let y_title = wrapped(&space.y.title, space.height.max(120.0), |text| width(text, TITLE));
        let labels = label_room(&y, space) + GAP;
        let mut left = title_height(&y_title) + labels + 4.0;
        let room = |left: f64| (space.width - left - right - 4.0).max(SMALLEST_PLOT);
        let mut below = Below::new(&x, room(left));
        // The first turned label may reach to the left of the axis.
        let overhang = below.overhang(&x, room(left));
        if overhang > left {
            left = overhang.min(space.width / 2.0);
            below = Below::new(&x, room(left));
        }
        let x_title = wrapped(&space.x.title, space.width.max(100.0), |text| width(text, TITLE));
        Self { left, width: room(left), height: space.height, x, y, x_title, y_title, below }
    }

    pub(crate) fn x(&self, place: f64) -> f64 {
        self.left + self.width * place
    }

    pub(crate) fn y(&self, place: f64) -> f64 {
        self.height * (1.0 - place)
    }

    /// Where a category begins and how wide it is, along x or (from the top) y.
    pub(crate) fn slot(&self, index: usize, count: usize, is_vertical: bool) -> (f64, f64) {
        let (start, length) = if is_vertical { (0.0, self.height) } else { (self.left, self.width) };
        let size = length / count.max(1) as f64;
        (start + size * index as f64, size)
    }

    /// How far the axis reaches below the plot.
    pub(crate) fn depth(&self) -> f64 {
        GAP + self.below.height() + if has_text(&self.x_title) { 6.0 + title_height(&self.x_title) } else { 0.0 }
    }

    /// Draws what lies behind the data.
    pub(crate) fn draw_grid(&self, canvas: &mut Canvas) {
        let look = stroke(canvas.theme.grid(), 1.0);
        if let Side::Numeric(scale) = &self.y {
            for tick in self.y_ticks(scale) {
                let y = self.y(tick.place);
                canvas.segment((self.left, y), (self.left + self.width, y), &look);
            }
        }
        if let Below::Ticks(ticks) = &self.below {
            for tick in ticks {
                let x = self.x(tick.place);
                canvas.segment((x, 0.0), (x, self.height), &look);
            }
        }
    }

    /// Draws axis lines, labels and titles.
    pub(crate) fn draw_axes(&self, canvas: &mut Canvas) {
        let look = stroke(canvas.theme.frame(), 1.0);
        let (bottom, right) = (self.height, self.left + self.width);
        canvas.segment((self.left, 0.0), (self.left, bottom), &look);
        canvas.segment((self.left, bottom), (right, bottom), &look);
        self.draw_labels(canvas);
    }

    /// The labels alone, for plots that need no lines.
    pub(crate) fn draw_labels(&self, canvas: &mut Canvas) {
        self.draw_left(canvas);
        self.draw_below(canvas);
        self.draw_titles(canvas);
    }

    fn y_ticks(&self, scale: &Scale) -> Vec<Tick> {
        y_ticks(scale, self.height)
    }

    fn draw_left(&self, canvas: &mut Canvas) {
        let style = Style::new(TICK, canvas.theme.faint_ink()).anchor(Anchor::End);
        let x = self.left - GAP;
        match &self.y {
            Side::Numeric(scale) => {
                for tick in self.y_ticks(scale) {
                    canvas.text((x, self.y(tick.place) + TICK * 0.36), &tick.label, style);
                }
            }
            Side::Categories(labels) => {
                let (_, size) = self.slot(0, labels.len(), true);
                let room = self.left - GAP - title_height(&self.y_title) - 4.0;
                for (index, label) in labels.iter().enumerate().step_by(every(size)) {
                    let middle = self.slot(index, labels.len(), true).0 + size / 2.0;
                    let lines = left_lines(label, room, size);
                    let first = middle + TICK * 0.36 - (lines.len() as f64 - 1.0) * TICK * LINE / 2.0;
                    for (row, line) in lines.iter().enumerate() {
                        canvas.text((x, first + row as f64 * TICK * LINE), line, style);
                    }
                }
            }
        }
    }

    fn draw_below(&self, canvas: &mut Canvas) {
        let style = Style::new(TICK, canvas.theme.faint_ink()).anchor(Anchor::Middle);
        let top = self.height + GAP;
        match (&self.below, &self.x) {
            (Below::Ticks(ticks), _) => {
                for tick in ticks {
                    canvas.text((self.x(tick.place), top + TICK), &tick.label, style);
                }
            }
            (Below::Lines(labels), _) => {
                for (index, lines) in labels.iter().enumerate() {
                    let (start, size) = self.slot(index, labels.len(), false);
                    for (row, line) in lines.iter().enumerate() {
                        let y = top + TICK + row as f64 * TICK * LINE;
                        canvas.text((start + size / 2.0, y), line, style);
                    }
                }
            }
            (Below::Turned { degrees, every, .. }, Side::Categories(labels)) => {
                let style = style.anchor(Anchor::End).turned(-degrees);
                let sideways = degrees.to_radians().sin() * TICK * 0.36;
                for (index, label) in labels.iter().enumerate().step_by(*every) {
                    let (start, size) = self.slot(index, labels.len(), false);
                    let at = (start + size / 2.0 + sideways, top + degrees.to_radians().cos() * TICK * 0.8);
                    canvas.text(at, &shortened(label, LONGEST_TURNED, TICK), style);
                }
            }
            (Below::Turned { .. }, Side::Numeric(_)) => {}
        }
    }

    fn draw_titles(&self, canvas: &mut Canvas) {
        let style = Style::new(TITLE, canvas.theme.ink()).anchor(Anchor::Middle);
        let top = self.height + GAP + self.below.height() + 6.0;
        for (row, line) in self.x_title.iter().enumerate() {
            let y = top + TITLE + row as f64 * TITLE * LINE;
            canvas.text((self.left + self.width / 2.0, y), line, style);
        }
        for (row, line) in self.y_title.iter().enumerate() {
            let x = TITLE + row as f64 * TITLE * LINE;
            canvas.text((x, self.height / 2.0), line, style.turned(-90.0));
        }
    }
}

impl Below {
    fn new(x: &Side<'_>, room: f64) -> Self {
        match x {
            Side::Numeric(scale) => Self::Ticks(apart(scale, room)),
            Side::Categories(labels) => Self::of_categories(labels, room),
        }
    }

    fn of_categories(labels: &[String], room: f64) -> Self {
        let size = room / labels.len().max(1) as f64;
        let lines: Vec<_> = labels.iter().map(|label| whole_words(label, size - 8.0)).collect();
        if let Some(lines) = lines.into_iter().collect::<Option<Vec<_>>>() {
            return Self::Lines(lines);
        }
        let slanted = TICK * LINE / SLANT.to_radians().sin();
        let degrees = if size >= slanted { SLANT } else { 90.0 };
        let longest = labels.iter().map(|label| width(label, TICK)).fold(0.0, f64::max).min(LONGEST_TURNED);
        Self::Turned { degrees, every: every(size), room: longest }
    }

    fn height(&self) -> f64 {
        match self {
            Self::Ticks(_) => TICK,
            Self::Lines(labels) => labels.iter().map(Vec::len).max().unwrap_or(1) as f64 * TICK * LINE,
            Self::Turned { degrees, room, .. } => {
                let (down, along) = degrees.to_radians().sin_cos();
                room * down + TICK * along
            }
        }
    }

    /// How far the first label reaches to the left of its category's middle, less the half category.
    fn overhang(&self, x: &Side<'_>, room: f64) -> f64 {
        let (Self::Turned { degrees, .. }, Side::Categories(labels)) = (self, x) else { return 0.0 };
        let size = room / labels.len().max(1) as f64;
        let reach = |(index, label): (usize, &String)| {
            width(label, TICK).min(LONGEST_TURNED) * degrees.to_radians().cos() - size * (index as f64 + 0.5)
        };
        labels.iter().enumerate().map(reach).fold(0.0, f64::max) + 4.0
    }
}

/// The ticks of a horizontal axis, as many as have room for their labels.
fn apart(scale: &Scale, room: f64) -> Vec<Tick> {
    let mut count = (room / 60.0).clamp(1.0, 10.0);
    loop {
        let ticks = scale.ticks(count);
        let is_apart = ticks.windows(2).all(|pair| {
            let needed = (width(&pair[0].label, TICK) + width(&pair[1].label, TICK)) / 2.0 + 10.0;
            (pair[1].place - pair[0].place) * room >= needed
        });
        if is_apart || count <= 1.0 {
            return if is_apart { ticks } else { ticks.into_iter().take(1).collect() };
        }
        count -= 1.0;
    }
}

fn y_ticks(scale: &Scale, height: f64) -> Vec<Tick> {
    let ticks = scale.ticks((height / 42.0).max(2.0));
    let mut kept: Vec<Tick> = Vec::new();
    for tick in ticks {
        if kept.last().is_none_or(|last| (tick.place - last.place) * height >= TICK * LINE) {
            kept.push(tick);
        }
    }
    kept
}

fn label_room(y: &Side<'_>, space: &Space<'_>) -> f64 {
    let widest = |labels: &mut dyn Iterator<Item = &str>| labels.map(|label| width(label, TICK)).fold(0.0, f64::max);
    match y {
        Side::Numeric(scale) => widest(&mut y_ticks(scale, space.height).iter().map(|tick| tick.label.as_str())),
        Side::Categories(labels) => widest(&mut labels.iter().map(String::as_str)).min(space.width * MOST_LEFT),
    }
}

/// A label left of its category: in several lines if these have room, else cut.
fn left_lines(label: &str, room: f64, size: f64) -> Vec<String> {
    let lines = wrapped(label, room, |text| width(text, TICK));
    if lines.len() == 1 || lines.len() as f64 * TICK * LINE <= size {
        return lines;
    }
    vec![shortened(label, room, TICK)]
}

/// A label in few lines that break only between words, if it can be.
fn whole_words(label: &str, room: f64) -> Option<Vec<String>> {
    let fits = label.split_whitespace().all(|word| width(word, TICK) <= room);
    let lines = fits.then(|| wrapped(label, room, |text| width(text, TICK)))?;
    (lines.len() <= MOST_LINES).then_some(lines)
}

/// Each so-manieth category has room for its label.
fn every(size: f64) -> usize {
    if size >= TICK { 1 } else { (TICK * 1.1 / size.max(1e-3)).ceil() as usize }
}

fn has_text(lines: &[String]) -> bool {
    lines.iter().any(|line| !line.is_empty())
}

fn title_height(lines: &[String]) -> f64 {
    if has_text(lines) { TITLE_ROOM + (lines.len() as f64 - 1.0) * TITLE * LINE } else { 2.0 }
}
