//! From SVG to pixels, with the embedded font alone, so that every machine draws the same.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use crate::error::Error;
use crate::text::{BOLD, REGULAR};

const MOST_PIXELS: u64 = 200_000_000;
const LONGEST_SIDE: u64 = 32_000;
const FAMILY: &str = "DejaVu Sans";

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(REGULAR.to_vec());
    fonts.load_font_data(BOLD.to_vec());
    fonts.set_sans_serif_family(FAMILY);
    Arc::new(fonts)
});

/// Draws any SVG with the embedded font alone; `scale` pixels per unit.
///
/// # Errors
/// The text is no SVG, the scale is not positive, or the picture would be too large.
pub fn png_of_svg(svg: &str, scale: f32) -> Result<Vec<u8>, Error> {
    if !(scale > 0.0 && scale.is_finite()) {
        return Err(Error::Scale { scale });
    }
    let options = Options { font_family: FAMILY.to_owned(), fontdb: FONTS.clone(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(Error::render)?;
    let pixels = |side: f32| (f64::from(side) * f64::from(scale)).round().max(1.0) as u64;
    let (width, height) = (pixels(tree.size().width()), pixels(tree.size().height()));
    let mut pixmap = pixmap(width, height)?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(Error::render)
}

fn pixmap(width: u64, height: u64) -> Result<Pixmap, Error> {
    let too_large = Error::TooLarge { width, height };
    if width > LONGEST_SIDE || height > LONGEST_SIDE || width * height > MOST_PIXELS {
        return Err(too_large);
    }
    Pixmap::new(width as u32, height as u32).ok_or(too_large)
}
