//! The training curve as a picture: loss per step, held-out losses, and the learning rate below.

use std::fmt::Write;

use super::event_log::{Event, EventKind};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
/// Top and bottom of the panel of losses, and of that of learning rates.
const LOSS_PANEL: (f64, f64) = (50.0, 350.0);
const RATE_PANEL: (f64, f64) = (395.0, 465.0);
const HEIGHT: f64 = 510.0;
/// Colours of held-out sets (a palette that colour-blind people can tell apart).
const HELD_OUT_COLOURS: [&str; 4] = ["#d55e00", "#009e73", "#cc79a7", "#e69f00"];
const TRAIN_COLOUR: &str = "#0072b2";
/// Steps that one point of the smooth line looks back on, as a share of the run.
const SMOOTHING: f64 = 0.05;

type Points = Vec<(f64, f64)>;

/// Draws the scalars `loss`, `eval_SET_loss` and `learning_rate` of a run as an SVG with axes, ticks and units.
///
/// Values that are not finite are left out.
pub fn training_curve_svg(events: &[Event], title: &str) -> String {
    let train = points(events, "loss");
    let held_out: Vec<(String, Points)> =
        held_out_names(events).into_iter().map(|name| (set_name(&name), points(events, &name))).collect();
    let rates = points(events, "learning_rate");
    let all: Points =
        held_out.iter().flat_map(|(_, points)| points.iter().copied()).chain(train.iter().copied()).collect();
    let last_step = all.iter().chain(&rates).map(|point| point.0).fold(1.0, f64::max);
    let losses = Panel::new(LOSS_PANEL, last_step, all.iter().map(|point| point.1), false);
    let below = Panel::new(RATE_PANEL, last_step, rates.iter().map(|point| point.1), true);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
        escaped(title)
    );
    losses.axes(&mut svg, "loss (nats per token)", false);
    below.axes(&mut svg, "learning rate", true);
    losses.line(&mut svg, &train, TRAIN_COLOUR, 1.0, 0.3);
    losses.line(&mut svg, &smooth(&train, last_step), TRAIN_COLOUR, 2.0, 1.0);
    for (number, (_, points)) in held_out.iter().enumerate() {
        let colour = HELD_OUT_COLOURS[number % HELD_OUT_COLOURS.len()];
        losses.line(&mut svg, points, colour, 2.0, 1.0);
        losses.dots(&mut svg, points, colour);
    }
    below.line(&mut svg, &rates, "#555555", 1.5, 1.0);
    legend(&mut svg, &held_out);
    svg.push_str("</svg>\n");
    svg
}

fn points(events: &[Event], name: &str) -> Points {
    events
        .iter()
        .filter_map(|event| Some((event.step as f64, event.scalar(name)?)))
        .filter(|point| point.1.is_finite())
        .collect()
}

