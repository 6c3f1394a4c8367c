//! Answers requests. Text is generated on blocking threads; a client that goes away ends its generation.

use std::convert::Infallible;
use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use polder_base::{Hasher, Random, digest_bytes};
use polder_infer::{Finish, Generation};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::api::{Answer, ApiError, CompletionRequest, Usage, finish_name, model_entry};
use crate::complete::CompleteError;
use crate::server::Shared;
use crate::usage::Answered;

/// How long the end of a stream may wait for a slow client, also past the request's time.
const LAST_PIECE: Duration = Duration::from_secs(1);

type Context = State<Arc<Shared>>;

/// Pieces of a stream that may wait for a slow client.
const STREAM_PIECES: usize = 64;

/// Lets requests with the token pass, and those that ask nothing of the model.
pub(crate) async fn guard(State(shared): Context, request: Request, next: Next) -> Response {
    if shared.token.is_none() && !is_own_host(&request) {
        return ApiError::host().into_response();
    }
    if let Some(expected) = &shared.token
        && request.uri().path() != "/health"
    {
        let given = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let given = given.strip_prefix("Bearer ").unwrap_or_default();
        // Digests have one length and nothing of the token's order, and every byte is looked at.
        let digest = digest_bytes(given.as_bytes());
        let difference = digest.bytes().iter().zip(expected.bytes()).fold(0, |d, (a, b)| d | (a ^ b));
        if std::hint::black_box(difference) != 0 {
            return ApiError::unauthorized().into_response();
        }
    }
    next.run(request).await
}

/// A page in a browser can reach loopback under a name of its own making; its requests carry that name.
fn is_own_host(request: &Request) -> bool {
    let Some(host) = request.headers().get(header::HOST) else { return true };
    let host = host.to_str().unwrap_or_default();
    let name =
        host.strip_prefix('[').and_then(|h| h.split_once(']')).map_or_else(|| host.split(':').next().unwrap_or_default(), |(h, _)| h);
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub(crate) async fn health(State(shared): Context) -> (StatusCode, Json<Value>) {
    let (code, status) = if shared.model.is_well() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "failed") };
    (code, Json(json!({"status": status, "model": shared.options.model, "n_events_lost": shared.usage.n_lost()})))
}

pub(crate) async fn models(State(shared): Context) -> Json<Value> {
    Json(json!({"object": "list", "data": [model_entry(&shared.options.model, shared.started_s)]}))
}

pub(crate) async fn model(State(shared): Context, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    if name == shared.options.model {
        Ok(Json(model_entry(&name, shared.started_s)))
    } else {
        Err(ApiError::model(&name, &shared.options.model))
    }
}

pub(crate) async fn not_found(uri: Uri) -> ApiError {
    ApiError::not_found(uri.path())
}

pub(crate) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    ApiError::method(method.as_str(), uri.path())
}

pub(crate) async fn completions(State(shared): Context, request: Request) -> Response {
    let started = Instant::now();
    // Counted before anything waits, so that the queue's length is what was promised.
    let Ok(place) = shared.places.clone().try_acquire_owned() else {
        shared.n_refused.fetch_add(1, Ordering::Relaxed);
        return ApiError::busy().into_response();
    };
    let answered = tokio::time::timeout(shared.options.request_time_max, complete(&shared, request, place, started)).await;
    match answered {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => error.into_response(),
        Err(_) => ApiError::timeout().into_response(),
    }
}

async fn read_body(shared: &Shared, request: Request) -> Result<Vec<u8>, ApiError> {
    let most = shared.options.body_bytes_max;
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    // A page of another site can send plain text without asking, but not JSON.
    if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(ApiError::media_type());
    }
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    if length.is_some_and(|n| n > most) {
        return Err(ApiError::too_large(most));
    }
    let body: Body = request.into_body();
    to_bytes(body, most).await.map(|b| b.to_vec()).map_err(|e| {
        let is_limit = e.source().is_some_and(|s| s.to_string().contains("length limit"));
        if is_limit { ApiError::too_large(most) } else { ApiError::bad("the body ended early") }
    })
}

