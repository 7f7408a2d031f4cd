//! The winning-arguments corpus as it was first published: `train_pair_data.jsonlist`, `heldout_pair_data.jsonlist`, a pair a line.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::bad_records::BadRecords;
use super::candidates::{Candidates, Post};
use super::error::CorpusError;
use super::funnel::Funnel;
use super::line_source::LineSource;
use super::op_pairs::add_pair;
use super::part::Part;

#[derive(Deserialize)]
struct PairLine {
    #[serde(default)]
    op_author: Option<String>,
    op_title: String,
    op_text: String,
    op_name: String,
    #[serde(flatten)]
    sides: Map<String, Value>,
}

/// Every post with its pairs, in the order in which posts first occur. A file's name tells the part.
///
/// # Errors
/// A file can't be read, or a line is bad and bad ones are not to be skipped.
pub fn read_jsonlists(
    files: &[PathBuf],
    bad: &mut BadRecords,
    funnel: &mut Funnel,
) -> Result<Vec<Candidates>, CorpusError> {
    let mut posts: Vec<Candidates> = Vec::new();
    let mut places: HashMap<(String, Option<Part>), usize> = HashMap::new();
    for path in files {
        let part = Part::of_file(path);
        let mut lines = LineSource::open(path)?;
        while let Some(line) = lines.next_line()? {
            let mut stage = super::funnel::Stage::default();
            let at = format!("line {}", line.number);
            let read = lines.parse::<PairLine>(&line).and_then(|pair| {
                let id = pair.op_name.strip_prefix("t3_").unwrap_or(&pair.op_name).to_owned();
                let post = Post {
                    id: id.clone(),
                    author: pair.op_author.unwrap_or_default(),
                    title: pair.op_title,
                    body: pair.op_text,
                };
                let mut alone = Candidates { post, part, ..Candidates::default() };
                let name = format!("{}:{}", path.file_name().unwrap_or_default().to_string_lossy(), line.number);
                add_pair(&mut alone, &name, &Value::Object(pair.sides))
                    .map_err(|problem| CorpusError::record(lines.path(), &at, problem))?;
                Ok(alone)
            });
            let Some(alone) = bad.sort(read, &mut stage)? else {
                funnel.replies.absorb(&stage);
                continue;
            };
            // A post that stands in two files stays twice: the report on leakage has to see it.
            let place = *places.entry((alone.post.id.clone(), part)).or_insert_with(|| {
                funnel.posts.read_one();
                posts.push(Candidates {
                    place: posts.len() as u64,
                    post: alone.post.clone(),
                    part,
                    ..Candidates::default()
                });
                posts.len() - 1
            });
            if let Some(known) = posts.get_mut(place) {
                known.join(alone);
            }
        }
    }
    posts.iter().flat_map(|post| &post.arguments).for_each(|_| funnel.replies.read_one());
    Ok(posts)
}
