//! The log format of W&B's `.wandb` files: that of LevelDB with a header of its own.
//!
//! The file is cut into blocks of 32 KiB, counted from its beginning with the header. A record is one chunk or several;
//! a chunk never crosses a block: CRC-32 of type and data (u32), length of the data (u16), type (u8), data, all
//! little-endian. Where less than a chunk's header fits, the rest of the block is zeros.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::TrackingError;
use super::checksum::crc32;

/// `:W&B`, the magic number 0xBEE1, version 0.
const FILE_HEADER: [u8; 7] = [b':', b'W', b'&', b'B', 0xE1, 0xBE, 0];
const BLOCK: usize = 32 * 1024;
const CHUNK_HEADER: usize = 7;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// An open log, to which records are appended.
#[derive(Debug)]
pub(super) struct RecordLog {
    path: PathBuf,
    file: File,
    position: usize,
}

impl RecordLog {
    /// Begins a log that does not exist yet.
    pub(super) fn create(path: &Path) -> Result<Self, TrackingError> {
        let mut file = File::create_new(path).map_err(TrackingError::io(path, "make the run's log"))?;
        file.write_all(&FILE_HEADER).map_err(TrackingError::io(path, "write the log's header"))?;
        Ok(Self { path: path.to_owned(), file, position: FILE_HEADER.len() })
    }

