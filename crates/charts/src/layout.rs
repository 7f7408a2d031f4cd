//! Where titles, legend, panels and notes stand.

use crate::canvas::{Canvas, Style};
use crate::figure::Figure;
use crate::legend;
use crate::palette::Palette;
use crate::panel::Panel;
use crate::plots::Drawn;
use crate::text::{LINE, bold_width, width, wrapped};

const MARGIN: f64 = 18.0;
const TITLE: f64 = 16.0;
const SUBTITLE: f64 = 12.5;
const PANEL_TITLE: f64 = 13.0;
const NOTE: f64 = 10.5;
const BETWEEN: f64 = 22.0;
const NARROWEST: f64 = 140.0;

/// The whole figure.
pub(crate) fn svg(figure: &Figure) -> String {
    let series = figure.panels.iter().flat_map(|panel| panel.plot.drawable().series());
    let palette = Palette::new(figure.theme, series);
    let mut page = Page { canvas: Canvas::new(figure.theme), y: MARGIN, room: figure.width - 2.0 * MARGIN };
    page.draw_head(figure);
    page.draw_legend(&palette);
    let columns = page.columns(figure);
    for row in figure.panels.chunks(columns) {
        page.draw_row(figure, row, columns as f64, &palette);
    }
    if figure.panels.is_empty() {
        page.lines(MARGIN, page.room, "no data", NOTE + 1.5, Weight::Faint);
    }
    if !figure.note.is_empty() {
        page.lines(MARGIN, page.room, &figure.note, NOTE, Weight::Faint);
    }
    page.canvas.document(figure.width, page.y + MARGIN - 6.0, &figure.title, &described(figure))
}

fn described(figure: &Figure) -> String {
    let panels = figure.panels.iter().map(Panel::described);
    let texts = [figure.subtitle.clone()].into_iter().chain(panels).chain([figure.note.clone()]);
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

#[derive(Clone, Copy, PartialEq)]
enum Weight {
    Bold,
    Faint,
}

/// A figure that grows downwards.
struct Page {
    canvas: Canvas,
    y: f64,
    room: f64,
}

impl Page {
    /// As many columns as are asked for and have room.
    fn columns(&self, figure: &Figure) -> usize {
        let most = ((self.room + BETWEEN) / (NARROWEST + BETWEEN)).floor() as usize;
        figure.columns.min(figure.panels.len()).min(most).max(1)
    }

    fn draw_head(&mut self, figure: &Figure) {
        if !figure.title.is_empty() {
            self.lines(MARGIN, self.room, &figure.title, TITLE, Weight::Bold);
        }
        if !figure.subtitle.is_empty() {
            self.y += 2.0;
            self.lines(MARGIN, self.room, &figure.subtitle, SUBTITLE, Weight::Faint);
        }
        self.y += 8.0;
    }

    fn draw_legend(&mut self, palette: &Palette<'_>) {
        let mut canvas = Canvas::new(self.canvas.theme);
        let height = legend::draw(&mut canvas, palette, self.room);
        if height > 0.0 {
            self.canvas.place((MARGIN, self.y), &canvas, "legend");
            self.y += height + 6.0;
        }
    }

    /// Panels beside each other; their areas begin at the same height.
    fn draw_row(&mut self, figure: &Figure, panels: &[Panel], columns: f64, palette: &Palette<'_>) {
        let width = (self.room - BETWEEN * (columns - 1.0)) / columns;
        let top = self.y;
        let left = |index: usize| MARGIN + (width + BETWEEN) * index as f64;
        let mut plot_top = top;
        for (index, panel) in panels.iter().enumerate() {
            self.y = top;
            if !panel.title.is_empty() {
                self.lines(left(index), width, &panel.title, PANEL_TITLE, Weight::Bold);
            }
            plot_top = self.y.max(plot_top);
        }
        plot_top += 9.0;
        let mut bottom = plot_top;
        for (index, panel) in panels.iter().enumerate() {
            let drawn = panel.plot.drawable().draw(&panel.space(width, figure.panel_height), palette, figure.theme);
            self.draw_panel((left(index), plot_top), width, &drawn);
            bottom = self.y.max(bottom);
        }
        self.y = bottom + 16.0;
    }

    fn draw_panel(&mut self, at: (f64, f64), width: f64, drawn: &Drawn) {
        self.canvas.place(at, &drawn.canvas, "panel");
        self.y = at.1 + drawn.height + 8.0;
        for note in &drawn.notes {
            self.lines(at.0, width, note, NOTE, Weight::Faint);
        }
    }

    fn lines(&mut self, x: f64, room: f64, text: &str, size: f64, weight: Weight) {
        let (style, measure): (Style, fn(&str, f64) -> f64) = match weight {
            Weight::Bold => (Style::new(size, self.canvas.theme.ink()).bold(), bold_width),
            Weight::Faint => (Style::new(size, self.canvas.theme.faint_ink()), width),
        };
        for line in wrapped(text, room, |text| measure(text, size)) {
            self.canvas.text((x, self.y + size), &line, style);
            self.y += size * LINE;
        }
    }
}
