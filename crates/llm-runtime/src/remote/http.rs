//! One attempt: a request sent, and what came back sorted into answers, troubles that pass and troubles that stay.

use std::io::{ErrorKind, Read};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use ureq::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use ureq::{Agent, Body};

use super::answer::{Flaw, message_of};
use super::options::RemoteOptions;
use super::wire::{Call, TOKENIZE};
use crate::ApiKey;

/// As much of a refusal is read.
const LONGEST_REFUSAL: u64 = 64 << 10;
/// As much of it is shown.
const SHOWN: usize = 300;

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trouble {
    pub(super) kind: TroubleKind,
    /// For people; the key is taken out of it.
    pub(super) message: String,
    /// The server's status, if it answered with one that is no success.
    pub(super) status: Option<u16>,
    /// How long the server wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// Whether another attempt makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TroubleKind {
    /// It may pass.
    Passing,
    /// It concerns this request and stays.
    Request,
    /// It concerns key, model or address: no request can succeed.
    Setup,
}

/// A connection pool to one server.
pub(super) struct Client {
    agent: Agent,
    url: String,
    key: Option<ApiKey>,
    largest_answer: u64,
    idle: Duration,
}

impl Client {
    pub(super) fn new(options: &RemoteOptions, key: Option<ApiKey>) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // A redirected POST becomes a GET, and would carry the key elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("solace-llm-runtime/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(options.patience.connect))
            .timeout_global(Some(options.patience.request))
            .max_idle_connections_per_host(options.concurrency);
        if options.address.is_loopback() {
            config = config.proxy(None);
        }
        Self {
            agent: config.build().new_agent(),
            url: options.address.url().to_owned(),
            key,
            largest_answer: options.largest_answer,
            idle: options.patience.idle,
        }
    }

    pub(super) fn key(&self) -> Option<&ApiKey> {
        self.key.as_ref()
    }

    /// Sends a call and gives the answer's bytes.
    pub(super) fn whole(&self, call: &Call) -> Result<Vec<u8>, Trouble> {
        let request = self.agent.post(self.target(call.path)).config().timeout_recv_body(Some(self.idle)).build();
        let response = self.send(request, &call.bytes(false))?;
        let mut bytes = Vec::new();
        let read = self.bounded(response).read_to_end(&mut bytes);
        read.map_err(|error| self.flawed(Flaw::of_reading("the answer", &error)))?;
        Ok(bytes)
    }

    /// Sends a call and gives the answer as it comes, and whether it is a stream: not all servers have any.
    pub(super) fn streamed(&self, call: &Call) -> Result<(impl Read, bool), Trouble> {
        let request = self.agent.post(self.target(call.path)).config().timeout_per_read(Some(self.idle)).build();
        let response = self.send(request, &call.bytes(true))?;
        let is_stream = response.body().mime_type() != Some("application/json");
        Ok((self.bounded(response), is_stream))
    }

    fn bounded(&self, response: Response<Body>) -> Bounded<impl Read> {
        Bounded { body: response.into_body().into_reader(), limit: self.largest_answer, left: self.largest_answer }
    }

    /// A flaw of an answer as a trouble of the attempt.
    pub(super) fn flawed(&self, flaw: Flaw) -> Trouble {
        match flaw {
            Flaw::NoAnswer(message) => self.passing(&message),
            Flaw::Refused(message) => self.trouble(TroubleKind::Request, &message, None),
        }
    }

    fn target(&self, path: &str) -> String {
        let base = if path == TOKENIZE { self.url.strip_suffix("/v1").unwrap_or(&self.url) } else { &self.url };
        format!("{base}{path}")
    }

    fn send(
        &self,
        request: ureq::RequestBuilder<ureq::typestate::WithBody>,
        body: &[u8],
    ) -> Result<Response<Body>, Trouble> {
        let mut request = request.header(header::CONTENT_TYPE, "application/json");
        if let Some(header) = self.authorization() {
            request = request.header(header::AUTHORIZATION, header);
        }
        let response = request.send(body).map_err(|error| self.passing(&format!("no answer: {error}")))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response)) }
    }

    fn authorization(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.key.as_ref()?.expose())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn refusal(&self, response: Response<Body>) -> Trouble {
        let status = response.status();
        let retry_after = retry_after(response.headers(), SystemTime::now());
        let advice = self.advice(status, response.headers());
        let mut text = Vec::new();
        // A refusal whose text breaks off is one nevertheless.
        let _ = response.into_body().into_reader().take(LONGEST_REFUSAL).read_to_end(&mut text);
        let said = said(&String::from_utf8_lossy(&text), self.key.as_ref());
        let message = match said.is_empty() {
            true => format!("the server answers {status}{advice}"),
            false => format!("the server answers {status}: {said}{advice}"),
        };
        Trouble { status: Some(status.as_u16()), ..self.trouble(kind(status), &message, retry_after) }
    }

    fn advice(&self, status: StatusCode, headers: &HeaderMap) -> String {
        let location = || headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("elsewhere");
        match status.as_u16() {
            300..=399 => format!(" (it redirects to {}: give the URL it means)", location()),
            401 if self.key.is_none() => " (no key was sent: name its environment variable or file)".into(),
            401 | 403 => " (is it the right key?)".into(),
            404 if !self.url.ends_with("/v1") => {
                " (is the model's name right, and does the URL lack /v1 at its end?)".into()
            }
            404 => " (are the model's name and the URL right?)".into(),
            _ => String::new(),
        }
    }

    fn passing(&self, message: &str) -> Trouble {
        self.trouble(TroubleKind::Passing, message, None)
    }

    fn trouble(&self, kind: TroubleKind, message: &str, retry_after: Option<Duration>) -> Trouble {
        let message = self.key.as_ref().map_or_else(|| message.to_owned(), |key| key.hide_in(message));
        Trouble { kind, message, status: None, retry_after }
    }
}

