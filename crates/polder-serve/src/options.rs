//! How a model is served.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use polder_base::{Reference, Timestamp};

/// How a model is served; the defaults are safe on a machine of one's own.
#[derive(Clone)]
pub struct ServeOptions {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// What requests must carry as `Authorization: Bearer …`; needed beyond loopback.
    pub token: Option<String>,
    /// The model's name in requests and answers.
    pub model: String,
    /// Largest body of a request.
    pub body_bytes_max: usize,
    /// Longest time from a request's head to the end of its answer.
    pub request_time_max: Duration,
    /// Requests that are answered at once.
    pub n_workers: usize,
    /// Requests that may wait for a worker; further ones are told to come again.
    pub queue_max: usize,
    /// The most tokens a request may ask for.
    pub tokens_max: usize,
    /// How long running requests may go on after the shutdown began.
    pub grace: Duration,
    /// Where and how usage is written down; `None` writes nothing.
    pub usage: Option<UsageOptions>,
    /// Reads the time; only `created` fields and events have it.
    pub clock: fn() -> Timestamp,
}

/// How usage is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageOptions {
    /// The folder of `events.jsonl`.
    pub folder: PathBuf,
    /// Whose service it is.
    pub actor: String,
    /// The model, with its version.
    pub subject: Reference,
    /// The run that the events belong to.
    pub run_id: String,
    /// Keeps the text of prompts and answers; without it only counts are kept.
    pub keep_text: bool,
}

impl ServeOptions {
    /// Serves a model to this machine only, on a free port.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            token: None,
            model: model.into(),
            body_bytes_max: 1 << 20,
            request_time_max: Duration::from_secs(60),
            n_workers: 2,
            queue_max: 16,
            tokens_max: 4096,
            grace: Duration::from_secs(10),
            usage: None,
            clock: Timestamp::now,
        }
    }
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("ServeOptions").field("address", &self.address).field("model", &self.model).field("token", &token).finish()
    }
}
