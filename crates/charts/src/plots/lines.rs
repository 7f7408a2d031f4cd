//! Lines with bands over a numeric x.

use super::{Draw, Drawn};
use crate::canvas::{Canvas, fill, step, stroke};
use crate::dropped::Dropped;
use crate::estimate::Estimate;
use crate::frame::{Frame, Side, Space};
use crate::legend::{dashed, faint};
use crate::palette::{Key, Look, Palette};
use crate::scale::{Base, Scale};
use crate::table::Row;
use crate::theme::Theme;

/// Lines of more points have no markers.
const MOST_MARKERS: usize = 40;

/// Lines of one or several series; intervals become a band. A missing value interrupts the line.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    series: Vec<(String, Vec<(f64, Estimate)>)>,
    has_diagonal: bool,
}

impl Lines {
    /// No lines yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series of x and y in the order in which the line goes.
    pub fn series<E: Into<Estimate>>(
        mut self,
        name: impl Into<String>,
        points: impl IntoIterator<Item = (f64, E)>,
    ) -> Self {
        self.series.push((name.into(), points.into_iter().map(|(x, y)| (x, y.into())).collect()));
        self
    }

    /// Draws the line of y = x behind the others, as in a reliability diagram.
    pub fn with_diagonal(self) -> Self {
        Self { has_diagonal: true, ..self }
    }

    fn points(&self) -> impl Iterator<Item = &(f64, Estimate)> {
        self.series.iter().flat_map(|(_, points)| points)
    }
}

impl Draw for Lines {
    fn series(&self) -> Vec<(&str, Key)> {
        self.series.iter().map(|(name, _)| (name.as_str(), Key::Line)).collect()
    }

    fn draw(&self, space: &Space<'_>, palette: &Palette<'_>, theme: Theme) -> Drawn {
        let x = Scale::over(space.x, self.points().map(|(x, _)| *x), Base::Values);
        let y = Scale::over(space.y, self.points().flat_map(|(_, y)| y.extent()), Base::Values);
        let frame = Frame::new(space, Side::Numeric(x), Side::Numeric(y), 14.0);
        let mut drawing = Drawing { frame: &frame, x, y, canvas: Canvas::new(theme), dropped: Dropped::default() };
        frame.draw_grid(&mut drawing.canvas);
        if self.has_diagonal {
            drawing.draw_diagonal();
        }
        let placed: Vec<_> = self.series.iter().map(|(_, points)| drawing.placed(points)).collect();
        let looks: Vec<_> = self.series.iter().map(|(name, _)| palette.look(name)).collect();
        placed.iter().zip(&looks).for_each(|(runs, look)| runs.iter().for_each(|run| drawing.draw_band(run, look)));
        frame.draw_axes(&mut drawing.canvas);
        placed.iter().zip(&looks).for_each(|(runs, look)| drawing.draw_line(runs, look));
        Drawn { canvas: drawing.canvas, height: space.height + frame.depth(), notes: drawing.dropped.notes() }
    }

    fn rows(&self, _space: &Space<'_>) -> Vec<Row> {
        let row = |name: &str, x: f64, y: Estimate| {
            let (low, high) = y.interval.unwrap_or((f64::NAN, f64::NAN));
            Row::new("point", name).x(x).y(y.value).interval(low, high)
        };
        self.series.iter().flat_map(|(name, points)| points.iter().map(move |(x, y)| row(name, *x, *y))).collect()
    }

    fn kind(&self) -> &'static str {
        "lines"
    }
}

/// A point on the canvas and the ends of its band there.
#[derive(Clone, Copy)]
struct Point {
    x: f64,
    y: f64,
    band: Option<(f64, f64)>,
}

struct Drawing<'a> {
    frame: &'a Frame<'a>,
    x: Scale,
    y: Scale,
    canvas: Canvas,
    dropped: Dropped,
}

impl Drawing<'_> {
    /// Points without a gap between them, each run on its own.
    fn placed(&mut self, points: &[(f64, Estimate)]) -> Vec<Vec<Point>> {
        let mut runs = vec![Vec::new()];
        for (x, y) in points {
            match (self.dropped.keep_both(self.x.place(*x), self.y.place(y.value)), runs.last_mut()) {
                (Some((x, place)), Some(run)) => {
                    let ends = y.ends();
                    let band =
                        ends.map(|(low, high)| (self.y_of(self.y.nearest(low)), self.y_of(self.y.nearest(high))));
                    run.push(Point { x: self.frame.x(x), y: self.y_of(place), band });
                }
                _ => runs.push(Vec::new()),
            }
        }
        runs
    }

    fn draw_band(&mut self, run: &[Point], look: &Look) {
        for part in run.split(|point| point.band.is_none()) {
            if let [point] = part {
                self.draw_whisker(point, look);
                continue;
            }
            let ends = part.iter().filter_map(|point| Some((point.x, point.band?)));
            let there = ends.clone().map(|(x, (_, high))| (x, high));
            let back = ends.rev().map(|(x, (low, _))| (x, low));
            let path = path(there.chain(back));
            self.canvas.path(&path, &faint(look, 0.18));
        }
    }

    /// A band of a single point has no area.
    fn draw_whisker(&mut self, point: &Point, look: &Look) {
        if let Some((low, high)) = point.band {
            self.canvas.segment((point.x, low), (point.x, high), &stroke(&look.colour.hex(), 1.2));
        }
    }

    fn draw_line(&mut self, runs: &[Vec<Point>], look: &Look) {
        let path: String = runs.iter().map(|run| path(run.iter().map(|point| (point.x, point.y)))).collect();
        let line = format!("{} stroke-linejoin=\"round\"", stroke(&look.colour.hex(), 1.9));
        self.canvas.path(&path, &dashed(&line, look.dash));
        let count: usize = runs.iter().map(Vec::len).sum();
        for run in runs.iter().filter(|run| count <= MOST_MARKERS || run.len() == 1) {
            for point in run {
                let border = format!("stroke=\"{}\" stroke-width=\"0.8\"", self.canvas.theme.paper().hex());
                let look_of_marker = format!("{} {border}", fill(look.colour));
                self.canvas.marker((point.x, point.y), look.shape, 3.6, &look_of_marker);
            }
        }
    }

    fn draw_diagonal(&mut self) {
        let corners = (0..=60).map(|part| self.x.value(f64::from(part) / 60.0));
        let points: Vec<_> =
            corners.filter_map(|value| Some((self.x.place(value).ok()?, self.y.place(value).ok()?))).collect();
        let path = path(points.into_iter().map(|(x, y)| (self.frame.x(x), self.frame.y(y))));
        let look = dashed(&stroke(self.canvas.theme.frame(), 1.2), "5 4");
        self.canvas.path(&path, &look);
    }

    fn y_of(&self, place: f64) -> f64 {
        self.frame.y(place)
    }
}

/// A line through points; a step that can't be seen is left out.
fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    let mut last = String::new();
    for (index, point) in points.enumerate() {
        let next = step(if index == 0 { 'M' } else { 'L' }, point);
        if next[1..] != *last {
            path.push_str(&next);
            last = next[1..].to_owned();
        }
    }
    path
}
