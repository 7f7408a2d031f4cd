//! The paraphrase index in a file, so that it is built once.
//!
//! The file opens with what it is, the version of the format and the table it was made from; then the index, under a checksum. A
//! file that is not exactly what it should be is no index: it is built anew and replaced. Numbers are little-endian.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::paraphrase_index::{ParaphraseIndex, TableWord};

const MAGIC: [u8; 8] = *b"SLCMETPI";
const VERSION: u64 = 1;
/// Magic, then eight numbers of 64 bits.
const HEADER: usize = 9 * 8;
/// Bytes at each end of the source that are read to tell whether it has changed. The last ones hold gzip's own checksum.
const SAMPLE: u64 = 1 << 16;

/// Which file an index was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    size: u64,
    /// Nanoseconds since 1970.
    modified: u64,
    /// Checksum of the start and the end.
    sample: u64,
}

impl Source {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut sample = Vec::new();
        (&mut file).take(SAMPLE).read_to_end(&mut sample)?;
        file.seek(SeekFrom::Start(metadata.len().saturating_sub(SAMPLE)))?;
        file.take(SAMPLE).read_to_end(&mut sample)?;
        Ok(Self { size: metadata.len(), modified: modified.as_nanos() as u64, sample: checksum(&sample) })
    }
}

/// The index's file in a folder of caches. Tables of different contents have different files.
pub(super) fn file_in(folder: &Path, source: &Source) -> PathBuf {
    folder.join(format!("meteor-paraphrases-{:016x}.index", source.sample))
}

/// The index that a file holds, if it holds the one of this source, whole.
pub(super) fn load(path: &Path, source: &Source) -> Option<ParaphraseIndex> {
    decode(std::fs::read(path).ok()?, source)
}

/// Writes an index, atomically: whoever reads the file meanwhile has the old one or the new one.
pub(super) fn save(path: &Path, source: &Source, index: &ParaphraseIndex) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let unfinished = path.with_extension(format!("index.{}-{:x}", std::process::id(), unique_number()));
    let written = write_file(&unfinished, &encode(source, index)).and_then(|()| std::fs::rename(&unfinished, path));
    if written.is_err() {
        // The first problem is the one to report.
        std::fs::remove_file(&unfinished).ok();
    }
    written
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Tells apart what two threads write at the same time.
fn unique_number() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn encode(source: &Source, index: &ParaphraseIndex) -> Vec<u8> {
    let mut words: Vec<_> = index.words.iter().collect();
    words.sort_unstable_by_key(|(_, number)| **number);
    let words = words.into_iter().map(|(word, _)| &**word).collect::<Vec<_>>().join("\n");

    let mut payload = Vec::new();
    payload.extend_from_slice(&index.paraphrases);
    payload.extend(index.labels.iter().flat_map(|label| label.to_le_bytes()));
    payload.extend(index.first_child.iter().flat_map(|child| child.to_le_bytes()));
    payload.extend(index.first_paraphrase.iter().flat_map(|paraphrase| paraphrase.to_le_bytes()));
    payload.extend_from_slice(words.as_bytes());

    let header = [
        VERSION,
        source.size,
        source.modified,
        source.sample,
        index.paraphrases.len() as u64,
        index.labels.len() as u64,
        words.len() as u64,
        checksum(&payload),
    ];
    let mut bytes = MAGIC.to_vec();
    bytes.extend(header.iter().flat_map(|number| number.to_le_bytes()));
    bytes.append(&mut payload);
    bytes
}

