//! Commands that pages show, and whether their programs take them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::page::Page;
use crate::Member;

/// No program computes with so many threads: it says so when it has read its whole command line, and has done nothing yet.
const NO_THREADS: [&str; 2] = ["--threads", "0"];
const REFUSAL: &str = "--threads 0: at least one thread is needed";

/// A command as a page shows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// File and line.
    place: String,
    words: Vec<String>,
}

/// A program of the workspace.
pub(super) struct Program {
    name: String,
    /// The built file.
    path: PathBuf,
    /// Whether it takes the common options: those under `bins` do.
    is_common: bool,
}

/// Every program of the workspace.
///
/// # Errors
/// One is not built.
pub(super) fn programs(members: &[Member], built: &Path) -> Result<Vec<Program>, String> {
    let mut programs = Vec::new();
    for Member { name, folder } in members {
        let own = folder.join("src/main.rs").is_file().then(|| name.clone());
        let more = std::fs::read_dir(folder.join("src/bin"))
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_string_lossy().into_owned()));
        for name in own.into_iter().chain(more) {
            let path = built.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
            if !path.is_file() {
                return Err(format!("{} is not built: cargo build --workspace --all-targets", path.display()));
            }
            programs.push(Program {
                name,
                path,
                is_common: folder.parent().is_some_and(|group| group.ends_with("bins")),
            });
        }
    }
    Ok(programs)
}

/// The commands in a page's blocks of `sh`, and behind the prompts `$ ` in those of `console`.
pub(super) fn shown(page: &Page) -> Vec<Shown> {
    let mut shown = Vec::new();
    for block in page.blocks() {
        for (line, text) in whole_lines(block.language, &block.lines) {
            let place = format!("{}:{line}", page.name);
            shown.extend(simple_commands(&text).into_iter().map(|words| Shown { place: place.clone(), words }));
        }
    }
    shown
}

/// Lines of shell, each with those that a `\` at its end continues it with.
pub(super) fn whole_lines(language: &str, lines: &[(usize, &str)]) -> Vec<(usize, String)> {
    let mut whole: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in lines {
        let begins = match language {
            "sh" => Some(line.trim()),
            "console" => line.trim().strip_prefix("$ "),
            _ => return Vec::new(),
        };
        let text = if goes_on { Some(line.trim()) } else { begins };
        let Some(text) = text else { continue };
        let (text, continued) = text.strip_suffix('\\').map_or((text, false), |text| (text, true));
        match whole.last_mut() {
            Some((_, before)) if goes_on => before.push_str(text),
            _ => whole.push((*number, text.to_owned())),
        }
        goes_on = continued;
    }
    whole
}

/// The simple commands of a line of shell as words without quotes. Comments and redirections are left out; variables, and what other
/// commands print, stand as `0`.
fn simple_commands(line: &str) -> Vec<Vec<String>> {
    let mut commands: Vec<Vec<String>> = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut is_file = false;
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' if !quoted => {
                word.get_or_insert_default().extend(letters.by_ref().take_while(|letter| *letter != '\''))
            }
            '"' => {
                word.get_or_insert_default();
                quoted = !quoted;
            }
            '\\' => word.get_or_insert_default().extend(letters.next()),
            '$' => {
                skip_variable(&mut letters);
                word.get_or_insert_default().push('0');
            }
            letter if quoted => word.get_or_insert_default().push(letter),
            '#' if word.is_none() => break,
            // A number in front names a stream, one behind `&` too.
            '>' | '<' => {
                word = word.filter(|word| !word.bytes().all(|letter| letter.is_ascii_digit()));
                finish_word(&mut commands, word.take(), &mut is_file);
                is_file = true;
            }
            '&' if is_file && word.is_none() => {}
            '&' | '|' | ';' => {
                finish_word(&mut commands, word.take(), &mut is_file);
                commands.push(Vec::new());
            }
            letter if letter.is_whitespace() => finish_word(&mut commands, word.take(), &mut is_file),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    finish_word(&mut commands, word, &mut is_file);
    commands.retain(|words| !words.is_empty());
    commands
}

/// Adds a word to the last command, unless it is the file of a redirection.
fn finish_word(commands: &mut [Vec<String>], word: Option<String>, is_file: &mut bool) {
    let Some(word) = word else { return };
    match commands.last_mut() {
        Some(last) if !*is_file => last.push(word),
        _ => *is_file = false,
    }
}

