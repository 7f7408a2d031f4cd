//! A remote model and servers that fail in every way: the result is complete, in the caller's hands, and paid for once.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use llm_runtime::{
    ApiKey, AttentionProbe, CancelToken, Completion, Continuation, Dialect, Error, Event, FinishReason,
    GenerationOptions, KeySource, Message, Patience, Prices, Prompt, RemoteAddress, RemoteModel, RemoteOptions,
    Request, RequestError, RetryPolicy, RunStatistics, ScoreRequest, SpanChoice, TextModel,
};

use crate::log_capture;
use crate::scripted_server::{Act, ScriptedServer, right_answer};

/// Settings for a server that is near and answers soon.
fn options(server: &ScriptedServer) -> RemoteOptions {
    RemoteOptions {
        key: KeySource::Nowhere,
        concurrency: 4,
        retry: RetryPolicy {
            retries: 2,
            first_wait: Duration::from_millis(5),
            longest_wait: Duration::from_millis(20),
            ..RetryPolicy::default()
        },
        patience: Patience {
            connect: Duration::from_secs(5),
            request: Duration::from_millis(1500),
            idle: Duration::from_millis(700),
        },
        ..RemoteOptions::new(RemoteAddress::new("scripted", &server.url).unwrap())
    }
}

fn chat(key: u64, text: &str) -> Request {
    Request::new(
        key,
        Prompt::Chat(vec![Message::system("Be kind."), Message::user(text)]),
        GenerationOptions::default(),
    )
}

/// What became of each request.
#[derive(Default)]
struct Heard {
    ends: BTreeMap<u64, Result<Completion, RequestError>>,
    told: BTreeMap<u64, String>,
    debug: String,
}

impl Heard {
    fn hear(&mut self, event: Event) {
        self.debug += &format!("{event:?}\n");
        let (key, end) = match event {
            Event::Text { key, delta } => return self.told.entry(key).or_default().push_str(&delta),
            Event::Finished(completion) => (completion.key, Ok(completion)),
            Event::Failed { key, error } => (key, Err(error)),
        };
        assert!(self.ends.insert(key, end).is_none(), "request {key} ended twice");
    }

    fn text(&self, key: u64) -> &str {
        &self.ends[&key].as_ref().unwrap().text
    }

    fn error(&self, key: u64) -> String {
        self.ends[&key].as_ref().unwrap_err().to_string()
    }
}

fn run(options: RemoteOptions, requests: Vec<Request>) -> (Heard, Result<RunStatistics, Error>) {
    let mut heard = Heard::default();
    let statistics = RemoteModel::new(options).unwrap().generate(&mut requests.into_iter(), &mut |event| {
        heard.hear(event);
        ControlFlow::Continue(())
    });
    (heard, statistics)
}

fn key_file(folder: &Path, key: &str) -> KeySource {
    let path = folder.join("key");
    std::fs::write(&path, format!("{key}\n")).unwrap();
    KeySource::File(path)
}