fn kind(status: StatusCode) -> TroubleKind {
    match status.as_u16() {
        408 | 409 | 429 | 500.. => TroubleKind::Passing,
        401 | 403 | 404 => TroubleKind::Setup,
        _ => TroubleKind::Request,
    }
}

/// What a refusal says, in one short line. The key goes before the line is cut: half of it would not be known again.
fn said(text: &str, key: Option<&ApiKey>) -> String {
    let message = serde_json::from_str::<Value>(text).map_or_else(
        |_| text.to_owned(),
        |json| match &json["error"] {
            Value::Null => message_of(&json),
            error => message_of(error),
        },
    );
    let message = key.map_or(message.clone(), |key| {
        let whole = key.hide_in(&message);
        // Texts break off.
        whole[..whole.len() - key.beginning_at_end_of(&whole)].to_owned()
    });
    let words: Vec<&str> = message.split(|letter: char| letter.is_whitespace() || letter.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), or OpenAI's in milliseconds.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(number).ok());
    if let Some(wait) = text("retry-after-ms").and_then(number) {
        return Some(wait / 1000);
    }
    let value = text("retry-after")?;
    // A date that has passed asks for no wait.
    let until = || Some(httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default());
    number(value).or_else(until)
}

/// A body of at most so many bytes; more are an error of the kind [`ErrorKind::FileTooLarge`].
struct Bounded<R> {
    body: R,
    limit: u64,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.body.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            std::io::Error::new(ErrorKind::FileTooLarge, format!("the answer is larger than {} bytes", self.limit))
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_in_all_their_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let wait = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(value).unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(wait("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("retry-after", "0.5"), Some(Duration::from_millis(500)));
        assert_eq!(wait("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(wait("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT"), Some(Duration::from_secs(3)));
        assert_eq!(wait("retry-after", "Sun, 06 Nov 1994 08:49:30 GMT"), Some(Duration::ZERO));
        for nonsense in ["-1", "soon", "NaN", "1e300"] {
            assert_eq!(wait("retry-after", nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_refusal_is_one_short_line() {
        let said = |text: &str| super::said(text, None);
        assert_eq!(said(r#"{"error": {"message": "too\nmany", "code": 1}}"#), "too many");
        assert_eq!(said(r#"{"object": "error", "message": "no such model"}"#), "no such model");
        assert_eq!(said(r#"{"detail": "Not Found"}"#), "Not Found");
        assert_eq!(said("<h1>Bad\r\n gateway\u{1b}[31m</h1>"), "<h1>Bad gateway [31m</h1>");
        assert_eq!(said(&"x".repeat(1000)).chars().count(), SHOWN + 1);
        assert_eq!(said(""), "");
    }

    #[test]
    fn a_key_at_the_cut_of_a_refusal_leaves_no_half() {
        let key = ApiKey::new("sk-0123456789abcdef").unwrap();
        for before in SHOWN - 25..SHOWN + 5 {
            let text = format!("{}sk-0123456789abcdef", "x".repeat(before));
            let (whole, broken_off) = (text.as_str(), &text[..text.len() - 4]);
            assert!(![whole, broken_off].iter().any(|text| said(text, Some(&key)).contains("sk-")), "{before}");
        }
    }

    #[test]
    fn statuses_are_sorted() {
        let kinds =
            |codes: &[u16]| codes.iter().map(|code| kind(StatusCode::from_u16(*code).unwrap())).collect::<Vec<_>>();
        assert!(kinds(&[408, 409, 429, 500, 502, 503, 529]).iter().all(|kind| *kind == TroubleKind::Passing));
        assert!(kinds(&[401, 403, 404]).iter().all(|kind| *kind == TroubleKind::Setup));
        assert!(kinds(&[301, 307, 400, 413, 422]).iter().all(|kind| *kind == TroubleKind::Request));
    }
}
