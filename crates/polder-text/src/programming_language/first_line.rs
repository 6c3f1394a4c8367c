//! What a file says of itself: the program that runs it, and what editors shall take it for.

use super::names::{LanguageIdx, Names};

/// Lines at either end in which editors look.
const MODELINE_LINES: usize = 5;
/// A longer line is no modeline, and a longer first line names no program.
const LINE_BYTES_MAX: usize = 1024;

/// The languages that the program in the first line runs: of `#!/usr/bin/env -S python3 -u`, Python.
pub(super) fn of_shebang(text: &str) -> &'static [LanguageIdx] {
    let names = Names::get();
    let Some(command) = text.lines().next().filter(|l| l.len() <= LINE_BYTES_MAX).and_then(|l| l.strip_prefix("#!")) else { return &[] };
    let mut words = command.split_whitespace().map(|w| w.rsplit('/').next().unwrap_or_default());
    let Some(program) = words.find(|w| *w != "env" && !w.starts_with('-') && !w.contains('=')) else { return &[] };
    if program == "sh"
        && let Some(real) = re_executed(text)
    {
        return names.of_interpreter(real);
    }
    names.of_interpreter(program)
}

/// The program of a shell script whose only command is to run itself by another: `exec tclsh "$0" "$@"`.
fn re_executed(text: &str) -> Option<&str> {
    let command = text.lines().take(MODELINE_LINES).find_map(|l| l.trim_start().strip_prefix("exec "))?;
    if !command.contains("$0") {
        return None;
    }
    let program = command.split_whitespace().find(|w| !w.contains('=') && !w.ends_with("env"))?;
    program.rsplit('/').next().map(|p| p.trim_matches(['"', '\'']))
}

/// The language that a modeline of Emacs or Vim names.
pub(super) fn of_modeline(head: &str, tail: &str) -> Option<LanguageIdx> {
    let first = head.lines().take(MODELINE_LINES);
    let last = tail.lines().rev().take(MODELINE_LINES);
    let short = |line: &&str| line.len() <= LINE_BYTES_MAX;
    first.clone().filter(short).find_map(emacs).or_else(|| first.chain(last).filter(short).find_map(vim))
}

/// `-*- mode: c++; tab-width: 4 -*-` or `-*- C++ -*-`.
fn emacs(line: &str) -> Option<LanguageIdx> {
    let (_, rest) = line.split_once("-*-")?;
    let (inside, _) = rest.split_once("-*-")?;
    let mode = if inside.contains(':') {
        inside
            .split(';')
            .find_map(|v| v.split_once(':').filter(|(key, _)| key.trim().eq_ignore_ascii_case("mode")))
            .map(|(_, mode)| mode)?
    } else {
        inside
    };
    let mode = mode.trim().to_lowercase();
    Names::get().of_alias(mode.strip_suffix("-mode").unwrap_or(&mode))
}

/// `vim: set ft=python:`, `vi: filetype=c sw=4`, `ex: syntax=perl`.
fn vim(line: &str) -> Option<LanguageIdx> {
    let at = ["vim:", "vi:", "ex:"].iter().find_map(|editor| {
        let at = line.find(editor)?;
        let before = line.get(..at)?.chars().next_back();
        before.is_none_or(|c| c.is_whitespace()).then_some(at + editor.len())
    })?;
    let options = line.get(at..)?.split([' ', '\t', ':']);
    let value =
        options.filter_map(|o| o.split_once('=')).find(|(key, _)| ["ft", "filetype", "syn", "syntax"].contains(key)).map(|(_, v)| v)?;
    Names::get().of_alias(match value {
        "pandoc" => "markdown",
        "help" => "vim help file",
        value => value,
    })
}
