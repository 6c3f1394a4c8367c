//! What was served, as events that the lake takes over later.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use polder_base::{Event, EventLog, Timestamp};
use serde_json::{Value, json};

use crate::error::ServeError;
use crate::options::UsageOptions;

/// The log, and what could not be written to it.
pub(crate) struct UsageLog {
    log: Option<(Mutex<EventLog>, UsageOptions)>,
    n_lost: AtomicU64,
}

/// One answered request.
pub(crate) struct Answered<'a> {
    pub(crate) id: &'a str,
    pub(crate) at: Timestamp,
    pub(crate) finish: &'a str,
    pub(crate) n_prompt_tokens: usize,
    pub(crate) n_tokens: usize,
    pub(crate) duration_ms: u64,
    pub(crate) prompt: &'a str,
    pub(crate) text: &'a str,
}

impl UsageLog {
    pub(crate) fn open(options: Option<&UsageOptions>) -> Result<Self, ServeError> {
        let log = match options {
            Some(options) => Some((Mutex::new(EventLog::open(&options.folder)?), options.clone())),
            None => None,
        };
        Ok(Self { log, n_lost: AtomicU64::new(0) })
    }

    /// Events that the disk did not take; answers were given all the same.
    pub(crate) fn n_lost(&self) -> u64 {
        self.n_lost.load(Ordering::Relaxed)
    }

    pub(crate) fn append(&self, answered: &Answered<'_>) {
        let Some((log, options)) = &self.log else { return };
        let mut details = json!({
            "request": answered.id,
            "finish": answered.finish,
            "n_prompt_tokens": answered.n_prompt_tokens,
            "n_tokens": answered.n_tokens,
            "duration_ms": answered.duration_ms,
        });
        if options.keep_text {
            details["prompt"] = Value::from(answered.prompt);
            details["completion"] = Value::from(answered.text);
        }
        let event = Event::new(answered.at, &options.actor, "serve", options.subject.clone(), &options.run_id).with_details(details);
        if log.lock().unwrap_or_else(PoisonError::into_inner).append(&event).is_err() {
            self.n_lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}
