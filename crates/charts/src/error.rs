//! The crate's error.

use std::path::PathBuf;

/// What can go wrong when a figure becomes pixels or files. Drawing the SVG itself never fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The scale of a PNG is no usable number.
    #[error("the PNG's scale is {scale}: give a number above 0")]
    Scale {
        /// What was given.
        scale: f32,
    },
    /// The PNG would be too large.
    #[error("the PNG would have {width} × {height} pixels, which is too large: give a smaller scale or figure")]
    TooLarge {
        /// Pixels from left to right.
        width: u64,
        /// Pixels from top to bottom.
        height: u64,
    },
    /// The renderer refused the picture.
    #[error("the figure can't be drawn as PNG: {problem}")]
    Render {
        /// The renderer's answer.
        problem: String,
    },
    /// A file or folder could not be written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn render(problem: impl ToString) -> Self {
        Self::Render { problem: problem.to_string() }
    }
}