/// Every way to fail that passes, with the script of a request that meets it once.
fn passing_failures() -> Vec<(&'static str, Act)> {
    let status = |status, headers| Act::Status(status, headers, r#"{"error": {"message": "not now"}}"#.into());
    let body = |body: &str| Act::Body("application/json", body.into());
    vec![
        ("too many requests", status(429, "Retry-After: 0\r\n")),
        ("too many requests, by date", status(429, "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n")),
        ("request timeout", status(408, "")),
        ("conflict", status(409, "")),
        ("internal error", status(500, "")),
        ("bad gateway", Act::Status(502, "Content-Type: text/html\r\n", "<h1>Bad gateway</h1>".into())),
        ("unavailable", status(503, "Retry-After: 0.01\r\n")),
        ("dropped at once", Act::DropAtOnce),
        ("dropped in the head", Act::DropInHead),
        ("dropped in the body", Act::DropInBody),
        ("truncated", Act::Truncated),
        ("not JSON", body("{\"choices\": [}")),
        ("no choices", body(r#"{"choices": []}"#)),
        ("wrong types", body(r#"{"choices": [{"message": {"content": 3}, "finish_reason": "stop"}]}"#)),
        ("no end", body(r#"{"choices": [{"message": {"content": "x"}}]}"#)),
        ("an error with status 200", body(r#"{"error": {"message": "busy"}}"#)),
        ("a page", Act::Body("text/html", "<html>Please log in</html>".into())),
        ("nothing", body("")),
    ]
}

#[test]
fn every_failure_that_passes_is_survived() {
    let failures = passing_failures();
    let scripts: Vec<(&str, &[Act])> = failures.iter().map(|(name, act)| (*name, std::slice::from_ref(act))).collect();
    let server = ScriptedServer::start(&scripts);
    // Whole requests that meet no failure stand between the others.
    let prompts: Vec<&str> = failures.iter().flat_map(|(name, _)| [*name, "a good day"]).collect();
    let requests = prompts.iter().enumerate().map(|(key, prompt)| chat(key as u64, prompt)).collect();
    let (heard, statistics) = run(options(&server), requests);
    for (key, prompt) in prompts.iter().enumerate() {
        assert_eq!(heard.text(key as u64), right_answer(prompt), "{prompt}");
        assert_eq!(heard.told[&(key as u64)], right_answer(prompt));
    }
    for (number, (name, _)) in failures.iter().enumerate() {
        let attempts = |key: usize| heard.ends[&(key as u64)].as_ref().unwrap().attempts;
        assert_eq!((server.attempts(name), attempts(2 * number), attempts(2 * number + 1)), (2, 2, 1), "{name}");
    }
    let statistics = statistics.unwrap();
    assert_eq!(statistics.requests, prompts.len() as u64);
    assert_eq!(statistics.attempts, server.seen().len() as u64);
    assert_eq!(statistics.attempts, (3 * failures.len()) as u64);
    assert_eq!(statistics.prompt_tokens, 100 * prompts.len() as u64);
    assert_eq!(statistics.prompt_tokens_reused, 40 * prompts.len() as u64);
}

#[test]
fn a_failure_that_stays_fails_its_request_and_the_others_go_on() {
    let broken = Act::Status(500, "", "down".into());
    let elsewhere = ScriptedServer::start(&[]);
    let location = format!("Location: {}/chat/completions\r\n", elsewhere.url);
    let location: &'static str = Box::leak(location.into_boxed_str());
    let filtered = r#"{"choices": [{"message": {"content": "x"}, "finish_reason": "content_filter"}]}"#;
    let scripts: Vec<(&str, Vec<Act>)> = vec![
        ("down", vec![broken.clone(), broken.clone(), broken.clone(), broken]),
        ("bad", vec![Act::Status(400, "", r#"{"error": {"message": "no such parameter", "param": "x"}}"#.into())]),
        ("moved", vec![Act::Status(307, location, String::new())]),
        ("moved for good", vec![Act::Status(301, location, String::new())]),
        ("huge", vec![Act::Huge(200_000)]),
        ("filtered", vec![Act::Body("application/json", filtered.into())]),
        ("for hours", vec![Act::Status(429, "Retry-After: 86400\r\n", String::new())]),
    ];
    let borrowed: Vec<(&str, &[Act])> = scripts.iter().map(|(name, acts)| (*name, acts.as_slice())).collect();
    let server = ScriptedServer::start(&borrowed);
    let prompts = ["down", "bad", "moved", "moved for good", "huge", "filtered", "for hours", "fine", "fine too"];
    let requests = prompts.iter().enumerate().map(|(key, prompt)| chat(key as u64, prompt)).collect();
    let (heard, statistics) = run(RemoteOptions { largest_answer: 100_000, ..options(&server) }, requests);
    let expected = ["(3 attempts)", "no such parameter", "redirects", "redirects", "larger", "filter", "86400 s"];
    for (key, expected) in expected.into_iter().enumerate() {
        let error = heard.error(key as u64);
        assert!(error.contains(expected), "{}: {error}", prompts[key]);
        assert_eq!(server.attempts(prompts[key]), if key == 0 { 3 } else { 1 }, "{}", prompts[key]);
    }
    assert!((7..9).all(|key| heard.text(key) == right_answer(prompts[key as usize])));
    assert!(elsewhere.seen().is_empty(), "a redirect was followed");
    assert_eq!(statistics.unwrap().failed, 7);
}

#[test]
fn a_streamed_answer_that_is_too_large_is_paid_for_once() {
    let server = ScriptedServer::start(&[("huge", &[Act::Huge(200_000)])]);
    let streaming = RemoteOptions { largest_answer: 100_000, streaming: true, ..options(&server) };
    let (heard, _) = run(streaming, vec![chat(0, "huge")]);
    assert!(heard.error(0).contains("larger than 100000 bytes"), "{}", heard.error(0));
    assert_eq!(server.attempts("huge"), 1);
}

#[test]
fn times_that_no_clock_can_add_are_refused() {
    let server = ScriptedServer::start(&[]);
    let endless = RemoteOptions { minimum_delay: Duration::from_secs(u64::MAX), ..options(&server) };
    assert!(RemoteModel::new(endless).err().unwrap().to_string().contains("longer than a year"));
}

#[test]
fn servers_that_drip_or_say_nothing_are_given_up() {
    let scripts: [(&str, &[Act]); 4] = [
        ("silence", &[Act::Silence]),
        ("drip head", &[Act::DripHead]),
        ("drip body", &[Act::DripBody]),
        ("twice", &[Act::DripBody, Act::Silence]),
    ];
    let server = ScriptedServer::start(&scripts);
    let start = Instant::now();
    let requests = scripts.iter().enumerate().map(|(key, (prompt, _))| chat(key as u64, prompt)).collect();
    let (heard, _) = run(options(&server), requests);
    for (key, (prompt, acts)) in scripts.iter().enumerate() {
        assert_eq!(heard.text(key as u64), right_answer(prompt));
        assert_eq!(server.attempts(prompt), acts.len() + 1, "{prompt}");
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_wrong_key_ends_the_run_before_it_costs_anything() {
    for (status, says) in [(401, "right key"), (403, "right key"), (404, "model's name")] {
        let refusal = Act::Status(status, "", r#"{"error": {"message": "no"}}"#.into());
        let server = ScriptedServer::start(&[("first", &[refusal])]);
        let folder = tempfile::tempdir().unwrap();
        let key = key_file(folder.path(), "sk-0123456789abcdef");
        let requests = (0..50).map(|key| chat(key, "first")).collect();
        let (heard, statistics) = run(RemoteOptions { key, concurrency: 1, ..options(&server) }, requests);
        let error = statistics.unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("openai:scripted@http://"), "{error}");
        assert!(heard.ends.is_empty());
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn after_a_success_a_refusal_concerns_its_request_only() {
    let refusal = Act::Status(401, "", String::new());
    let server = ScriptedServer::start(&[("second", &[refusal])]);
    let requests = vec![chat(0, "first"), chat(1, "second"), chat(2, "third")];
    let (heard, statistics) = run(RemoteOptions { concurrency: 1, ..options(&server) }, requests);
    assert!(statistics.is_ok());
    assert!(heard.error(1).contains("401"), "{}", heard.error(1));
    assert_eq!(heard.text(2), right_answer("third"));
}

#[test]
fn a_server_that_nobody_answers_for_is_told_as_such() {
    let server = ScriptedServer::start(&[]);
    let nobody = RemoteAddress::new("m", "http://127.0.0.1:1/v1").unwrap();
    let (heard, _) = run(RemoteOptions { address: nobody, ..options(&server) }, vec![chat(0, "hello")]);
    assert!(heard.error(0).contains("(3 attempts)"), "{}", heard.error(0));
}

#[test]
fn the_key_is_sent_and_found_nowhere_else() {
    const KEY: &str = "sk-leak-test-7f3a9c51e2";
    log_capture::start();
    let folder = tempfile::tempdir().unwrap();
    let echo = |status| Act::Status(status, "", format!(r#"{{"error": {{"message": "wrong key {KEY}"}}}}"#));
    let raw = Act::Status(500, "", format!("Authorization: Bearer {KEY}"));
    let said = format!(
        r#"{{"model": "{KEY}", "system_fingerprint": "{KEY}", "choices": [{{"message": {{"content":
        "Your key is {KEY}."}}, "finish_reason": "stop"}}]}}"#
    );
    let moved: &'static str = Box::leak(format!("Location: http://127.0.0.1/?key={KEY}\r\n").into_boxed_str());
    let server = ScriptedServer::start(&[
        ("refused", &[echo(400)]),
        ("broken", &[raw.clone(), raw.clone(), raw]),
        ("unauthorised", &[echo(401)]),
        ("moved", &[Act::Status(302, moved, String::new())]),
        ("told", &[Act::Body("application/json", said)]),
        ("nonsense", &[Act::Body("text/plain", KEY.into())]),
    ]);
    let journal = folder.path().join("journal.jsonl");
    let secret = tempfile::tempdir().unwrap();
    let options = RemoteOptions {
        key: key_file(secret.path(), KEY),
        journal: Some(journal.clone()),
        concurrency: 1,
        ..options(&server)
    };
    let shown = format!("{options:?} {:?}", options.key.read().unwrap());
    let prompts = ["first", "refused", "broken", "unauthorised", "moved", "told", "nonsense"];
    let requests = prompts.iter().enumerate().map(|(key, prompt)| chat(key as u64, prompt)).collect();
    let (mut heard, statistics) = run(options.clone(), requests);
    assert!(heard.error(1).contains("wrong key [key]"), "{}", heard.error(1));
    assert_eq!(heard.text(5), "Your key is [key].");
    assert_eq!(heard.ends.values().filter(|end| end.is_ok()).count(), 3);
    // As the first request, a refusal ends the run: that error must not show it either.
    let server = ScriptedServer::start(&[("unauthorised", &[echo(401)])]);
    let address = RemoteAddress::new("scripted", &server.url).unwrap();
    let (_, ended) = run(RemoteOptions { address, journal: None, ..options }, vec![chat(0, "unauthorised")]);
    let ended = ended.unwrap_err();

    assert!(server.seen().iter().all(|seen| seen.authorization.as_deref() == Some(&format!("Bearer {KEY}"))));
    heard.debug += &format!("{statistics:?} {ended:?} {ended} {shown}");
    heard.ends.values().filter_map(|end| end.as_ref().err()).for_each(|error| heard.debug += &error.to_string());
    let journal = std::fs::read_to_string(&journal).unwrap();
    assert_eq!(journal.lines().count(), 3);
    for (what, text) in [("journal", journal), ("events and errors", heard.debug), ("log", log_capture::lines())] {
        assert!(text.len() > 100, "{what} is empty");
        assert!(!text.contains("7f3a9c51e2"), "the key is in the {what}: {text}");
    }
}

#[test]
fn a_restarted_run_asks_only_what_is_unanswered() {
    let server = ScriptedServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.jsonl");
    let options = RemoteOptions { journal: Some(journal.clone()), concurrency: 3, ..options(&server) };
    let requests = || (0..30).map(|key| chat(key, &format!("prompt {key}"))).collect::<Vec<_>>();
    let mut finished = Vec::new();
    let mut model = RemoteModel::new(options.clone()).unwrap();
    model
        .generate(&mut requests().into_iter(), &mut |event| {
            if let Event::Finished(completion) = event {
                finished.push(completion.key);
            }
            if finished.len() == 12 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    drop(model);
    // Answers that were under way are kept too.
    let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
    let deadline = Instant::now() + Duration::from_secs(20);
    while lines(&std::fs::read(&journal).unwrap()) < server.seen().len() || RemoteModel::new(options.clone()).is_err() {
        assert!(Instant::now() < deadline, "an answer was paid for and lost");
        std::thread::sleep(Duration::from_millis(10));
    }
    let bytes = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &bytes[..bytes.len() - 7]).unwrap();
    let torn_off = 1;
    let kept = lines(&bytes) - torn_off;

    let asked_before = server.seen().len();
    let (heard, statistics) = run(options.clone(), requests());
    let statistics = statistics.unwrap();
    assert!((0..30).all(|key| heard.text(key) == right_answer(&format!("prompt {key}"))));
    assert_eq!((statistics.from_journal, statistics.attempts), (kept as u64, 30 - kept as u64));
    assert_eq!(server.seen().len(), asked_before + 30 - kept);
    // Another seed is another request; the same one again costs nothing.
    let (_, again) = run(options.clone(), requests());
    assert_eq!(again.unwrap().attempts, 0);
    let mut other = chat(0, "prompt 0");
    other.options.seed = 1;
    assert_eq!(run(options, vec![other]).1.unwrap().attempts, 1);
}

#[test]
fn streams_are_told_as_they_come_and_survive_being_cut() {
    let whole = r#"{"choices": [{"message": {"content": "in one piece"}, "finish_reason": "length"}]}"#;
    let server = ScriptedServer::start(&[
        ("cut", &[Act::CutStream(3)]),
        ("stalled", &[Act::StalledStream(2)]),
        ("failed", &[Act::ErrorInStream]),
        ("changed", &[Act::CutStream(3), Act::OtherStream(vec!["Some", "thing", " else"])]),
        ("whole", &[Act::Body("application/json", whole.into())]),
    ]);
    let prompts = ["fine", "cut", "stalled", "failed"];
    let mut requests: Vec<Request> = prompts.iter().enumerate().map(|(key, prompt)| chat(key as u64, prompt)).collect();
    requests.push(chat(4, "changed"));
    requests.push(Request::new(5, Prompt::Text("plain".into()), GenerationOptions::default()));
    requests.push(chat(6, "whole"));
    let (heard, statistics) = run(RemoteOptions { streaming: true, ..options(&server) }, requests);
    for (key, prompt) in prompts.iter().enumerate() {
        assert_eq!(heard.text(key as u64), right_answer(prompt));
        assert_eq!(heard.told[&(key as u64)], right_answer(prompt), "nothing is told twice");
    }
    assert_eq!(heard.text(4), "Something else");
    assert_eq!(heard.told[&4], "This is the ", "what was told can't be taken back");
    assert_eq!(
        (heard.text(5), server.seen().iter().filter(|seen| seen.path == "/v1/completions").count()),
        (right_answer("plain").as_str(), 1)
    );
    assert_eq!((heard.text(6), heard.told[&6].as_str()), ("in one piece", "in one piece"));
    assert_eq!(statistics.unwrap().attempts, 11);
}

#[test]
fn a_cancelled_request_ends_at_once_and_the_others_go_on() {
    let server = ScriptedServer::start(&[("silence", &[Act::Silence]), ("begun", &[Act::StalledStream(2)])]);
    let patience = Patience { request: Duration::from_secs(60), idle: Duration::from_secs(60), ..Patience::default() };
    let cancel = CancelToken::new();
    let mut requests = vec![chat(0, "silence"), chat(1, "begun"), chat(2, "fine")];
    requests[0].cancel = Some(cancel.clone());
    requests[1].cancel = Some(cancel.clone());
    let start = Instant::now();
    let mut heard = Heard::default();
    let mut model = RemoteModel::new(RemoteOptions { streaming: true, patience, ..options(&server) }).unwrap();
    model
        .generate(&mut requests.into_iter(), &mut |event| {
            heard.hear(event);
            let has_begun = heard.told.get(&1).is_some_and(|told| told == "This is ");
            if has_begun && heard.ends.contains_key(&2) {
                cancel.cancel();
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(start.elapsed() < Duration::from_secs(20));
    let finish = |key: u64| heard.ends[&key].as_ref().unwrap().finish_reason;
    assert_eq!((finish(0), finish(1)), (FinishReason::Cancelled, FinishReason::Cancelled));
    assert_eq!((heard.text(1), heard.text(2)), ("This is ", right_answer("fine").as_str()));
}

#[test]
fn a_sink_that_breaks_does_not_wait_for_a_silent_server() {
    let server = ScriptedServer::start(&[("silence", &[Act::Silence])]);
    let patience = Patience { request: Duration::from_secs(60), ..Patience::default() };
    let start = Instant::now();
    let mut model = RemoteModel::new(RemoteOptions { patience, ..options(&server) }).unwrap();
    let mut events = 0;
    model
        .generate(&mut std::iter::once(chat(0, "silence")), &mut |event| {
            assert!(matches!(event, Event::Text { key: 0, ref delta } if delta.is_empty()), "{event:?}");
            events += 1;
            if events == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn no_more_requests_are_under_way_than_allowed() {
    let slow = || Act::Slow(Duration::from_millis(60));
    let names: Vec<String> = (0..12).map(|key| format!("slow {key}")).collect();
    let acts = [slow()];
    let scripts: Vec<(&str, &[Act])> = names.iter().map(|name| (name.as_str(), &acts[..])).collect();
    let server = ScriptedServer::start(&scripts);
    let requests = names.iter().enumerate().map(|(key, name)| chat(key as u64, name)).collect();
    let (heard, _) = run(RemoteOptions { concurrency: 3, ..options(&server) }, requests);
    assert_eq!(heard.ends.len(), 12);
    assert!((2..=3).contains(&server.most_at_work()), "{}", server.most_at_work());
}

#[test]
fn attempts_keep_the_distance_asked_for() {
    let server = ScriptedServer::start(&[]);
    let delay = Duration::from_millis(40);
    let requests = (0..5).map(|key| chat(key, "hello")).collect();
    let start = Instant::now();
    run(RemoteOptions { minimum_delay: delay, ..options(&server) }, requests).1.unwrap();
    // The first attempt is not sent before the start, and none is seen before it is sent.
    let last = server.seen().iter().map(|seen| seen.at).max().unwrap();
    assert!(last - start >= delay * 4, "{:?}", last - start);
}

#[test]
fn tokens_are_counted_and_priced() {
    let server = ScriptedServer::start(&[("down", &[Act::DropAtOnce])]);
    let prices = Some(Prices { prompt: 3.0, new: 15.0 });
    let requests = vec![chat(0, "fine"), chat(1, "down")];
    let statistics = run(RemoteOptions { prices, ..options(&server) }, requests).1.unwrap();
    assert_eq!((statistics.prompt_tokens, statistics.generated_tokens), (200, 20));
    assert!((statistics.cost.unwrap() - (200.0 * 3.0 + 20.0 * 15.0) / 1e6).abs() < 1e-12);
}

#[test]
fn what_a_server_cannot_do_is_refused_alone() {
    let server = ScriptedServer::start(&[]);
    let mut probed = chat(0, "seen");
    probed.probe = Some(AttentionProbe::spans(SpanChoice::none()));
    let mut beams = chat(1, "beams");
    beams.options.beam_width = 4;
    let tokens = Request::new(2, Prompt::Tokens(vec![1, 2, 3]), GenerationOptions::default());
    let requests = vec![probed, beams, tokens, chat(3, "fine")];
    let (heard, statistics) = run(RemoteOptions { dialect: Some(Dialect::OpenAi), ..options(&server) }, requests);
    assert!(heard.error(0).contains("attention"));
    assert!(heard.error(1).contains("beam_width"));
    assert!(heard.error(2).contains("token ids"));
    assert_eq!((heard.text(3), statistics.unwrap().failed), (right_answer("fine").as_str(), 3));
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_completion_tells_what_is_known() {
    let server = ScriptedServer::start(&[]);
    let (heard, _) = run(options(&server), vec![chat(0, "hello")]);
    let completion = heard.ends[&0].as_ref().unwrap();
    assert_eq!((completion.prompt_tokens, completion.new_tokens, completion.prompt.reused), (100, 10, 40));
    assert_eq!(completion.finish_reason, FinishReason::EndOfSequence);
    assert_eq!(completion.served_by.as_ref().unwrap().model, "scripted-1");
    assert!(completion.prompt.text.is_empty() && completion.prompt.spans.is_empty());
    let sent = &server.seen()[0].body;
    assert_eq!((sent["model"].as_str(), sent["messages"][0]["role"].as_str()), (Some("scripted"), Some("system")));
    assert_eq!(sent["return_token_ids"], true);
}

#[test]
fn scores_need_a_server_that_can() {
    let server = ScriptedServer::start(&[("hello", &[Act::Status(404, "", "{\"detail\": \"Not Found\"}".into())])]);
    let request = ScoreRequest::new(Prompt::Text("hello".into()), Continuation::Text(" you".into()));
    let mut model = RemoteModel::new(options(&server)).unwrap();
    let error = model.score(std::slice::from_ref(&request)).unwrap_err().to_string();
    assert!(error.contains("/tokenize"), "{error}");
    assert_eq!(server.seen()[0].path, "/tokenize");
    let mut model = RemoteModel::new(RemoteOptions { dialect: Some(Dialect::OpenAi), ..options(&server) }).unwrap();
    let score = model.score(&[request]).unwrap().remove(0);
    assert!(score.unwrap_err().to_string().contains("does not score"));
}

#[test]
fn what_is_no_key_is_refused_before_anything_is_sent() {
    let server = ScriptedServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let wrong = [
        KeySource::Variable("SOLACE_TEST_VARIABLE_THAT_IS_NOT_SET".into()),
        KeySource::File(folder.path().join("nowhere")),
        key_file(folder.path(), "two words"),
    ];
    for key in wrong {
        assert!(RemoteModel::new(RemoteOptions { key, ..options(&server) }).is_err());
    }
    assert!(ApiKey::new("sk-1").is_ok());
}
