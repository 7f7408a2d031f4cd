//! What is installed beside a program: shell completions and manual pages, both made of its command line.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, Command, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{Failure, console};

/// Subcommands that every program has.
#[derive(Debug, Subcommand)]
pub enum InstallFiles {
    /// Print shell completions
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page, or write those of all subcommands
    Man {
        /// Folder for the pages of the program and of each subcommand; it is made if it is not there
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

impl InstallFiles {
    /// Prints or writes what was asked for. `program` is the whole command line, as it is declared.
    ///
    /// # Errors
    /// A page can't be written.
    pub fn run(&self, mut program: Command) -> Result<ExitCode, Failure> {
        match self {
            Self::Completions { shell } => {
                let name = program.get_name().to_owned();
                // Written to standard output by itself, it would panic behind a closed pipe or on a full disk.
                let mut script = Vec::new();
                clap_complete::generate(*shell, &mut program, name, &mut script);
                console::write_at_once(&script);
            }
            Self::Man { out: None } => console::write_at_once(ManualPage::of(&for_manual(program))?.text.as_bytes()),
            Self::Man { out: Some(folder) } => write_pages(&manual_pages(program)?, folder)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A manual page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualPage {
    /// Name of its file, e.g. `sra-continue.1`.
    pub file: String,
    /// Its roff source.
    pub text: String,
}

impl ManualPage {
    fn of(command: &Command) -> io::Result<Self> {
        let page = Man::new(command.clone()).source(concat!("Solace ", env!("CARGO_PKG_VERSION")));
        let mut text = Vec::new();
        page.render(&mut text)?;
        // Manual pages have a name of their own for what the help puts behind this word.
        let text = String::from_utf8_lossy(&text).replace(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n");
        Ok(Self { file: page.get_filename(), text })
    }

    /// Whether the synopsis has the option, and the list below it too.
    fn has_option(&self, long: &str) -> bool {
        self.text.matches(&format!(r"\fB\-\-{}\fR", long.replace('-', r"\-"))).count() > 1
    }
}

/// The pages of a program and of all its subcommands; those of subcommands come before their command's own.
///
/// # Errors
/// A page can't be made.
pub fn manual_pages(program: Command) -> io::Result<Vec<ManualPage>> {
    visible(&for_manual(program)).into_iter().map(ManualPage::of).collect()
}

/// What the manual pages of a program leave out, a line each: sections, and options that its help shows. Each program has a test that it is nothing.
///
/// # Errors
/// A page can't be made.
pub fn gaps_of_manual(program: Command) -> io::Result<Vec<String>> {
    let mut gaps = Vec::new();
    for command in visible(&for_manual(program)) {
        let page = ManualPage::of(command)?;
        let sections = ["NAME", "SYNOPSIS", "DESCRIPTION"];
        gaps.extend(
            sections
                .iter()
                .filter(|name| !page.text.contains(&format!(".SH {name}\n")))
                .map(|name| format!("{}: {name}", page.file)),
        );
        let options = command.get_arguments().filter(|argument| !argument.is_hide_set()).filter_map(Arg::get_long);
        gaps.extend(options.filter(|long| !page.has_option(long)).map(|long| format!("{}: --{long}", page.file)));
    }
    Ok(gaps)
}

fn visible(command: &Command) -> Vec<&Command> {
    let inner = command.get_subcommands().filter(|inner| !inner.is_hide_set());
    inner.flat_map(visible).chain([command]).collect()
}

/// With full names and common options in every subcommand, and without `help`, whose pages would repeat all others. A page is about a version, not about a build of it.
fn for_manual(program: Command) -> Command {
    let mut program = program.disable_help_subcommand(true).long_version(None);
    program.build();
    program
}

fn write_pages(pages: &[ManualPage], folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(Failure::at(folder))?;
    for page in pages {
        let path = folder.join(&page.file);
        std::fs::write(&path, &page.text).map_err(Failure::at(&path))?;
    }
    println!("{} manual pages in {}", pages.len(), folder.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Command {
        let depth = Arg::new("depth").long("max-depth").help("How deep: from 1 on").value_name("N");
        let dig = Command::new("dig")
            .about("Dig a hole")
            .after_help("Examples:\n  mole dig here")
            .arg(depth)
            .arg(Arg::new("where"));
        let secret = Command::new("secret").about("Nobody is told").hide(true);
        InstallFiles::augment_subcommands(
            Command::new("mole").version("1.2").long_version("1.2\nbuilt today").about("Lives below"),
        )
        .subcommands([dig, secret])
    }

    #[test]
    fn each_visible_subcommand_has_its_page() {
        let files: Vec<String> = manual_pages(program()).unwrap().into_iter().map(|page| page.file).collect();
        assert_eq!(files, ["mole-completions.1", "mole-man.1", "mole-dig.1", "mole.1"]);
    }

    #[test]
    fn a_page_has_name_synopsis_and_options() {
        let pages = manual_pages(program()).unwrap();
        let page = pages.iter().find(|page| page.file == "mole-dig.1").unwrap();
        for part in [
            "mole\\-dig \\- Dig a hole",
            ".SH SYNOPSIS",
            "\\fI<N>\\fR",
            "How deep: from 1 on",
            ".SH EXAMPLES\n  mole dig here",
            "\\fIwhere\\fR",
        ] {
            assert!(page.text.contains(part), "{part}: {}", page.text);
        }
        assert!(page.has_option("max-depth") && !page.has_option("max"));
        let whole = pages.last().unwrap();
        assert!(whole.text.contains("v1.2") && !whole.text.contains("built today"), "{}", whole.text);
        assert_eq!(gaps_of_manual(program()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn pages_are_written_into_a_new_folder() {
        let folder = tempfile::tempdir().unwrap();
        let pages = InstallFiles::Man { out: Some(folder.path().join("man/man1")) };
        pages.run(program()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path().join("man/man1")).unwrap().count(), 4);
    }
}
