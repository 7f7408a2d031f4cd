//! Files that somebody names as input.
//!
//! What is named may be a folder, a device that never ends, or bytes that are no text. Each is told as such, before memory is full of it
//! or a parser stumbles over it. All errors are [`std::io::Error`]s, so that every crate puts them behind the file's name in its own way.
//!
//! A pipe that the shell has opened (`--data <(zcat corpus.gz)`, `/dev/stdin`) is read to its end like a file. A pipe with a name in a folder
//! is refused: opening one waits for a writer, for ever if there is none, and it can't be read twice.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

/// Some editors put it in front of a text; it is no part of it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Opens a file.
///
/// # Errors
/// It can't be opened, or is a folder, a device or a pipe with a name.
pub fn open(path: &Path) -> io::Result<File> {
    match problem(path, &fs::metadata(path)?) {
        Some((kind, problem)) => Err(io::Error::new(kind, problem)),
        None => File::open(path),
    }
}

/// Opens a text to be read line by line, behind its byte order mark.
///
/// # Errors
/// As [`open`], or it can't be read.
pub fn open_lines(path: &Path) -> io::Result<BufReader<File>> {
    let mut lines = BufReader::new(open(path)?);
    if lines.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        lines.consume(BYTE_ORDER_MARK.len());
    }
    Ok(lines)
}

/// Reads all bytes of a file.
///
/// # Errors
/// As [`open`], or it can't be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a text without its byte order mark.
///
/// # Errors
/// As [`read`], and [`text_of`] where the bytes are no text.
pub fn read_text(path: &Path) -> io::Result<String> {
    text_of(read(path)?)
}

/// Reads a text that prompts are made of: as [`read_text`], with `\n` at the end of every line, whatever the editor has put there.
///
/// # Errors
/// As [`read_text`].
pub fn read_template(path: &Path) -> io::Result<String> {
    Ok(read_text(path)?.replace("\r\n", "\n"))
}

/// Bytes of a file as a text without its byte order mark.
///
/// # Errors
/// They are not UTF-8. The error, of the kind [`ErrorKind::InvalidData`], tells the line and the byte, and what to do.
pub fn text_of(mut bytes: Vec<u8>) -> io::Result<String> {
    let no_text = |problem: String| io::Error::new(ErrorKind::InvalidData, problem);
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Err(no_text(
            "line 1, byte 1: not UTF-8 text, UTF-16 by its first two bytes: save the file as UTF-8".into(),
        ));
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        // Places in errors are those of the file: the mark stands in its first line and is counted below.
        bytes.drain(..BYTE_ORDER_MARK.len());
        return String::from_utf8(bytes).map_err(|error| no_text(not_text(error.as_bytes(), error.utf8_error(), 3)));
    }
    String::from_utf8(bytes).map_err(|error| no_text(not_text(error.as_bytes(), error.utf8_error(), 0)))
}

/// Where a text breaks off, counted from 1; `skipped` bytes stood before.
fn not_text(bytes: &[u8], error: std::str::Utf8Error, skipped: usize) -> String {
    let place = error.valid_up_to();
    let line = 1 + bytes[..place].iter().filter(|byte| **byte == b'\n').count();
    format!("line {line}: not UTF-8 text (byte {} of the file): convert the file to UTF-8", place + skipped + 1)
}

/// Why what stands at a path is no file that can be read to its end.
#[cfg(unix)]
fn problem(path: &Path, metadata: &fs::Metadata) -> Option<(ErrorKind, &'static str)> {
    use std::io::IsTerminal;
    use std::os::unix::fs::FileTypeExt;

    let kind = metadata.file_type();
    if kind.is_dir() {
        return Some((ErrorKind::IsADirectory, "it is a folder: a file is expected"));
    }
    if kind.is_fifo() && !is_of_this_process(path) {
        let problem =
            "it is a pipe, which waits for a writer and can be read only once: write its text to a file first";
        return Some((ErrorKind::InvalidInput, problem));
    }
    let is_keyboard = || is_of_this_process(path) && File::open(path).is_ok_and(|file| file.is_terminal());
    if (kind.is_char_device() || kind.is_block_device()) && !is_keyboard() {
        return Some((ErrorKind::InvalidInput, "it is a device, which may have no end: a file is expected"));
    }
    None
}

#[cfg(not(unix))]
fn problem(_: &Path, metadata: &fs::Metadata) -> Option<(ErrorKind, &'static str)> {
    metadata.is_dir().then_some((ErrorKind::IsADirectory, "it is a folder: a file is expected"))
}

/// Whether the path names what this process has open already, as the shell's `<(…)` does.
#[cfg(unix)]
fn is_of_this_process(path: &Path) -> bool {
    path == Path::new("/dev/stdin") || ["/dev/fd", "/proc/self/fd"].iter().any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn a_text_comes_without_its_mark_and_with_its_line_ends() {
        for (bytes, text) in
            [(&b"\xEF\xBB\xBFa\r\nb"[..], "a\r\nb"), (b"\xEF\xBB\xBF", ""), (b"", ""), ("é".as_bytes(), "é")]
        {
            let (_folder, path) = written(bytes);
            assert_eq!(read_text(&path).unwrap(), text);
            assert_eq!(read_template(&path).unwrap(), text.replace('\r', ""));
            let mut lines = String::new();
            open_lines(&path).unwrap().read_to_string(&mut lines).unwrap();
            assert_eq!(lines, text);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_told_with_line_and_byte() {
        for (bytes, says) in [
            (&b"ab\ncaf\xE9\n"[..], "line 2: not UTF-8 text (byte 7 of the file)"),
            (b"\xEF\xBB\xBFa\n\xC3", "line 2: not UTF-8 text (byte 6 of the file)"),
            (b"\xFF\xFEa\x00", "not UTF-8 text, UTF-16"),
        ] {
            let error = text_of(bytes.to_vec()).unwrap_err();
            assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains(says), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_has_no_end_or_is_no_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(place("pipe")).status().unwrap().success());
        std::os::unix::fs::symlink(place("one"), place("other")).unwrap();
        std::os::unix::fs::symlink(place("other"), place("one")).unwrap();
        std::os::unix::fs::symlink(place("nothing"), place("dangling")).unwrap();
        for (path, says) in [
            (folder.path().to_path_buf(), "a folder"),
            (place("pipe"), "a pipe"),
            ("/dev/zero".into(), "a device"),
            (place("one"), "symbolic links"),
            (place("dangling"), "No such file"),
        ] {
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(says), "{}: {error}", path.display());
        }
    }
}
