//! The shapes of requests, answers and errors on the wire.
//!
//! # Source
//! OpenAI's API of completions and models. Unknown keys are passed over; those that ask for what is not done are refused.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use polder_infer::{Finish, GenerateOptions};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The most stop texts of a request.
const STOPS_MAX: usize = 4;

/// A refusal in the shape that clients of OpenAI understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    kind: &'static str,
    message: String,
    param: Option<String>,
    code: Option<&'static str>,
    retry_after_s: Option<u32>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), param: None, code: None, retry_after_s: None }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    fn param(param: &str, message: impl Into<String>) -> Self {
        Self { param: Some(param.to_owned()), ..Self::bad(message) }
    }

    pub(crate) fn too_large(most: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", format!("the body is larger than {most} bytes"))
    }

    pub(crate) fn media_type() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request_error", "the content type must be application/json")
    }

    pub(crate) fn not_found(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", format!("there is nothing at {path}"))
    }

    pub(crate) fn method(method: &str, path: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", format!("{path} does not take {method}"))
    }

    pub(crate) fn model(asked: &str, served: &str) -> Self {
        let message = format!("the model `{asked}` is not served here; `{served}` is");
        let error = Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message);
        Self { param: Some("model".into()), code: Some("model_not_found"), ..error }
    }

    pub(crate) fn unauthorized() -> Self {
        let error = Self::new(StatusCode::UNAUTHORIZED, "authentication_error", "a valid bearer token is needed");
        Self { code: Some("invalid_api_key"), ..error }
    }

    pub(crate) fn host() -> Self {
        Self::new(StatusCode::MISDIRECTED_REQUEST, "invalid_request_error", "this service answers to its own address only")
    }

    pub(crate) fn busy() -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "all workers are busy and the queue is full");
        Self { code: Some("overloaded"), retry_after_s: Some(1), ..error }
    }

    pub(crate) fn timeout() -> Self {
        let error = Self::new(StatusCode::GATEWAY_TIMEOUT, "server_error", "the answer took too long");
        Self { code: Some("timeout"), ..error }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    pub(crate) fn body(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn many(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

#[derive(Deserialize)]
struct Wire {
    model: Option<String>,
    prompt: Option<OneOrMany>,
    max_tokens: Option<usize>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    seed: Option<i64>,
    stop: Option<OneOrMany>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// A completion request that can be done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CompletionRequest {
    pub(crate) prompt: String,
    pub(crate) options: GenerateOptions,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
}

/// Keys that ask for what is not done here, with the value that asks for nothing.
const NEUTRAL: [(&str, &[&str]); 8] = [
    ("n", &["1"]),
    ("best_of", &["1"]),
    ("echo", &["false"]),
    ("logprobs", &["false"]),
    ("suffix", &["\"\""]),
    ("presence_penalty", &["0", "0.0"]),
    ("frequency_penalty", &["0", "0.0"]),
    ("logit_bias", &["{}"]),
];

impl CompletionRequest {
    /// Reads a body. `seed` is taken where the request names none.
    pub(crate) fn read(body: &[u8], served: &str, tokens_max: usize, seed: u64) -> Result<Self, ApiError> {
        let not_json = |e: serde_json::Error| ApiError::bad(format!("the body is not a completion request: {e}"));
        let value: Value = serde_json::from_slice(body).map_err(not_json)?;
        for (key, neutral) in NEUTRAL {
            if let Some(found) = value.get(key).filter(|v| !v.is_null() && !neutral.contains(&v.to_string().as_str())) {
                return Err(ApiError::param(key, format!("`{key}` = {found} is not supported")));
            }
        }
        let wire: Wire = serde_json::from_value(value).map_err(not_json)?;
        if let Some(model) = wire.model.filter(|m| m != served) {
            return Err(ApiError::model(&model, served));
        }
        let mut prompts = wire.prompt.ok_or_else(|| ApiError::param("prompt", "`prompt` is missing"))?.many();
        let Some(prompt) = prompts.pop().filter(|_| prompts.is_empty()) else {
            return Err(ApiError::param("prompt", "`prompt` must be one text"));
        };
        let max_tokens = wire.max_tokens.unwrap_or(16);
        if max_tokens == 0 || max_tokens > tokens_max {
            return Err(ApiError::param("max_tokens", format!("`max_tokens` must be from 1 to {tokens_max}")));
        }
        let temperature = wire.temperature.unwrap_or(1.0);
        if !(0.0..=2.0).contains(&temperature) {
            return Err(ApiError::param("temperature", "`temperature` must be from 0 to 2"));
        }
        let top_p = wire.top_p.unwrap_or(1.0);
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(ApiError::param("top_p", "`top_p` must be above 0 and at most 1"));
        }
        let stop = wire.stop.map(OneOrMany::many).unwrap_or_default();
        if stop.len() > STOPS_MAX || stop.iter().any(String::is_empty) {
            return Err(ApiError::param("stop", format!("`stop` must be at most {STOPS_MAX} texts, none of them empty")));
        }
        let seed = wire.seed.map_or(seed, i64::cast_unsigned);
        Ok(Self {
            prompt,
            options: GenerateOptions { max_tokens, temperature, top_k: wire.top_k.unwrap_or(0), top_p, seed, stop },
            stream: wire.stream.unwrap_or(false),
            include_usage: wire.stream_options.is_some_and(|o| o.include_usage),
        })
    }
}

/// Tokens of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: usize,
    pub(crate) completion_tokens: usize,
    pub(crate) total_tokens: usize,
}

impl Usage {
    pub(crate) fn new(prompt_tokens: usize, completion_tokens: usize) -> Self {
        Self { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
    }
}

pub(crate) fn finish_name(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::Cancelled => "cancelled",
    }
}

/// What every answer of one request carries.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) id: String,
    pub(crate) created_s: i64,
    pub(crate) model: String,
}

