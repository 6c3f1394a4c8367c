//! A service over real sockets, with models that answer, wait, fail and break.

use super::*;
use crate::complete::CompleteError;
use crate::options::UsageOptions;
use polder_base::{Advice, Reference, Timestamp, read_events};
use polder_infer::{Engine, Finish, GenerateOptions, Generation};
use polder_model::{ModelConfig, Weights};
use polder_tokenizer::{END_OF_TEXT, TrainOptions, WordCounts, train};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// Repeats the prompt's words; some prompts have a meaning of their own.
struct Echo;

impl Complete for Echo {
    fn complete(
        &self,
        prompt: &str,
        options: &GenerateOptions,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generation, CompleteError> {
        match prompt {
            "refuse" => return Err(CompleteError::Refused("too long".into())),
            "fail" => return Err(CompleteError::Failed("no weights".into())),
            "panic" => panic!("as asked"),
            _ => {}
        }
        let mut text = String::new();
        let mut finish = Finish::Stop;
        let words: Vec<&str> = if prompt == "forever" { vec!["x"; 100_000] } else { prompt.split_inclusive(' ').collect() };
        let mut n_tokens = 0;
        for word in words.into_iter().take(if prompt == "forever" { usize::MAX } else { options.max_tokens }) {
            if prompt == "forever" || prompt.starts_with("slow") {
                std::thread::sleep(Duration::from_millis(20));
            }
            text.push_str(word);
            n_tokens += 1;
            if on_text(word).is_break() {
                finish = Finish::Cancelled;
                break;
            }
        }
        Ok(Generation { text, n_prompt_tokens: 3, n_tokens, finish })
    }
}

struct Running {
    runtime: Runtime,
    url: String,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<Served, ServeError>>,
}

impl Running {
    fn start(options: ServeOptions, model: Arc<dyn Complete>) -> Self {
        let runtime = Runtime::new().expect("runtime");
        let server = runtime.block_on(Server::bind(options, model)).expect("bind");
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let ended = runtime.spawn(server.serve(async {
            let _ = stopped.await;
        }));
        Self { runtime, url: format!("http://127.0.0.1:{}", address.port()), address, stop, ended }
    }

    fn stop(self) -> Served {
        self.stop.send(()).expect("still running");
        self.runtime.block_on(self.ended).expect("join").expect("served")
    }

