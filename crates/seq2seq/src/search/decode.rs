//! The loop of decoding: logits to the searches of the rows, and their choices to the model.

use llm_runtime::beam::BeamStep;
use rayon::prelude::*;

use super::beams::Beams;
use super::independent::Independent;
use super::{Decoded, DecodingIds, DecodingOptions, DecodingRow, RowSearch, StepModel};
use crate::Seq2SeqError;

/// Decodes rows. For each row it gives at most `num_return_sequences` sequences: of beams best first, of sampling in the order of the draws.
///
/// # Errors
/// Options that make no sense, a prompt that is empty or not as long as the others, an id outside the vocabulary, a row whose logits are
/// not numbers or that no id is left for, or a model that can't be run.
pub fn decode(
    model: &mut dyn StepModel,
    rows: &[DecodingRow],
    ids: DecodingIds,
    options: &DecodingOptions,
) -> Result<Vec<Vec<Decoded>>, Seq2SeqError> {
    go_on_decoding(model, rows, ids, options, 0)
}

/// [`decode`] with a model that has read the first `read` ids of each prompt: the rest of the prompt may depend on the logits that it gave for
/// them.
///
/// # Errors
/// As [`decode`], or nothing of the prompts is left to be read.
pub fn go_on_decoding(
    model: &mut dyn StepModel,
    rows: &[DecodingRow],
    ids: DecodingIds,
    options: &DecodingOptions,
    read: usize,
) -> Result<Vec<Vec<Decoded>>, Seq2SeqError> {
    options.validate()?;
    check_rows(rows, ids, options, model.vocabulary_size())?;
    if let Some(row) = rows.first()
        && row.prompt.len() <= read
    {
        let length = row.prompt.len();
        let problem =
            format!("the model has read {read} ids, and the prompts have {length}: one has to be left at least");
        return Err(Seq2SeqError::Invalid(problem));
    }
    // On a thread of the pool: it works while others wake, and a step has a hundred small tasks for them.
    rayon::scope(|_| search_all(model, rows, ids, options, read))
}

/// Steps until all searches are over.
fn search_all(
    model: &mut dyn StepModel,
    rows: &[DecodingRow],
    ids: DecodingIds,
    options: &DecodingOptions,
    read: usize,
) -> Result<Vec<Vec<Decoded>>, Seq2SeqError> {
    let mut searches: Vec<Box<dyn RowSearch>> = rows.iter().map(|row| search(options, row, ids)).collect();
    let mut logits = read_prompts(model, rows, read)?;
    loop {
        let sequences: Vec<&[f32]> = logits.chunks_exact(model.vocabulary_size()).collect();
        let next = advance(&mut searches, &sequences)?;
        if next.is_empty() {
            return Ok(searches.into_iter().map(|search| search.finish()).collect());
        }
        let from: Vec<usize> = next.iter().map(|step| step.parent).collect();
        if !from.iter().copied().eq(0..sequences.len()) {
            model.reorder(&from)?;
        }
        let last_ids: Vec<u32> = next.iter().map(|step| step.token).collect();
        logits = step(model, &last_ids)?;
    }
}

fn search(options: &DecodingOptions, row: &DecodingRow, ids: DecodingIds) -> Box<dyn RowSearch> {
    match options.beam_width {
        1 => Box::new(Independent::new(options, row, ids)),
        _ => Box::new(Beams::new(options, row, ids)),
    }
}

fn check_rows(
    rows: &[DecodingRow],
    ids: DecodingIds,
    options: &DecodingOptions,
    vocabulary: usize,
) -> Result<(), Seq2SeqError> {
    let known = |id: u32, what: &dyn Fn() -> String| {
        let problem = || format!("{}: the id {id} is outside the vocabulary of {vocabulary}", what());
        if (id as usize) < vocabulary { Ok(()) } else { Err(Seq2SeqError::Invalid(problem())) }
    };
    known(ids.eos, &|| "the end-of-sequence id".into())?;
    options.bad_words.iter().flatten().try_for_each(|id| known(*id, &|| "bad_words".into()))?;
    options.forced_first_id.map_or(Ok(()), |id| known(id, &|| "forced_first_id".into()))?;
    options.forced_last_id.map_or(Ok(()), |id| known(id, &|| "forced_last_id".into()))?;
    let length = rows.first().map_or(1, |row| row.prompt.len());
    for (number, row) in rows.iter().enumerate() {
        let prompt = &row.prompt;
        if prompt.is_empty() {
            let problem = format!("row {number}: the prompt is empty, and needs the decoder's start id at least");
            return Err(Seq2SeqError::Invalid(problem));
        }
        if prompt.len() != length {
            let problem = format!(
                "row {number}: the prompt has {} ids, that of row 0 has {length}: decode rows with prompts of one length together",
                prompt.len()
            );
            return Err(Seq2SeqError::Invalid(problem));
        }
        prompt.iter().try_for_each(|id| known(*id, &|| format!("the prompt of row {number}")))?;
    }
    if options.forced_first_id.is_some() && length > 1 {
        let problem = format!("forced_first_id: the prompts have {length} ids already; give the id as a part of them");
        return Err(Seq2SeqError::Invalid(problem));
    }
    Ok(())
}

/// The logits behind the prompts, of which so many ids have been read.
fn read_prompts(model: &mut dyn StepModel, rows: &[DecodingRow], read: usize) -> Result<Vec<f32>, Seq2SeqError> {
    let mut logits = Vec::new();
    for place in read..rows.first().map_or(0, |row| row.prompt.len()) {
        let ids: Vec<u32> = rows.iter().map(|row| row.prompt[place]).collect();
        logits = step(model, &ids)?;
    }
    Ok(logits)
}

fn step(model: &mut dyn StepModel, last_ids: &[u32]) -> Result<Vec<f32>, Seq2SeqError> {
    let logits = model.step(last_ids)?;
    let (got, wanted) = (logits.len(), last_ids.len() * model.vocabulary_size());
    if got != wanted {
        let problem = format!("the model gave {got} logits for {} sequences, not {wanted}", last_ids.len());
        return Err(Seq2SeqError::Invalid(problem));
    }
    Ok(logits)
}

/// One step of all searches that go on, given the logits of all live sequences. The answer has an entry for each sequence of the next step.
fn advance(searches: &mut [Box<dyn RowSearch>], logits: &[&[f32]]) -> Result<Vec<BeamStep>, Seq2SeqError> {
    let mut rest = logits;
    let mut running = Vec::new();
    for (row, search) in searches.iter_mut().enumerate().filter(|(_, search)| search.live() > 0) {
        let first = logits.len() - rest.len();
        let (own, others) = rest.split_at(search.live().min(rest.len()));
        running.push((row, first, search, own));
        rest = others;
    }
    let advanced = running.into_par_iter().map(|(row, first, search, own)| {
        let steps = search.advance(own).map_err(|problem| Seq2SeqError::Decoding { row, problem })?;
        Ok(steps.into_iter().map(|step| BeamStep { parent: first + step.parent, ..step }).collect())
    });
    Ok(advanced.collect::<Result<Vec<Vec<BeamStep>>, Seq2SeqError>>()?.concat())
}
