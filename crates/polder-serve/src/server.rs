//! Listens, serves until told to stop, and lets running requests end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::routing::{get, post};
use axum::{Router, middleware};
use polder_base::{Digest, digest_bytes};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};

use crate::complete::Complete;
use crate::error::ServeError;
use crate::handle;
use crate::options::ServeOptions;
use crate::usage::UsageLog;

/// The shortest token that is taken.
const TOKEN_BYTES_MIN: usize = 16;

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) model: Arc<dyn Complete>,
    pub(crate) options: ServeOptions,
    /// Digest of the token; the token itself is not kept.
    pub(crate) token: Option<Digest>,
    pub(crate) usage: UsageLog,
    /// Requests that may be inside at once: running and waiting.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) workers: Arc<Semaphore>,
    pub(crate) n_requests: AtomicU64,
    pub(crate) n_refused: AtomicU64,
    pub(crate) started_s: i64,
    pub(crate) local_address: SocketAddr,
}

/// How often it is looked whether the model can still be asked.
const LOOK: Duration = Duration::from_secs(1);

/// Waits until a model fails, if ever.
async fn failure(model: &dyn Complete) {
    while model.is_well() {
        tokio::time::sleep(LOOK).await;
    }
}

/// A service that listens and does not answer yet.
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What a service did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Completion requests taken.
    pub n_requests: u64,
    /// Requests that were told to come again.
    pub n_refused: u64,
    /// Events that the disk did not take.
    pub n_events_lost: u64,
    /// Every running request ended within the grace.
    pub is_drained: bool,
}

impl Server {
    /// Begins to listen.
    ///
    /// # Errors
    /// An address that cannot be had, no token where one is needed, or a log that cannot be opened.
    pub async fn bind(options: ServeOptions, model: Arc<dyn Complete>) -> Result<Self, ServeError> {
        let address = options.address;
        match &options.token {
            None if !address.ip().is_loopback() => return Err(ServeError::TokenRequired { address }),
            Some(token) if token.len() < TOKEN_BYTES_MIN => return Err(ServeError::TokenTooShort { n_bytes: token.len() }),
            _ => {}
        }
        let listener = TcpListener::bind(address).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => ServeError::PortInUse { address, source },
            _ => ServeError::Bind { address, source },
        })?;
        let local_address = listener.local_addr().map_err(|source| ServeError::Bind { address, source })?;
        let workers = options.n_workers.max(1);
        let shared = Shared {
            model,
            token: options.token.as_ref().map(|t| digest_bytes(t.as_bytes())),
            usage: UsageLog::open(options.usage.as_ref())?,
            places: Arc::new(Semaphore::new(workers + options.queue_max)),
            workers: Arc::new(Semaphore::new(workers)),
            n_requests: AtomicU64::new(0),
            n_refused: AtomicU64::new(0),
            started_s: (options.clock)().0.div_euclid(1000),
            local_address,
            options: ServeOptions { token: None, ..options },
        };
        Ok(Self { listener, shared: Arc::new(shared) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local_address
    }

    /// Answers requests until `shutdown` ends; then takes no new ones and waits for the running ones as long as the grace.
    ///
    /// # Errors
    /// The network or the model failed.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<Served, ServeError> {
        let shared = self.shared;
        let router = Router::new()
            .route("/health", get(handle::health))
            .route("/v1/models", get(handle::models))
            .route("/v1/models/{name}", get(handle::model))
            .route("/v1/completions", post(handle::completions))
            .fallback(handle::not_found)
            .method_not_allowed_fallback(handle::method_not_allowed)
            .layer(middleware::from_fn_with_state(shared.clone(), handle::guard))
            .with_state(shared.clone());
        let stopping = Arc::new(Notify::new());
        let (began, model) = (stopping.clone(), shared.model.clone());
        let signal = async move {
            tokio::select! {
                () = shutdown => {}
                () = failure(&*model) => {}
            }
            began.notify_one();
        };
        let serving = axum::serve(self.listener, router).with_graceful_shutdown(signal);
        let too_late = async {
            stopping.notified().await;
            tokio::time::sleep(shared.options.grace).await;
        };
        let is_drained = tokio::select! {
            ended = async { serving.await } => ended.map(|()| true).map_err(|source| ServeError::Serve { source })?,
            () = too_late => false,
        };
        if !shared.model.is_well() {
            return Err(ServeError::Model);
        }
        Ok(Served {
            n_requests: shared.n_requests.load(Ordering::Relaxed),
            n_refused: shared.n_refused.load(Ordering::Relaxed),
            n_events_lost: shared.usage.n_lost(),
            is_drained,
        })
    }
}

#[cfg(test)]
mod tests;