    fn post(&self, body: &Value) -> (u16, Value) {
        post(&self.url, body)
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

fn post(url: &str, body: &Value) -> (u16, Value) {
    let mut response = agent().post(format!("{url}/v1/completions")).send_json(body).expect("answer");
    (response.status().as_u16(), response.body_mut().read_json().expect("json"))
}

fn get(url: &str, token: Option<&str>) -> (u16, Value) {
    let mut request = agent().get(url);
    if let Some(token) = token {
        request = request.header("Authorization", token);
    }
    let mut response = request.call().expect("answer");
    (response.status().as_u16(), response.body_mut().read_json().expect("json"))
}

fn options() -> ServeOptions {
    ServeOptions { clock: || Timestamp(5000), ..ServeOptions::new("echo") }
}

#[test]
fn a_completion_has_the_shape_that_clients_know() {
    let server = Running::start(options(), Arc::new(Echo));
    let (status, answer) = server.post(&json!({"model": "echo", "prompt": "one two", "temperature": 0}));
    assert_eq!(status, 200);
    assert_eq!((&answer["object"], &answer["created"], &answer["model"]), (&json!("text_completion"), &json!(5), &json!("echo")));
    assert_eq!(answer["choices"], json!([{"index": 0, "text": "one two", "logprobs": null, "finish_reason": "stop"}]));
    assert_eq!(answer["usage"], json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}));
    assert!(answer["id"].as_str().expect("id").starts_with("cmpl-"));
    assert_eq!(get(&format!("{}/health", server.url), None).1["status"], "ok");
    assert_eq!(get(&format!("{}/v1/models", server.url), None).1["data"][0]["id"], "echo");
    assert_eq!(get(&format!("{}/v1/models/other", server.url), None).0, 404);
    assert_eq!(server.stop(), Served { n_requests: 1, n_refused: 0, n_events_lost: 0, is_drained: true });
}

/// Answers until it is told to break.
#[derive(Default)]
struct Fragile(AtomicBool);

impl Complete for Fragile {
    fn complete(&self, _: &str, _: &GenerateOptions, _: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<Generation, CompleteError> {
        self.0.store(true, Ordering::Relaxed);
        Err(CompleteError::Failed("the machine is gone".into()))
    }

    fn is_well(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn a_model_that_has_failed_ends_the_service_with_an_error() {
    let server = Running::start(options(), Arc::new(Fragile::default()));
    assert_eq!(get(&format!("{}/health", server.url), None).0, 200);
    assert_eq!(server.post(&json!({"prompt": "a"})).0, 500);
    // Until it ends, it does not say that all is well.
    let health = agent().get(format!("{}/health", server.url)).call();
    assert!(health.is_err() || health.is_ok_and(|answer| answer.status().as_u16() == 503));
    let Running { runtime, ended, stop, .. } = server;
    let ended = runtime.block_on(ended).expect("join");
    assert!(matches!(&ended, Err(e @ ServeError::Model) if e.exit() == polder_base::ExitKind::Failed), "{ended:?}");
    drop(stop);
}

#[test]
fn every_error_is_json_and_the_service_goes_on() {
    let server = Running::start(ServeOptions { body_bytes_max: 200, ..options() }, Arc::new(Echo));
    for (prompt, status) in [("refuse", 400), ("fail", 500), ("panic", 500), (&*"long ".repeat(100), 413)] {
        let (found, answer) = server.post(&json!({"prompt": prompt}));
        assert_eq!(found, status, "{prompt}");
        assert!(answer["error"]["message"].is_string() && answer["error"]["type"].is_string(), "{answer}");
    }
    let raw = |content_type: &str, body: &str| {
        let request = agent().post(format!("{}/v1/completions", server.url)).content_type(content_type);
        request.send(body).expect("answer").status().as_u16()
    };
    assert_eq!(raw("application/json", "{"), 400);
    assert_eq!(raw("text/plain", r#"{"prompt":"a"}"#), 415, "what a page of another site may send");
    assert_eq!(get(&format!("{}/nothing", server.url), None).0, 404);
    assert_eq!(get(&format!("{}/v1/completions", server.url), None).0, 405);
    assert_eq!(server.post(&json!({"prompt": "still here"})).0, 200);
    server.stop();
}

#[test]
fn a_stream_gives_the_text_in_pieces_and_ends_with_done() {
    let server = Running::start(options(), Arc::new(Echo));
    let body = json!({"prompt": "one two three", "stream": true, "stream_options": {"include_usage": true}});
    let mut response = agent().post(format!("{}/v1/completions", server.url)).send_json(&body).expect("answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.body_mut().read_to_string().expect("text");
    let data: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("data: ")).collect();
    assert_eq!(data.last(), Some(&"[DONE]"));
    let pieces: Vec<Value> = data[..data.len() - 1].iter().map(|d| serde_json::from_str(d).expect("json")).collect();
    let texts: String = pieces.iter().filter_map(|p| p["choices"][0]["text"].as_str()).collect();
    assert_eq!((texts.as_str(), pieces.len()), ("one two three", 5));
    assert_eq!(pieces[3]["choices"][0]["finish_reason"], "stop");
    assert_eq!(pieces[4]["usage"]["total_tokens"], 6);
    server.stop();
}

#[test]
fn a_full_queue_is_told_to_come_again_and_time_is_capped() {
    let limits = ServeOptions { n_workers: 1, queue_max: 1, request_time_max: Duration::from_millis(400), ..options() };
    let server = Running::start(limits, Arc::new(Echo));
    let url = server.url.clone();
    let forever: Vec<_> = (0..2)
        .map(|_| {
            let url = url.clone();
            std::thread::spawn(move || post(&url, &json!({"prompt": "forever"})))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(150));
    let refused = agent().post(format!("{url}/v1/completions")).send_json(json!({"prompt": "a"})).expect("answer");
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().expect("text")), (503, "1"));
    for thread in forever {
        let (status, answer) = thread.join().expect("join");
        assert_eq!((status, &answer["error"]["code"]), (504, &json!("timeout")));
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(server.post(&json!({"prompt": "a"})).0, 200, "cancelled requests give their worker back");
    assert_eq!(server.stop().n_refused, 1);
}

#[test]
fn beyond_loopback_a_token_is_needed_and_checked() {
    let runtime = Runtime::new().expect("runtime");
    let open = ServeOptions { address: "0.0.0.0:0".parse().expect("address"), ..options() };
    let error = runtime.block_on(Server::bind(open.clone(), Arc::new(Echo))).err().expect("refused");
    assert!(matches!(error, ServeError::TokenRequired { .. }) && error.hint().is_some());
    let short = ServeOptions { token: Some("short".into()), ..open.clone() };
    assert!(matches!(runtime.block_on(Server::bind(short, Arc::new(Echo))), Err(ServeError::TokenTooShort { n_bytes: 5 })));
    let token = "0123456789abcdef";
    let server = Running::start(ServeOptions { token: Some(token.into()), ..open }, Arc::new(Echo));
    let url = format!("{}/v1/models", server.url);
    assert_eq!(get(&url, None).0, 401);
    assert_eq!(get(&url, Some("Bearer 0123456789abcdeF")).0, 401);
    assert_eq!(get(&url, Some(token)).0, 401);
    assert_eq!(get(&url, Some(&format!("Bearer {token}"))).0, 200);
    assert_eq!(get(&format!("{}/health", server.url), None).0, 200);
    assert_eq!(server.post(&json!({"prompt": "a"})).0, 401);
    server.stop();
}

#[test]
fn a_page_under_a_name_of_its_own_is_turned_away() {
    let server = Running::start(options(), Arc::new(Echo));
    let ask = |host: &str| {
        let mut socket = std::net::TcpStream::connect(server.address).expect("connect");
        write!(socket, "GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("write");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("read");
        answer[9..12].to_owned()
    };
    assert_eq!([ask("localhost:1"), ask("[::1]:1"), ask("127.0.0.1"), ask("evil.example:80")], ["200", "200", "200", "421"]);
    server.stop();
}

#[test]
fn a_port_in_use_is_an_error_with_a_hint() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = taken.local_addr().expect("address");
    let runtime = Runtime::new().expect("runtime");
    let error = runtime.block_on(Server::bind(ServeOptions { address, ..options() }, Arc::new(Echo))).err().expect("in use");
    assert_eq!(error.to_string(), format!("port {} of 127.0.0.1 is in use", address.port()));
    assert!(error.hint().expect("hint").contains("--listen") && error.exit() == polder_base::ExitKind::Usage);
}

#[test]
fn a_shutdown_lets_running_requests_end_within_the_grace() {
    let server = Running::start(options(), Arc::new(Echo));
    let url = server.url.clone();
    let slow = std::thread::spawn(move || post(&url, &json!({"prompt": "slow ".repeat(10)})));
    std::thread::sleep(Duration::from_millis(60));
    assert!(server.stop().is_drained);
    assert_eq!(slow.join().expect("join").1["usage"]["completion_tokens"], 10);

    let server = Running::start(ServeOptions { grace: Duration::from_millis(100), ..options() }, Arc::new(Echo));
    // A client that never ends its head must not hold the service up.
    let mut half_open = std::net::TcpStream::connect(server.address).expect("connect");
    half_open.write_all(b"GET /health HT").expect("write");
    std::thread::sleep(Duration::from_millis(50));
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn usage_is_written_down_without_text_unless_asked_for() {
    for keep_text in [false, true] {
        let dir = tempfile::tempdir().expect("temporary folder");
        let usage = UsageOptions {
            folder: dir.path().to_owned(),
            actor: "me@here".into(),
            subject: Reference::artefact("models", "echo"),
            run_id: "r".into(),
            keep_text,
        };
        let server = Running::start(ServeOptions { usage: Some(usage), ..options() }, Arc::new(Echo));
        server.post(&json!({"prompt": "secret words"}));
        server.post(&json!({"prompt": "secret words"}));
        server.stop();
        let events = read_events(dir.path()).expect("events");
        assert_eq!(events.len(), 2);
        assert_ne!(events[0].id, events[1].id);
        assert_eq!((events[0].verb.as_str(), &events[0].details["n_tokens"]), ("serve", &json!(2)));
        let text = std::fs::read_to_string(dir.path().join("events.jsonl")).expect("read");
        assert_eq!(text.contains("secret"), keep_text);
    }
}

#[test]
fn a_real_model_answers_the_same_to_the_same_seed() {
    let mut counts = WordCounts::new();
    counts.add("red blue green one two three red blue green");
    let tokens = TrainOptions { vocab_size: 280, special_tokens: vec![END_OF_TEXT.into()], min_count: 1, ..TrainOptions::default() };
    let tokenizer = train(&counts, &tokens, &mut |_, _| {}).expect("train");
    let end = tokenizer.special_id(END_OF_TEXT);
    let config = ModelConfig { bos_token_id: end, eos_token_id: end, ..polder_model::preset("nano", 280, 32).expect("preset") };
    let engine = Engine::new(Weights::init(&config, 3).expect("weights"), tokenizer).expect("engine");
    let server = Running::start(options(), Arc::new(engine));
    let ask = |seed: u64| server.post(&json!({"prompt": "red", "seed": seed, "max_tokens": 8})).1["choices"][0]["text"].clone();
    assert_eq!(ask(1), ask(1));
    assert_ne!(ask(1), ask(2));
    let (status, answer) = server.post(&json!({"prompt": "red ".repeat(100)}));
    assert_eq!(status, 400, "{answer}");
    server.stop();
}
