//! The model card: what a model is, what it was made from, how well it does and what it is not for.
//!
//! It is written from the manifest, the run, the scores in `ops.evals` and the lineage. Markdown with the front matter of Hugging Face
//! model cards; sentences about use and limits follow from those numbers.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use polder_base::{At, Manifest, Reference, write_whole};
use polder_lake::Lake;
use serde::Serialize;
use serde_json::Value;

use crate::books::{Score, scores};
use crate::data_card::{DataCard, data_card, known_languages, list_of};
use crate::facts::subfolders;
use crate::lineage::{Lineage, lineage, same};
use crate::markdown::{block, code, grouped, number, table, text, yaml};
use crate::{GovernError, Node};

/// An adapter tuned on a model.
#[derive(Clone, Debug, Serialize)]
pub struct TuningCard {
    /// The adapter.
    pub reference: Reference,
    /// What it was tuned with and on.
    pub inputs: Vec<Reference>,
    /// Settings and counts of its manifest.
    pub settings: BTreeMap<String, String>,
    /// Its scores, each with the model's own where there is one.
    pub scores: Vec<(Score, Option<Score>)>,
}

/// A model, described.
#[derive(Clone, Debug, Serialize)]
pub struct ModelCard {
    /// The model at its version.
    pub reference: Reference,
    /// Digest of its files.
    pub content_digest: String,
    /// When it was made, by which program version.
    pub made: (polder_base::Timestamp, String),
    /// Its configuration, as `transformers` reads it.
    pub architecture: BTreeMap<String, String>,
    /// Settings and results of its training.
    pub training: BTreeMap<String, String>,
    /// The tokens it was trained on, and their numbers.
    pub tokens: Option<Tokens>,
    /// The pile those came from.
    pub pile: Option<DataCard>,
    /// Its scores.
    pub scores: Vec<Score>,
    /// Adapters tuned on it.
    pub tuning: Vec<TuningCard>,
    /// What the gates said when it was made.
    pub clearance: Option<String>,
    /// Where it came from, drawn.
    pub lineage: String,
}

/// Describes a model of the lake.
///
/// # Errors
/// There is no such model, or the lake cannot be read.
pub async fn model_card(lake: &Lake, reference: &Reference) -> Result<ModelCard, GovernError> {
    let (reference, folder) = place(lake, reference)?;
    let manifest = Manifest::read(&folder)?;
    let walked = lineage(lake, &reference).await?;
    let pile = match pile_of(&walked) {
        Some(table) => Some(data_card(lake, &table).await?),
        None => None,
    };
    let all = scores(lake).await?;
    let own: Vec<Score> = all.iter().filter(|s| is_about(s, &reference)).cloned().collect();
    let mut training = flattened(&manifest.details);
    if let Some(run) = run_folder(lake, &walked, &manifest) {
        training.extend(flattened(&read_json(&run.join("config.json"))));
        training.extend(last_line(&run.join("metrics.jsonl")).into_iter().map(|(k, v)| (format!("last.{k}"), v)));
    }
    Ok(ModelCard {
        content_digest: manifest.content_digest().to_string(),
        made: (manifest.created_at, manifest.code_version.clone()),
        architecture: flattened(&read_json(&folder.join("config.json"))),
        training,
        tokens: tokens_of(lake, &walked)?,
        pile,
        tuning: tuning_of(lake, &reference, &all)?,
        scores: own,
        clearance: manifest.clearance.map(|c| if c.reasons.is_empty() { "cleared".to_owned() } else { c.reasons.join("; ") }),
        lineage: walked.text(10),
        reference,
    })
}

/// Writes a model's card into its folder as `README.md`, and returns the file's path.
///
/// # Errors
/// Those of [`model_card()`], and of writing.
pub async fn write_model_card(lake: &Lake, reference: &Reference) -> Result<PathBuf, GovernError> {
    let card = model_card(lake, reference).await?;
    let path = place(lake, reference)?.1.join("README.md");
    write_whole(&path, card.markdown().as_bytes())?;
    Ok(path)
}

/// A model's full name and folder.
fn place(lake: &Lake, reference: &Reference) -> Result<(Reference, PathBuf), GovernError> {
    match reference {
        Reference::Artefact { kind, name, version } if kind == "models" => {
            let version = Some(version.clone().unwrap_or_else(|| "1".into()));
            let exact = Reference::Artefact { kind: kind.clone(), name: name.clone(), version };
            let folder = lake.layout().artefact(&exact).unwrap_or_default();
            Ok((exact, folder))
        }
        _ => Err(GovernError::NoCard { reference: reference.to_string(), card: "model card", reason: "it is not a model".into() }),
    }
}

