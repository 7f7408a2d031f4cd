//! What stands in an SVG, read as XML.

use charts::{Axis, Bars, Boxes, Estimate, Figure, Heatmap, Lines, Panel, ParallelCoordinates, Scatter, Theme};
use roxmltree::{Document, Node};

const DRAWN: [&str; 9] = ["x", "y", "width", "height", "d", "transform", "viewBox", "font-size", "stroke-width"];

/// XML, accessible, without scripts or references, and with numbers in all that is drawn.
pub(crate) fn assert_is_sound(svg: &str) {
    let document = Document::parse(svg).expect("XML");
    let root = document.root_element();
    assert_eq!(root.attribute("role"), Some("img"));
    for name in ["title", "desc"] {
        assert!(root.children().any(|node| node.has_tag_name(("http://www.w3.org/2000/svg", name))), "{name}");
    }
    for node in document.descendants().filter(Node::is_element) {
        assert!(!matches!(node.tag_name().name(), "script" | "image" | "use" | "style"));
        for attribute in node.attributes().filter(|attribute| DRAWN.contains(&attribute.name())) {
            let text = attribute.value();
            assert!(!text.contains("NaN") && !text.contains("inf") && !text.contains("-0 "), "{text}");
        }
        for side in ["width", "height"].iter().filter_map(|side| node.attribute(*side)) {
            assert!(side.parse::<f64>().is_ok_and(|side| side >= 0.0), "{side}");
        }
    }
}

/// All that is written in a picture.
fn texts(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).expect("XML");
    let texts = document.descendants().filter(|node| node.tag_name().name() == "text");
    texts.filter_map(|node| node.text().map(String::from)).collect()
}

fn count(svg: &str, what: &str) -> usize {
    Document::parse(svg).expect("XML").descendants().filter(|node| node.tag_name().name() == what).count()
}

fn figure(panel: Panel) -> String {
    let svg = Figure::new("Title").panel(panel).svg();
    assert_is_sound(&svg);
    svg
}

#[test]
fn bars_have_a_rectangle_each_and_gaps_are_told() {
    let bars = Bars::new(["a", "b", "c"])
        .series("one", [1.0, 2.0, f64::NAN])
        .series("two", [Estimate::new(3.0).plus_minus(0.5), Estimate::missing()]);
    let svg = figure(Panel::new("panel", bars).y(Axis::linear("value (unit)")));
    // Background, two samples in the legend, three bars.
    assert_eq!(count(&svg, "rect"), 1 + 2 + 3);
    let texts = texts(&svg);
    for text in ["Title", "panel", "a", "b", "c", "one", "two", "value (unit)", "3 values are missing"] {
        assert!(texts.iter().any(|found| found == text), "{text} in {texts:?}");
    }
}

#[test]
fn heatmaps_go_between_colours_of_ones_own() {
    let heatmap = |values: [f64; 3]| Heatmap::new(["row"], ["a", "b", "c"], [values.to_vec()]);
    let fills = |heatmap: Heatmap| -> Vec<String> {
        let svg = figure(Panel::new("", heatmap.between([0, 0, 200], [200, 0, 0]).colours(Axis::root(""))));
        let document = Document::parse(&svg).expect("XML");
        let cells = document.descendants().filter(|node| node.attribute("shape-rendering").is_some()).take(3);
        cells.filter_map(|cell| cell.attribute("fill").map(String::from)).collect()
    };
    // On a scale of roots a quarter is half of the way.
    assert_eq!(fills(heatmap([0.0, 0.25, 1.0])), ["#ffffff", "#e48080", "#c80000"]);
    assert_eq!(fills(heatmap([-1.0, 0.0, 0.25]).diverging(0.0)), ["#0000c8", "#ffffff", "#e48080"]);
}

#[test]
fn no_text_turns_its_neighbours() {
    let svg = figure(Panel::new("one \u{202E}two", Bars::new(["three\u{2067}"]).series("four\u{200F}", [1.0])));
    let texts = texts(&svg);
    for text in ["one \u{FFFD}two", "three\u{FFFD}", "four\u{FFFD}"] {
        assert!(texts.iter().any(|found| found == text), "{text} in {texts:?}");
    }
}

#[test]
fn names_are_never_cut() {
    let name = "a series whose name is much longer than the figure is wide ".repeat(6);
    let svg = figure(Panel::new("", Lines::new().series(name.trim(), [(1.0, 1.0), (2.0, 3.0)])));
    assert!(texts(&svg).join(" ").contains(name.trim()));
}

