//! `cargo xtask`: what is checked before a change is called done, and longer trials.
//!
//! It runs the commands that a person would run, in the profile of the program, and stops at the first that fails.
//! It holds no rule of its own about formatting or lints: those are rustfmt's and clippy's. What no ready tool checks stands in
//! [`tidy`] (the shape of the tree), [`dependencies`] (the shape of the dependency graph) and [`kernels`] (what is compiled ahead). Start with [`STEPS`].

mod dependencies;
mod kernels;
mod rust_text;
mod score;
mod spdx;
mod tidy;

use std::ffi::OsStr;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A step of `cargo xtask check`.
struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&Path) -> Result<()>,
}

/// The steps of `cargo xtask check`, the cheap ones first.
const STEPS: [Step; 7] = [
    Step { name: "format", what: "cargo fmt --all --check", run: format },
    Step { name: "tidy", what: "module docs, mirrors, SQL front matter, no SQL or CUDA text in Rust, words to keep out", run: tidy::check },
    Step {
        name: "dependencies",
        what: "borders between crates, one version of what moves together, one feature set, licences",
        run: dependencies::check,
    },
    Step { name: "kernels", what: "images are of these sources, byte for byte, within their budgets", run: kernels::check },
    Step { name: "clippy", what: "cargo clippy with warnings denied", run: clippy },
    Step { name: "test", what: "cargo test --release --workspace, that is `cargo polder-test`", run: test },
    Step { name: "docs", what: "cargo doc with warnings denied", run: docs },
];

const HELP: &str = "\
cargo xtask check                       everything, as CI does
cargo xtask check --only format,tidy    single steps: format, tidy, dependencies, kernels, clippy, test, docs
cargo xtask kernels                     compiles kernels/*.cu into kernels/prebuilt/
cargo xtask kernels --write-budgets     the same; the registers they take become what they may take
cargo xtask score FOLDER [TOPIC…]       accuracy on the labelled sets in a folder; the rows of benches/README.md are written anew
cargo xtask models FOLDER [NAME…]       trains the models that polder-text embeds from the sets in a folder
cargo xtask soak                        the tests with POLDER_SOAK=1: hundreds of kills, long trials
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            say(&format!("error: {e}"));
            e.chain().skip(1).for_each(|cause| say(&format!("  caused by: {cause}")));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let root = workspace_root()?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["check"] => check(&root, &STEPS.iter().collect::<Vec<_>>()),
        ["check", "--only", names] => check(&root, &selected(names)?),
        ["kernels"] => kernels::build(&root, false),
        ["kernels", "--write-budgets"] => kernels::build(&root, true),
        ["score", data, topics @ ..] => score::score(&root, data, topics),
        ["models", data, names @ ..] => score::models(&root, data, names),
        ["soak"] => soak(&root),
        [] | ["help" | "--help" | "-h"] => {
            say(HELP.trim_end());
            Ok(())
        }
        other => bail!("`{}` is not a command of xtask\n{HELP}", other.join(" ")),
    }
}

fn selected(names: &str) -> Result<Vec<&'static Step>> {
    names
        .split(',')
        .map(|name| {
            let known = || format!("`{name}` is not a step; the steps are {}", STEPS.map(|s| s.name).join(", "));
            STEPS.iter().find(|s| s.name == name.trim()).with_context(known)
        })
        .collect()
}

/// Runs steps in order, says how long each took, and stops at the first that fails.
fn check(root: &Path, steps: &[&Step]) -> Result<()> {
    let begin = Instant::now();
    let mut took: Vec<(&str, Duration)> = Vec::new();
    for step in steps {
        say(&format!("--- {}: {}", step.name, step.what));
        let start = Instant::now();
        let result = (step.run)(root);
        took.push((step.name, start.elapsed()));
        if let Err(e) = result {
            report(&took, begin.elapsed());
            return Err(e.context(format!("check failed at `{0}`; run it alone with `cargo xtask check --only {0}`", step.name)));
        }
    }
    report(&took, begin.elapsed());
    Ok(())
}

fn report(took: &[(&str, Duration)], whole: Duration) {
    say("---");
    if let Ok(skipped) = SKIPPED.lock() {
        skipped.iter().for_each(|s| say(&format!("SKIPPED: {s}")));
    }
    for (name, time) in took.iter().chain(&[("all", whole)]) {
        say(&format!("{name:<14} {:>8.1} s", time.as_secs_f64()));
    }
}

fn format(root: &Path) -> Result<()> {
    cargo(root, &["fmt", "--all", "--check"], &[])
}

fn clippy(root: &Path) -> Result<()> {
    cargo(root, &["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])
}

fn test(root: &Path) -> Result<()> {
    cargo(root, &["test", "--release", "--workspace"], &[])
}

fn docs(root: &Path) -> Result<()> {
    cargo(root, &["doc", "--release", "--workspace", "--no-deps", "--document-private-items"], &[("RUSTDOCFLAGS", "-D warnings")])
}

/// Runs the tests with their long forms: those that repeat a trial read `POLDER_SOAK` and repeat it more often.
fn soak(root: &Path) -> Result<()> {
    cargo(root, &["test", "--release", "--workspace"], &[("POLDER_SOAK", "1")])
}

/// Runs cargo in the workspace with its output where ours goes.
fn cargo(root: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let mut command = cargo_command(root, arguments);
    command.envs(environment.iter().copied());
    let status = command.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("`cargo {}` failed: {status}", arguments.join(" "));
    }
    Ok(())
}

/// Runs cargo and takes its standard output.
fn cargo_output(root: &Path, arguments: &[&str]) -> Result<String> {
    let output = cargo_command(root, arguments).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("`cargo {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("cargo wrote what is not UTF-8")
}

fn cargo_command(root: &Path, arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsStr::new("cargo").to_owned());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root);
    // `cargo run` describes this package to its child; build scripts that read these would see them change and build again.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|n| n.starts_with("CARGO_PKG_") || n.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}

/// The workspace this program was built from, or the one it is run in when that has moved.
fn workspace_root() -> Result<PathBuf> {
    let is_root = |path: &Path| path.join("crates/xtask/Cargo.toml").is_file();
    let here = std::env::current_dir().context("the current folder is gone")?;
    if let Some(root) = here.ancestors().find(|p| is_root(p)) {
        return Ok(root.to_owned());
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if is_root(&built) {
        return built.canonicalize().context("cannot resolve the workspace's folder");
    }
    bail!("this is not a folder of the workspace");
}

/// Writes a line for people. A closed standard error is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// What a step left out, to be said again at the end, where it is seen.
static SKIPPED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Says that a part of a step was left out, and why.
fn skip(what: String) {
    say(&format!("SKIPPED: {what}"));
    if let Ok(mut skipped) = SKIPPED.lock() {
        skipped.push(what);
    }
}

/// Fails with a list of problems, each already said; passes when there is none.
fn verdict(problems: &[String]) -> Result<()> {
    problems.iter().for_each(|p| say(p));
    if problems.is_empty() { Ok(()) } else { bail!("{} thing(s) to mend, listed above", problems.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_chosen_by_name_and_unknown_names_are_refused() {
        let names: Vec<&str> = selected("tidy,test").expect("known").iter().map(|s| s.name).collect();
        assert_eq!(names, ["tidy", "test"]);
        assert!(selected("tidy,tests").is_err());
        assert!(dispatch(&["check".into(), "--fast".into()]).is_err());
    }
}
