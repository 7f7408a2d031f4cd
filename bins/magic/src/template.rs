//! What stands around a clip in a prompt: texts in files that anybody may edit.
//!
//! A prompt is head, clip and tail, nothing between. The tail ends with a *cue* on a line of its own (`Motivation:`), behind which the model
//! writes. The built-in texts are this project's own; `magic templates` writes them out to be changed.

use std::borrow::Cow;
use std::path::Path;

use llm_runtime::input_file;

use crate::error::Error;
use crate::strategy::Strategy;

/// The built-in texts by the names of their files.
pub const TEMPLATE_FILES: [(&str, &str); 4] = [
    ("collection_head.txt", include_str!("../templates/collection_head.txt")),
    ("collection_tail.txt", include_str!("../templates/collection_tail.txt")),
    ("inference_head.txt", include_str!("../templates/inference_head.txt")),
    ("inference_tail.txt", include_str!("../templates/inference_tail.txt")),
];

/// How the built-in example answer begins.
const ANSWER_OPENING: &str = "The motivation of the supporter in choosing the strategy ";

/// What a prompt asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Why the supporter chose a strategy that is known.
    Collection,
    /// Which strategy comes next, and why.
    Inference,
}

/// Head and tail of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    head: Cow<'static, str>,
    tail: Cow<'static, str>,
}

impl Template {
    /// The built-in template of a task.
    pub fn built_in(task: Task) -> Self {
        let [(_, collection_head), (_, collection_tail), (_, inference_head), (_, inference_tail)] = TEMPLATE_FILES;
        let (head, tail) = match task {
            Task::Collection => (collection_head, collection_tail),
            Task::Inference => (inference_head, inference_tail),
        };
        Self { head: head.into(), tail: tail.into() }
    }

    /// The template of a task out of a folder of files named as in [`TEMPLATE_FILES`].
    ///
    /// # Errors
    /// A file is missing or no text, or the tail has no cue.
    pub fn from_folder(task: Task, folder: &Path) -> Result<Self, Error> {
        let name = match task {
            Task::Collection => "collection",
            Task::Inference => "inference",
        };
        let head = read(&folder.join(format!("{name}_head.txt")))?;
        let path = folder.join(format!("{name}_tail.txt"));
        let tail = read(&path)?;
        if tail.trim().is_empty() {
            return Err(Error::format(&path, "holds no cue: its last line has to be what the answer stands behind"));
        }
        Ok(Self { head: head.into(), tail: tail.into() })
    }

    /// The prompt for a clip.
    pub fn prompt(&self, clip: &str) -> String {
        format!("{}{clip}{}", self.head, self.tail)
    }

    /// The turns of the clip within a prompt that this template made, each with its line end; `None` if another one made it.
    pub fn turns<'p>(&self, prompt: &'p str) -> Option<Vec<&'p str>> {
        let clip = prompt.strip_prefix(&*self.head)?.strip_suffix(&*self.tail)?;
        Some(clip.split_inclusive('\n').collect())
    }

    /// Takes any prompt apart at its clip: the template that makes it again, and the turns, each with its line end.
    ///
    /// The clip of this template's own prompts is what stands between head and tail. In other prompts it is the last run of lines that begin as a
    /// clip's do (`(3) Seeker: `); `None` if there is no such line.
    pub fn take_apart<'p>(&self, prompt: &'p str) -> Option<(Self, Vec<&'p str>)> {
        if let Some(turns) = self.turns(prompt) {
            return Some((self.clone(), turns));
        }
        let lines: Vec<&str> = prompt.split_inclusive('\n').collect();
        let end = lines.iter().rposition(|line| is_turn(line))? + 1;
        let start = lines[..end].iter().rposition(|line| !is_turn(line)).map_or(0, |before| before + 1);
        let [head, tail] = [&lines[..start], &lines[end..]].map(|part| Cow::Owned(part.concat()));
        Some((Self { head, tail }, lines[start..end].to_vec()))
    }

    /// How an answer begins, up to the bracket with the strategy: as the example in the head does, else as the built-in one.
    pub fn answer_opening(&self) -> &str {
        let cue = self.cue();
        let mut is_behind_cue = false;
        for line in self.head.lines().map(str::trim) {
            let answer = line.strip_prefix(cue);
            let opening = Some(answer.unwrap_or(line)).filter(|_| is_behind_cue || answer.is_some()).and_then(opening);
            if let Some(opening) = opening {
                return opening;
            }
            is_behind_cue = answer.is_some_and(str::is_empty);
        }
        ANSWER_OPENING
    }

    /// What the answer stands behind: the tail's last line with anything on it.
    pub fn cue(&self) -> &str {
        self.tail.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default()
    }
}

