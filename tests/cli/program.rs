//! Runs the program and keeps what it said.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What a finished run of the program said.
#[derive(Debug)]
pub struct Said {
    /// Exit code; absent when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Standard output as JSON, one object a line.
    pub fn objects(&self) -> Vec<Value> {
        self.out.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("not JSON ({e}): {l}"))).collect()
    }

    /// Fails unless it ended well.
    #[track_caller]
    pub fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Fails unless it ended with this exit code.
    #[track_caller]
    pub fn code_is(&self, code: i32) {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
    }

    /// Fails unless it ended with this exit code, one error line that holds `text`, and a hint; nothing on standard output.
    #[track_caller]
    pub fn fails(&self, code: i32, text: &str) {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        let errors: Vec<&str> = self.err.lines().filter(|l| l.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "one error line: {}", self.err);
        let spoken: Vec<&str> = self.err.lines().filter(|l| l.starts_with("error: ") || l.starts_with("  caused by: ")).collect();
        assert!(spoken.join("\n").contains(text), "`{text}` in: {}", self.err);
        assert_eq!(self.err.lines().filter(|l| l.starts_with("hint: ")).count(), 1, "one hint: {}", self.err);
        assert!(self.err.lines().last().is_some_and(|l| l.starts_with("hint: ")), "the hint comes last: {}", self.err);
        assert!(!self.err.contains("panicked") && !self.err.contains("backtrace"), "{}", self.err);
        assert_eq!(self.out, "", "an error is no data");
    }

    /// The same, for a failure of the workflow: what went before is told too.
    #[track_caller]
    pub fn fails_in_stage(&self, code: i32, text: &str) {
        self.fails(code, text);
        assert!(self.err.contains("\n1 Prepare\n"), "{}", self.err);
    }
}

/// The program on a lake, with nothing of this process's own settings.
pub fn command(lake: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder"));
    command.env_remove("POLDER_SERVE_TOKEN").env("POLDER_LAKE", lake).env("USER", "tester").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end and keeps what it said.
pub fn finish(command: &mut Command) -> Said {
    let output = command.output().expect("the program starts");
    said(output.status, &output.stdout, &output.stderr)
}

fn said(status: ExitStatus, out: &[u8], err: &[u8]) -> Said {
    Said { code: status.code(), out: String::from_utf8_lossy(out).into_owned(), err: String::from_utf8_lossy(err).into_owned() }
}

/// Runs the program with arguments on a lake.
pub fn polder<A: AsRef<OsStr>>(lake: &Path, arguments: &[A]) -> Said {
    finish(command(lake).args(arguments))
}

/// Runs the program with arguments that one line holds, separated by spaces.
pub fn line(lake: &Path, arguments: &str) -> Said {
    polder(lake, &arguments.split(' ').collect::<Vec<_>>())
}

/// Runs SQL statements, given through standard input, and returns their rows.
#[track_caller]
pub fn sql(lake: &Path, statements: &str) -> Vec<Value> {
    let mut child = command(lake).args(["--json", "sql"]).stdin(Stdio::piped()).spawn().expect("the program starts");
    child.stdin.take().expect("standard input").write_all(statements.as_bytes()).expect("write");
    let output = child.wait_with_output().expect("the program ends");
    said(output.status, &output.stdout, &output.stderr).well().objects()
}

/// The one number that a query gives.
#[track_caller]
pub fn number(lake: &Path, query: &str) -> i64 {
    let rows = sql(lake, query);
    let value = rows.first().and_then(|r| r.as_object()).and_then(|r| r.values().next()).and_then(Value::as_i64);
    value.unwrap_or_else(|| panic!("no number from {query}: {rows:?}"))
}

/// Waits until something is true; a minute is more than enough for anything here.
#[track_caller]
pub fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The arguments of the whole workflow on a source, small enough for a test.
pub fn quickstart(source: &Path) -> Vec<String> {
    let words = "run quickstart --steps 12 --vocab 512 --model nano --source";
    words.split(' ').map(str::to_owned).chain([source.display().to_string()]).collect()
}
