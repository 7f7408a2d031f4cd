//! Lines of a file, which may be compressed; one at a time, each with its number.
//!
//! gzip is read here. zstd is read through the program `zstd`: dumps are compressed with windows of up to 2 GiB, which the small decoders refuse.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flate2::bufread::MultiGzDecoder;
use llm_runtime::input_file;
use serde::de::DeserializeOwned;

use super::error::CorpusError;

/// The longest line that is read: no post is longer, and memory stays bounded whatever a file holds.
const LONGEST_LINE: u64 = 64 << 20;
const BUFFER: usize = 1 << 18;

/// Lines of a file, plain, `.gz` or `.zst`.
pub(crate) struct LineSource {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    number: usize,
    decompressor: Option<Child>,
}

/// A line that is not blank.
pub(crate) struct Line {
    /// Its number, from 1.
    pub(crate) number: usize,
    bytes: Vec<u8>,
}

impl LineSource {
    /// Opens a file by the end of its name.
    ///
    /// # Errors
    /// It can't be read, or nothing here decompresses it.
    pub(crate) fn open(path: &Path) -> Result<Self, CorpusError> {
        let file = input_file::open(path).map_err(CorpusError::io(path))?;
        let mut decompressor = None;
        let reader: Box<dyn BufRead> = match extension(path).as_str() {
            "gz" => {
                Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(BufReader::with_capacity(BUFFER, file))))
            }
            "zst" | "zstd" => {
                let mut child = zstd(path, file)?;
                let output = child.stdout.take().ok_or_else(|| CorpusError::format(path, "zstd gave no output"))?;
                decompressor = Some(child);
                Box::new(BufReader::with_capacity(BUFFER, output))
            }
            "bz2" | "xz" | "zip" | "7z" => {
                let problem = "is compressed in a form that is not read here: decompress it first, or into gzip (.gz) or zstd (.zst)";
                return Err(CorpusError::format(path, problem));
            }
            _ => Box::new(BufReader::with_capacity(BUFFER, file)),
        };
        Ok(Self { path: path.to_owned(), reader, number: 0, decompressor })
    }

    /// The next line that is not blank; `None` at the end.
    ///
    /// # Errors
    /// The file can't be read or decompressed to its end, or a line is longer than 64 MiB.
    pub(crate) fn next_line(&mut self) -> Result<Option<Line>, CorpusError> {
        loop {
            let mut bytes = Vec::new();
            let mut limited = (&mut self.reader).take(LONGEST_LINE);
            limited.read_until(b'\n', &mut bytes).map_err(CorpusError::io(&self.path))?;
            if bytes.is_empty() {
                self.check_end()?;
                return Ok(None);
            }
            self.number += 1;
            if bytes.len() as u64 == LONGEST_LINE && bytes.last() != Some(&b'\n') {
                let problem =
                    format!("line {}: is longer than {} MiB: is it JSON Lines?", self.number, LONGEST_LINE >> 20);
                return Err(CorpusError::format(&self.path, problem));
            }
            if !bytes.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(Line { number: self.number, bytes }));
            }
        }
    }

    /// What a line says.
    ///
    /// # Errors
    /// It is not UTF-8, no JSON, or lacks fields.
    pub(crate) fn parse<T: DeserializeOwned>(&self, line: &Line) -> Result<T, CorpusError> {
        let at = |problem: String| CorpusError::record(&self.path, format!("line {}", line.number), problem);
        let text = std::str::from_utf8(&line.bytes).map_err(|error| at(format!("is not UTF-8: {error}")))?;
        serde_json::from_str(text.trim_start_matches('\u{feff}').trim()).map_err(|error| at(json_problem(&error)))
    }

    /// Where a line stands, for errors.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A truncated archive ends like a file that is short: only the program's exit code tells.
    fn check_end(&mut self) -> Result<(), CorpusError> {
        let Some(mut child) = self.decompressor.take() else { return Ok(()) };
        let ended = child.wait().map_err(CorpusError::io(&self.path))?;
        if ended.success() {
            return Ok(());
        }
        Err(CorpusError::format(&self.path, "zstd could not decompress it to its end (its own message stands above)"))
    }
}

impl Drop for LineSource {
    fn drop(&mut self) {
        // Somebody who stops reading early leaves no program behind.
        if let Some(child) = &mut self.decompressor {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A whole small file of JSON, decompressed if need be.
///
/// # Errors
/// It can't be read or is not such JSON.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, CorpusError> {
    let text = input_file::read_text(path).map_err(CorpusError::io(path))?;
    serde_json::from_str(&text).map_err(|error| CorpusError::format(path, error.to_string()))
}

/// The end of a file's name behind the last dot, in small letters.
pub(crate) fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

fn zstd(path: &Path, file: File) -> Result<Child, CorpusError> {
    let spawned = Command::new("zstd").args(["-d", "-q", "-c", "--long=31"]).stdin(file).stdout(Stdio::piped()).spawn();
    spawned.map_err(|error| {
        let problem = format!(
            "zstd files are read through the program `zstd`, which could not be started ({error}): install it, or decompress the file first \
             (zstd -d --long=31)"
        );
        CorpusError::format(path, problem)
    })
}

/// serde's words without its line number, which is always 1 in a single line.
fn json_problem(error: &serde_json::Error) -> String {
    let told = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match told.strip_suffix(&place) {
        Some(problem) => format!("{problem} (column {})", error.column()),
        None => told,
    }
}