/// Reads over a name, `{…}` or `(…)` behind a `$`.
fn skip_variable(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    let end = match letters.peek() {
        Some('{') => '}',
        Some('(') => ')',
        _ => {
            while letters.next_if(|letter| letter.is_alphanumeric() || *letter == '_').is_some() {}
            return;
        }
    };
    letters.by_ref().find(|letter| *letter == end);
}

/// What a command asks this workspace for.
#[derive(Debug, PartialEq, Eq)]
enum Asked<'a> {
    Program(&'a str, &'a [String]),
    Example { package: &'a str, name: &'a str },
}

/// `None` for the commands of others.
fn asked<'a>(words: &'a [String], programs: &[Program]) -> Option<Asked<'a>> {
    let begin = words.iter().position(|word| !is_assignment(word))?;
    let (first, rest) = words[begin..].split_first()?;
    if first != "cargo" {
        return programs.iter().any(|program| program.name == *first).then_some(Asked::Program(first, rest));
    }
    let ("run", rest) = rest.split_first().map(|(first, rest)| (first.as_str(), rest))? else { return None };
    let end = rest.iter().position(|word| word == "--").unwrap_or(rest.len());
    let given = rest.get(end + 1..).unwrap_or_default();
    let value = |option: &str| rest[..end].windows(2).find(|pair| pair[0] == option).map(|pair| pair[1].as_str());
    let package = value("-p").or_else(|| value("--package")).unwrap_or_default();
    match value("--example") {
        Some(name) => Some(Asked::Example { package, name }),
        None => Some(Asked::Program(value("--bin").unwrap_or(package), given)),
    }
}

/// Whether a word in front of a command sets a variable of its environment.
fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map_or("", |(name, _)| name);
    !name.is_empty() && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
}

/// How many commands of ours were tried, and those that are not taken.
pub(super) fn problems(
    shown: &[Shown],
    programs: &[Program],
    members: &[Member],
) -> Result<(usize, Vec<String>), String> {
    programs.iter().filter(|program| program.is_common).try_for_each(surely_does_nothing)?;
    let mut tried = 0;
    let mut problems = Vec::new();
    for Shown { place, words } in shown {
        let Some(asked) = asked(words, programs) else { continue };
        tried += 1;
        let taken = match asked {
            _ if words.iter().any(|word| word.contains('…')) => Err("an ellipsis is no command: write it out".into()),
            Asked::Example { package, name } => example_exists(package, name, members),
            Asked::Program(name, given) => match programs.iter().find(|program| program.name == name) {
                Some(program) => program.takes(given),
                None => Err(format!("there is no program `{name}`")),
            },
        };
        problems.extend(taken.err().map(|problem| format!("{place}: `{}`: {problem}", words.join(" "))));
    }
    Ok((tried, problems))
}

/// That a program ends at [`NO_THREADS`] is shown by a command that does no harm, before any other is tried.
fn surely_does_nothing(program: &Program) -> Result<(), String> {
    let harmless = ["completions", "bash"].map(str::to_owned);
    let told = program.let_read(&harmless)?;
    let is_refused = String::from_utf8_lossy(&told.stderr).contains(REFUSAL);
    let problem = || format!("{} can't be asked without being run: it does not refuse --threads 0", program.name);
    is_refused.then_some(()).ok_or_else(problem)
}

fn example_exists(package: &str, name: &str, members: &[Member]) -> Result<(), String> {
    let has = |member: &Member| member.name == package && member.folder.join(format!("examples/{name}.rs")).is_file();
    let problem = || format!("the package `{package}` has no example `{name}`");
    members.iter().any(has).then_some(()).ok_or_else(problem)
}

impl Program {
    /// Whether the program takes a command line.
    fn takes(&self, given: &[String]) -> Result<(), String> {
        let told = self.let_read(given)?;
        let message = String::from_utf8_lossy(&told.stderr);
        // Help and versions, where they are asked for, come before the threads.
        if told.status.success() || self.is_common && message.contains(REFUSAL) {
            return Ok(());
        }
        Err(format!("{} ({})", told.status, message.split("\n\n").next().unwrap_or_default().replace('\n', " ")))
    }

