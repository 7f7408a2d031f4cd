//! The commands of pages, and what becomes of each.

use std::collections::HashSet;

use super::super::commands::whole_lines;
use super::super::page::Page;
use super::stand_ins::{PageStandIns, StandIns};

/// Programs whose commands are run.
const RUN: [&str; 7] = ["mkdir", "sra", "magic", "thtra", "persuasion", "solace", "attention-viz"];

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) page: String,
    /// File and line.
    pub(super) place: String,
    /// The command as it is run.
    pub(super) line: String,
    pub(super) kind: Kind,
}

/// What becomes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is run to its end, with these lines as what somebody types.
    Runs { answers: String },
    /// It serves until this has been asked for.
    Serves { asks: String },
    /// It is not run, for this reason.
    NotRun(String),
}

impl Step {
    /// The command, and why it is not run.
    pub(super) fn told(&self) -> String {
        match &self.kind {
            Kind::NotRun(why) => format!("(not run: {why}) {}", self.line),
            _ => self.line.clone(),
        }
    }
}

/// The steps of all pages that are run, and all that does not fit: commands of ours on pages that nobody has decided about, and settings that fit nothing.
pub(super) fn of_pages(pages: &[Page], stand_ins: &StandIns) -> (Vec<Step>, Vec<String>) {
    let (mut steps, mut problems) = (Vec::new(), Vec::new());
    for page in pages {
        let lines = lines(page);
        match (stand_ins.pages.get(&page.name), stand_ins.elsewhere.contains_key(&page.name)) {
            (Some(settings), false) => match of_page(page, &lines, settings, stand_ins) {
                Ok(of_page) => steps.extend(of_page),
                Err(problem) => problems.push(problem),
            },
            (None, true) => {}
            (Some(_), true) => problems.push(format!("stand_ins.toml: {} stands in two tables", page.name)),
            (None, false) => problems.extend(lines.iter().filter(|(_, line)| not_run(line, stand_ins).is_none()).map(
                |(number, line)| {
                    format!(
                        "{}:{number}: `{line}`: stand_ins.toml says neither what it is run on nor why it is not",
                        page.name
                    )
                },
            )),
        }
    }
    (steps, problems)
}

/// The lines of the page's blocks of shell, without comments.
fn lines(page: &Page) -> Vec<(usize, String)> {
    let blocks = page.blocks().into_iter().filter(|block| block.language == "sh");
    let lines = blocks.flat_map(|block| whole_lines(block.language, &block.lines));
    let lines = lines.map(|(number, line)| (number, without_comment(&line).trim().to_owned()));
    lines.filter(|(_, line)| !line.is_empty()).collect()
}

fn without_comment(line: &str) -> &str {
    if line.starts_with('#') {
        return "";
    }
    line.match_indices(" #")
        .find(|(at, _)| line[..*at].matches('\'').count().is_multiple_of(2))
        .map_or(line, |(at, _)| &line[..at])
}

fn not_run<'a>(line: &str, stand_ins: &'a StandIns) -> Option<&'a String> {
    stand_ins.not_run.iter().find(|(beginning, _)| line.starts_with(*beginning)).map(|(_, why)| why)
}

fn of_page(
    page: &Page,
    lines: &[(usize, String)],
    settings: &PageStandIns,
    stand_ins: &StandIns,
) -> Result<Vec<Step>, String> {
    let whole: String = lines.iter().map(|(_, line)| format!("{line}\n")).collect();
    if let Some([unused, _]) = settings.instead.iter().find(|[words, _]| !whole.contains(words.as_str())) {
        return Err(format!("stand_ins.toml: no command of {} has `{unused}`", page.name));
    }
    let (mut steps, mut seen) = (Vec::new(), HashSet::new());
    for (number, line) in lines {
        let place = format!("{}:{number}", page.name);
        let is_again = !seen.insert(line.split_whitespace().collect::<Vec<_>>());
        let why = not_run(line, stand_ins).cloned().or_else(|| is_again.then(|| "it stands above".to_owned()));
        if let Some(why) = why {
            steps.push(Step { page: page.name.clone(), place, line: line.clone(), kind: Kind::NotRun(why) });
            continue;
        }
        let line = settings.instead.iter().fold(line.clone(), |line, [words, instead]| line.replace(words, instead));
        for command in line.split(" && ") {
            let first = command.split(' ').next().unwrap_or_default();
            if !RUN.contains(&first) {
                return Err(format!(
                    "{place}: `{first}` is no program that is run, and stand_ins.toml does not say why it is not run"
                ));
            }
            let (line, kind) = made_small(command, stand_ins);
            steps.push(Step { page: page.name.clone(), place: place.clone(), line, kind });
        }
    }
    Ok(steps)
}

