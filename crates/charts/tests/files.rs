//! PNG, CSV and files.

use charts::{Bars, Boxes, Error, Estimate, Figure, Format, Histogram, Panel};

fn figure() -> Figure {
    let bars = Bars::new(["plain", "a, \"b\"\nc"]).series("s", [Estimate::new(0.5).between(0.25, 0.75), (-0.0).into()]);
    Figure::new("Title ± 1").width(400.0).panel(Panel::new("p", bars))
}

fn size(png: &[u8]) -> (u32, u32) {
    let number = |at: usize| u32::from_be_bytes([png[at], png[at + 1], png[at + 2], png[at + 3]]);
    (number(16), number(20))
}

#[test]
fn a_png_has_the_size_of_the_figure_and_its_text() {
    let png = figure().png(1.5).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    assert_eq!(size(&png).0, 600);
    assert_eq!(png, figure().png(1.5).unwrap());
    let other = Figure::new("Other").width(400.0).panel(Panel::new("p", Bars::new(["plain"])));
    assert_ne!(Figure::new("Text").width(400.0).png(1.0).unwrap(), Figure::new("Texx").width(400.0).png(1.0).unwrap());
    assert!(size(&other.png(1.0).unwrap()).1 > 300);
}

#[test]
fn letters_that_the_font_lacks_and_values_without_a_place_do_no_harm() {
    let bars = Bars::new(["日本語", "🙂 <&\"'>", "\u{202e}עברית"]).series("\u{0}", [f64::NAN, f64::MAX, -1e-300]);
    let figure = Figure::new("é".repeat(500)).panel(Panel::new("", bars.horizontal().with_values(3)));
    assert!(size(&figure.png(0.5).unwrap()).1 > 50);
}

#[test]
fn scales_that_make_no_sense_are_refused() {
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(matches!(figure().png(scale), Err(Error::Scale { .. })), "{scale}");
    }
    assert!(matches!(figure().png(1e6), Err(Error::TooLarge { .. })));
}

#[test]
fn csv_is_long_and_escaped() {
    assert_eq!(
        figure().csv(),
        "panel,kind,series,x,y,low,high,x_low,x_high\n\
         p,bar,s,plain,0.5,0.25,0.75,,\n\
         p,bar,s,\"a, \"\"b\"\"\nc\",0,,,,\n"
    );
}

#[test]
fn csv_holds_samples_and_what_is_drawn_of_them() {
    let boxes = Boxes::new(["a"]).series("s", [vec![1.0, 2.0, 3.0, 4.0, 100.0, f64::NAN]]);
    let csv = Figure::new("").panel(Panel::new("", boxes)).csv();
    for row in ["1,box,s,a,3,2,4,,", "1,whiskers,s,a,,1,4,,", "1,value,s,a,100,,,,", "1,value,s,a,,,,,"] {
        assert!(csv.lines().any(|line| line == row), "{row} in {csv}");
    }
    let histogram = Histogram::new(2).series("s", [0.0, 1.0, 1.5, 2.0]);
    let csv = Figure::new("").panel(Panel::new("", histogram)).csv();
    assert!(csv.ends_with("1,bin,s,0.5,1,,,0,1\n1,bin,s,1.5,3,,,1,2\n"), "{csv}");
}

#[test]
fn files_keep_the_dots_of_their_stem() {
    let folder = tempfile::tempdir().unwrap();
    let stem = folder.path().join("deep").join("llama-3.1");
    let files = figure().write(&stem, &[Format::Svg, Format::Png, Format::Csv]).unwrap();
    let names: Vec<_> = files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
    assert_eq!(names, ["llama-3.1.svg", "llama-3.1.png", "llama-3.1.csv"]);
    assert_eq!(std::fs::read_to_string(&files[0]).unwrap(), figure().svg());
    let problem = figure().write(files[0].join("below"), &[Format::Svg]).unwrap_err();
    assert!(problem.to_string().contains("llama-3.1.svg"), "{problem}");
}
