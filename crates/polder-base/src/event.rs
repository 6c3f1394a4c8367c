//! Facts as they happen, appended to a file beside the work; the lake takes them over later, once per id.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Advice, Hasher, Input, Reference, Timestamp};

/// Something that happened: who did what to which subject, from what, giving what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Digest of the other fields, 32 hexadecimal digits.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Who: `user@host`, or a token's name.
    pub actor: String,
    /// What was done: `ingest`, `train`, `serve`, …
    pub verb: String,
    /// To what.
    pub subject: Reference,
    /// From what, at which content.
    pub inputs: Vec<Input>,
    /// Giving what, with which content.
    pub outputs: Vec<Input>,
    /// The run it belongs to.
    pub run_id: String,
    /// What this verb says besides.
    pub details: serde_json::Value,
}

impl Event {
    /// Makes an event; its id is a digest of everything else.
    pub fn new(at: Timestamp, actor: &str, verb: &str, subject: Reference, run_id: &str) -> Self {
        let mut event = Self {
            id: String::new(),
            at,
            actor: actor.to_owned(),
            verb: verb.to_owned(),
            subject,
            inputs: Vec::new(),
            outputs: Vec::new(),
            run_id: run_id.to_owned(),
            details: serde_json::Value::Null,
        };
        event.id = event.compute_id();
        event
    }

    /// Adds what it was made from.
    pub fn with_inputs(mut self, inputs: Vec<Input>) -> Self {
        self.inputs = inputs;
        self.id = self.compute_id();
        self
    }

    /// Adds what it gave.
    pub fn with_outputs(mut self, outputs: Vec<Input>) -> Self {
        self.outputs = outputs;
        self.id = self.compute_id();
        self
    }

    /// Adds what the verb says besides.
    pub fn with_details(mut self, details: serde_json::Value) -> Self {
        self.details = details;
        self.id = self.compute_id();
        self
    }

    fn compute_id(&self) -> String {
        let mut hasher = Hasher::new();
        for part in [&self.at.to_string(), &self.actor, &self.verb, &self.subject.to_string(), &self.run_id, &self.details.to_string()] {
            hasher.field(part.as_bytes());
        }
        for input in self.inputs.iter().chain(&self.outputs) {
            hasher.field(format!("{} {}", input.reference, input.digest).as_bytes());
        }
        hasher.finish().hex()[..32].to_owned()
    }
}

/// Why events could not be written or read.
#[derive(Debug, Error)]
pub enum EventError {
    /// The file did not take them.
    #[error("cannot append to `{path}`")]
    Append {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("cannot read events from `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line is no event.
    #[error("line {line} of `{path}` is not an event")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Advice for EventError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Append { .. } => "Check that the disk has space and that you may write there, then run the same command again.".into(),
            Self::Read { path, .. } => format!("Check that you may read `{}`.", path.display()),
            Self::Parse { path, line, .. } => {
                format!("Look at line {line} of `{}`; facts before it are in the lake already.", path.display())
            }
        })
    }
}

/// An `events.jsonl` open for appending.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: File,
}

impl EventLog {
    /// Opens or makes `events.jsonl` in a folder; a half-written last line (a kill) is cut off.
    ///
    /// # Errors
    /// The folder cannot be made or the file not opened.
    pub fn open(folder: &Path) -> Result<Self, EventError> {
        let path = folder.join("events.jsonl");
        let opened = (|| {
            fs::create_dir_all(folder)?;
            let file = OpenOptions::new().create(true).read(true).append(true).open(&path)?;
            let bytes = fs::read(&path)?;
            let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
            if whole != bytes.len() {
                file.set_len(whole as u64)?;
            }
            Ok(file)
        })();
        match opened {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(EventError::Append { path, source }),
        }
    }

    /// Appends one event, on disk when this returns.
    ///
    /// # Errors
    /// The file did not take it.
    pub fn append(&mut self, event: &Event) -> Result<(), EventError> {
        let mut line = serde_json::to_vec(event).map_err(|e| EventError::Append { path: self.path.clone(), source: e.into() })?;
        line.push(b'\n');
        let append = |source| EventError::Append { path: self.path.clone(), source };
        let before = self.file.metadata().map_err(append)?.len();
        self.file.write_all(&line).and_then(|()| self.file.sync_data()).map_err(|source| {
            // A torn line must not stand before the next event.
            let _ = self.file.set_len(before);
            EventError::Append { path: self.path.clone(), source }
        })
    }
}

/// Reads the events of a folder; none if it has no `events.jsonl`. A half-written last line is left out.
///
/// # Errors
/// The file cannot be read, or a whole line is no event.
pub fn read_events(folder: &Path) -> Result<Vec<Event>, EventError> {
    let path = folder.join("events.jsonl");
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(EventError::Read { path, source }),
    };
    // Bytes, since a line may be torn inside a character.
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(&[][..], |i| &bytes[..i]);
    whole
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .enumerate()
        .map(|(i, line)| serde_json::from_slice(line).map_err(|source| EventError::Parse { path: path.clone(), line: i + 1, source }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_a_torn_last_line() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let event = Event::new(Timestamp(5), "me@here", "train", Reference::artefact("models", "m"), "r1")
            .with_details(serde_json::json!({"loss": 1.5}));
        EventLog::open(dir.path()).expect("open").append(&event).expect("append");
        OpenOptions::new()
            .append(true)
            .open(dir.path().join("events.jsonl"))
            .expect("open")
            .write_all("{\"id\": \"ä".as_bytes().get(..9).expect("bytes"))
            .expect("tear");
        assert_eq!(read_events(dir.path()).expect("read"), vec![event.clone()]);
        let mut log = EventLog::open(dir.path()).expect("reopen");
        let second = Event::new(Timestamp(6), "me@here", "train", Reference::artefact("models", "m"), "r1");
        log.append(&second).expect("append");
        assert_eq!(read_events(dir.path()).expect("read"), vec![event, second]);
    }
}