    /// Lets the program read a command line, and no more: one that takes the common options is asked for no threads, any other for help.
    /// Help is given before it is noticed that a required option is missing, so the first way finds more.
    fn let_read(&self, given: &[String]) -> Result<Output, String> {
        let mut command = Command::new(&self.path);
        if self.is_common {
            command.args(without_threads(given)).args(NO_THREADS);
        } else {
            command.args(given).arg("--help");
        }
        command.stdin(Stdio::null()).output().map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

/// `--threads` may be given once.
fn without_threads(given: &[String]) -> Vec<&String> {
    let at = given.iter().position(|word| word == NO_THREADS[0]);
    given
        .iter()
        .enumerate()
        .filter(|(place, _)| at.is_none_or(|at| !(at..at + 2).contains(place)))
        .map(|(_, word)| word)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<String> {
        simple_commands(line).into_iter().map(|words| words.join("·")).collect()
    }

    fn programs() -> Vec<Program> {
        let program = |name: &str| Program { name: name.into(), path: PathBuf::new(), is_common: true };
        vec![program("sra"), program("throughput")]
    }

    fn asked_for(line: &str) -> Option<String> {
        let words = simple_commands(line).remove(0);
        Some(match asked(&words, &programs())? {
            Asked::Program(name, given) => format!("{name}: {}", given.join(" ")),
            Asked::Example { package, name } => format!("example {name} of {package}"),
        })
    }

    #[test]
    fn commands_of_a_line_are_split_as_a_shell_does() {
        assert_eq!(split("sra view RUN   # in the browser"), ["sra·view·RUN"]);
        assert_eq!(
            split("sra a && sra b; sra c | head & sra d || true"),
            ["sra·a", "sra·b", "sra·c", "head", "sra·d", "true"]
        );
        assert_eq!(split(r#"sra --say 'I am  so tired.' "b"' c' d\ e "" "#), ["sra·--say·I am  so tired.·b c·d e·"]);
        assert_eq!(split("sra c#1 'a # b' \"c & d\""), ["sra·c#1·a # b·c & d"]);
        assert_eq!(split("sra < in.txt > out.txt 2>&1 --last"), ["sra·--last"]);
        assert_eq!(split("sra a >>log 2> errors | tee b"), ["sra·a", "tee·b"]);
        assert_eq!(split("sra --shard \"$ID/16\" ${A}-b $(nproc) '$A'"), ["sra·--shard·0/16·0-b·0·$A"]);
        assert!(split("# only a comment").is_empty() && split("  ").is_empty());
    }

    #[test]
    fn blocks_of_shell_are_read_with_their_places() {
        let text = "```sh\nsra a \\\n  --b \\\n  --c   # why\n\nsra d\n```\n```console\n$ sra e \\\n    --f\noutput\n$ sra g\n```\n\
                    ```text\nsra h\n```\n";
        let found = shown(&Page { name: "page.md".into(), text: text.into() });
        let found: Vec<_> = found.iter().map(|shown| format!("{} {}", shown.place, shown.words.join(" "))).collect();
        assert_eq!(found, ["page.md:2 sra a --b --c", "page.md:6 sra d", "page.md:9 sra e --f", "page.md:12 sra g"]);
    }

    #[test]
    fn ours_are_told_from_others() {
        assert_eq!(asked_for("sra view RUN").unwrap(), "sra: view RUN");
        assert_eq!(asked_for("A=1 B=\"2 3\" sra view").unwrap(), "sra: view");
        assert_eq!(asked_for("cargo run --release -p sra -- demo").unwrap(), "sra: demo");
        assert_eq!(asked_for("cargo run --release -p sra").unwrap(), "sra: ");
        assert_eq!(asked_for("cargo run -p benches --bin throughput -- limits").unwrap(), "throughput: limits");
        assert_eq!(asked_for("cargo run -p lora --example finetune -- a").unwrap(), "example finetune of lora");
        for other in ["cargo test -p sra", "python sra", "A=1", "cargo"] {
            assert_eq!(asked_for(other), None, "{other}");
        }
    }

    #[test]
    fn the_number_of_threads_gives_way() {
        let words = ["--threads", "2", "train", "--limit", "1"].map(str::to_owned);
        assert_eq!(without_threads(&words), ["train", "--limit", "1"]);
        assert_eq!(without_threads(&words[2..]), ["train", "--limit", "1"]);
    }

    #[test]
    fn an_example_has_to_be_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("examples")).unwrap();
        std::fs::write(folder.path().join("examples/there.rs"), "").unwrap();
        let members = [Member { name: "lora".into(), folder: folder.path().to_owned() }];
        let command = |name: &str| Shown {
            place: "page.md:3".into(),
            words: ["cargo", "run", "-p", "lora", "--example", name].map(str::to_owned).into(),
        };
        let (tried, problems) = problems(&[command("there"), command("gone")], &[], &members).unwrap();
        assert_eq!(tried, 2);
        assert_eq!(
            problems,
            ["page.md:3: `cargo run -p lora --example gone`: the package `lora` has no example `gone`"]
        );
    }
}