/// Names of scalars like `eval_dev_loss`, in the order in which they first come.
fn held_out_names(events: &[Event]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let scalars = events.iter().filter(|event| event.kind == EventKind::Scalar);
    for name in scalars.flat_map(|event| event.data.keys()) {
        if name.starts_with("eval_") && name.ends_with("_loss") && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn set_name(name: &str) -> String {
    name.trim_start_matches("eval_").trim_end_matches("_loss").to_owned()
}

/// Means over the last few per cent of the run.
fn smooth(points: &Points, last_step: f64) -> Points {
    let window = last_step * SMOOTHING;
    let mut first = 0;
    points
        .iter()
        .enumerate()
        .map(|(number, (step, _))| {
            while points[first].0 < step - window {
                first += 1;
            }
            let seen = &points[first..=number];
            (*step, seen.iter().map(|point| point.1).sum::<f64>() / seen.len() as f64)
        })
        .collect()
}

/// A pair of axes.
struct Panel {
    top: f64,
    bottom: f64,
    last_step: f64,
    low: f64,
    high: f64,
    tick: f64,
}

impl Panel {
    fn new((top, bottom): (f64, f64), last_step: f64, values: impl Iterator<Item = f64>, from_zero: bool) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = match (low <= high, from_zero) {
            (false, _) => (0.0, 1.0),
            (true, true) => (0.0, high),
            (true, false) => (low, high),
        };
        // One value alone gets an axis around it.
        let (low, high) = if high - low > 0.0 {
            (low, high)
        } else {
            (low - 0.5 * low.abs().max(1e-9), high + 0.5 * high.abs().max(1e-9))
        };
        let tick = round_step((high - low) / if from_zero { 2.0 } else { 5.0 });
        Self { top, bottom, last_step, low: (low / tick).floor() * tick, high: (high / tick).ceil() * tick, tick }
    }

    fn x(&self, step: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * step / self.last_step
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * (value - self.low) / (self.high - self.low)
    }

    fn axes(&self, svg: &mut String, name: &str, is_lowest: bool) {
        let right = WIDTH - RIGHT;
        let mut put = |line: String| svg.push_str(&line);
        for number in 0..=((self.high - self.low) / self.tick).round() as usize {
            let value = self.low + number as f64 * self.tick;
            let y = self.y(value);
            put(format!("<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#dddddd\"/>\n"));
            put(format!(
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                LEFT - 6.0,
                y + 4.0,
                written(value, self.tick)
            ));
        }
        let step_tick = round_step(self.last_step / 8.0).max(1.0);
        for number in 0..=(self.last_step / step_tick) as usize {
            let step = number as f64 * step_tick;
            let x = self.x(step);
            put(format!(
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"#888888\"/>\n",
                self.bottom,
                self.bottom + 4.0
            ));
            put(format!("<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{step}</text>\n", self.bottom + 17.0));
        }
        put(format!("<path d=\"M{LEFT} {} V{} H{right}\" fill=\"none\" stroke=\"#444444\"/>\n", self.top, self.bottom));
        let middle = (self.top + self.bottom) / 2.0;
        put(format!("<text transform=\"translate(16 {middle}) rotate(-90)\" text-anchor=\"middle\">{name}</text>\n"));
        if is_lowest {
            let centre = (LEFT + right) / 2.0;
            put(format!(
                "<text x=\"{centre}\" y=\"{}\" text-anchor=\"middle\">optimiser step</text>\n",
                self.bottom + 36.0
            ));
        }
    }

    fn line(&self, svg: &mut String, points: &Points, colour: &str, width: f64, opacity: f64) {
        if points.is_empty() {
            return;
        }
        let path: Vec<String> =
            points.iter().map(|(step, value)| format!("{:.1},{:.1}", self.x(*step), self.y(*value))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-opacity=\"{opacity}\"/>",
            path.join(" ")
        );
    }

    fn dots(&self, svg: &mut String, points: &Points, colour: &str) {
        for (step, value) in points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"><title>step {step}: {value:.4}</title></circle>",
                self.x(*step),
                self.y(*value)
            );
        }
    }
}

/// The next of 1, 2, 5 × 10ⁿ from `width` on.
fn round_step(width: f64) -> f64 {
    let power = 10f64.powf(width.max(1e-300).log10().floor());
    [1.0, 2.0, 5.0].map(|factor| factor * power).into_iter().find(|step| *step >= width).unwrap_or(10.0 * power)
}

/// A tick's label, with as many digits as its distance to the next asks for.
fn written(value: f64, tick: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if tick < 1e-3 {
        return format!("{value:.1e}");
    }
    let digits = (-tick.log10().floor()).max(0.0) as usize;
    format!("{value:.digits$}")
}

fn legend(svg: &mut String, held_out: &[(String, Points)]) {
    let entries = std::iter::once(("training (mean over 5 % of the run)".to_owned(), TRAIN_COLOUR)).chain(
        held_out.iter().enumerate().map(|(number, (name, _))| {
            (format!("held out: {name}"), HELD_OUT_COLOURS[number % HELD_OUT_COLOURS.len()])
        }),
    );
    for (number, (name, colour)) in entries.enumerate() {
        let (x, y) = (WIDTH - RIGHT - 250.0, LOSS_PANEL.0 + 12.0 + 18.0 * number as f64);
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"3\"/><text x=\"{}\" y=\"{}\">{}</text>",
            x + 22.0,
            x + 28.0,
            y + 4.0,
            escaped(&name)
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
