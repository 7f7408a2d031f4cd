//! What commands work on when they are tried: synthetic dialogues in each program's form ([`files`], [`arguments`]), what other commands make of them ([`recipes`]), and
//! a server.

mod arguments;
mod files;
mod recipes;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::recipes::{INPUTS, Input};
use crate::programs::{Programs, start};
use crate::server_process::ServerProcess;

/// How long an input may take to be made.
const PATIENCE: Duration = Duration::from_secs(600);

/// The folder of the inputs, what is in it already, and a server once somebody needs it.
pub(crate) struct Inputs<'a> {
    root: &'a Path,
    folder: PathBuf,
    programs: &'a Programs,
    made: HashSet<&'a str>,
    server: Option<ServerProcess>,
}

impl<'a> Inputs<'a> {
    /// Writes the data files into a folder of `work`.
    pub(crate) fn new(root: &'a Path, work: &Path, programs: &'a Programs) -> Result<Self, String> {
        let folder = work.join("inputs");
        files::write_all(&folder)?;
        Ok(Self { root, folder, programs, made: HashSet::new(), server: None })
    }

    /// Makes an input that a command leaves, by its name among the recipes, unless it is there.
    pub(crate) fn make(&mut self, name: &str) -> Result<(), String> {
        if self.made.contains(name) {
            return Ok(());
        }
        let Some(Input { name, program, words, needs }) = INPUTS.iter().find(|input| input.name == name) else {
            return Err(format!("nobody makes the input `{name}`"));
        };
        needs.iter().try_for_each(|name| self.make(name))?;
        let (words, log) = (self.words(words)?, self.folder.join(format!("{name}.log")));
        start(self.programs, program, &words, &self.folder, &log)?.wait(PATIENCE)?.must_be_good(name)?;
        self.made.insert(name);
        Ok(())
    }

    /// The words of a text, filled.
    pub(crate) fn words(&mut self, text: &str) -> Result<Vec<String>, String> {
        text.split_whitespace().map(|word| self.fill(word)).collect()
    }

    /// A text with the folder of the inputs for `{in}`, that of the repository for `{root}`, that of the programs for `{built}`, and for `{server}` a model behind `sra serve`, which is started the first time.
    pub(crate) fn fill(&mut self, text: &str) -> Result<String, String> {
        let text = text.replace("{in}", &self.folder.display().to_string());
        let text = text.replace("{root}", &self.root.display().to_string());
        let text = text.replace("{built}", &self.programs.folder().display().to_string());
        if !text.contains("{server}") {
            return Ok(text);
        }
        let server = match self.server.take() {
            Some(server) => server,
            None => self.serve()?,
        };
        let text = text.replace("{server}", &format!("openai:tiny@http://{}/v1", server.address));
        self.server = Some(server);
        Ok(text)
    }

    fn serve(&mut self) -> Result<ServerProcess, String> {
        let words = self.words(
            "serve --model {root}/fixtures/models/tiny-llama --name tiny --address 127.0.0.1:0 --kv-memory 256M",
        )?;
        ServerProcess::start(self.programs.command("sra", &words, &self.folder), &self.folder.join("server.log"))
    }
}
