//! The paraphrase index in a file, so that it is built once.
//!
//! The file opens with what it is, the version of the format and the table it was made from; then the index, under a checksum. A
//! file that is not exactly what it should be is no index: it is built anew and replaced. Numbers are little-endian.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::paraphrase_index::{Node, ParaphraseIndex, TableWord};
use super::sorted_lines::SortedLines;

const MAGIC: [u8; 8] = *b"SLCMETPI";
const VERSION: u64 = 1;
/// Magic, then nine numbers of 64 bits.
const HEADER: usize = 10 * 8;
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
    let file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    decode(file, length, source)
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
    let mut trie = Vec::new();
    trie.extend(index.labels.iter().flat_map(|label| label.to_le_bytes()));
    for node in &index.nodes {
        trie.extend(node.child.to_le_bytes());
        trie.extend(node.paraphrase.to_le_bytes());
    }
    trie.extend(index.numbers.iter().flat_map(|number| number.to_le_bytes()));
    trie.extend_from_slice(index.words.text().as_bytes());

    let header = [
        VERSION,
        source.size,
        source.modified,
        source.sample,
        index.labels.len() as u64,
        index.numbers.len() as u64,
        index.paraphrases.len() as u64,
        checksum(&index.paraphrases),
        checksum(&trie),
    ];
    let mut bytes = MAGIC.to_vec();
    bytes.extend(header.iter().flat_map(|number| number.to_le_bytes()));
    bytes.extend_from_slice(&index.paraphrases);
    bytes.append(&mut trie);
    bytes
}

/// Reads an index of so many bytes. Nothing is allocated that the bytes could not fill.
fn decode(mut file: impl Read, length: u64, source: &Source) -> Option<ParaphraseIndex> {
    let header = read(&mut file, HEADER)?;
    let (magic, numbers) = header.split_at_checked(MAGIC.len())?;
    let (numbers, _) = numbers.as_chunks();
    let numbers: [[u8; 8]; 9] = numbers.try_into().ok()?;
    let [version, size, modified, sample, nodes, words, paraphrases, paraphrases_sum, trie_sum] =
        numbers.map(u64::from_le_bytes);
    if magic != MAGIC || version != VERSION || *source != (Source { size, modified, sample }) {
        return None;
    }
    let trie = length.checked_sub(HEADER as u64)?.checked_sub(paraphrases)?;
    let paraphrases = read(&mut file, usize::try_from(paraphrases).ok()?)?;
    let trie = read(&mut file, usize::try_from(trie).ok()?)?;
    if checksum(&paraphrases) != paraphrases_sum || checksum(&trie) != trie_sum {
        return None;
    }

    let (nodes, words) = (usize::try_from(nodes).ok()?, usize::try_from(words).ok()?);
    let (labels, rest) = trie.split_at_checked(nodes.checked_mul(2)?)?;
    let (nodes, rest) = rest.split_at_checked(nodes.checked_add(1)?.checked_mul(8)?)?;
    let (numbers, text) = rest.split_at_checked(words.checked_mul(2)?)?;
    let node = |[child, paraphrase]: &[[u8; 4]; 2]| Node {
        child: u32::from_le_bytes(*child),
        paraphrase: u32::from_le_bytes(*paraphrase),
    };
    Some(ParaphraseIndex {
        words: SortedLines::every(1, String::from_utf8(text.to_vec()).ok()?),
        numbers: table_words(numbers),
        labels: table_words(labels),
        nodes: nodes.as_chunks().0.as_chunks().0.iter().map(node).collect(),
        paraphrases,
    })
}

fn table_words(bytes: &[u8]) -> Vec<TableWord> {
    bytes.as_chunks().0.iter().copied().map(TableWord::from_le_bytes).collect()
}

fn read(file: &mut impl Read, length: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    file.take(length as u64).read_to_end(&mut bytes).ok()?;
    (bytes.len() == length).then_some(bytes)
}

/// A checksum against accidents, not against intent: eight bytes at a time, as fast as memory.
fn checksum(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |sum: u64, number: u64| (sum ^ number).wrapping_mul(FACTOR).rotate_left(29);
    let (chunks, rest) = bytes.as_chunks();
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    let whole = chunks.iter().fold(bytes.len() as u64, |sum, chunk| mix(sum, u64::from_le_bytes(*chunk)));
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

    fn decoded(bytes: &[u8], source: &Source) -> Option<ParaphraseIndex> {
        decode(bytes, bytes.len() as u64, source)
    }

    #[test]
    fn an_index_of_another_source_is_not_taken() {
        let bytes = encode(&SOURCE, &index());
        for other in [Source { size: 9, ..SOURCE }, Source { modified: 9, ..SOURCE }, Source { sample: 9, ..SOURCE }] {
            assert_eq!(decoded(&bytes, &other), None);
        }
    }

    #[test]
    fn no_byte_can_change_and_none_be_missing() {
        let bytes = encode(&SOURCE, &index());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            assert_eq!(decoded(&changed, &SOURCE), None, "byte {at}");
            assert_eq!(decoded(&bytes[..at], &SOURCE), None, "{at} bytes");
        }
    }

    #[test]
    fn nonsense_under_a_valid_checksum_is_harmless() {
        let nonsense: Vec<u8> = (0..240_u32).map(|number| (number * 7919 / 8) as u8).collect();
        let words = SortedLines::every(1, "a\nb".into());
        let labels: Vec<_> = nonsense.iter().map(|byte| TableWord::from(byte % 2)).collect();
        let numbers = nonsense.iter().map(|byte| u32::from(*byte)).chain([u32::MAX]);
        let nodes = numbers.map(|number| Node { child: number, paraphrase: number.wrapping_mul(3) % 256 }).collect();
        let index = ParaphraseIndex { words, numbers: vec![0, 1], labels, nodes, paraphrases: nonsense };
        let index = decoded(&encode(&SOURCE, &index), &SOURCE).unwrap();
        let text: Vec<_> = ["a", "b", "a", "c"].map(|word| index.word(word)).into_iter().cycle().take(60).collect();
        let mut finder = super::super::paraphrase_index::PhraseFinder::default();
        finder.find(&index, &text, &text, |phrase, paraphrase| assert!(phrase.length > 0 && paraphrase.length > 0));
    }
}
