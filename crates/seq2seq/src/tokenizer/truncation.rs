//! Which end of a sequence gives way when it is too long.

/// The end that is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TruncationSide {
    /// The beginning goes: of a dialogue, the newest turns stay.
    Left,
    /// The end goes.
    Right,
}

/// The most ids that a sequence may have, and what happens to longer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncation {
    /// How many ids may stay, those around a text included.
    pub longest: usize,
    /// Which end is cut off.
    pub side: TruncationSide,
}

impl Truncation {
    /// At most `longest` ids; the beginning goes.
    pub fn left(longest: usize) -> Self {
        Self { longest, side: TruncationSide::Left }
    }

    /// At most `longest` ids; the end goes.
    pub fn right(longest: usize) -> Self {
        Self { longest, side: TruncationSide::Right }
    }

    /// What is left of these ids.
    pub fn cut(self, ids: &[u32]) -> &[u32] {
        let kept = self.longest.min(ids.len());
        match self.side {
            TruncationSide::Left => &ids[ids.len() - kept..],
            TruncationSide::Right => &ids[..kept],
        }
    }
}
