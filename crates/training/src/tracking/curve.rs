//! The training curve as an SVG picture that needs no script, no font file and no network.

use std::fmt::Write;

use super::{Entry, Event};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
const TITLE_HEIGHT: f64 = 44.0;
const LEGEND_ROW: f64 = 20.0;
const UPPER_HEIGHT: f64 = 320.0;
const LOWER_HEIGHT: f64 = 90.0;
const GAP: f64 = 28.0;
const BOTTOM: f64 = 58.0;
/// Width of a letter of the legend, roughly; SVG can't be asked.
const LETTER: f64 = 7.0;
const LEGEND_SAMPLE: f64 = 26.0;

/// The smoothed line follows the mean over about this part of the curve.
const SMOOTHED_PART: usize = 20;
/// More points than this are drawn as the extremes of as many pieces.
const MOST_POINTS: usize = 1500;
/// Larger values can't be placed on an axis without overflow, and mean as much as an infinity.
const LARGEST: f64 = 1e100;
/// A range that is smaller, relative to its values, is that of a constant.
const SMALLEST_RELATIVE_RANGE: f64 = 1e-9;

const TRAIN_COLOURS: [&str; 3] = ["#2f6db3", "#7a4fa3", "#15807c"];
const HELD_OUT_COLOURS: [&str; 3] = ["#d9702b", "#c23b5e", "#9a7b12"];
const RATE_COLOUR: &str = "#4d8b4a";

/// Draws scalars over the steps of training.
///
/// `names` are those of the trainer. `learning_rate` gets a small panel of its own below. Names that begin with `eval_`
/// are drawn as dots with a line, all others as a faint line with a smoothed one (a moving average over about a
/// twentieth of the points). Values that are not finite leave a gap and are counted in a note. The axis says "loss
/// (nats per token)" if all that is drawn in the main panel is a loss, else "value".
///
/// Names without points are left out; without any points the picture says so.
pub fn training_curve_svg(events: &[Event], names: &[&str]) -> String {
    let all = series(events, names);
    let (lower, upper): (Vec<_>, Vec<_>) = all.iter().partition(|series| series.kind == Kind::Rate);
    let legend = Legend::new(&upper);
    let mut svg = String::new();
    let mut top = TITLE_HEIGHT + legend.height;
    let mut body = legend.text;
    let x = Range::of_steps(&all);
    if upper.is_empty() && lower.is_empty() {
        element(&mut body, WIDTH / 2.0, top + UPPER_HEIGHT / 2.0, "class=\"note\" text-anchor=\"middle\"", "no values");
        top += UPPER_HEIGHT;
    }
    if !upper.is_empty() {
        Panel { top, height: UPPER_HEIGHT, x, y: Range::of_values(&upper) }.draw(&mut body, &upper, axis_title(&upper));
        top += UPPER_HEIGHT;
    }
    if !lower.is_empty() {
        top += if upper.is_empty() { 0.0 } else { GAP };
        let y = Range::of_values(&lower).down_to_zero();
        Panel { top, height: LOWER_HEIGHT, x, y }.draw(&mut body, &lower, "learning rate");
        top += LOWER_HEIGHT;
    }
    draw_step_axis(&mut body, top, x, all.is_empty());
    draw_note(&mut body, top, &all);
    open_svg(&mut svg, top + BOTTOM);
    svg + &body + "</svg>\n"
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Train,
    HeldOut,
    Rate,
}

/// The values of one name.
#[derive(Debug)]
struct Series<'a> {
    name: &'a str,
    kind: Kind,
    colour: &'static str,
    /// Step and value; `None` where the value can't be drawn.
    points: Vec<(f64, Option<f64>)>,
}

impl Series<'_> {
    fn drawn(&self) -> impl Iterator<Item = (f64, f64)> {
        self.points.iter().filter_map(|(step, value)| Some((*step, (*value)?)))
    }
}

