//! Lines from standard input.

use std::io::{self, BufRead};

use command_line::Failure;

/// What came in.
pub(crate) enum Line {
    /// A line without its end.
    Text(String),
    /// A line that is no UTF-8.
    NotText,
    /// There is no more.
    End,
}

/// Waits for a line.
pub(crate) fn read_line() -> Result<Line, Failure> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().read_until(b'\n', &mut bytes).map_err(Failure::work)?;
    if read == 0 {
        return Ok(Line::End);
    }
    Ok(String::from_utf8(bytes).map_or(Line::NotText, Line::Text))
}
