//! The commands of pages, and what becomes of each.

use std::collections::HashSet;

use super::super::commands::whole_lines;
use super::super::page::Page;
use super::stand_ins::{PageStandIns, StandIns};

/// Programs whose commands are run.
const RUN: [&str; 8] = ["mkdir", "xtask", "sra", "magic", "thtra", "persuasion", "solace", "attention-viz"];

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

/// The steps of all pages, and all that does not fit: commands that can't be run and have no reason not to be, and settings that fit nothing.
pub(super) fn of_pages(pages: &[Page], stand_ins: &StandIns) -> (Vec<Step>, Vec<String>) {
    let (mut steps, mut problems) = (Vec::new(), Vec::new());
    for page in pages {
        let lines = lines(page);
        match (stand_ins.pages.get(&page.name), stand_ins.elsewhere.get(&page.name)) {
            (Some(_), Some(_)) => problems.push(format!("stand_ins.toml: {} stands in two tables", page.name)),
            (None, Some(why)) => {
                steps.extend(lines.into_iter().map(|(number, line)| step_not_run(page, number, line, why)))
            }
            (settings, None) => match of_page(page, &lines, settings.unwrap_or(&PageStandIns::default()), stand_ins) {
                Ok(of_page) => steps.extend(of_page),
                Err(problem) => problems.push(problem),
            },
        }
    }
    (steps, problems)
}

fn step_not_run(page: &Page, number: usize, line: String, why: &str) -> Step {
    Step { page: page.name.clone(), place: format!("{}:{number}", page.name), line, kind: Kind::NotRun(why.to_owned()) }
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

/// Why a line is not run: by the longest beginning that fits.
fn not_run<'a>(line: &str, stand_ins: &'a StandIns) -> Option<&'a str> {
    let fitting = stand_ins.not_run.iter().filter(|(beginning, _)| line.starts_with(*beginning));
    fitting.max_by_key(|(beginning, _)| beginning.len()).map(|(_, why)| why.as_str())
}

/// The built file of an example in the place of the call of cargo that would build it.
fn built_example(line: &str) -> Option<String> {
    let (_, rest) = line.strip_prefix("cargo run ")?.split_once("--example ")?;
    Some(format!("examples/{}", rest.replacen(" --", "", 1)))
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
        if !seen.insert(line.split_whitespace().collect::<Vec<_>>()) {
            steps.push(step_not_run(page, *number, line.clone(), "it stands above"));
            continue;
        }
        let line = built_example(line).unwrap_or_else(|| line.clone());
        if let Some(why) = not_run(&line, stand_ins) {
            steps.push(step_not_run(page, *number, line, why));
            continue;
        }
        let line = settings.instead.iter().fold(line, |line, [words, instead]| line.replace(words, instead));
        for command in line.split(" && ") {
            let place = format!("{}:{number}", page.name);
            let first = command.split(' ').next().unwrap_or_default();
            if !RUN.contains(&first) && !first.starts_with("examples/") {
                return Err(format!(
                    "{place}: `{first}` is no program that is run, and stand_ins.toml does not say why not"
                ));
            }
            let (line, kind) = made_small(command, stand_ins);
            steps.push(Step { page: page.name.clone(), place, line, kind });
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
elsewhere = { "far.md" = "needs a GPU", "twice.md" = "needs two" }
links = {}
not-run = { "git " = "at hand", "cargo " = "built", "cargo run" = "slow" }
smaller = { "sra continue" = "--limit 2 --seed 1" }
answers = { "sra chat" = "Hello." }
serving = [{ with = "sra view", adds = "--address 127.0.0.1:0", asks = "/" }]
pages = { "page.md" = { instead = [["big.gguf", "small.gguf"]] }, "stale.md" = { instead = [["big.gguf", ""]] }, "twice.md" = {} }
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
    fn examples_are_run_as_they_were_built() {
        let (steps, problems) = of_text(
            "new.md",
            "cargo run --release -p a --example b -- c --d\ncargo run -p a --example e\ncargo run -p a\ncargo test",
        );
        assert!(problems.is_empty(), "{problems:?}");
        let told: Vec<_> = steps.iter().map(Step::told).collect();
        assert_eq!(
            told,
            ["examples/b c --d", "examples/e", "(not run: slow) cargo run -p a", "(not run: built) cargo test"]
        );
    }

    #[test]
    fn every_command_is_decided_about() {
        let problem = |name: &str, lines: &str| of_text(name, lines).1.join(" ");
        assert!(problem("page.md", "sra --model big.gguf\nfirefox a").contains("page.md:3: `firefox` is no program"));
        assert!(problem("new.md", "firefox a").contains("new.md:2: `firefox` is no program"));
        assert!(problem("stale.md", "sra a").contains("no command of stale.md has `big.gguf`"));
        assert!(problem("twice.md", "sra a").contains("two tables"));
        let (steps, _) = of_text("far.md", "sra a");
        assert_eq!(steps[0].kind, Kind::NotRun("needs a GPU".into()));
    }

    #[test]
    fn the_real_settings_are_read() {
        assert!(StandIns::read().unwrap().pages.contains_key("docs/src/start.md"));
    }
}
