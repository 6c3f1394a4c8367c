//! What a model is asked, rendered to the last byte beforehand.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::EvalError;

/// The file's name in a task's folder.
pub const REQUESTS_FILE: &str = "requests.jsonl";

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How many bits the model needs for a text.
    BitsPerByte {
        /// Its name.
        id: String,
        /// What it is counted with.
        group: String,
        /// The text.
        text: String,
        /// It was found in the training data.
        #[serde(default)]
        contaminated: bool,
    },
    /// Which of several continuations is the most probable.
    MultipleChoice {
        /// Its name.
        id: String,
        /// What it is counted with.
        group: String,
        /// What stands before the choices.
        context: String,
        /// The continuations.
        choices: Vec<String>,
        /// The right one, counted from 0.
        answer: usize,
        /// It was found in the training data.
        #[serde(default)]
        contaminated: bool,
    },
}

impl Request {
    /// Its name.
    pub fn id(&self) -> &str {
        match self {
            Self::BitsPerByte { id, .. } | Self::MultipleChoice { id, .. } => id,
        }
    }

    /// Says why it cannot be scored.
    fn flaw(&self) -> Option<String> {
        match self {
            Self::BitsPerByte { text, .. } if text.is_empty() => Some("its text is empty".into()),
            Self::MultipleChoice { choices, .. } if choices.len() < 2 => Some(format!("it has {} choices", choices.len())),
            Self::MultipleChoice { choices, .. } if choices.iter().any(String::is_empty) => Some("a choice is empty".into()),
            Self::MultipleChoice { choices, answer, .. } if *answer >= choices.len() => {
                Some(format!("its answer is choice {answer} of {}", choices.len()))
            }
            _ => None,
        }
    }
}

/// Reads the requests of a task's folder.
///
/// # Errors
/// No such file, a line that is no request, a request that cannot be scored, or none at all.
pub fn read_requests(folder: &Path) -> Result<Vec<Request>, EvalError> {
    let path = folder.join(REQUESTS_FILE);
    let text = fs::read_to_string(&path).map_err(|source| EvalError::Read { path: path.clone(), source })?;
    let mut requests = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let request = serde_json::from_str(line).map_err(|source| EvalError::Parse { path: path.clone(), line: i + 1, source })?;
        requests.push(request);
    }
    check(&requests)?;
    Ok(requests)
}

/// Checks that all requests can be scored and that there are some.
pub(crate) fn check(requests: &[Request]) -> Result<(), EvalError> {
    for request in requests {
        if let Some(reason) = request.flaw() {
            return Err(EvalError::Request { id: request.id().to_owned(), reason });
        }
    }
    if requests.is_empty() { Err(EvalError::NoRequests) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Request>, EvalError> {
        let dir = tempfile::tempdir().expect("temporary folder");
        fs::write(dir.path().join(REQUESTS_FILE), text).expect("write");
        read_requests(dir.path())
    }

    #[test]
    fn requests_are_read_line_by_line() {
        let text = r#"{"kind":"bits_per_byte","id":"a","group":"Rust","text":"fn"}

{"kind":"multiple_choice","id":"b","group":"C","context":"x","choices":["1","2"],"answer":1,"contaminated":true}
"#;
        let requests = read(text).expect("read");
        assert_eq!(requests.iter().map(Request::id).collect::<Vec<_>>(), ["a", "b"]);
        assert!(matches!(&requests[1], Request::MultipleChoice { answer: 1, contaminated: true, .. }));
    }

    #[test]
    fn bad_requests_are_named() {
        let two = "{\"kind\":\"bits_per_byte\",\"id\":\"a\",\"group\":\"g\",\"text\":\"t\"}\n{\"kind\":\"riddle\"}";
        assert!(matches!(read(two), Err(EvalError::Parse { line: 2, .. })));
        let flawed = [
            r#"{"kind":"bits_per_byte","id":"x","group":"g","text":""}"#,
            r#"{"kind":"multiple_choice","id":"x","group":"g","context":"","choices":["1"],"answer":0}"#,
            r#"{"kind":"multiple_choice","id":"x","group":"g","context":"","choices":["1","2"],"answer":2}"#,
            r#"{"kind":"multiple_choice","id":"x","group":"g","context":"","choices":["1",""],"answer":0}"#,
        ];
        for line in flawed {
            assert!(matches!(read(line), Err(EvalError::Request { id, .. }) if id == "x"), "{line}");
        }
        assert!(matches!(read("\n"), Err(EvalError::NoRequests)));
        assert!(matches!(read_requests(Path::new("/no/such/folder")), Err(EvalError::Read { .. })));
    }
}
