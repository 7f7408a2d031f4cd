//! Prompts of a real dialogue: every cut point with every strategy, as `sra continue` asks for them.

use std::path::PathBuf;

use benches::Outcome;
use clap::Args;
use demo_corpus::{Generator, Split};
use esconv_data::{Conversation, Example, StrategySet, cut, read_corpus};
use llm_runtime::{BuiltInTemplate, GenerationPrompt};
use strategy_prompting::{InstructionTemplate, Layout, SweepPlan, SweepSettings, SystemRole, TurnRange};

#[derive(Debug, Args)]
pub(crate) struct DialogueArguments {
    /// A corpus that `sra prepare` reads; its longest dialogue of so many is taken [default: the dialogues that are built in]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Dialogues to choose from
    #[arg(long, default_value_t = 20)]
    among: usize,
    /// Layouts, each a case of its own
    #[arg(long, value_delimiter = ',', default_values_t = [Layout::C1HistoryFirst])]
    layouts: Vec<Layout>,
    /// At most so many cut points, the last ones
    #[arg(long, default_value_t = 4)]
    cut_points: usize,
    /// New tokens of each prompt
    #[arg(long, default_value_t = 64)]
    pub(crate) new_tokens: usize,
}

/// A layout's prompts in the order of a run.
pub(crate) struct LaidOut {
    pub(crate) layout: Layout,
    pub(crate) prompts: Vec<Vec<u32>>,
}

impl LaidOut {
    /// Tokens of the longest prompt.
    pub(crate) fn longest(&self) -> usize {
        self.prompts.iter().map(Vec::len).max().unwrap_or(0)
    }
}

impl DialogueArguments {
    /// Prompts of each layout, with ids below `vocabulary`.
    pub(crate) fn prompts(&self, vocabulary: u32) -> Outcome<Vec<LaidOut>> {
        let mut examples = cut(&self.conversation()?, 1);
        examples.drain(..examples.len().saturating_sub(self.cut_points));
        self.layouts.iter().map(|layout| laid_out(*layout, &examples, vocabulary)).collect()
    }

    fn conversation(&self) -> Outcome<Conversation> {
        let conversations = match &self.data {
            Some(path) => read_corpus(path)?.conversations,
            None => {
                let generator = Generator::new(demo_corpus::SEED)?;
                let numbers = 0..self.among as u64;
                numbers.map(|number| generator.conversation(Split::Train.index(number)).conversation).collect()
            }
        };
        let longest = conversations.into_iter().take(self.among).max_by_key(|found| found.dialog.len());
        Ok(longest.ok_or("there is no dialogue")?)
    }
}

fn laid_out(layout: Layout, examples: &[Example], vocabulary: u32) -> Outcome<LaidOut> {
    let settings =
        SweepSettings { layouts: vec![layout], turns: TurnRange::new(1, usize::MAX)?, ..SweepSettings::default() };
    let (strategies, instruction) = (StrategySet::built_in("extes15")?, InstructionTemplate::default());
    let plan = SweepPlan::new(settings, &strategies, instruction, examples)?;
    let template = BuiltInTemplate::Llama2.template()?;
    let prompts = plan.items().map(|item| {
        let messages = item.messages(SystemRole::for_template(Some(&template)))?;
        Ok(ids(&template.render(&messages, GenerationPrompt::Add)?.text, vocabulary))
    });
    Ok(LaidOut { layout, prompts: prompts.collect::<Outcome<_>>()? })
}

/// About as many ids as a real tokenizer gives, and alike where texts begin alike: pieces of up to four letters, each with a number that its bytes decide. Which ids
/// they are does not matter for speed, and so a model with random weights needs no tokenizer of its own.
fn ids(text: &str, vocabulary: u32) -> Vec<u32> {
    let mut ids = vec![1];
    for word in text.split_inclusive(char::is_whitespace) {
        let letters: Vec<char> = word.chars().collect();
        ids.extend(letters.chunks(4).map(|piece| 3 + number(piece) % (vocabulary - 3)));
    }
    ids
}

/// FNV-1a.
fn number(piece: &[char]) -> u32 {
    piece.iter().fold(0x811c_9dc5, |hash: u32, letter| (hash ^ *letter as u32).wrapping_mul(0x0100_0193))
}