fn is_about(score: &Score, reference: &Reference) -> bool {
    let bare = |r: &Reference| matches!(r, Reference::Artefact { name, .. } if *name == score.model);
    score.model.parse().map_or_else(|_| bare(reference), |r: Reference| same(&r, reference) || bare(reference))
}

/// The nearest pile on the way back; without one, the nearest table.
fn pile_of(walked: &Lineage) -> Option<Reference> {
    let tables = || walked.nodes().into_iter().filter(|n| matches!(n.reference, Reference::Table(..)) && !n.is_gone);
    let is_pile = |n: &&Node| matches!(&n.reference, Reference::Table(t, At::Version(_)) if t.schema == "pile");
    tables().find(is_pile).map(|n| n.reference.clone())
}

/// Token shards with the numbers of their manifest.
pub type Tokens = (Reference, BTreeMap<String, String>);

fn tokens_of(lake: &Lake, walked: &Lineage) -> Result<Option<Tokens>, GovernError> {
    let is_tokens = |n: &&Node| matches!(&n.reference, Reference::Artefact { kind, .. } if kind == "tokens") && !n.is_gone;
    let Some(node) = walked.nodes().into_iter().find(is_tokens) else { return Ok(None) };
    let Some(folder) = lake.layout().artefact(&node.reference) else { return Ok(None) };
    Ok(Some((node.reference.clone(), flattened(&Manifest::read(&folder)?.details))))
}

/// The run that trained the model: named in its lineage, or by its manifest.
fn run_folder(lake: &Lake, walked: &Lineage, manifest: &Manifest) -> Option<PathBuf> {
    let named = manifest.details.get("run_id").and_then(Value::as_str).map(str::to_owned);
    let made = || walked.root.made.as_ref().and_then(|m| m.run_id.clone());
    let input = || {
        walked.root.inputs.iter().find_map(|n| match &n.reference {
            Reference::Artefact { kind, name, .. } if kind == "runs" => Some(name.clone()),
            _ => None,
        })
    };
    let id = named.or_else(input).or_else(made)?;
    // A run's id comes from a file; only a plain name may become part of a path.
    let sound = format!("runs/{id}").parse::<Reference>().is_ok();
    Some(lake.layout().run(&id)).filter(|p| sound && p.is_dir())
}

fn tuning_of(lake: &Lake, model: &Reference, all: &[Score]) -> Result<Vec<TuningCard>, GovernError> {
    let mut cards = Vec::new();
    for name in subfolders(&lake.layout().kind("adapters"))? {
        for version in subfolders(&name)? {
            let Ok(manifest) = Manifest::read(&version) else { continue };
            if !manifest.inputs.iter().any(|i| same(&i.reference, model)) {
                continue;
            }
            let own = all.iter().filter(|s| is_about(s, &manifest.reference));
            let before = |s: &Score| {
                let fits = |b: &&Score| is_about(b, model) && (&b.task, &b.group, &b.metric) == (&s.task, &s.group, &s.metric);
                all.iter().find(fits).cloned()
            };
            cards.push(TuningCard {
                inputs: manifest.inputs.iter().map(|i| i.reference.clone()).collect(),
                settings: flattened(&manifest.details),
                scores: own.map(|s| (s.clone(), before(s))).collect(),
                reference: manifest.reference,
            });
        }
    }
    Ok(cards)
}

/// Reads JSON that may be missing or foreign: a card is written from what is there.
fn read_json(path: &Path) -> Value {
    fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn last_line(path: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().rev().find_map(|l| serde_json::from_str(l).ok()).map(|v: Value| flattened(&v)).unwrap_or_default()
}

/// The scalars of a JSON value by their paths. Long lists and texts are data, not settings.
fn flattened(value: &Value) -> BTreeMap<String, String> {
    fn walk(path: &str, value: &Value, out: &mut BTreeMap<String, String>) {
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match value {
            Value::Object(map) => map.iter().for_each(|(k, v)| walk(&below(k), v, out)),
            Value::Array(list) if list.len() <= 4 && list.iter().all(|v| !v.is_object() && !v.is_array()) => {
                out.insert(path.to_owned(), list.iter().map(shown).collect::<Vec<_>>().join(", "));
            }
            Value::Array(_) | Value::Null => {}
            Value::String(s) if s.len() > 120 => {}
            scalar => {
                out.insert(path.to_owned(), shown(scalar));
            }
        }
    }
    let mut out = BTreeMap::new();
    walk("", value, &mut out);
    out
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Number(n) => n.as_u64().map(grouped).unwrap_or_else(|| n.as_f64().map_or_else(|| n.to_string(), number)),
        other => other.to_string(),
    }
}

