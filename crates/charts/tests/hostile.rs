//! Whatever the values and texts are: the SVG is XML without nonsense, and nothing panics.

use charts::{
    Axis, Bars, Boxes, Estimate, Figure, Heatmap, Histogram, Lines, Panel, ParallelCoordinates, Plot, Scatter,
};
use proptest::prelude::*;

use crate::structure::assert_is_sound;

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1e3..1e3_f64,
        2 => any::<f64>(),
        1 => prop::sample::select(vec![
            f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, 1e99,
            -1e99, 1e-99, 0.1 + 0.2,
        ]),
    ]
}

fn label() -> impl Strategy<Value = String> {
    let odd = [
        "",
        "<&\">'",
        "]]>",
        "λ → ∞ ± 1",
        "日本語",
        "left \u{202E}turned",
        "\u{0}\u{7}\n\u{FFFF}",
        "🙂",
        "a very long label ".repeat(30).leak(),
    ];
    prop_oneof![2 => prop::sample::select(odd.to_vec()).prop_map(String::from), 1 => "\\PC{0,20}"]
}

fn axis() -> impl Strategy<Value = Axis> {
    (0..3, label(), prop::option::of((value(), value()))).prop_map(|(kind, title, range)| {
        let axis = match kind {
            0 => Axis::linear(title),
            1 => Axis::log10(title),
            _ => Axis::root(title),
        };
        range.map_or(axis.clone(), |(low, high)| axis.range(low, high))
    })
}

fn estimate() -> impl Strategy<Value = Estimate> {
    (value(), prop::option::of((value(), value()))).prop_map(|(value, interval)| Estimate { value, interval })
}

/// Names with values and points, from which every kind of plot is made.
type Data = Vec<(String, Vec<(f64, Estimate)>)>;

fn data() -> impl Strategy<Value = Data> {
    prop::collection::vec((label(), prop::collection::vec((value(), estimate()), 0..9)), 0..4)
}

fn plots(labels: &[String], data: &Data, middle: f64) -> Vec<Plot> {
    let (mut bars, mut boxes, mut lines) = (Bars::new(labels).with_values(2), Boxes::new(labels), Lines::new());
    let (mut scatter, mut histogram) = (Scatter::new().with_fit(), Histogram::new(7));
    let mut parallel = ParallelCoordinates::new();
    for (name, points) in data {
        let xs: Vec<f64> = points.iter().map(|(x, _)| *x).collect();
        bars = bars.series(name, points.iter().map(|(_, y)| *y));
        boxes = boxes.series(name, points.chunks(3).map(|part| part.iter().map(|(x, _)| *x).collect::<Vec<_>>()));
        lines = lines.series(name, points.iter().copied());
        scatter = scatter.series(name, points.iter().map(|(x, y)| (*x, y.value)));
        scatter = scatter.line(format!("{name} too"), points.iter().map(|(x, y)| (y.value, *x)));
        parallel = parallel.axis(Axis::log10(name), points.iter().map(|(x, _)| *x));
        parallel = parallel.categories(name, labels, (0..points.len()).map(|place| place.checked_sub(1)));
        histogram = histogram.series(name, xs);
    }
    let rows = || data.iter().map(|(_, points)| points.iter().map(|(x, _)| *x).collect());
    vec![
        bars.clone().into(),
        bars.horizontal().into(),
        boxes.into(),
        lines.with_diagonal().into(),
        scatter.into(),
        parallel.clone().into(),
        parallel.low_is_strong().into(),
        histogram.clone().into(),
        histogram.as_parts().into(),
        Heatmap::new(labels, labels, rows()).with_values(3).into(),
        Heatmap::new(labels, labels, rows()).diverging(middle).colours(Axis::log10("c")).into(),
        Heatmap::new(labels, labels, rows()).between([9; 3], [200, 0, 0]).colours(Axis::root("c")).into(),
        Heatmap::new(labels, labels, rows()).between([9; 3], [200, 0, 0]).diverging(middle).into(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn figures_are_sound(
        title in label(), labels in prop::collection::vec(label(), 0..6), data in data(), x in axis(), y in axis(),
        width in value(), columns in 0..14_usize,
    ) {
        let mut figure = Figure::new(&title).subtitle(&title).note(&title).width(width).columns(columns);
        for plot in plots(&labels, &data, width) {
            figure = figure.panel(Panel::new(&title, plot).x(x.clone()).y(y.clone()).height(width));
        }
        assert_is_sound(&figure.svg());
        prop_assert_eq!(figure.svg(), figure.svg());
        for field in figure.csv().split(',') {
            prop_assert!(!matches!(field, "NaN" | "inf" | "-inf" | "-0"), "{}", field);
        }
    }
}
