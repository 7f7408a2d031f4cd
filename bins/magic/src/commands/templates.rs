//! `magic templates`: the built-in texts of prompts, written out to be changed.

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

use command_line::Failure;
use magic::TEMPLATE_FILES;

use crate::arguments::Templates;

pub(crate) fn run(options: &Templates) -> Result<ExitCode, Failure> {
    std::fs::create_dir_all(&options.folder).map_err(Failure::at(&options.folder))?;
    for (name, text) in TEMPLATE_FILES {
        let path = options.folder.join(name);
        // Somebody's edited texts are worth more than the built-in ones.
        let mut file = File::create_new(&path).map_err(Failure::at(&path))?;
        file.write_all(text.as_bytes()).map_err(Failure::at(&path))?;
        println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