impl ModelCard {
    /// The card, Markdown with front matter.
    pub fn markdown(&self) -> String {
        let mut out = self.front_matter();
        let _ = writeln!(out, "# {}\n", text(&self.reference.to_string()));
        out.push_str(&self.summary());
        out.push_str("\n## Uses and limits\n\n");
        self.limits().iter().for_each(|line| {
            let _ = writeln!(out, "- {line}");
        });
        settings(&mut out, "Architecture", &self.architecture);
        self.data(&mut out);
        settings(&mut out, "Training", &self.training);
        out.push_str("\n## Evaluation\n\n");
        out.push_str(&scores_text(&self.scores));
        self.tuned(&mut out);
        let _ = write!(out, "\n## Lineage\n\n{}", block("text", &self.lineage));
        out
    }

    fn front_matter(&self) -> String {
        let mut out = String::from("---\nlibrary_name: transformers\npipeline_tag: text-generation\n");
        if let Some(pile) = &self.pile {
            list_of(&mut out, "language", &known_languages(&pile.languages));
        }
        list_of(&mut out, "tags", &["polder".to_owned()]);
        let valued: Vec<(&Score, f64)> = self.scores.iter().filter_map(|s| Some((s, s.value?))).collect();
        if !valued.is_empty() {
            let _ = writeln!(out, "model-index:\n- name: {}\n  results:", yaml(&self.reference.to_string()));
            for (score, value) in valued {
                let name = format!("{} ({})", score.task, score.group);
                let _ = writeln!(out, "  - task:\n      type: text-generation\n    dataset:");
                let _ = writeln!(out, "      type: {}\n      name: {}", yaml(&score.task), yaml(&name));
                if let Some(digest) = &score.requests_digest {
                    let _ = writeln!(out, "      revision: {}", yaml(digest));
                }
                let _ = writeln!(
                    out,
                    "    metrics:\n    - type: {}\n      name: {}\n      value: {value}",
                    yaml(&score.metric),
                    yaml(&score.metric)
                );
                if let Some(stderr) = score.stderr {
                    let _ = writeln!(out, "      args:\n        stderr: {stderr}\n        n: {}", score.n);
                }
            }
        }
        out.push_str("---\n\n");
        out
    }

    fn summary(&self) -> String {
        let (at, version) = &self.made;
        let mut rows = vec![vec!["Made".to_owned(), format!("{} by polder {}", at.date(), text(version))]];
        if let Some(pile) = &self.pile {
            let named = format!("{} ({})", code(&pile.title()), code(&pile.reference.to_string()));
            rows.push(vec!["Data".into(), format!("{named}, {} documents", grouped(pile.n_docs))]);
        }
        if let Some((tokens, _)) = &self.tokens {
            rows.push(vec!["Tokens".into(), code(&tokens.to_string())]);
        }
        rows.push(vec!["Digest of the files".into(), code(&self.content_digest)]);
        let verdict = self.clearance.as_ref().map_or_else(|| "not recorded".to_owned(), |c| text(c));
        rows.push(vec!["Gates".into(), verdict]);
        table(&["", ""], &rows)
    }

    /// What follows from the numbers for those who would use the model.
    fn limits(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let of = |key: &str| self.architecture.get(key);
        if let Some(context) = of("max_position_embeddings") {
            lines.push(format!(
                "It continues text, up to {} tokens at a time. It was not trained to follow instructions; its adapters, if any, were.",
                text(context)
            ));
        }
        if let Some(pile) = &self.pile {
            let kinds: Vec<String> = pile.categories.iter().take(8).map(|s| text(&s.name)).collect();
            if !kinds.is_empty() {
                lines.push(format!("It has seen mostly {}; of other kinds of text it knows little or nothing.", kinds.join(", ")));
            }
            let licences: Vec<String> = pile.licences.iter().take(8).map(|s| text(&s.name)).collect();
            if !licences.is_empty() {
                lines.push(format!(
                    "Its data stood under {}. What it writes can repeat that data; no licence is claimed for the model here.",
                    licences.join("; ")
                ));
            }
        }
        for score in self.scores.iter().filter(|s| s.n_contaminated.unwrap_or(0) > 0) {
            let n = grouped(score.n_contaminated.unwrap_or(0).unsigned_abs());
            lines.push(format!(
                "{n} of {} requests of {} ({}) overlap the training data.",
                grouped(score.n.unsigned_abs()),
                text(&score.task),
                text(&score.group)
            ));
        }
        if self.scores.is_empty() {
            lines.push("It has not been evaluated; nothing is known of how well it does.".into());
        }
        lines.push("It states falsehoods as easily as facts. Do not let it decide about people, health, money or safety.".into());
        lines
    }

