//! Threads from a reply to a post down to an answer of the post's author: the form in which factors of persuasion are annotated.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::Serialize;
use strategy_prompting::write_atomically;

use super::delta::DeltaRule;
use super::partition::{Dump, Partitions};
use super::record::{Comment, Thread};
use crate::corpus::bad_records::BadRecords;
use crate::corpus::error::CorpusError;
use crate::corpus::funnel::Funnel;

/// A comment of a thread.
#[derive(Serialize)]
struct CommentOfThread<'a> {
    comment_id: &'a str,
    comment_author: &'a str,
    comment_body: &'a str,
    comment_parent_id: &'a str,
    comment_link_id: String,
    comment_created_utc: i64,
}

/// A line of the file.
#[derive(Serialize)]
struct Record<'a> {
    submission_id: &'a str,
    submission_author: &'a str,
    submission_title: &'a str,
    submission_body: &'a str,
    comments_thread_root_comment_id: &'a str,
    comments_thread_leaf_comment_id: &'a str,
    comments_thread_is_delta: bool,
    comments_thread: Vec<CommentOfThread<'a>>,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FactorThreads {
    /// Posts whose author answered somebody, or added to the post.
    pub posts: usize,
    /// Threads: one for each comment of a post's author.
    pub threads: usize,
    /// Those whose last comment gives a delta.
    pub with_delta: usize,
    /// What was read, and what of it was bad, there twice or without its post.
    pub funnel: Funnel,
}

/// Where a post's lines stand in the file that is written first.
struct Block {
    place: u64,
    start: u64,
    length: u64,
}

/// Writes a line for each comment by a post's author: the post, and the comments from the one that replies to it down to that comment, oldest first. Posts come in the
/// order of the dump. `path` appears whole or not at all; a hidden folder beside it is needed meanwhile. Of memory, 24 bytes are needed for each post that gets a line.
///
/// # Errors
/// A file can't be read or written, or a record is bad and bad ones are not to be skipped.
pub fn write_factor_threads(
    dump: &Dump,
    rule: DeltaRule,
    path: &Path,
    bad: &mut BadRecords,
) -> Result<FactorThreads, CorpusError> {
    let room = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut counts = FactorThreads::default();
    let mut funnel = Funnel::default();
    let partitions = Partitions::create(dump, room, bad, &mut funnel)?;
    let mut spool = BufWriter::new(tempfile::tempfile_in(room).map_err(CorpusError::io(room))?);
    let (mut blocks, mut end) = (Vec::new(), 0);
    partitions.for_each(&mut funnel, &mut |thread, funnel| {
        thread.comments.iter().for_each(|_| funnel.replies.read_one());
        let lines = lines_of(&thread, rule, &mut counts)?;
        if lines.is_empty() {
            return Ok(());
        }
        counts.posts += 1;
        spool.write_all(&lines).map_err(CorpusError::io(path))?;
        blocks.push(Block { place: thread.place, start: end, length: lines.len() as u64 });
        end += lines.len() as u64;
        Ok(())
    })?;
    let spool = spool.into_inner().map_err(|error| CorpusError::io(path)(error.into_error()))?;
    blocks.sort_by_key(|block| block.place);
    copy_in_order(spool, &blocks, path)?;
    counts.funnel = funnel;
    Ok(counts)
}

fn lines_of(thread: &Thread, rule: DeltaRule, counts: &mut FactorThreads) -> Result<Vec<u8>, CorpusError> {
    let by_id: HashMap<&str, &Comment> = thread.comments.iter().map(|comment| (comment.id.as_str(), comment)).collect();
    let mut lines = Vec::new();
    let author = &thread.post.author;
    for comment in thread.comments.iter().filter(|comment| !author.is_empty() && comment.author == *author) {
        let comments = path_to(comment, &by_id);
        let (Some(root), Some(leaf)) = (comments.first(), comments.last()) else { continue };
        let record = Record {
            submission_id: &thread.post.id,
            submission_author: author,
            submission_title: &thread.post.title,
            submission_body: &thread.post.body,
            comments_thread_root_comment_id: &root.id,
            comments_thread_leaf_comment_id: &leaf.id,
            comments_thread_is_delta: rule.finds(&leaf.body),
            comments_thread: comments.iter().map(|comment| of_thread(comment, thread)).collect(),
        };
        counts.threads += 1;
        counts.with_delta += usize::from(record.comments_thread_is_delta);
        serde_json::to_writer(&mut lines, &record).map_err(|error| CorpusError::Text(error.to_string()))?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The comments above a comment and itself, oldest first. Comments that answer to each other in a circle end the climb.
fn path_to<'a>(comment: &'a Comment, by_id: &HashMap<&str, &'a Comment>) -> Vec<&'a Comment> {
    let mut path = vec![comment];
    let mut at = comment;
    while let Some(parent) = at.parent_comment().and_then(|parent| by_id.get(parent)) {
        if path.len() > by_id.len() {
            break;
        }
        path.push(parent);
        at = parent;
    }
    path.reverse();
    path.sort_by_key(|comment| comment.created);
    path
}

fn of_thread<'a>(comment: &'a Comment, thread: &Thread) -> CommentOfThread<'a> {
    CommentOfThread {
        comment_id: &comment.id,
        comment_author: if comment.author.is_empty() { "[deleted]" } else { &comment.author },
        comment_body: &comment.body,
        comment_parent_id: &comment.parent,
        comment_link_id: format!("t3_{}", thread.post.id),
        comment_created_utc: comment.created,
    }
}

fn copy_in_order(mut spool: File, blocks: &[Block], path: &Path) -> Result<(), CorpusError> {
    let problem = |source| strategy_prompting::Error::Io { path: path.to_owned(), source };
    Ok(write_atomically(path, |file| {
        for block in blocks {
            spool.seek(SeekFrom::Start(block.start)).map_err(problem)?;
            std::io::copy(&mut (&mut spool).take(block.length), file).map_err(problem)?;
        }
        Ok(())
    })?)
}