impl Answer {
    /// The whole answer, or a piece of a stream; a piece before the last has no finish.
    pub(crate) fn completion(&self, text: &str, finish: Option<Finish>, usage: Option<Usage>) -> Value {
        let choice = json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish.map(finish_name)});
        self.with_choices(json!([choice]), usage)
    }

    /// The end of a stream whose client wants to know the usage.
    pub(crate) fn usage_only(&self, usage: Usage) -> Value {
        self.with_choices(json!([]), Some(usage))
    }

    fn with_choices(&self, choices: Value, usage: Option<Usage>) -> Value {
        let mut answer =
            json!({"id": self.id, "object": "text_completion", "created": self.created_s, "model": self.model, "choices": choices});
        if let Some(usage) = usage {
            answer["usage"] = json!(usage);
        }
        answer
    }
}

pub(crate) fn model_entry(model: &str, created_s: i64) -> Value {
    json!({"id": model, "object": "model", "created": created_s, "owned_by": "polder"})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<CompletionRequest, ApiError> {
        CompletionRequest::read(body.as_bytes(), "m", 100, 7)
    }

    #[test]
    fn a_request_is_read_with_openai_defaults() {
        let r = read(r#"{"prompt": ["hi"], "some_future_key": 1, "stop": "\n", "n": 1, "logprobs": null}"#).expect("read");
        let options = GenerateOptions { max_tokens: 16, temperature: 1.0, top_k: 0, top_p: 1.0, seed: 7, stop: vec!["\n".into()] };
        assert_eq!(r, CompletionRequest { prompt: "hi".into(), options, stream: false, include_usage: false });
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        for (body, param) in [
            (r#"{"prompt":"a","n":2}"#, "n"),
            (r#"{"prompt":"a","logprobs":5}"#, "logprobs"),
            (r#"{"prompt":"a","echo":true}"#, "echo"),
            (r#"{"prompt":["a","b"]}"#, "prompt"),
            (r#"{}"#, "prompt"),
            (r#"{"prompt":"a","max_tokens":101}"#, "max_tokens"),
            (r#"{"prompt":"a","temperature":-1}"#, "temperature"),
            (r#"{"prompt":"a","top_p":0}"#, "top_p"),
            (r#"{"prompt":"a","stop":["1","2","3","4","5"]}"#, "stop"),
            (r#"{"prompt":"a","model":"other"}"#, "model"),
        ] {
            assert_eq!(read(body).expect_err(body).param.as_deref(), Some(param), "{body}");
        }
        for body in ["", "[]", "\u{0}", r#"{"prompt": 5}"#, r#"{"prompt":"a","max_tokens":"many"}"#] {
            assert_eq!(read(body).expect_err(body).status, StatusCode::BAD_REQUEST, "{body:?}");
        }
    }
}