    fn data(&self, out: &mut String) {
        let Some(pile) = &self.pile else { return };
        let _ = writeln!(
            out,
            "\n## Data\n\nThe pile {} at {}; its card says which filters made it.\n",
            code(&pile.title()),
            code(&pile.files_digest)
        );
        let row = |(name, shares): (&str, &[crate::Share])| {
            let parts: Vec<String> = shares
                .iter()
                .take(8)
                .map(|s| format!("{} {}", text(&s.name), polder_base::units::percent(s.bytes as f64, pile.bytes as f64)))
                .collect();
            (!parts.is_empty()).then(|| vec![name.to_owned(), parts.join(", ")])
        };
        let parts = [
            ("Kinds of text", &*pile.categories),
            ("Natural languages", &*pile.languages),
            ("Licences", &*pile.licences),
            ("Parts", &*pile.splits),
        ];
        out.push_str(&table(&["", "Share of bytes"], &parts.into_iter().filter_map(row).collect::<Vec<_>>()));
        if let Some((tokens, numbers)) = &self.tokens {
            settings(out, &format!("Tokens, {tokens}"), numbers);
        }
    }

    fn tuned(&self, out: &mut String) {
        for card in &self.tuning {
            let inputs: Vec<String> = card.inputs.iter().map(|i| code(&i.to_string())).collect();
            let _ = writeln!(out, "\n## Tuning: {}\n\nMade from {}.\n", text(&card.reference.to_string()), inputs.join(", "));
            if !card.scores.is_empty() {
                let row = |(after, before): &(Score, Option<Score>)| {
                    let before = before.as_ref().map_or_else(|| "–".to_owned(), value_text);
                    vec![
                        text(&after.task),
                        text(&after.group),
                        text(&after.metric),
                        before,
                        value_text(after),
                        grouped(after.n.unsigned_abs()),
                    ]
                };
                let rows: Vec<Vec<String>> = card.scores.iter().map(row).collect();
                out.push_str(&table(&["Task", "Group", "Metric", ">Before", ">After", ">n"], &rows));
            }
            if !card.settings.is_empty() {
                out.push('\n');
                out.push_str(&settings_table(&card.settings));
            }
        }
    }
}

fn settings(out: &mut String, title: &str, values: &BTreeMap<String, String>) {
    if !values.is_empty() {
        let _ = write!(out, "\n## {}\n\n{}", text(title), settings_table(values));
    }
}

fn settings_table(values: &BTreeMap<String, String>) -> String {
    table(&["", ""], &values.iter().map(|(k, v)| vec![code(k), text(v)]).collect::<Vec<_>>())
}

/// A value with the half-width of its 95 % interval.
fn value_text(score: &Score) -> String {
    match (score.value, score.stderr) {
        (None, _) => "–".into(),
        (Some(v), None) => number(v),
        (Some(v), Some(e)) => format!("{} ± {}", number(v), number(1.96 * e)),
    }
}

fn scores_text(scores: &[Score]) -> String {
    if scores.is_empty() {
        return "None is recorded.\n".into();
    }
    let row = |s: &Score| {
        let contaminated = s.n_contaminated.map_or_else(|| "–".to_owned(), |n| grouped(n.unsigned_abs()));
        vec![text(&s.task), text(&s.group), text(&s.metric), value_text(s), grouped(s.n.unsigned_abs()), contaminated]
    };
    let rows: Vec<Vec<String>> = scores.iter().map(row).collect();
    format!(
        "{}\nAfter ± stands half the width of the interval that holds the true value with 95 %, by the normal approximation.\n",
        table(&["Task", "Group", "Metric", ">Value", ">n", ">In training data"], &rows)
    )
}
