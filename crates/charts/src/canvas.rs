//! The pen: writes SVG elements. All numbers and texts pass here, so none leaves that XML or a renderer would refuse.

use std::fmt::Write;

use crate::text::escaped;
use crate::theme::{Colour, Theme};

/// Fallbacks are near DejaVu Sans in look; all are narrower, so texts keep their room.
const FAMILY: &str = "DejaVu Sans, Verdana, Segoe UI, system-ui, sans-serif";
/// Farther out nothing is drawn.
const FARTHEST: f64 = 1e6;

/// On which side of its point a text stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) size: f64,
    pub(crate) colour: &'static str,
    pub(crate) anchor: Anchor,
    pub(crate) bold: bool,
    /// Degrees, clockwise, around the text's point.
    pub(crate) turned: f64,
}

impl Style {
    pub(crate) fn new(size: f64, colour: &'static str) -> Self {
        Self { size, colour, anchor: Anchor::Start, bold: false, turned: 0.0 }
    }

    pub(crate) fn anchor(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    pub(crate) fn turned(self, turned: f64) -> Self {
        Self { turned, ..self }
    }

    pub(crate) fn bold(self) -> Self {
        Self { bold: true, ..self }
    }
}

/// Part of an SVG document.
#[derive(Debug)]
pub(crate) struct Canvas {
    pub(crate) theme: Theme,
    pub(crate) body: String,
}

impl Canvas {
    pub(crate) fn new(theme: Theme) -> Self {
        Self { theme, body: String::new() }
    }

    pub(crate) fn rect(&mut self, [x, y, width, height]: [f64; 4], look: &str) {
        let [x, y, width, height] = [x, y, width.max(0.0), height.max(0.0)].map(number);
        self.push(format_args!("<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" {look}/>"));
    }

    pub(crate) fn segment(&mut self, from: (f64, f64), to: (f64, f64), look: &str) {
        self.path(&format!("{}{}", step('M', from), step('L', to)), look);
    }

    pub(crate) fn path(&mut self, path: &str, look: &str) {
        if !path.is_empty() {
            self.push(format_args!("<path d=\"{path}\" {look}/>"));
        }
    }

    pub(crate) fn text(&mut self, (x, y): (f64, f64), text: &str, style: Style) {
        if text.is_empty() {
            return;
        }
        let (x, y) = (number(x), number(y));
        let anchor = match style.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let weight = if style.bold { " font-weight=\"bold\"" } else { "" };
        let turned = match style.turned {
            0.0 => String::new(),
            degrees => format!(" transform=\"rotate({} {x} {y})\"", number(degrees)),
        };
        let (size, colour, text) = (number(style.size), style.colour, escaped(text));
        self.push(format_args!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{colour}\"{anchor}{weight}{turned}>{text}</text>"
        ));
    }

    /// A shape that tells series apart without colour.
    pub(crate) fn marker(&mut self, at: (f64, f64), shape: usize, radius: f64, look: &str) {
        self.path(&marker(at, shape, radius), look);
    }

    /// Puts what was drawn elsewhere at a place.
    pub(crate) fn place(&mut self, (x, y): (f64, f64), part: &Self, class: &str) {
        let (x, y) = (number(x), number(y));
        self.push(format_args!("<g class=\"{class}\" transform=\"translate({x} {y})\">\n{}</g>", part.body));
    }

    /// The whole document.
    pub(crate) fn document(&self, width: f64, height: f64, title: &str, description: &str) -> String {
        let [width, height] = [width, height].map(number);
        let (paper, body) = (self.theme.paper().hex(), &self.body);
        let (title, description) = (escaped(title), escaped(description));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" font-family=\"{FAMILY}\" font-size=\"12\">\n<title>{title}</title>\n\
             <desc>{description}</desc>\n<rect width=\"{width}\" height=\"{height}\" fill=\"{paper}\"/>\n{body}</svg>\n"
        )
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.body, "{element}");
    }
}

/// One step of a path.
pub(crate) fn step(command: char, (x, y): (f64, f64)) -> String {
    format!("{command}{} {}", number(x), number(y))
}

/// Looks of lines and areas.
pub(crate) fn stroke(colour: &str, width: f64) -> String {
    format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"{}\"", number(width))
}

pub(crate) fn fill(colour: Colour) -> String {
    format!("fill=\"{}\"", colour.hex())
}

/// A coordinate: finite, near, without `-0`, with as many digits as can be seen.
pub(crate) fn number(value: f64) -> String {
    let value = if value.is_nan() { 0.0 } else { value.clamp(-FARTHEST, FARTHEST) };
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn marker((x, y): (f64, f64), shape: usize, radius: f64) -> String {
    let polygon = |points: &[(f64, f64)]| {
        let steps = points.iter().enumerate().map(|(index, (right, down))| {
            step(if index == 0 { 'M' } else { 'L' }, (x + right * radius, y + down * radius))
        });
        steps.collect::<String>() + "Z"
    };
    match shape % 6 {
        0 => {
            let (r, d) = (number(radius), number(radius * 2.0));
            format!("{}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0Z", step('M', (x - radius, y)))
        }
        1 => polygon(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
        2 => polygon(&[(0.0, -1.2), (1.15, 0.9), (-1.15, 0.9)]),
        3 => polygon(&[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)]),
        4 => polygon(&[(0.0, 1.2), (1.15, -0.9), (-1.15, -0.9)]),
        _ => polygon(&[(-1.2, 0.0), (-0.6, -1.05), (0.6, -1.05), (1.2, 0.0), (0.6, 1.05), (-0.6, 1.05)]),
    }
}
