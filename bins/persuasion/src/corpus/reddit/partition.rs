//! Threads of a dump that need not fit into memory.
//!
//! Posts and comments go into 128 files by a hash of the post's id: all that belongs to one post lies in one file, and only one file is in memory at a
//! time.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::record::{Comment, CommentLine, PostLine, Thread, without_kind};
use crate::corpus::bad_records::BadRecords;
use crate::corpus::candidates::Post;
use crate::corpus::error::CorpusError;
use crate::corpus::funnel::Funnel;
use crate::corpus::line_source::LineSource;

const PARTITIONS: usize = 128;
const BUFFER: usize = 1 << 15;

/// Files of a dump.
#[derive(Debug, Clone)]
pub struct Dump {
    /// Posts, a line each: `id`, `author`, `title`, `selftext`.
    pub posts: Vec<PathBuf>,
    /// Comments, a line each: `id`, `author`, `body`, `parent_id`, `link_id`, `created_utc`, maybe `score`.
    pub comments: Vec<PathBuf>,
}

/// A dump sorted by threads; the files vanish with it.
#[derive(Debug)]
pub struct Partitions {
    folder: TempDir,
}

/// A line of a partition.
#[derive(Serialize, Deserialize)]
enum Entry {
    Post { place: u64, id: String, author: String, title: String, body: String },
    Comment { post: String, comment: Comment },
}

impl Partitions {
    /// Reads the dump once and writes it, less what is not used of it, into a new folder under `room`.
    ///
    /// # Errors
    /// A file can't be read or written, or a line is bad and bad ones are not to be skipped.
    pub fn create(dump: &Dump, room: &Path, bad: &mut BadRecords, funnel: &mut Funnel) -> Result<Self, CorpusError> {
        std::fs::create_dir_all(room).map_err(CorpusError::io(room))?;
        let folder = tempfile::Builder::new().prefix(".threads-").tempdir_in(room).map_err(CorpusError::io(room))?;
        let mut writers = Writers::create(folder.path())?;
        let mut place = 0;
        for path in &dump.posts {
            let mut lines = LineSource::open(path)?;
            while let Some(line) = lines.next_line()? {
                let Some(post) = bad.sort(lines.parse::<PostLine>(&line), &mut funnel.posts)? else { continue };
                let Post { id, author, title, body } = post.into_post();
                writers.write(&id.clone(), &Entry::Post { place, id, author, title, body })?;
                place += 1;
            }
        }
        for path in &dump.comments {
            let mut lines = LineSource::open(path)?;
            while let Some(line) = lines.next_line()? {
                // Readable comments are counted when their thread is looked at.
                let mut unreadable = crate::corpus::funnel::Stage::default();
                let read = bad.sort(lines.parse::<CommentLine>(&line), &mut unreadable)?;
                let Some(comment) = read else {
                    funnel.replies.absorb(&unreadable);
                    continue;
                };
                let post = without_kind(&comment.link_id).to_owned();
                writers.write(&post.clone(), &Entry::Comment { post, comment: comment.into_comment() })?;
            }
        }
        writers.finish()?;
        Ok(Self { folder })
    }

    /// Hands out every thread, those of one partition after those of another; [`Thread::place`] tells the order of the dump. Posts and comments that are
    /// there twice come once, comments without their post never: `funnel` counts both.
    ///
    /// # Errors
    /// A file can't be read, or those of `take`.
    pub fn for_each(
        &self,
        funnel: &mut Funnel,
        take: &mut dyn FnMut(Thread, &mut Funnel) -> Result<(), CorpusError>,
    ) -> Result<(), CorpusError> {
        for number in 0..PARTITIONS {
            for thread in threads(&partition_file(self.folder.path(), number), funnel)? {
                take(thread, funnel)?;
            }
        }
        Ok(())
    }
}

/// An open file for each partition.
struct Writers(Vec<(PathBuf, BufWriter<File>)>);

impl Writers {
    fn create(folder: &Path) -> Result<Self, CorpusError> {
        let create = |number| {
            let path = partition_file(folder, number);
            let file = File::create(&path).map_err(CorpusError::io(&path))?;
            Ok((path, BufWriter::with_capacity(BUFFER, file)))
        };
        (0..PARTITIONS).map(create).collect::<Result<_, _>>().map(Self)
    }

    fn write(&mut self, post: &str, entry: &Entry) -> Result<(), CorpusError> {
        let place = (hash(post) % PARTITIONS as u64) as usize;
        let Some((path, writer)) = self.0.get_mut(place) else { return Ok(()) };
        let mut line = serde_json::to_vec(entry).map_err(|error| CorpusError::Text(error.to_string()))?;
        line.push(b'\n');
        writer.write_all(&line).map_err(CorpusError::io(path))
    }

    fn finish(self) -> Result<(), CorpusError> {
        for (path, mut writer) in self.0 {
            writer.flush().map_err(CorpusError::io(&path))?;
        }
        Ok(())
    }
}

fn partition_file(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number:03}.jsonl"))
}

/// FNV-1a: the same everywhere and always, so that threads come in the same order.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn threads(path: &Path, funnel: &mut Funnel) -> Result<Vec<Thread>, CorpusError> {
    let file = File::open(path).map_err(CorpusError::io(path))?;
    let mut threads: Vec<Thread> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut comments: HashSet<String> = HashSet::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(CorpusError::io(path))?;
        match serde_json::from_str(&line).map_err(|error| CorpusError::format(path, error.to_string()))? {
            Entry::Post { place, id, author, title, body } => {
                if places.contains_key(&id) {
                    funnel.posts.drop_one("there twice");
                    continue;
                }
                places.insert(id.clone(), threads.len());
                threads.push(Thread { place, post: Post { id, author, title, body }, comments: Vec::new() });
            }
            Entry::Comment { post, comment } => {
                let thread = places.get(&post).and_then(|place| threads.get_mut(*place));
                let reason = match thread {
                    None => Some("its post is not there"),
                    Some(_) if !comments.insert(comment.id.clone()) => Some("there twice"),
                    Some(thread) => {
                        thread.comments.push(comment);
                        None
                    }
                };
                if let Some(reason) = reason {
                    funnel.replies.read_one();
                    funnel.replies.drop_one(reason);
                }
            }
        }
    }
    Ok(threads)
}
