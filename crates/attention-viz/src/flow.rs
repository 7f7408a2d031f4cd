//! Tokens as flowing text, each on the colour of its value.

use std::fmt::Write;

use charts::{escaped, text_width, turns_direction};

/// Size of letters, distance of lines, margin and width of the picture.
const SIZE: f64 = 12.0;
const LEADING: f64 = 20.0;
const MARGIN: f64 = 14.0;
const WIDTH: f64 = 860.0;
/// Opacity of the strongest colour: the text on it stays readable.
const STRONGEST: f64 = 0.55;
/// More of something, or more in the first of two.
pub(crate) const BLUE: [u8; 3] = [33, 102, 172];
/// More in the second of two.
pub(crate) const ORANGE: [u8; 3] = [190, 75, 20];

/// What colours stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colours {
    /// How much of something there is: blue.
    Amount,
    /// Less (blue) or more (orange).
    Difference,
}

/// A picture that grows downwards.
pub(crate) struct Flow {
    colours: Colours,
    /// What it shows, in a line.
    title: String,
    body: String,
    /// Where the next token stands.
    x: f64,
    y: f64,
}

impl Flow {
    /// A picture that begins with what it shows, of what, and what its colours mean.
    pub(crate) fn new(colours: Colours, title: &str, about: &[String], legend: &str) -> Self {
        let whole = std::iter::once(title).chain(about.iter().map(String::as_str)).collect::<Vec<_>>().join(". ");
        let mut flow = Self { colours, title: whole, body: String::new(), x: MARGIN, y: MARGIN };
        flow.text(title, 14.0, "#1c2024", "bold");
        about.iter().map(String::as_str).chain([legend]).for_each(|line| flow.text(line, 11.0, "#5c656e", "normal"));
        flow
    }

    /// A heading above what follows.
    pub(crate) fn heading(&mut self, text: &str) {
        self.new_line();
        self.y += 6.0;
        self.text(text, 12.0, "#1c2024", "bold");
    }

    fn text(&mut self, text: &str, size: f64, colour: &str, weight: &str) {
        // Bold letters are up to a sixth wider.
        for line in lines(text, (WIDTH - 2.0 * MARGIN) / 1.17, size) {
            let (x, y, line) = (MARGIN, self.y + SIZE, escaped(&line));
            let _ = writeln!(
                self.body,
                "<text x=\"{x}\" y=\"{y:.1}\" font-size=\"{size}\" font-weight=\"{weight}\" fill=\"{colour}\">{line}</text>"
            );
            self.y += LEADING;
        }
    }

    /// The next token, on a colour of that strength: from -1 over 0 (none) to 1.
    pub(crate) fn token(&mut self, token: &str, strength: f64) {
        let mut rest: &str = &shown(token);
        while !rest.is_empty() {
            if self.x > MARGIN && self.x + text_width(rest, SIZE) > WIDTH - MARGIN {
                self.new_line();
            }
            let (piece, after) = rest.split_at(fitting(rest, WIDTH - 2.0 * MARGIN, SIZE));
            self.piece(piece, strength);
            rest = after;
        }
        if token.contains('\n') {
            self.new_line();
        }
    }

    fn piece(&mut self, piece: &str, strength: f64) {
        let (x, y, width) = (self.x, self.y, text_width(piece, SIZE));
        if strength != 0.0 {
            let is_more = self.colours == Colours::Difference && strength > 0.0;
            let [red, green, blue] = if is_more { ORANGE } else { BLUE };
            let opacity = STRONGEST * strength.abs().min(1.0);
            let _ = writeln!(
                self.body,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"#{red:02x}{green:02x}{blue:02x}\" fill-opacity=\"{opacity:.3}\"/>",
                LEADING - 3.0
            );
        }
        let (y, text) = (y + SIZE, escaped(piece));
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"#1c2024\" xml:space=\"preserve\">{text}</text>"
        );
        self.x += width;
    }

    fn new_line(&mut self) {
        if self.x > MARGIN {
            self.y += LEADING;
        }
        self.x = MARGIN;
    }

    /// The picture as SVG.
    pub(crate) fn svg(mut self) -> String {
        self.new_line();
        let (height, title, body) = (self.y + MARGIN, escaped(&self.title), &self.body);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             role=\"img\" font-family=\"DejaVu Sans, sans-serif\" font-size=\"{SIZE}\"><title>{title}</title>\n\
             <rect width=\"{WIDTH}\" height=\"{height:.0}\" fill=\"#ffffff\"/>\n{body}</svg>\n"
        )
    }
}

/// A text in lines that have room, broken between words, or within one that is longer than a line.
fn lines(text: &str, room: f64, size: f64) -> Vec<String> {
    let mut lines = vec![String::new()];
    for mut word in text.split(' ') {
        while !word.is_empty() {
            let (piece, after) = word.split_at(fitting(word, room, size));
            match lines.last_mut() {
                Some(line) if line.is_empty() => *line = piece.to_owned(),
                Some(line) if text_width(&format!("{line} {piece}"), size) <= room => *line += &format!(" {piece}"),
                _ => lines.push(piece.to_owned()),
            }
            word = after;
        }
    }
    lines
}

/// Bytes of a text that have room beside each other; at least one letter.
fn fitting(text: &str, room: f64, size: f64) -> usize {
    let mut used = 0.0;
    for (at, letter) in text.char_indices() {
        used += text_width(letter.encode_utf8(&mut [0; 4]), size);
        if at > 0 && used > room {
            return at;
        }
    }
    text.len()
}

/// How a token reads on one line.
pub(crate) fn shown(text: &str) -> String {
    let letter = |letter: char| match letter {
        '\n' => '¶',
        '\t' => '⇥',
        letter if letter.is_control() || turns_direction(letter) => '\u{FFFD}',
        letter => letter,
    };
    if text.is_empty() { "∅".into() } else { text.chars().map(letter).collect() }
}

/// Part of the strongest colour for a value: the root keeps small values visible.
pub(crate) fn strength(value: f64, largest: f64) -> f64 {
    if largest > 0.0 { value.signum() * (value.abs() / largest).min(1.0).sqrt() } else { 0.0 }
}