async fn complete(shared: &Arc<Shared>, request: Request, place: OwnedSemaphorePermit, started: Instant) -> Result<Response, ApiError> {
    let body = read_body(shared, request).await?;
    let n = shared.n_requests.fetch_add(1, Ordering::Relaxed);
    let seed = Random::new(shared.started_s.cast_unsigned(), "request").at(n);
    let request = CompletionRequest::read(&body, &shared.options.model, shared.options.tokens_max, seed)?;
    let worker = shared.workers.clone().acquire_owned().await.map_err(|_| ApiError::failed("the service is shutting down"))?;
    let answer =
        Answer { id: request_id(shared, n), created_s: (shared.options.clock)().0.div_euclid(1000), model: shared.options.model.clone() };
    let job = Job { shared: shared.clone(), request, answer, started, _permits: (place, worker) };
    if job.request.stream { Ok(job.stream()) } else { job.whole().await }
}

fn request_id(shared: &Shared, n: u64) -> String {
    let mut hasher = Hasher::new();
    hasher.field(&shared.started_s.to_le_bytes());
    hasher.field(&shared.local_address.port().to_le_bytes());
    hasher.field(&std::process::id().to_le_bytes());
    hasher.field(&n.to_le_bytes());
    format!("cmpl-{}", &hasher.finish().hex()[..24])
}

/// A request that has a worker; the permits go back when the generation has ended, not when the client left.
struct Job {
    shared: Arc<Shared>,
    request: CompletionRequest,
    answer: Answer,
    started: Instant,
    _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// Ends the generation when the future that waits for it is dropped: by time, or because the client left.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Job {
    /// Generates on this thread and writes the usage down.
    fn run(&self, on_text: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<Generation, ApiError> {
        let done = self.shared.model.complete(&self.request.prompt, &self.request.options, on_text);
        let generation = done.map_err(|e| match e {
            CompleteError::Refused(message) => ApiError::bad(message),
            CompleteError::Failed(message) => ApiError::failed(message),
        })?;
        self.shared.usage.append(&Answered {
            id: &self.answer.id,
            at: (self.shared.options.clock)(),
            finish: finish_name(generation.finish),
            n_prompt_tokens: generation.n_prompt_tokens,
            n_tokens: generation.n_tokens,
            duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            prompt: &self.request.prompt,
            text: &generation.text,
        });
        Ok(generation)
    }

    async fn whole(self) -> Result<Response, ApiError> {
        let answer = self.answer.clone();
        let cancelled = CancelOnDrop(Arc::new(AtomicBool::new(false)));
        let flag = cancelled.0.clone();
        let flow = move |_: &str| if flag.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let done = tokio::task::spawn_blocking(move || self.run(&mut { flow })).await;
        // A panic in the model ends this request, not the service.
        let generation = done.map_err(|_| ApiError::failed("the model broke off"))??;
        let usage = Usage::new(generation.n_prompt_tokens, generation.n_tokens);
        Ok(Json(answer.completion(&generation.text, Some(generation.finish), Some(usage))).into_response())
    }

    fn stream(self) -> Response {
        let (sender, receiver) = mpsc::channel::<Value>(STREAM_PIECES);
        let deadline = self.started + self.shared.options.request_time_max;
        tokio::task::spawn_blocking(move || {
            let send = |value: Value| send_before(&sender, value, deadline);
            let answer = self.answer.clone();
            let done = self.run(&mut |text| send(answer.completion(text, None, None)));
            let last = match done {
                Ok(g) if g.finish == Finish::Cancelled => vec![ApiError::timeout().body()],
                Ok(g) => {
                    let usage = Usage::new(g.n_prompt_tokens, g.n_tokens);
                    let end = answer.completion("", Some(g.finish), None);
                    if self.request.include_usage { vec![end, answer.usage_only(usage)] } else { vec![end] }
                }
                Err(error) => vec![error.body()],
            };
            for value in last {
                // Where nobody listens any more, there is nobody to tell.
                let _ = send_before(&sender, value, deadline.max(Instant::now() + LAST_PIECE));
            }
        });
        let events = stream::unfold(Some(receiver), |receiver| async move {
            let mut receiver = receiver?;
            Some(match receiver.recv().await {
                Some(value) => (Ok::<_, Infallible>(Event::default().data(value.to_string())), Some(receiver)),
                None => (Ok(Event::default().data("[DONE]")), None),
            })
        });
        Sse::new(events).into_response()
    }
}

/// Waits for room in the stream until the deadline; a client that reads too slowly or not at all ends the generation.
fn send_before(sender: &mpsc::Sender<Value>, value: Value, deadline: Instant) -> ControlFlow<()> {
    let mut value = value;
    loop {
        if Instant::now() >= deadline {
            return ControlFlow::Break(());
        }
        match sender.try_send(value) {
            Ok(()) => return ControlFlow::Continue(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return ControlFlow::Break(()),
            Err(mpsc::error::TrySendError::Full(back)) => {
                value = back;
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