/// The command with the options that make it small, unless it has them itself.
fn made_small(command: &str, stand_ins: &StandIns) -> (String, Kind) {
    if let Some(serving) = stand_ins.serving.iter().find(|serving| command.contains(&serving.with)) {
        return (format!("{command} {}", serving.adds), Kind::Serves { asks: serving.asks.clone() });
    }
    let begins = |(beginning, _): &(&String, &String)| command.starts_with(beginning.as_str());
    let options = stand_ins.smaller.iter().filter(begins).flat_map(|(_, options)| options.split(" --"));
    let options = options.map(|option| format!("--{}", option.trim_start_matches("--")));
    let has = |option: &str| command.split(' ').any(|word| Some(word) == option.split(' ').next());
    let line =
        options.filter(|option| !has(option)).fold(command.to_owned(), |line, option| format!("{line} {option}"));
    let answers = stand_ins.answers.iter().find(begins).map(|(_, answers)| answers.clone()).unwrap_or_default();
    (line, Kind::Runs { answers })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = r##"
elsewhere = { "far.md" = "needs a GPU" }
links = {}
not-run = { "git " = "at hand" }
smaller = { "sra continue" = "--limit 2 --seed 1", "sra chat" = "" }
answers = { "sra chat" = "Hello." }
serving = [{ with = "sra view", adds = "--address 127.0.0.1:0", asks = "/" }]
pages = { "page.md" = { instead = [["big.gguf", "small.gguf"]] }, "stale.md" = { instead = [["big.gguf", ""]] }, "far.md" = {} }
"##;

    fn of_text(name: &str, lines: &str) -> (Vec<Step>, Vec<String>) {
        let stand_ins: StandIns = toml::from_str(SETTINGS).unwrap();
        of_pages(&[Page { name: name.into(), text: format!("```sh\n{lines}\n```\n") }], &stand_ins)
    }

    #[test]
    fn commands_are_made_small_and_nothing_else() {
        let lines = "git clone a\n# a comment\nsra continue --model big.gguf \\\n  --seed 3   # why\nsra a 'b #c' && sra view RUN\nsra a  'b #c'\nsra chat";
        let (steps, problems) = of_text("page.md", lines);
        assert!(problems.is_empty(), "{problems:?}");
        let told: Vec<_> = steps.iter().map(|step| format!("{} {}", step.place, step.told())).collect();
        let expected = [
            "page.md:2 (not run: at hand) git clone a",
            "page.md:4 sra continue --model small.gguf --seed 3 --limit 2",
            "page.md:6 sra a 'b #c'",
            "page.md:6 sra view RUN --address 127.0.0.1:0",
            "page.md:7 sra a  'b #c'",
            "page.md:8 sra chat",
        ];
        assert_eq!(told, expected);
        assert_eq!(steps[3].kind, Kind::Serves { asks: "/".into() });
        assert_eq!(steps[5].kind, Kind::Runs { answers: "Hello.".into() });
    }

    #[test]
    fn what_stands_twice_is_run_once() {
        let (steps, _) = of_text("page.md", "sra a --model big.gguf\nsra a  --model big.gguf");
        assert!(matches!(steps[0].kind, Kind::Runs { .. }) && matches!(steps[1].kind, Kind::NotRun(_)));
    }

    #[test]
    fn every_command_is_decided_about() {
        let problem = |name: &str, lines: &str| of_text(name, lines).1.join(" ");
        assert!(problem("new.md", "git clone a\nsra a").starts_with("new.md:3: `sra a`: stand_ins.toml says neither"));
        assert!(problem("page.md", "sra --model big.gguf\nfirefox a").contains("page.md:3: `firefox` is no program"));
        assert!(problem("stale.md", "sra a").contains("no command of stale.md has `big.gguf`"));
        assert!(problem("far.md", "sra a").contains("two tables"));
        assert_eq!(problem("new.md", "git clone a"), "");
    }

    #[test]
    fn the_real_settings_are_read() {
        assert!(StandIns::read().unwrap().pages.contains_key("docs/src/start.md"));
    }
}
