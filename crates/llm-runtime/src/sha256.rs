//! Hashes, so that a result knows what it was made of.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{Error, input_file};

const PIPE: &str =
    "what comes out of a pipe can be read only once, and its hash is needed as well: write it to a file first";

/// Hex SHA-256 of files one after the other, read in pieces.
///
/// # Errors
/// A file can't be read, or is a pipe: who has read it before would get the hash of nothing.
pub fn sha256_of_files<P: AsRef<Path>>(paths: &[P]) -> Result<String, Error> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    for path in paths.iter().map(AsRef::as_ref) {
        let failed = |source| Error::Io { path: path.into(), source };
        let mut file = input_file::open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(Error::Format { path: path.into(), problem: PIPE.into() });
        }
        loop {
            match file.read(&mut buffer).map_err(failed)? {
                0 => break,
                count => hash.update(&buffer[..count]),
            }
        }
    }
    Ok(hex(&hash.finalize()))
}

/// Hex SHA-256 of bytes or of a text.
pub fn sha256_of(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes.as_ref()))
}

/// Bytes in lower-case hexadecimal, two digits each.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_and_its_bytes_have_the_plain_hash() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!([sha256_of("abc"), sha256_of(b"abc")], [expected, expected]);
    }
}
