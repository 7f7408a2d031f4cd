//! Streamed answers: server-sent events, one JSON object a line, until `[DONE]`.

use std::io::{BufRead, BufReader, Read};

use super::answer::{Answer, AnswerBuilder, Flaw};

/// Reads a streamed answer to its end. `told` hears the text so far after each piece, and says whether to go on.
///
/// # Errors
/// The stream breaks off, or what comes is no answer. `None` if `told` ended it.
pub(super) fn read(
    body: impl Read,
    mut builder: AnswerBuilder<'_>,
    told: &mut dyn FnMut(String) -> bool,
) -> Result<Option<Answer>, Flaw> {
    let mut lines = BufReader::new(body);
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = lines.read_until(b'\n', &mut line).map_err(|error| Flaw::of_reading("the stream", &error))?;
        let Some(data) = data(&line) else {
            if count == 0 {
                break;
            }
            continue;
        };
        if data == b"[DONE]" {
            break;
        }
        builder.take(data)?;
        if !told(builder.text_so_far()) {
            return Ok(None);
        }
    }
    // Some servers send no `[DONE]`; the reason why the text ended says that it did.
    if !builder.is_complete() {
        return Err(Flaw::NoAnswer("the stream broke off before the text ended".into()));
    }
    builder.finish().map(Some)
}

/// Reads an answer that comes in one piece although a stream was asked for.
///
/// # Errors
/// It breaks off, or is no answer.
pub(super) fn read_whole(mut body: impl Read, mut builder: AnswerBuilder<'_>) -> Result<Answer, Flaw> {
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes).map_err(|error| Flaw::of_reading("the answer", &error))?;
    builder.take(&bytes)?;
    builder.finish()
}

/// What a line of data holds; comments, event names and empty lines hold none.
fn data(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"data:").map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text_model::FinishReason;

    const FIRST: &str = r#"data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hel"}}]}"#;
    const SECOND: &str = r#"data:{"choices": [{"index": 0, "delta": {"content": "lo"}, "finish_reason": null}]}"#;
    const END: &str = r#"data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}"#;
    const USAGE: &str = r#"data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}"#;

    fn stream(lines: &[&str]) -> Result<Option<Answer>, Flaw> {
        let text = lines.join("\r\n\r\n") + "\n\n";
        read(text.as_bytes(), AnswerBuilder::new(None, None, 0), &mut |_| true)
    }

    #[test]
    fn pieces_make_the_answer() {
        let answer = stream(&[": ping", FIRST, SECOND, END, USAGE, "data: [DONE]"]).unwrap().unwrap();
        assert_eq!((answer.text.as_str(), answer.finish), ("Hello", FinishReason::Length));
        assert_eq!(answer.usage.unwrap().completion_tokens, 2);
        assert_eq!(stream(&[FIRST, SECOND, END]).unwrap().unwrap().text, "Hello");
    }

    #[test]
    fn a_stream_that_breaks_off_is_no_answer() {
        let error = r#"data: {"error": {"message": "out of memory"}}"#;
        for lines in [&[FIRST, SECOND][..], &[FIRST, "data: {"], &[FIRST, error, END], &[]] {
            assert!(matches!(stream(lines), Err(Flaw::NoAnswer(_))), "{lines:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_an_answer_or_a_flaw(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
            order in proptest::collection::vec(0..6_usize, 0..12),
            cut in 0..2000_usize,
        ) {
            let nothing = |_: String| true;
            let _ = read(bytes.as_slice(), AnswerBuilder::new(None, Some(2), 1), &mut { nothing });
            let logprobs = r#"data: {"choices": [{"logprobs": {"tokens": ["a"], "token_logprobs": [null, 1]}}]}"#;
            let lines = [FIRST, SECOND, END, USAGE, logprobs, "data: [DONE]"];
            let text: String = order.iter().map(|line| format!("{}\n\n", lines[*line])).collect();
            let text = &text.as_bytes()[..cut.min(text.len())];
            if let Ok(Some(answer)) = read(text, AnswerBuilder::new(None, None, 0), &mut { nothing }) {
                proptest::prop_assert_eq!(answer.finish, FinishReason::Length);
            }
        }
    }

    #[test]
    fn a_listener_may_end_it() {
        let text = [FIRST, SECOND, END].join("\n");
        let mut heard = Vec::new();
        let answer = read(text.as_bytes(), AnswerBuilder::new(None, None, 0), &mut |text| {
            heard.push(text);
            false
        });
        assert_eq!((answer, heard), (Ok(None), vec!["Hel".to_owned()]));
    }
}
