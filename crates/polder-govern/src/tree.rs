//! A lineage as text: one line a thing, indented by what it was made for.

use polder_base::units;

use crate::lineage::{Node, Source};
use crate::markdown::plain;

/// Draws a node and all below it.
pub(crate) fn draw(root: &Node, sources_max: usize) -> String {
    let mut out = String::new();
    line(&mut out, "", root);
    below(&mut out, "", root, sources_max);
    out
}

fn line(out: &mut String, lead: &str, node: &Node) {
    let mut parts = vec![node.reference.to_string()];
    if let Some(made) = &node.made {
        let actor = made.actor.as_ref().map(|a| format!(" by {a}")).unwrap_or_default();
        parts.push(format!("{}{actor} {}", made.verb, made.at.date()));
    }
    if !node.summary.is_empty() {
        parts.push(node.summary.clone());
    }
    let notes = [
        (node.is_changed, "changed since it was used"),
        (node.is_gone, "no longer in the lake"),
        (node.is_repeated, "see above"),
        (!node.is_repeated && node.made.is_none() && node.inputs.is_empty() && !is_external(node), "no fact tells where it came from"),
    ];
    parts.extend(notes.iter().filter(|(holds, _)| *holds).map(|(_, note)| format!("({note})")));
    out.push_str(lead);
    out.push_str(&plain(&parts.join(" · ")));
    out.push('\n');
}

fn is_external(node: &Node) -> bool {
    matches!(node.reference, polder_base::Reference::External(_))
}

fn below(out: &mut String, indent: &str, node: &Node, sources_max: usize) {
    let sources = source_lines(&node.sources, sources_max);
    let n = node.inputs.len() + sources.len();
    let fork = |i: usize| if i + 1 == n { ("└─ ", "   ") } else { ("├─ ", "│  ") };
    for (i, input) in node.inputs.iter().enumerate() {
        let (branch, space) = fork(i);
        line(out, &format!("{indent}{branch}"), input);
        below(out, &format!("{indent}{space}"), input, sources_max);
    }
    for (i, text) in sources.iter().enumerate() {
        let (branch, _) = fork(node.inputs.len() + i);
        out.push_str(&format!("{indent}{branch}{}\n", plain(text)));
    }
}

fn source_lines(sources: &[Source], max: usize) -> Vec<String> {
    let name = |s: &Source| s.package.clone().or_else(|| s.source.clone()).unwrap_or_else(|| "(no package)".into());
    let mut lines: Vec<String> = sources
        .iter()
        .take(max)
        .map(|s| format!("{} · {} documents, {}", name(s), crate::markdown::grouped(s.n_docs), units::bytes(s.bytes)))
        .collect();
    if sources.len() > max {
        let rest = &sources[max..];
        let (n_docs, bytes) = rest.iter().fold((0, 0), |(n, b), s| (n + s.n_docs, b + s.bytes));
        lines.push(format!("{} more packages · {} documents, {}", rest.len(), crate::markdown::grouped(n_docs), units::bytes(bytes)));
    }
    lines
}
