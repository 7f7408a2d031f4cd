//! `thtra prepare`: dialogue lines become token sequences.

use std::path::Path;
use std::process::ExitCode;

use command_line::{Failure, Format, Progress, output_place, print_json};
use thtra::{Dialogue, DialogueTokenizer, Part, Prepared, SampleCounts, TOKENIZER_FOLDER};

use crate::arguments::Prepare;

pub(crate) fn run(options: &Prepare, format: Format) -> Result<ExitCode, Failure> {
    let lengths = options.lengths.lengths();
    lengths.check().map_err(Failure::wrong_use)?;
    output_place::check_folder(&options.out)?;
    let tokenizer = match (&options.tokenizer, options.learn_tokenizer) {
        (None, Some(size)) => {
            DialogueTokenizer::learn(&Dialogue::read_all(&options.data_dir.join(Part::Train.file()))?, size)?
        }
        (folder, _) => DialogueTokenizer::open(folder.as_deref().unwrap_or(Path::new("")))?,
    };
    let mut progress = Progress::new("parts", 0, Part::ALL.len() as u64);
    let mut done = |parts| progress.set(parts as u64);
    let prepared = Prepared::create(&options.out, &options.data_dir, &tokenizer, lengths, &options.layouts, &mut done)?;
    progress.finish();
    if options.learn_tokenizer.is_some() {
        let folder = options.out.join(TOKENIZER_FOLDER);
        std::fs::create_dir_all(&folder).map_err(Failure::at(&folder))?;
        tokenizer.tokenizer().save(&folder)?;
    }
    match format {
        Format::Json => print_json(prepared.meta())?,
        Format::Text => {
            for (name, file) in &prepared.meta().files {
                println!("{}: {}", options.out.join(name).display(), in_words(&file.counts));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn in_words(counts: &SampleCounts) -> String {
    let mean = |tokens: usize| tokens as f64 / counts.samples.max(1) as f64;
    let SampleCounts { samples, with_look_ahead, inputs_cut, responses_cut, encoder_tokens, label_tokens, .. } = counts;
    format!(
        "{samples} samples ({with_look_ahead} look ahead), {:.1} tokens read and {:.1} said on average; {inputs_cut} histories and \
         {responses_cut} responses cut",
        mean(*encoder_tokens),
        mean(*label_tokens),
    )
}