fn decode(mut bytes: Vec<u8>, source: &Source) -> Option<ParaphraseIndex> {
    let (header, payload) = bytes.split_at_checked(HEADER)?;
    let (magic, numbers) = header.split_at_checked(MAGIC.len())?;
    let mut numbers = numbers.chunks_exact(8).filter_map(|number| Some(u64::from_le_bytes(number.try_into().ok()?)));
    let mut next = || numbers.next();
    let version = next()?;
    let found = Source { size: next()?, modified: next()?, sample: next()? };
    let [paraphrases, nodes, words] = [next()?, next()?, next()?].map(|length| usize::try_from(length).ok());
    let (paraphrases, nodes, words) = (paraphrases?, nodes?, words?);
    let is_valid =
        magic == MAGIC && version == VERSION && found == *source && next()? == checksum(payload) && nodes > 0;
    if !is_valid {
        return None;
    }

    let mut rest = payload.get(paraphrases..)?;
    let mut take = |length: usize| {
        let (taken, after) = rest.split_at_checked(length)?;
        rest = after;
        Some(taken)
    };
    let starts = nodes.checked_add(1)?.checked_mul(4)?;
    let labels =
        take(nodes.checked_mul(2)?)?.chunks_exact(2).map(|label| TableWord::from_le_bytes([label[0], label[1]]));
    let labels = labels.collect();
    let first_child = numbers_of(take(starts)?);
    let first_paraphrase = numbers_of(take(starts)?);
    let words = words_of(take(words)?)?;
    if !rest.is_empty() {
        return None;
    }
    bytes.truncate(HEADER + paraphrases);
    bytes.drain(..HEADER);
    Some(ParaphraseIndex { words, labels, first_child, first_paraphrase, paraphrases: bytes })
}

fn numbers_of(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|number| u32::from_le_bytes([number[0], number[1], number[2], number[3]])).collect()
}

fn words_of(bytes: &[u8]) -> Option<HashMap<Box<str>, TableWord>> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.lines().enumerate().map(|(number, word)| Some((word.into(), TableWord::try_from(number).ok()?))).collect()
}

/// A checksum against accidents, not against intent: eight bytes at a time, as fast as memory.
fn checksum(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |sum: u64, number: u64| (sum ^ number).wrapping_mul(FACTOR).rotate_left(29);
    let chunks = bytes.chunks_exact(8);
    let mut last = [0; 8];
    last.iter_mut().zip(chunks.remainder()).for_each(|(place, byte)| *place = *byte);
    let whole = chunks.fold(bytes.len() as u64, |sum, chunk| {
        let number = chunk.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        mix(sum, number)
    });
    let sum = mix(whole, u64::from_le_bytes(last));
    sum ^ sum >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "0.5\na lot\nmany\n0.1\na lot\na great deal\n0.3\nmany\na lot\n";
    const SOURCE: Source = Source { size: 1, modified: 2, sample: 3 };

    fn index() -> ParaphraseIndex {
        ParaphraseIndex::parse(TABLE.as_bytes()).unwrap()
    }

    #[test]
    fn an_index_comes_back_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(&folder.path().join("new"), &SOURCE);
        save(&path, &SOURCE, &index()).unwrap();
        assert_eq!(load(&path, &SOURCE), Some(index()));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn an_index_of_another_source_is_not_taken() {
        let bytes = encode(&SOURCE, &index());
        for other in [Source { size: 9, ..SOURCE }, Source { modified: 9, ..SOURCE }, Source { sample: 9, ..SOURCE }] {
            assert_eq!(decode(bytes.clone(), &other), None);
        }
    }

    #[test]
    fn no_byte_can_change_and_none_be_missing() {
        let bytes = encode(&SOURCE, &index());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            assert_eq!(decode(changed, &SOURCE), None, "byte {at}");
            assert_eq!(decode(bytes[..at].to_vec(), &SOURCE), None, "{at} bytes");
        }
    }

    #[test]
    fn nonsense_under_a_valid_checksum_is_harmless() {
        let nonsense: Vec<u8> = (0..240_u32).map(|number| ((number * 7919) >> 3) as u8).collect();
        let words: HashMap<_, _> = [("a".into(), 0), ("b".into(), 1)].into();
        let labels: Vec<_> = nonsense.iter().map(|byte| TableWord::from(byte % 2)).collect();
        let numbers: Vec<_> = nonsense.iter().map(|byte| u32::from(*byte)).chain([u32::MAX]).collect();
        let index = ParaphraseIndex {
            words,
            labels,
            first_child: numbers.clone(),
            first_paraphrase: numbers.into_iter().rev().collect(),
            paraphrases: nonsense,
        };
        let index = decode(encode(&SOURCE, &index), &SOURCE).unwrap();
        let text: Vec<_> = ["a", "b", "a", "c"].map(|word| index.word(word)).into_iter().cycle().take(60).collect();
        let mut finder = super::super::paraphrase_index::PhraseFinder::default();
        finder.find(&index, &text, &text, |phrase, paraphrase| assert!(phrase.length > 0 && paraphrase.length > 0));
    }
}
