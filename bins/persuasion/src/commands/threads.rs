//! `persuasion threads`: a dump becomes threads to be annotated.

use std::process::ExitCode;

use command_line::{Failure, Format, output_place, print_json};
use persuasion::corpus::{BadRecords, Dump, write_factor_threads};

use crate::threads_arguments::Threads;

pub(crate) fn run(options: &Threads, format: Format) -> Result<ExitCode, Failure> {
    output_place::check_file(&options.out)?;
    let dump = Dump { posts: options.posts.clone(), comments: options.comments.clone() };
    let mut bad = BadRecords::new(options.skip_bad);
    let counts = write_factor_threads(&dump, options.delta_rule, &options.out, &mut bad)?;
    match format {
        Format::Json => print_json(&counts)?,
        Format::Text => {
            let path = options.out.display();
            println!(
                "{path}: {} threads of {} posts, {} with a delta",
                counts.threads, counts.posts, counts.with_delta
            );
            for (name, stage) in counts.funnel.stages() {
                for (reason, count) in &stage.dropped {
                    println!("  {count:>9} {name} left out: {reason}");
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