    /// Goes on in a log after its first `length` bytes, which end with a record; what follows is cut off.
    pub(super) fn reopen(path: &Path, length: usize) -> Result<Self, TrackingError> {
        let mut file =
            OpenOptions::new().write(true).open(path).map_err(TrackingError::io(path, "open the run's log"))?;
        file.set_len(length as u64)
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .map_err(TrackingError::io(path, "cut off what is no longer valid"))?;
        Ok(Self { path: path.to_owned(), file, position: length })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a record in one write. If that fails, what it left is cut off, for readers stop at a damaged record.
    pub(super) fn append(&mut self, record: &[u8]) -> Result<(), TrackingError> {
        let chunks = chunks(self.position, record);
        if let Err(source) = self.file.write_all(&chunks) {
            let _ = self.file.set_len(self.position as u64);
            let _ = self.file.seek(SeekFrom::End(0));
            return Err(TrackingError::io(&self.path, "append a record")(source));
        }
        self.position += chunks.len();
        Ok(())
    }

    /// Forces all records onto the disk.
    pub(super) fn sync(&self) -> Result<(), TrackingError> {
        self.file.sync_all().map_err(TrackingError::io(&self.path, "write the run's log to the disk"))
    }
}

/// A record that was read.
#[derive(Debug, PartialEq)]
pub(super) struct StoredRecord {
    /// The record.
    pub(super) payload: Vec<u8>,
    /// Where in the file it ends.
    pub(super) end: usize,
}

/// Reads the records of a log up to its end or to the first one that is torn or damaged.
pub(super) fn read_records(path: &Path) -> Result<Vec<StoredRecord>, TrackingError> {
    let content = fs::read(path).map_err(TrackingError::io(path, "read the run's log"))?;
    if !content.starts_with(&FILE_HEADER) {
        return Err(TrackingError::Format { path: path.to_owned(), problem: "not the log of a W&B run".into() });
    }
    let (mut records, mut position) = (Vec::new(), FILE_HEADER.len());
    while let Some(record) = next_record(&content, position) {
        position = record.end;
        records.push(record);
    }
    Ok(records)
}

/// A record as chunks, for a file that is `position` bytes long.
fn chunks(mut position: usize, record: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(record.len() + CHUNK_HEADER);
    let (mut rest, mut is_first) = (record, true);
    loop {
        let left = BLOCK - position % BLOCK;
        if left < CHUNK_HEADER {
            encoded.resize(encoded.len() + left, 0);
            position += left;
            continue;
        }
        let (data, after) = rest.split_at(rest.len().min(left - CHUNK_HEADER));
        push_chunk(&mut encoded, chunk_type(is_first, after.is_empty()), data);
        position += CHUNK_HEADER + data.len();
        (rest, is_first) = (after, false);
        if rest.is_empty() {
            return encoded;
        }
    }
}

fn chunk_type(is_first: bool, is_last: bool) -> u8 {
    match (is_first, is_last) {
        (true, true) => FULL,
        (true, false) => FIRST,
        (false, false) => MIDDLE,
        (false, true) => LAST,
    }
}

fn push_chunk(encoded: &mut Vec<u8>, chunk_type: u8, data: &[u8]) {
    let [low, high, ..] = data.len().to_le_bytes();
    let checked = [&[chunk_type], data].concat();
    encoded.extend(crc32(&checked).to_le_bytes());
    encoded.extend([low, high]);
    encoded.extend(checked);
}

fn next_record(content: &[u8], mut position: usize) -> Option<StoredRecord> {
    let mut payload = Vec::new();
    let mut is_inside = false;
    loop {
        let left = BLOCK - position % BLOCK;
        if left < CHUNK_HEADER {
            position += left;
            continue;
        }
        let (chunk_type, data) = chunk_at(content, position)?;
        position += CHUNK_HEADER + data.len();
        payload.extend(data);
        match (is_inside, chunk_type) {
            (false, FULL) | (true, LAST) => return Some(StoredRecord { payload, end: position }),
            (false, FIRST) | (true, MIDDLE) => is_inside = true,
            _ => return None,
        }
    }
}

fn chunk_at(content: &[u8], position: usize) -> Option<(u8, &[u8])> {
    let header: &[u8; CHUNK_HEADER] = content.get(position..)?.first_chunk()?;
    let [crc @ .., low, high, chunk_type] = header;
    let length = usize::from(u16::from_le_bytes([*low, *high]));
    let checked = content.get(position + CHUNK_HEADER - 1..position + CHUNK_HEADER + length)?;
    (crc32(checked) == u32::from_le_bytes(*crc)).then(|| (*chunk_type, &checked[1..]))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{BLOCK, CHUNK_HEADER, FILE_HEADER, RecordLog, StoredRecord, chunks, read_records};

    fn types_and_lengths(mut position: usize, encoded: &[u8]) -> Vec<(u8, usize)> {
        let file = [vec![0; position], encoded.to_vec()].concat();
        let mut found = Vec::new();
        while position < file.len() {
            let left = BLOCK - position % BLOCK;
            if left < CHUNK_HEADER {
                assert!(file[position..position + left].iter().all(|byte| *byte == 0));
                position += left;
            } else {
                let length = usize::from(u16::from_le_bytes([file[position + 4], file[position + 5]]));
                found.push((file[position + 6], length));
                position += CHUNK_HEADER + length;
            }
        }
        found
    }

    fn payload(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index * 7 + length) as u8).collect()
    }

    fn log_with(folder: &Path, lengths: &[usize]) -> PathBuf {
        let path = folder.join("run.wandb");
        let mut log = RecordLog::create(&path).unwrap();
        for length in lengths {
            log.append(&payload(*length)).unwrap();
        }
        path
    }

    fn payloads(records: Vec<StoredRecord>) -> Vec<Vec<u8>> {
        records.into_iter().map(|record| record.payload).collect()
    }

    #[test]
    fn records_are_split_where_blocks_end() {
        let split = |position, length| types_and_lengths(position, &chunks(position, &payload(length)));
        assert_eq!(split(7, 10), [(1, 10)]);
        assert_eq!(split(7, BLOCK - 14), [(1, BLOCK - 14)]);
        assert_eq!(split(7, BLOCK - 13), [(2, BLOCK - 14), (4, 1)]);
        assert_eq!(split(7, 3 * BLOCK), [(2, BLOCK - 14), (3, BLOCK - 7), (3, BLOCK - 7), (4, 28)]);
        // Room for a header alone makes an empty first chunk; less room is filled.
        assert_eq!(split(BLOCK - 7, 10), [(2, 0), (4, 10)]);
        for rest in 1..CHUNK_HEADER {
            assert_eq!(split(BLOCK - rest, 10), [(1, 10)]);
            assert_eq!(chunks(BLOCK - rest, b"").len(), rest + CHUNK_HEADER);
        }
    }

    #[test]
    fn every_alignment_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        for rest in 0..20 {
            let first = BLOCK - FILE_HEADER.len() - CHUNK_HEADER - rest;
            let path = log_with(folder.path(), &[first, 0, 5, 100_000, 3]);
            let expected: Vec<_> = [first, 0, 5, 100_000, 3].map(payload).into();
            assert_eq!(payloads(read_records(&path).unwrap()), expected, "{rest} bytes left");
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_torn_record_ends_the_log_and_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = log_with(folder.path(), &[10, 70_000]);
        let whole = std::fs::read(&path).unwrap();
        let first_end = FILE_HEADER.len() + CHUNK_HEADER + 10;
        for end in [first_end, first_end + 3, first_end + 8, 40_000, whole.len() - 1] {
            std::fs::write(&path, &whole[..end]).unwrap();
            let records = read_records(&path).unwrap();
            assert_eq!(records, [StoredRecord { payload: payload(10), end: first_end }]);
            RecordLog::reopen(&path, first_end).unwrap().append(&payload(20)).unwrap();
            assert_eq!(payloads(read_records(&path).unwrap()), [payload(10), payload(20)]);
        }
    }

    #[test]
    fn a_damaged_record_ends_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = log_with(folder.path(), &[10, 20, 30]);
        let mut content = std::fs::read(&path).unwrap();
        content[FILE_HEADER.len() + 2 * CHUNK_HEADER + 12] ^= 1;
        std::fs::write(&path, content).unwrap();
        assert_eq!(payloads(read_records(&path).unwrap()), [payload(10)]);
    }
}
