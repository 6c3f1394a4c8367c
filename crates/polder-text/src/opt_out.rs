//! How a page, its headers or a site's files say that it isn't to be used: for training, for mining, for an index.
//!
//! Nothing here decides; the signals are kept as a column, and a policy says which of them remove a document.
//!
//! # Source
//! Robots meta element and `X-Robots-Tag` with the values that search engines and DeviantArt (`noai`, `noimageai`) document; TDM
//! Reservation Protocol (W3C community group report of 2024); `Content-Signal` (contentsignals.org); `Content-Usage`
//! (draft-ietf-aipref-attach); `ai.txt` of Spawning, in the form of `robots.txt`.

use crate::license::link::attribute;
use crate::robots::{allowed, groups};

/// Sources that are understood.
pub const OPT_OUT_SOURCES: [&str; 5] = ["html", "headers", "robots.txt", "ai.txt", "tdmrep.json"];

/// Longest element that is read, in bytes.
const TAG_BYTES_MAX: usize = 2000;
/// How many signals of one text are kept.
const SIGNALS_MAX: usize = 256;

/// Values of robots directives that keep a text out of something, and the signals that they are kept as.
const DIRECTIVES: [(&str, &str); 8] = [
    ("noai", "noai"),
    ("noimageai", "noimageai"),
    ("noindex", "noindex"),
    ("none", "noindex"),
    ("noarchive", "noarchive"),
    ("nocache", "noarchive"),
    ("noml", "noai"),
    ("nosnippet", "nosnippet"),
];

/// Agents that fetch for training or for collections that models are trained on, in lower case.
const AI_AGENTS: [&str; 24] = [
    "ai2bot",
    "amazonbot",
    "anthropic-ai",
    "applebot-extended",
    "bytespider",
    "ccbot",
    "claude-web",
    "claudebot",
    "cohere-ai",
    "cohere-training-data-crawler",
    "diffbot",
    "facebookbot",
    "friendlycrawler",
    "google-cloudvertexbot",
    "google-extended",
    "gptbot",
    "icc-crawler",
    "img2dataset",
    "meta-externalagent",
    "omgili",
    "omgilibot",
    "pangubot",
    "timpibot",
    "webzio-extended",
];

/// One signal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OptOut {
    /// What is refused: `noai`, `noimageai`, `noindex`, `noarchive`, `nosnippet`, `tdm-reservation`, `disallow`, `ai-train=no`,
    /// `ai-input=no`, `search=no`.
    pub signal: &'static str,
    /// Whom it addresses, in lower case; `*` for all.
    pub agent: String,
    /// Where it stands, one of [`OPT_OUT_SOURCES`].
    pub source: &'static str,
}

/// Finds the signals of a text of a kind, each once, in order of place; None if there is no such kind.
///
/// `html` is a page, `headers` the lines of an HTTP answer. Of `robots.txt` and `ai.txt` an agent counts that is named and may not
/// fetch `/`: the known agents of AI, and `*`. The signal of `tdmrep.json` says that the site reserves something, not where.
pub fn opt_outs(text: &str, source: &str) -> Option<Vec<OptOut>> {
    let source = OPT_OUT_SOURCES.into_iter().find(|s| *s == source)?;
    let mut found = Signals { source, all: Vec::new() };
    match source {
        "html" => html(text, &mut found),
        "headers" => text.lines().for_each(|line| header(line, &mut found)),
        "tdmrep.json" => tdmrep(text, &mut found),
        _ => site_file(text, &mut found),
    }
    Some(found.all)
}

struct Signals {
    source: &'static str,
    all: Vec<OptOut>,
}

impl Signals {
    fn add(&mut self, signal: &'static str, agent: &str) {
        let one = OptOut { signal, agent: agent.to_ascii_lowercase(), source: self.source };
        if self.all.len() < SIGNALS_MAX && !self.all.contains(&one) {
            self.all.push(one);
        }
    }

