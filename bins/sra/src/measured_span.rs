//! What the measured span is called in tables and figures.

use strategy_prompting::{SpanEnd, SraOptions, part};

/// The span of a measure, in words. SRA is attention to the strategy's name; to any other part it is attention.
pub(crate) struct MeasuredSpan {
    label: String,
    is_name: bool,
    is_whole: bool,
}

impl MeasuredSpan {
    pub(crate) fn of(options: &SraOptions) -> Self {
        Self {
            label: options.span.clone(),
            is_name: matches!(options.span.as_str(), part::STRATEGY_NAME | part::STRATEGY_NAME_WORD),
            is_whole: options.span_end == SpanEnd::Inclusive,
        }
    }

    /// What is measured: SRA, or attention to another part.
    pub(crate) fn measure(&self) -> String {
        if self.is_name { "SRA".to_owned() } else { format!("attention to `{}`", self.label) }
    }

    /// The same where a sentence or title begins.
    pub(crate) fn title(&self) -> String {
        if self.is_name { "SRA".to_owned() } else { format!("Attention to `{}`", self.label) }
    }

    /// The heads of a table's columns of the value and its logarithm.
    pub(crate) fn columns(&self) -> [&'static str; 2] {
        if self.is_name { ["SRA", "log SRA"] } else { ["attention per token", "log"] }
    }

    /// The title of an axis.
    pub(crate) fn axis(&self) -> String {
        let per_token = format!("attention per token of {}", self.name());
        if self.is_name { format!("SRA ({per_token})") } else { per_token }
    }

    /// The title of an axis of logarithms.
    pub(crate) fn log_axis(&self) -> String {
        if self.is_name { "log SRA".to_owned() } else { format!("log attention per token of {}", self.name()) }
    }

    /// The span itself.
    pub(crate) fn name(&self) -> String {
        let name = match self.label.as_str() {
            part::STRATEGY_NAME => "the name".to_owned(),
            part::STRATEGY_NAME_WORD => "the name and the word".to_owned(),
            part::STRATEGY_DESCRIPTION => "the description".to_owned(),
            part::SITUATION => "the situation".to_owned(),
            part::HISTORY => "the history".to_owned(),
            label => format!("`{label}`"),
        };
        if self.is_whole { name } else { format!("{name}, last token left out") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_is_called_sra() {
        let of = |span: &str| MeasuredSpan::of(&SraOptions { span: span.into(), ..SraOptions::ours() });
        assert_eq!(of(part::STRATEGY_NAME).axis(), "SRA (attention per token of the name)");
        assert_eq!(of(part::STRATEGY_DESCRIPTION).axis(), "attention per token of the description");
        assert_eq!(of("turn:3").title(), "Attention to `turn:3`");
        let eval = SraOptions::preset("reference-eval").unwrap();
        assert_eq!(
            MeasuredSpan::of(&eval).axis(),
            "SRA (attention per token of the name and the word, last token left out)"
        );
    }
}
