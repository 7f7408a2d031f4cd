//! Draws one figure with every kind of plot: `cargo run -p charts --example gallery -- FOLDER [dark]` (a temporary folder
//! unless one is named).

use charts::{Axis, Bars, Boxes, Estimate, Figure, Format, Heatmap, Histogram, Lines, Panel, Scatter, Theme};

/// Numbers between 0 and 1 that are the same in every run.
fn noise(seed: u32) -> f64 {
    f64::from(seed.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24)
}

fn main() -> Result<(), charts::Error> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(|| std::env::temp_dir().join("gallery"), std::path::PathBuf::from);
    let theme = if arguments.next().is_some() { Theme::Dark } else { Theme::Light };
    let (sizes, layouts) = (["7B", "13B", "70B"], ["standard", "preceded", "expanded"]);

    let (mut bars, mut boxes) = (Bars::new(sizes), Boxes::new(sizes));
    let (mut lines, mut scatter, mut histogram) = (Lines::new(), Scatter::new().with_fit(), Histogram::new(24));
    for (index, layout) in (0_u32..).zip(layouts) {
        let base = 0.35 + 0.12 * f64::from(index);
        bars = bars.series(layout, (0..3).map(|size| Estimate::new(base + 0.07 * f64::from(size)).plus_minus(0.03)));
        let sample = |size: u32| (1..80).map(move |at| 10_f64.powf(base + 4.0 * noise(at * 7 + size + index * 131)));
        boxes = boxes.series(layout, (0..3).map(|size| sample(size).collect::<Vec<_>>()));
        let curve = |at: u32| (f64::from(at), Estimate::new(base + 0.1 * f64::from(at).ln()).plus_minus(0.04));
        lines = lines.series(layout, (1..=12).map(curve));
        let point = |at: u32| (f64::from(at * at * 3), base + 0.004 * f64::from(at) + 0.2 * noise(at + index));
        scatter = scatter.series(layout, (1..60).map(point));
        let normal = |at: u32| (0..6).map(|part| noise(at * 6 + part + index)).sum::<f64>() + base * 3.0;
        histogram = histogram.series(layout, (0..800).map(normal));
    }
    let wave = |row: u32, column: u32| f64::from(row * 3 + column).sin() * f64::from(column) / 8.0;
    let values = (0..6).map(|row| (0..9).map(|column| wave(row, column)).collect());
    let heatmap =
        Heatmap::new((1..=6).map(|row| format!("layer {row}")), (1..=9).map(|at| format!("token {at}")), values);

    Figure::new("Every kind of plot")
        .subtitle("The numbers are made up")
        .columns(2)
        .width(1100.0)
        .theme(theme)
        .panel(Panel::new("Bars", bars).x(Axis::linear("model")).y(Axis::linear("accuracy")))
        .panel(Panel::new("Boxes", boxes).x(Axis::linear("model")).y(Axis::log10("perplexity")))
        .panel(Panel::new("Lines", lines).x(Axis::linear("epoch")).y(Axis::linear("F1")))
        .panel(Panel::new("Points", scatter).x(Axis::log10("length (tokens)")).y(Axis::linear("score")))
        .panel(Panel::new("Histogram", histogram.as_parts()).x(Axis::linear("entropy (nats)")).y(Axis::linear("part")))
        .panel(Panel::new("Heatmap", heatmap.diverging(0.0).colours(Axis::linear("difference")).with_values(1)))
        .note("Whiskers reach 1.5 interquartile ranges; bands are ± 0.04.")
        .write(std::path::Path::new(&folder).join("gallery"), &[Format::Svg, Format::Png, Format::Csv])?;
    Ok(())
}