    /// `noai, noimageai`, also with `agent:` before.
    fn directives(&mut self, agent: &str, value: &str) {
        let mut agent = agent;
        for part in value.split(',') {
            let mut part = part.trim();
            if let Some((before, behind)) = part.split_once(':') {
                let name = before.trim();
                // `unavailable_after: …` and `max-snippet: 0` are directives with values.
                if name.starts_with("max-") || name.starts_with("unavailable") {
                    continue;
                }
                (agent, part) = (name, behind.trim());
            }
            for word in part.split_ascii_whitespace() {
                if let Some((_, signal)) = DIRECTIVES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) {
                    self.add(signal, agent);
                }
            }
        }
    }

    /// `ai-train=no`, `train-ai=n`.
    fn preferences(&mut self, agent: &str, value: &str) {
        // A path may stand before the preferences.
        for part in value.split([',', ' ', ';']) {
            let Some((name, said)) = part.split_once('=') else { continue };
            let refused = matches!(said.trim().to_ascii_lowercase().as_str(), "no" | "n");
            let signal = match name.trim().to_ascii_lowercase().as_str() {
                "ai-train" | "train-ai" | "train-genai" | "genai" => "ai-train=no",
                "ai-input" => "ai-input=no",
                "search" => "search=no",
                _ => continue,
            };
            if refused {
                self.add(signal, agent);
            }
        }
    }
}

fn html(text: &str, found: &mut Signals) {
    let mut at = 0;
    while let Some(n) = text.get(at..).and_then(|rest| rest.find('<')) {
        let rest = text.get(at + n..).unwrap_or_default();
        at += n + 1;
        if let Some(comment) = rest.strip_prefix("<!--") {
            at += comment.find("-->").unwrap_or(comment.len());
            continue;
        }
        if !rest.get(1..5).is_some_and(|name| name.eq_ignore_ascii_case("meta")) {
            continue;
        }
        let Some(tag) = rest.get(..rest.floor_char_boundary(TAG_BYTES_MAX)).and_then(|r| r.split_once('>')).map(|(tag, _)| tag) else {
            continue;
        };
        let name = attribute(tag, "name").or_else(|| attribute(tag, "http-equiv")).or_else(|| attribute(tag, "property"));
        let (Some(name), Some(content)) = (name, attribute(tag, "content")) else { continue };
        match name.trim().to_ascii_lowercase().as_str() {
            "robots" | "x-robots-tag" => found.directives("*", content),
            "tdm-reservation" if content.trim() == "1" => found.add("tdm-reservation", "*"),
            agent if AI_AGENTS.contains(&agent) || agent.ends_with("bot") => found.directives(agent, content),
            _ => {}
        }
    }
}

fn header(line: &str, found: &mut Signals) {
    let Some((name, value)) = line.split_once(':') else { return };
    match name.trim().to_ascii_lowercase().as_str() {
        "x-robots-tag" => found.directives("*", value),
        "tdm-reservation" if value.trim() == "1" => found.add("tdm-reservation", "*"),
        "content-usage" | "content-signal" => found.preferences("*", value),
        _ => {}
    }
}

fn site_file(text: &str, found: &mut Signals) {
    let mut preferences: Vec<(String, String)> = Vec::new();
    let groups = groups(text, |agents, key, value| {
        if matches!(key, "content-signal" | "content-usage") {
            preferences.extend(agents.iter().map(|a| (a.clone(), value.to_string())));
            if agents.is_empty() {
                preferences.push(("*".to_string(), value.to_string()));
            }
        }
    });
    let mut named: Vec<&str> = Vec::new();
    for agent in groups.iter().flat_map(|(agents, _)| agents).map(String::as_str) {
        if (agent == "*" || AI_AGENTS.contains(&agent)) && !named.contains(&agent) {
            named.push(agent);
        }
    }
    named.iter().filter(|agent| !allowed(&groups, agent, "/")).for_each(|agent| found.add("disallow", agent));
    preferences.iter().take(SIGNALS_MAX).for_each(|(agent, value)| found.preferences(agent, value));
}

/// `[{"location": "/", "tdm-reservation": 1}]`
fn tdmrep(text: &str, found: &mut Signals) {
    for (at, key) in text.match_indices("\"tdm-reservation\"") {
        let value = text.get(at + key.len()..).unwrap_or_default().trim_start().strip_prefix(':').unwrap_or_default();
        let value = value.trim_start().trim_start_matches('"');
        if value.starts_with('1') && !value.get(1..2).is_some_and(|c| c.starts_with(|c: char| c.is_ascii_digit())) {
            found.add("tdm-reservation", "*");
            return;
        }
    }
}
