//! Prompts that are too long for the model: the published cut, and ours, which takes whole turns from the beginning of the dialogue.

use crate::error::Error;
use crate::template::Template;

/// How many tokens of prompt and answer are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptTokens {
    /// Of the prompt, from its beginning.
    pub prompt: usize,
    /// Of the answer, from its beginning.
    pub answer: usize,
}

/// The published cut: with prompt length `s`, answer length `t` and limit `L`, the answer gets `t' = max(⌊L·t/(s+t)⌋, 1)` tokens and
/// the prompt `L − t'`, each cut at its end. All is kept where `s + t ≤ L` and there is an answer.
///
/// It takes the cue and the latest turns from the prompt; [`fit_oldest_turns`] does not.
pub fn proportional_cut(prompt: usize, answer: usize, limit: usize) -> KeptTokens {
    // Lengths of texts in memory, so that the product fits.
    let share = (limit as u128 * answer as u128).checked_div(prompt as u128 + answer as u128).unwrap_or(0);
    let for_answer = usize::try_from(share).unwrap_or(usize::MAX).max(1);
    KeptTokens { prompt: prompt.min(limit.saturating_sub(for_answer)), answer: answer.min(for_answer) }
}

/// A prompt that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FittedPrompt {
    /// The prompt.
    pub text: String,
    /// How many turns it lost at its beginning.
    pub dropped_turns: usize,
}

/// Drops as few of the oldest turns as it takes until prompt and answer have at most `limit` tokens. Head, tail and the last turn are never
/// dropped, and the turns left keep their numbers.
///
/// `tokens` counts the tokens of a prompt together with all that has to fit beside it (the answer, control tokens). It is
/// asked once where the prompt fits, else about log₂(turns) times, and has to give less for fewer turns.
///
/// # Errors
/// The prompt does not fit even with the last turn alone, or `tokens` fails.
pub fn fit_oldest_turns<E: From<Error>>(
    template: &Template,
    turns: &[&str],
    limit: usize,
    tokens: &mut dyn FnMut(&str) -> Result<usize, E>,
) -> Result<FittedPrompt, E> {
    let without = |dropped: usize| template.prompt(&turns[dropped..].concat());
    if tokens(&without(0))? <= limit {
        return Ok(FittedPrompt { text: without(0), dropped_turns: 0 });
    }
    let (mut too_few, mut enough) = (0, turns.len().saturating_sub(1));
    let shortest = tokens(&without(enough))?;
    if shortest > limit {
        return Err(Error::TooLong { shortest, limit }.into());
    }
    while enough - too_few > 1 {
        let middle = too_few + (enough - too_few) / 2;
        match tokens(&without(middle))? <= limit {
            true => enough = middle,
            false => too_few = middle,
        }
    }
    Ok(FittedPrompt { text: without(enough), dropped_turns: enough })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::template::Task;

    #[test]
    fn the_published_cut_shares_the_limit() {
        let cut = |prompt, answer, limit| {
            let KeptTokens { prompt, answer } = proportional_cut(prompt, answer, limit);
            (prompt, answer)
        };
        assert_eq!(cut(1500, 50, 1024), (991, 33));
        assert_eq!(cut(3000, 1000, 1024), (768, 256));
        assert_eq!(cut(974, 50, 1024), (974, 50));
        assert_eq!(cut(975, 50, 1024), (975, 49));
        assert_eq!(cut(100_000, 1, 1024), (1023, 1));
        assert_eq!(cut(2000, 0, 1024), (1023, 0));
        assert_eq!((cut(0, 0, 1024), cut(5, 5, 0)), ((0, 0), (0, 1)));
        assert_eq!(cut(usize::MAX, usize::MAX, 1024), (512, 512));
    }

    proptest! {
        #[test]
        fn the_published_cut_fills_the_limit_and_keeps_what_fits(
            prompt in 0_usize..5000, answer in 1_usize..5000, limit in 1_usize..3000,
        ) {
            let kept = proportional_cut(prompt, answer, limit);
            match prompt + answer <= limit {
                true => prop_assert_eq!(kept, KeptTokens { prompt, answer }),
                false => prop_assert_eq!(kept.prompt + kept.answer, limit),
            }
        }
    }

    /// A token per word.
    fn words(text: &str) -> Result<usize, Error> {
        Ok(text.split_whitespace().count())
    }

    #[test]
    fn the_fewest_oldest_turns_are_dropped() {
        let template = Template::built_in(Task::Inference);
        let frame = words(&template.prompt("")).unwrap();
        let turns: Vec<String> = (1..=9).map(|number| format!("({number}) Seeker: three more words\n")).collect();
        let turns: Vec<&str> = turns.iter().map(String::as_str).collect();
        for limit in frame + 5..frame + 50 {
            let fitted = fit_oldest_turns(&template, &turns, limit, &mut words).unwrap();
            let kept = ((limit - frame) / 5).min(9);
            assert_eq!(fitted.dropped_turns, 9 - kept, "{limit}");
            assert_eq!(fitted.text, template.prompt(&turns[9 - kept..].concat()));
            assert!(words(&fitted.text).unwrap() <= limit);
        }
    }

    #[test]
    fn head_cue_and_last_turn_are_never_dropped() {
        let template = Template::built_in(Task::Inference);
        let frame = words(&template.prompt("")).unwrap();
        for turns in [&["(1) Seeker: a\n", "(2) Seeker: b\n"][..], &["(2) Seeker: b\n"], &[]] {
            let error = fit_oldest_turns(&template, turns, frame - 1, &mut words).unwrap_err();
            let shortest = frame + if turns.is_empty() { 0 } else { 3 };
            assert!(matches!(error, Error::TooLong { shortest: found, .. } if found == shortest), "{error}");
        }
    }

    #[test]
    fn a_prompt_that_fits_is_counted_once() {
        let mut asked = 0;
        let mut count = |_: &str| {
            asked += 1;
            Ok::<usize, Error>(10)
        };
        let template = Template::built_in(Task::Inference);
        assert_eq!(fit_oldest_turns(&template, &["a\n"; 64], 10, &mut count).unwrap().dropped_turns, 0);
        assert_eq!(asked, 1);
    }
}