fn series<'a>(events: &[Event], names: &[&'a str]) -> Vec<Series<'a>> {
    let (mut trains, mut held_outs) = (TRAIN_COLOURS.iter().cycle(), HELD_OUT_COLOURS.iter().cycle());
    let mut all = Vec::new();
    for name in names {
        let points = points(events, name);
        if points.is_empty() {
            continue;
        }
        let (kind, colour) = match name.strip_prefix("eval_") {
            Some(_) => (Kind::HeldOut, held_outs.next().copied()),
            None if *name == "learning_rate" => (Kind::Rate, Some(RATE_COLOUR)),
            None => (Kind::Train, trains.next().copied()),
        };
        all.push(Series { name, kind, colour: colour.unwrap_or(RATE_COLOUR), points });
    }
    all
}

fn points(events: &[Event], name: &str) -> Vec<(f64, Option<f64>)> {
    let value_of = |event: &Event| match &event.entry {
        Entry::Scalars(values) => {
            let (_, value) = values.iter().find(|(found, _)| found == name)?;
            Some((event.at.step as f64, Some(*value).filter(|value| value.abs() < LARGEST)))
        }
        _ => None,
    };
    events.iter().filter_map(value_of).collect()
}

/// From where to where an axis goes; the two differ.
#[derive(Debug, Clone, Copy)]
struct Range {
    low: f64,
    high: f64,
}

