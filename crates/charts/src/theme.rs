//! Colours: of paper and ink, of series, and of the cells of heatmaps.

/// Background and ink of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Theme {
    /// Dark ink on white.
    #[default]
    Light,
    /// Light ink on near-black.
    Dark,
}

/// A colour in sRGB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Colour(pub(crate) u8, pub(crate) u8, pub(crate) u8);

impl Colour {
    pub(crate) fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// This colour with a `part` of another one.
    pub(crate) fn mixed(self, other: Self, part: f64) -> Self {
        let mix = |own: u8, other: u8| (f64::from(own) + (f64::from(other) - f64::from(own)) * part).round() as u8;
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }

    /// As dark as this colour is light.
    pub(crate) fn opposite(self) -> Self {
        Self(255 - self.0, 255 - self.1, 255 - self.2)
    }

    /// Black or white, whichever is easier to read on this colour.
    pub(crate) fn ink_on(self) -> &'static str {
        let linear = |part: u8| (f64::from(part) / 255.0).powf(2.2);
        let luminance = 0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2);
        if luminance > 0.25 { "#111" } else { "#fff" }
    }
}

impl Theme {
    pub(crate) fn paper(self) -> Colour {
        match self {
            Self::Light => Colour(255, 255, 255),
            Self::Dark => Colour(24, 26, 31),
        }
    }

    /// Titles and texts that are read first.
    pub(crate) fn ink(self) -> &'static str {
        match self {
            Self::Light => "#222",
            Self::Dark => "#eee",
        }
    }

    /// Tick labels and notes.
    pub(crate) fn faint_ink(self) -> &'static str {
        match self {
            Self::Light => "#555",
            Self::Dark => "#b4b8c0",
        }
    }

    pub(crate) fn frame(self) -> &'static str {
        match self {
            Self::Light => "#666",
            Self::Dark => "#9a9fa8",
        }
    }

    pub(crate) fn grid(self) -> &'static str {
        match self {
            Self::Light => "#e4e4e4",
            Self::Dark => "#3a3d45",
        }
    }

    /// A cell of a heatmap that has no value.
    pub(crate) fn missing(self) -> Colour {
        match self {
            Self::Light => Colour(217, 217, 217),
            Self::Dark => Colour(74, 77, 85),
        }
    }

    /// The colour of series number `index`: Okabe and Ito's, which most colour-blind people can tell apart, in an order
    /// that puts strong contrasts first. After eight they come again, paler.
    pub(crate) fn series(self, index: usize) -> Colour {
        let colour = match (index % 8, self) {
            (0, Self::Light) => Colour(0, 114, 178),
            (0, Self::Dark) => Colour(60, 150, 215),
            (1, _) => Colour(213, 94, 0),
            (2, _) => Colour(0, 158, 115),
            (3, _) => Colour(204, 121, 167),
            (4, _) => Colour(230, 159, 0),
            (5, _) => Colour(86, 180, 233),
            (6, Self::Light) => Colour(60, 60, 60),
            (6, Self::Dark) => Colour(225, 225, 225),
            _ => Colour(240, 228, 66).mixed(Colour(0, 0, 0), 0.2),
        };
        if (index / 8).is_multiple_of(2) { colour } else { colour.mixed(Colour(255, 255, 255), 0.5) }
    }

    /// From little (near the paper's colour) to much; `part` goes from 0 to 1.
    pub(crate) fn sequential(self, part: f64) -> Colour {
        let light = [Colour(247, 251, 255), Colour(198, 219, 239), Colour(107, 174, 214), Colour(33, 113, 181)];
        let stops = match self {
            Self::Light => [light[0], light[1], light[2], light[3], Colour(8, 48, 107)],
            Self::Dark => [Colour(28, 34, 48), Colour(24, 70, 128), light[3], light[2], Colour(222, 240, 255)],
        };
        between(&stops, part)
    }

    /// From blue below over the paper's colour to red above; `part` goes from 0 to 1.
    pub(crate) fn diverging(self, part: f64) -> Colour {
        let middle = match self {
            Self::Light => Colour(247, 247, 247),
            Self::Dark => Colour(44, 47, 54),
        };
        let (low, high) = match self {
            Self::Light => (Colour(5, 60, 120), Colour(140, 15, 30)),
            Self::Dark => (Colour(146, 205, 245), Colour(250, 170, 140)),
        };
        between(&[low, Colour(67, 147, 195), middle, Colour(214, 96, 77), high], part)
    }
}

fn between(stops: &[Colour; 5], part: f64) -> Colour {
    let place = part.clamp(0.0, 1.0) * 4.0;
    let index = (place.floor() as usize).min(3);
    stops[index].mixed(stops[index + 1], place - index as f64)
}