/// Whether a line begins as a turn of a clip does: `(3) Seeker: ` or `(4) Supporter: `.
fn is_turn(line: &str) -> bool {
    let numbered = line.strip_prefix('(').and_then(|rest| rest.split_once(") "));
    numbered.is_some_and(|(number, rest)| {
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number && (rest.starts_with("Seeker:") || rest.starts_with("Supporter:"))
    })
}

/// What stands before the first known strategy in brackets.
fn opening(answer: &str) -> Option<&str> {
    let is_strategy = |(_, rest): &(usize, &str)| {
        rest.split_once(']').is_some_and(|(name, _)| Strategy::find(name.trim_start_matches('[')).is_some())
    };
    let (at, _) = answer.match_indices('[').map(|(at, _)| (at, &answer[at..])).find(is_strategy)?;
    Some(answer[..at].trim_start())
}

/// A text with line ends as prompts have them.
fn read(path: &Path) -> Result<String, Error> {
    input_file::read_template(path).map_err(Error::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_of_any_wording_are_taken_apart_at_their_last_run_of_turns() {
        let built_in = Template::built_in(Task::Inference);
        let turns = ["(9) Seeker: hi\n", "(10) Supporter: yes [Question]\n", "(11) Seeker: (12) Seeker: no"];
        let own = built_in.prompt(&turns.concat());
        let (template, found) = built_in.take_apart(&own).unwrap();
        assert_eq!((template.prompt(&found.concat()), found), (own.clone(), turns.to_vec()));
        let other = "Example:\n(1) Seeker: x\n\nNow:\n(1) Seeker: a\n(2) Supporter: b [Greeting]\n(iii) c\nWhy?\n";
        let (template, found) = built_in.take_apart(other).unwrap();
        assert_eq!(found, ["(1) Seeker: a\n", "(2) Supporter: b [Greeting]\n"]);
        assert_eq!(template.prompt(found[1]), other.replace("(1) Seeker: a\n", ""));
        for none in ["", "no turns\n", "() Seeker: a", "(1) Nurse: a", "1) Seeker: a"] {
            assert_eq!(built_in.take_apart(none), None, "{none}");
        }
    }

    #[test]
    fn answers_open_as_the_example_does() {
        let built_in = Template::built_in(Task::Inference);
        assert!(built_in.head.contains(&format!("\n{ANSWER_OPENING}[")));
        assert_eq!(built_in.answer_opening(), ANSWER_OPENING);
        let with_head = |head: &'static str| Template { head: head.into(), ..built_in.clone() };
        for (head, opening) in [
            ("[Question] or [Others].\nMotivation:\n  They chose [Others] [Question].\n", "They chose "),
            ("Motivation: Because [hm] of [question]\n", "Because [hm] of "),
            ("Motivation:\n[Greeting] to greet\n", ""),
            ("Motivation:\nno name\n[Greeting]\n", ANSWER_OPENING),
            ("", ANSWER_OPENING),
        ] {
            assert_eq!(with_head(head).answer_opening(), opening, "{head}");
        }
    }

    #[test]
    fn the_heads_name_all_strategies_and_the_tails_end_with_the_cue() {
        for task in [Task::Collection, Task::Inference] {
            let template = Template::built_in(task);
            for strategy in Strategy::ALL {
                assert!(template.head.contains(&format!("[{}]", strategy.name())), "{task:?}: {strategy:?}");
            }
            assert!(template.head.contains("40 words") && template.tail.starts_with('\n'));
            assert_eq!(template.cue(), "Motivation:");
        }
    }

    #[test]
    fn a_prompt_gives_its_turns_back() {
        let template = Template::built_in(Task::Inference);
        for clip in ["(1) Seeker: a\n(2) Supporter: b [Question]\n", "(1) Seeker: a\n(2) Seeker: b"] {
            let prompt = template.prompt(clip);
            let turns = template.turns(&prompt).unwrap();
            assert_eq!((turns.len(), turns.concat().as_str()), (2, clip));
        }
        assert_eq!(template.turns(&Template::built_in(Task::Collection).prompt("(1) Seeker: a\n")), None);
    }

    #[test]
    fn files_replace_the_built_in_texts() {
        let folder = tempfile::tempdir().unwrap();
        let error = Template::from_folder(Task::Inference, folder.path()).unwrap_err().to_string();
        assert!(error.contains("inference_head.txt"), "{error}");
        std::fs::write(folder.path().join("inference_head.txt"), "Read:\r\n").unwrap();
        std::fs::write(folder.path().join("inference_tail.txt"), " \n").unwrap();
        let error = Template::from_folder(Task::Inference, folder.path()).unwrap_err().to_string();
        assert!(error.contains("inference_tail.txt: holds no cue"), "{error}");
        std::fs::write(folder.path().join("inference_tail.txt"), "Next:\r\n\n").unwrap();
        let template = Template::from_folder(Task::Inference, folder.path()).unwrap();
        assert_eq!((template.prompt("clip\n").as_str(), template.cue()), ("Read:\nclip\nNext:\n\n", "Next:"));
    }
}