impl Range {
    fn of_steps(all: &[Series<'_>]) -> Self {
        let steps = all.iter().flat_map(|series| series.points.iter().map(|(step, _)| *step));
        match Self::around(steps) {
            Some(Self { low, high }) if low < high => Self { low, high },
            Some(Self { low, .. }) => {
                let air = (low * SMALLEST_RELATIVE_RANGE).max(1.0);
                Self { low: low - air, high: low + air }
            }
            None => Self { low: 0.0, high: 1.0 },
        }
    }

    /// The range of the values with some air around it.
    fn of_values(all: &[&Series<'_>]) -> Self {
        let values = all.iter().flat_map(|series| series.drawn().map(|(_, value)| value));
        let Some(Self { low, high }) = Self::around(values) else { return Self { low: 0.0, high: 1.0 } };
        let magnitude = low.abs().max(high.abs());
        if high - low > magnitude * SMALLEST_RELATIVE_RANGE {
            let air = (high - low) * 0.05;
            return Self { low: low - air, high: high + air };
        }
        let air = if magnitude > f64::MIN_POSITIVE / SMALLEST_RELATIVE_RANGE { magnitude * 0.1 } else { 1.0 };
        Self { low: low - air, high: high + air }
    }

    fn around(values: impl Iterator<Item = f64>) -> Option<Self> {
        values.fold(None, |range, value| match range {
            None => Some(Self { low: value, high: value }),
            Some(Self { low, high }) => Some(Self { low: low.min(value), high: high.max(value) }),
        })
    }

    /// The range with zero as its lower end, if all is above zero.
    fn down_to_zero(self) -> Self {
        if self.high > 0.0 { Self { low: self.low.min(0.0).max(-self.high * 0.05), ..self } } else { self }
    }

    /// Where a value lies: 0 at the lower end, 1 at the upper one.
    fn place(self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// About `count` round values within the range and their distance, which is at least `smallest`.
    fn ticks(self, count: f64, smallest: f64) -> (Vec<f64>, f64) {
        let rough = (self.high - self.low) / count;
        let power = 10_f64.powf(rough.log10().floor());
        let round = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power);
        let distance = round.into_iter().find(|distance| *distance >= rough).unwrap_or(rough).max(smallest);
        let (first, last) = ((self.low / distance).ceil() as i64, (self.high / distance).floor() as i64);
        ((first..=last).map(|index| index as f64 * distance).collect(), distance)
    }
}

/// One of the two areas in which curves are drawn.
struct Panel {
    top: f64,
    height: f64,
    x: Range,
    y: Range,
}

impl Panel {
    fn draw(&self, body: &mut String, all: &[&Series<'_>], title: &str) {
        self.draw_grid(body);
        let middle = self.top + self.height / 2.0;
        let turned = format!("class=\"axis\" text-anchor=\"middle\" transform=\"rotate(-90 20 {middle:.1})\"");
        element(body, 20.0, middle, &turned, title);
        for series in all {
            match series.kind {
                Kind::Train => self.draw_train(body, series),
                Kind::HeldOut => self.draw_held_out(body, series),
                Kind::Rate => self.draw_rate(body, series),
            }
        }
    }

    fn draw_grid(&self, body: &mut String) {
        let (bottom, right) = (self.top + self.height, WIDTH - RIGHT);
        let (ticks, distance) = self.y.ticks(self.height / 50.0, 0.0);
        for tick in ticks {
            let y = self.y_of(tick);
            let _ = writeln!(body, "<path class=\"grid\" d=\"M{LEFT:.1} {y:.1}H{right:.1}\"/>");
            let place = "class=\"tick\" text-anchor=\"end\"";
            element(body, LEFT - 8.0, y + 4.0, place, &tick_label(tick, distance));
        }
        let (ticks, _) = self.x.ticks(8.0, 1.0);
        for tick in ticks {
            let x = self.x_of(tick);
            let _ = writeln!(body, "<path class=\"grid\" d=\"M{x:.1} {:.1}V{bottom:.1}\"/>", self.top);
        }
        let _ = writeln!(body, "<path class=\"frame\" d=\"M{LEFT:.1} {:.1}V{bottom:.1}H{right:.1}\"/>", self.top);
    }

    fn draw_train(&self, body: &mut String, series: &Series<'_>) {
        self.line(body, &series.points, series.colour, 1.0, 0.35);
        self.line(body, &smoothed(&series.points), series.colour, 2.2, 1.0);
        self.draw_single(body, series);
    }

    fn draw_held_out(&self, body: &mut String, series: &Series<'_>) {
        self.line(body, &series.points, series.colour, 1.6, 1.0);
        for (step, value) in thinned(&series.points) {
            if let Some(value) = value {
                self.dot(body, (step, value), series.colour);
            }
        }
    }

    fn draw_rate(&self, body: &mut String, series: &Series<'_>) {
        self.line(body, &series.points, series.colour, 1.6, 1.0);
        self.draw_single(body, series);
    }

    /// A line of a single point has no length and would not be seen.
    fn draw_single(&self, body: &mut String, series: &Series<'_>) {
        if let [point] = series.drawn().take(2).collect::<Vec<_>>()[..] {
            self.dot(body, point, series.colour);
        }
    }

    fn line(&self, body: &mut String, points: &[(f64, Option<f64>)], colour: &str, width: f64, opacity: f64) {
        let mut path = String::new();
        let mut is_pen_down = false;
        for (step, value) in &thinned(points) {
            if let Some(value) = value {
                let command = if is_pen_down { 'L' } else { 'M' };
                let _ = write!(path, "{command}{:.1} {:.1}", self.x_of(*step), self.y_of(*value));
            }
            is_pen_down = value.is_some();
        }
        let look = format!("stroke=\"{colour}\" stroke-width=\"{width}\" stroke-opacity=\"{opacity}\"");
        let _ = writeln!(body, "<path class=\"line\" {look} d=\"{path}\"/>");
    }

    fn dot(&self, body: &mut String, (step, value): (f64, f64), colour: &str) {
        let (x, y) = (self.x_of(step), self.y_of(value));
        let _ = writeln!(body, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>");
    }

    fn x_of(&self, step: f64) -> f64 {
        x_of(self.x, step)
    }

    fn y_of(&self, value: f64) -> f64 {
        self.top + self.height * (1.0 - self.y.place(value))
    }
}

fn x_of(range: Range, step: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * range.place(step)
}

/// What stands for each curve of the main panel, in rows above it.
struct Legend {
    text: String,
    height: f64,
}

impl Legend {
    fn new(all: &[&Series<'_>]) -> Self {
        let (mut text, mut x, mut y) = (String::new(), LEFT, TITLE_HEIGHT);
        for series in all {
            let (label, width) = match series.kind {
                Kind::Train => (format!("{} (faint: every record, bold: smoothed)", series.name), 2.2),
                Kind::HeldOut => (format!("{} (held out)", series.name), 1.6),
                Kind::Rate => continue,
            };
            let needed = LEGEND_SAMPLE + label.chars().count() as f64 * LETTER + 20.0;
            if x > LEFT && x + needed > WIDTH - RIGHT {
                (x, y) = (LEFT, y + LEGEND_ROW);
            }
            let (line, colour) = (y - 4.0, series.colour);
            let look = format!("stroke=\"{colour}\" stroke-width=\"{width}\"");
            let _ = writeln!(text, "<path class=\"line\" {look} d=\"M{x:.1} {line:.1}h20\"/>");
            if series.kind == Kind::HeldOut {
                let centre = x + 10.0;
                let _ = writeln!(text, "<circle cx=\"{centre:.1}\" cy=\"{line:.1}\" r=\"3.5\" fill=\"{colour}\"/>");
            }
            element(&mut text, x + LEGEND_SAMPLE, y, "class=\"legend\"", &label);
            x += needed;
        }
        Self { text, height: y - TITLE_HEIGHT + LEGEND_ROW }
    }
}

fn axis_title(all: &[&Series<'_>]) -> &'static str {
    if all.iter().all(|series| series.name.ends_with("loss")) { "loss (nats per token)" } else { "value" }
}

fn draw_step_axis(body: &mut String, top: f64, range: Range, is_empty: bool) {
    if is_empty {
        return;
    }
    let (ticks, distance) = range.ticks(8.0, 1.0);
    for tick in ticks {
        let label = tick_label(tick, distance);
        element(body, x_of(range, tick), top + 18.0, "class=\"tick\" text-anchor=\"middle\"", &label);
    }
    let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
    element(body, middle, top + 40.0, "class=\"axis\" text-anchor=\"middle\"", "step");
}

fn draw_note(body: &mut String, top: f64, all: &[Series<'_>]) {
    let missing = all.iter().flat_map(|series| &series.points).filter(|(_, value)| value.is_none()).count();
    if missing > 0 {
        let note = format!("not drawn, because not finite: {missing}");
        element(body, WIDTH - RIGHT, top + 40.0, "class=\"note\" text-anchor=\"end\"", &note);
    }
}

fn open_svg(svg: &mut String, height: f64) {
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <title>Training curve</title>\n<style>\
         .grid{{stroke:#e4e4e4}} .frame{{stroke:#555;fill:none}} .line{{fill:none;stroke-linejoin:round}} \
         .tick{{fill:#444}} .axis,.legend{{fill:#222}} .note{{fill:#888}}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>"
    );
    element(svg, LEFT, 22.0, "font-size=\"16\" font-weight=\"600\"", "Training curve");
}

fn element(body: &mut String, x: f64, y: f64, attributes: &str, text: &str) {
    let _ = writeln!(body, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{}</text>", escaped(text));
}

/// A text that is only text in XML. Control characters have no place there at all.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            letter if letter.is_control() || matches!(letter, '\u{FFFE}' | '\u{FFFF}') => escaped.push('\u{FFFD}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// A value with as many digits as tell it from its neighbours.
fn tick_label(value: f64, distance: f64) -> String {
    let exponent_of = |value: f64| value.abs().log10().floor() as i32;
    if value == 0.0 {
        return "0".to_owned();
    }
    // Multiplying the distance leaves 0.30000000000000004, whose logarithm may be a hair below that of 0.3.
    let (exponent, fine) = (exponent_of(value * (1.0 + 1e-9)), exponent_of(distance * (1.0 + 1e-9)));
    if (-3..6).contains(&exponent) && fine >= -6 {
        let digits = usize::try_from(-fine).unwrap_or(0);
        return format!("{value:.digits$}");
    }
    let digits = usize::try_from(exponent - fine).unwrap_or(0);
    format!("{value:.digits$e}")
}

/// The moving average, without what can't be drawn. The window reaches as far to the left as to the right, so that the
/// line does not lag behind a falling curve; at the ends one side is cut off.
fn smoothed(points: &[(f64, Option<f64>)]) -> Vec<(f64, Option<f64>)> {
    let drawn: Vec<(f64, f64)> = points.iter().filter_map(|(step, value)| Some((*step, (*value)?))).collect();
    let sums_before = drawn.iter().scan(0.0, |sum, (_, value)| {
        *sum += value;
        Some(*sum)
    });
    let sums_before: Vec<f64> = std::iter::once(0.0).chain(sums_before).collect();
    let reach = drawn.len() / SMOOTHED_PART / 2 + usize::from(drawn.len() > SMOOTHED_PART);
    let mean = |index: usize| {
        let (first, end) = (index.saturating_sub(reach), (index + reach + 1).min(drawn.len()));
        (sums_before[end] - sums_before[first]) / (end - first) as f64
    };
    drawn.iter().enumerate().map(|(index, (step, _))| (*step, Some(mean(index)))).collect()
}

/// A curve of many points as the lowest and the highest one of each of its pieces.
fn thinned(points: &[(f64, Option<f64>)]) -> Vec<(f64, Option<f64>)> {
    if points.len() <= MOST_POINTS {
        return points.to_vec();
    }
    let extremes = |piece: &[(f64, Option<f64>)]| {
        let by_value = |left: &(f64, f64), right: &(f64, f64)| left.1.total_cmp(&right.1);
        let drawn = || piece.iter().filter_map(|(step, value)| Some((*step, (*value)?)));
        match (drawn().min_by(by_value), drawn().max_by(by_value)) {
            (Some(low), Some(high)) if low.0 <= high.0 => vec![(low.0, Some(low.1)), (high.0, Some(high.1))],
            (Some(low), Some(high)) => vec![(high.0, Some(high.1)), (low.0, Some(low.1))],
            _ => piece.first().copied().into_iter().collect(),
        }
    };
    points.chunks(points.len().div_ceil(MOST_POINTS / 2)).flat_map(extremes).collect()
}

#[cfg(test)]
mod tests {
    use super::{Range, escaped, smoothed, thinned, tick_label};

    #[test]
    fn ticks_are_round_and_inside() {
        let (ticks, distance) = Range { low: 0.63, high: 2.51 }.ticks(6.0, 0.0);
        assert_eq!(
            ticks.iter().map(|tick| tick_label(*tick, distance)).collect::<Vec<_>>(),
            ["1.0", "1.5", "2.0", "2.5"]
        );
        let (steps, distance) = Range { low: 1.0, high: 3.0 }.ticks(8.0, 1.0);
        assert_eq!(steps.iter().map(|tick| tick_label(*tick, distance)).collect::<Vec<_>>(), ["1", "2", "3"]);
    }

    #[test]
    fn labels_have_the_digits_they_need() {
        assert_eq!(tick_label(0.1 + 0.2, 0.1), "0.3");
        assert_eq!(tick_label(5e-5, 1e-5), "5e-5");
        assert_eq!(tick_label(2.5e-5, 5e-6), "2.5e-5");
        assert_eq!(tick_label(100_000.0, 50_000.0), "100000");
        assert_eq!(tick_label(2e6, 5e5), "2.0e6");
        assert_eq!(tick_label(-0.5, 0.25), "-0.5");
        assert_eq!(tick_label(0.0, 0.25), "0");
    }

    #[test]
    fn smoothing_keeps_a_constant_and_skips_gaps() {
        let points: Vec<_> = (0..100).map(|step| (f64::from(step), (step != 7).then_some(2.0))).collect();
        let smooth = smoothed(&points);
        assert_eq!(smooth.len(), 99);
        assert!(smooth.iter().all(|(_, value)| value.is_some_and(|value| (value - 2.0).abs() < 1e-12)));
    }

    #[test]
    fn thinning_keeps_extremes() {
        let mut points: Vec<_> = (0..100_000).map(|step| (f64::from(step), Some((f64::from(step)).sin()))).collect();
        points[54_321].1 = Some(40.0);
        let thin = thinned(&points);
        assert!(thin.len() <= 1500);
        assert!(thin.contains(&(54_321.0, Some(40.0))));
    }

    #[test]
    fn texts_are_escaped() {
        assert_eq!(escaped("<a & \"b\">\u{1}"), "&lt;a &amp; &quot;b&quot;&gt;\u{FFFD}");
    }
}