#[test]
fn many_labels_are_turned_or_thinned_but_not_dropped_where_there_is_room() {
    let labels: Vec<String> = (0..15).map(|index| format!("A Strategy With Number {index}")).collect();
    let svg = figure(Panel::new("", Bars::new(&labels).series("", vec![1.0; 15])));
    assert!(labels.iter().all(|label| texts(&svg).contains(label)) && svg.contains("rotate(-40"));
    let many: Vec<String> = (0..400).map(|index| format!("token {index}")).collect();
    let heatmap = Heatmap::new(["row"], &many, [vec![0.5; 400]]);
    let drawn = texts(&figure(Panel::new("", heatmap))).iter().filter(|text| text.starts_with("token")).count();
    assert!((20..100).contains(&drawn), "{drawn}");
}

#[test]
fn notes_tell_what_has_no_place() {
    let boxes = Boxes::new(["a"]).series("", [vec![1.0, 10.0, 0.0, -1.0, f64::INFINITY]]);
    let told = texts(&figure(Panel::new("", boxes).y(Axis::log10("")))).join("\n");
    assert!(told.contains("1 value is missing") && told.contains("2 values are not above 0"), "{told}");
    let lines = Lines::new().series("", [(0.0, 0.0), (1.0, 5.0)]);
    let told = texts(&figure(Panel::new("", lines).y(Axis::linear("").range(0.0, 1.0)))).join("\n");
    assert!(told.contains("1 value lies outside the axes"), "{told}");
}

#[test]
fn a_fit_is_told() {
    let scatter = Scatter::new().with_fit().series("s", (1..9).map(|x| (f64::from(x), 3.0 - 2.0 * f64::from(x))));
    let told = texts(&figure(Panel::new("", scatter))).join("\n");
    assert!(told.contains("s: y = 3 − 2 x, R² = 1.00"), "{told}");
}

#[test]
fn a_series_keeps_its_colour_in_all_panels() {
    let first = Panel::new("", Bars::new(["a"]).series("x", [1.0]).series("y", [1.0]));
    let second = Panel::new("", Bars::new(["a"]).series("y", [2.0]));
    let svg = Figure::new("").panel(first).panel(second).svg();
    // Its sample and two bars.
    assert_eq!(svg.matches("fill=\"#d55e00\"").count(), 3);
}

#[test]
fn empty_figures_and_themes() {
    assert!(texts(&Figure::new("").svg()).contains(&"no data".to_owned()));
    assert_is_sound(&figure(Panel::new("", Bars::new([""; 0]))));
    assert!(Figure::new("").svg().contains("fill=\"#ffffff\""));
    assert!(!Figure::new("").theme(Theme::Dark).svg().contains("fill=\"#ffffff\""));
}

#[test]
fn parallel_lines_go_over_their_axes_with_gaps_and_strong_ones_on_top() {
    let plot = ParallelCoordinates::new()
        .axis(Axis::linear("loss"), [0.2, 0.9, 0.5])
        .axis(Axis::log10("rate"), [1e-5, f64::NAN, 1e-4])
        .categories("schedule", ["cosine", "linear"], [Some(0), Some(1), None])
        .low_is_strong();
    let svg = figure(Panel::new("", plot));
    let texts = texts(&svg);
    for text in ["loss", "rate", "schedule", "cosine", "linear", "2 values are missing"] {
        assert!(texts.iter().any(|found| found == text), "{text} in {texts:?}");
    }
    let document = Document::parse(&svg).unwrap();
    let lines: Vec<&str> = document
        .descendants()
        .filter(|node| node.attribute("stroke-opacity").is_some())
        .filter_map(|node| node.attribute("d"))
        .collect();
    let corners = |line: &str| (line.matches('M').count(), line.matches('L').count());
    // The largest loss first, whose rate is missing; the smallest last. Each part begins with a dot.
    assert_eq!(lines.iter().map(|line| corners(line)).collect::<Vec<_>>(), [(2, 2), (1, 2), (1, 3)]);
}

#[test]
fn lines_over_points_are_told_apart() {
    let scatter = Scatter::new().series("points", [(0.0, 3.0), (1.0, 2.0)]).line("best", [(0.0, 3.0), (1.0, 2.0)]);
    let svg = figure(Panel::new("", scatter.clone()));
    assert!(texts(&svg).iter().any(|text| text == "best"));
    let csv = Figure::new("").panel(Panel::new("p", scatter)).csv();
    assert!(csv.contains("p,point,points,1,2,") && csv.contains("p,line,best,1,2,"), "{csv}");
}
