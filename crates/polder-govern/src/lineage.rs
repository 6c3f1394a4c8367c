//! Where something came from: from a model back to the packages that its documents stood in.
//!
//! Manifests say what an artefact was made from, facts say it of tables. What neither tells is said to be unknown, never guessed.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use polder_base::{At, Digest, Input, Manifest, ManifestError, Reference, TableName, Timestamp, digest_file};
use polder_lake::{Lake, LakeError};
use serde::{Deserialize, Serialize};

use crate::facts::{Fact, FactFilter, list};
use crate::{GovernError, rows, tree};

/// A thing and all that it was made from.
#[derive(Clone, Debug, Serialize)]
pub struct Lineage {
    /// What was asked for.
    pub root: Node,
}

impl Lineage {
    /// Draws the tree; of each table's packages it shows at most so many.
    pub fn text(&self, sources_max: usize) -> String {
        tree::draw(&self.root, sources_max)
    }

    /// All nodes, each before what it was made from; repeated ones once.
    pub fn nodes(&self) -> Vec<&Node> {
        let mut all = Vec::new();
        let mut waiting = vec![&self.root];
        while let Some(node) = waiting.pop() {
            if !node.is_repeated {
                all.push(node);
            }
            waiting.extend(node.inputs.iter().rev());
        }
        all
    }

    /// The tables, those made first standing first.
    pub(crate) fn tables(&self) -> Vec<(&TableName, &Node)> {
        fn visit<'a>(node: &'a Node, all: &mut Vec<(&'a TableName, &'a Node)>) {
            if node.is_repeated {
                return;
            }
            node.inputs.iter().for_each(|n| visit(n, all));
            if let Reference::Table(name, _) = &node.reference {
                all.push((name, node));
            }
        }
        let mut all = Vec::new();
        visit(&self.root, &mut all);
        all
    }
}

/// How a thing came to be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Made {
    /// What was done: `make`, `ingest`, `train`, …
    pub verb: String,
    /// Who did it, where a fact says so.
    pub actor: Option<String>,
    /// When.
    pub at: Timestamp,
    /// The fact that tells of it.
    pub fact_id: Option<String>,
    /// Its run, where a fact says so.
    pub run_id: Option<String>,
}

/// A package that a table's documents came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The source that was ingested.
    pub source: Option<String>,
    /// The package in it.
    pub package: Option<String>,
    /// Its documents.
    pub n_docs: u64,
    /// Their bytes.
    #[serde(default)]
    pub bytes: u64,
}

/// One thing in a lineage.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// Its name, with the exact version.
    pub reference: Reference,
    /// Digest of its content, as it was used.
    pub digest: Option<Digest>,
    /// How it came to be, where that is known.
    pub made: Option<Made>,
    /// What it is, in a few words.
    pub summary: String,
    /// What stands there by this name is not what was used.
    pub is_changed: bool,
    /// It is gone from the lake; facts still tell of it.
    pub is_gone: bool,
    /// It was shown before, with what it was made from.
    pub is_repeated: bool,
    /// The packages its documents came from; for tables that ingest wrote.
    pub sources: Vec<Source>,
    /// What it was made from.
    pub inputs: Vec<Node>,
}

/// Walks from a thing back to its sources.
///
/// # Errors
/// The lake cannot be read, or nothing is known of the thing.
pub async fn lineage(lake: &Lake, reference: &Reference) -> Result<Lineage, GovernError> {
    let facts = list(lake, &FactFilter::default()).await?;
    let mut walker = Walker { lake, facts, seen: BTreeSet::new() };
    let root = walker.visit(reference.clone(), None).await?;
    let known = root.made.is_some() || !root.inputs.is_empty() || !root.is_gone;
    if known { Ok(Lineage { root }) } else { Err(GovernError::Unknown { reference: reference.to_string() }) }
}

struct Walker<'a> {
    lake: &'a Lake,
    facts: Vec<Fact>,
    seen: BTreeSet<String>,
}

type Visited<'w> = Pin<Box<dyn Future<Output = Result<Node, GovernError>> + Send + 'w>>;

impl Walker<'_> {
    fn visit(&mut self, reference: Reference, digest: Option<Digest>) -> Visited<'_> {
        Box::pin(async move {
            let (mut node, inputs) = match &reference {
                Reference::Table(table, at) => self.table(table, at, digest).await?,
                Reference::Artefact { .. } => self.artefact(&reference, digest)?,
                Reference::External(_) => (Node::new(reference, digest), Vec::new()),
            };
            // Two versions of one content are one node: what follows is the same.
            if !self.seen.insert(node.reference.to_string()) {
                node.is_repeated = true;
                node.sources.clear();
                return Ok(node);
            }
            for input in inputs {
                let child = self.visit(input.reference, Some(input.digest)).await?;
                node.inputs.push(child);
            }
            Ok(node)
        })
    }

    async fn table(&mut self, table: &TableName, at: &At, digest: Option<Digest>) -> Result<(Node, Vec<Input>), GovernError> {
        let asked = Reference::Table(table.clone(), at.clone());
        let snapshot = match self.lake.snapshot(&asked).await {
            Ok(snapshot) => Some(snapshot),
            Err(LakeError::NoTable { .. } | LakeError::NoVersion { .. } | LakeError::NoTag { .. }) => None,
            Err(e) => return Err(e.into()),
        };
        let version = match (&snapshot, at) {
            (Some(s), _) => Some(s.version),
            (None, At::Version(v)) => Some(*v),
            (None, _) => None,
        };
        let exact = version.map_or(asked, |v| Reference::Table(table.clone(), At::Version(v)));
        let mut node = Node::new(exact, digest.or(snapshot.as_ref().map(|s| s.files_digest)));
        node.is_gone = snapshot.is_none();
        if let Some(s) = &snapshot {
            node.is_changed = digest.is_some_and(|d| d != s.files_digest);
            node.summary = format!("{} rows, {}", crate::markdown::grouped(s.n_rows), polder_base::units::bytes(s.bytes));
            let tags = self.lake.tags(Some(table)).await?;
            let names: Vec<String> = tags.into_iter().filter(|t| t.version == s.version).map(|t| t.tag).collect();
            if !names.is_empty() {
                node.summary = format!("tag {} · {}", names.join(", "), node.summary);
            }
            if table.schema == "raw" {
                node.sources = self.sources(&node.reference).await?;
            }
        }
        let Some(version) = version else { return Ok((node, Vec::new())) };
        let (made, inputs) = self.told_of(table, version);
        node.made = made;
        Ok((node, inputs))
    }

    /// What facts say a version of a table was made from. A table that was made anew has the inputs of that one time; what was
    /// appended adds up.
    fn told_of(&self, table: &TableName, version: u64) -> (Option<Made>, Vec<Input>) {
        let version_of = |i: &Input| match &i.reference {
            Reference::Table(t, At::Version(v)) if t == table => Some(*v),
            _ => None,
        };
        let mut told: Vec<(u64, &Fact)> = self
            .facts
            .iter()
            .filter(|f| !f.inputs.iter().any(|i| version_of(i).is_some_and(|v| f.outputs.iter().any(|o| version_of(o) == Some(v)))))
            .filter_map(|f| f.outputs.iter().filter_map(version_of).max().filter(|v| *v <= version).map(|v| (v, f)))
            .collect();
        told.sort_by_key(|(v, f)| (std::cmp::Reverse(*v), std::cmp::Reverse(f.at), f.fact_id.clone()));
        let mut made = None;
        let mut inputs: Vec<Input> = Vec::new();
        for (_, fact) in told {
            made.get_or_insert_with(|| Made::from(fact));
            let news: Vec<Input> = fact.inputs.iter().filter(|i| !inputs.contains(i)).cloned().collect();
            inputs.extend(news);
            if fact.verb == "make" {
                break;
            }
        }
        (made, inputs)
    }

    fn artefact(&self, reference: &Reference, digest: Option<Digest>) -> Result<(Node, Vec<Input>), GovernError> {
        let Some(folder) = self.lake.layout().artefact(reference) else { return Ok((Node::new(reference.clone(), digest), Vec::new())) };
        let mut node = Node::new(reference.clone(), digest);
        let fact = self.facts.iter().rev().find(|f| f.outputs.iter().any(|o| same(&o.reference, reference)));
        node.made = fact.map(Made::from);
        match Manifest::read(&folder) {
            Ok(manifest) => {
                let of_file = digest_file(&folder.join(Manifest::FILE)).ok();
                let known = [Some(manifest.content_digest()), Some(manifest.inputs_digest()), of_file];
                // Kinds of artefact are bound by different digests: of their files, of one file, of what they were made from.
                let is_same = |d: Digest| known.contains(&Some(d)) || manifest.files.iter().any(|f| f.digest == d) || named(&manifest, d);
                node.is_changed = digest.is_some_and(|d| !is_same(d));
                node.digest = digest.or(Some(manifest.content_digest()));
                node.summary = summary(&manifest.details);
                node.made.get_or_insert(Made { verb: "made".into(), actor: None, at: manifest.created_at, fact_id: None, run_id: None });
                Ok((node, manifest.inputs))
            }
            Err(ManifestError::Absent { .. }) => {
                // A run's folder has no manifest; a folder that is gone is known from facts alone.
                node.is_gone = !folder.is_dir();
                Ok((node, fact.map(|f| f.inputs.clone()).unwrap_or_default()))
            }
            Err(e) => Err(e.into()),
        }
    }

    async fn sources(&self, reference: &Reference) -> Result<Vec<Source>, GovernError> {
        let frame = self.lake.table(&reference.to_string()).await?;
        let fields = frame.schema().fields();
        if ["source", "package", "bytes"].iter().any(|c| !fields.iter().any(|f| f.name() == c)) {
            return Ok(Vec::new());
        }
        let session = rows::session_with(self.lake, "documents", frame)?;
        rows::of_session(&session, "lineage_sources").await
    }
}

/// The same artefact; a missing version means the first, as in a lake's folders.
pub(crate) fn same(a: &Reference, b: &Reference) -> bool {
    match (a, b) {
        (Reference::Artefact { kind: k, name: n, version: v }, Reference::Artefact { kind: l, name: m, version: w }) => {
            k == l && n == m && v.as_deref().unwrap_or("1") == w.as_deref().unwrap_or("1")
        }
        _ => a == b,
    }
}

/// Whether a manifest's details name a digest: a tokenizer is bound by that of its text.
fn named(manifest: &Manifest, digest: Digest) -> bool {
    let text = digest.to_string();
    manifest.details.as_object().is_some_and(|d| d.values().any(|v| v.as_str() == Some(&text)))
}

/// The counts that a manifest's details begin with, in words.
fn summary(details: &serde_json::Value) -> String {
    let count = |v: &serde_json::Value| v.as_u64().or_else(|| Some(v.as_object()?.values().filter_map(|x| x.as_u64()).sum()));
    let keys = [
        ("n_params", "parameters"),
        ("n_parameters", "parameters"),
        ("vocab_size", "vocabulary"),
        ("n_tokens", "tokens"),
        ("n_documents", "documents"),
        ("n_rows", "rows"),
        ("n_requests", "requests"),
        ("steps", "steps"),
    ];
    let found = keys.iter().filter_map(|(key, word)| Some(format!("{} {word}", crate::markdown::grouped(count(details.get(key)?)?))));
    found.collect::<Vec<_>>().join(", ")
}

impl Node {
    fn new(reference: Reference, digest: Option<Digest>) -> Self {
        Self {
            reference,
            digest,
            made: None,
            summary: String::new(),
            is_changed: false,
            is_gone: false,
            is_repeated: false,
            sources: Vec::new(),
            inputs: Vec::new(),
        }
    }
}

impl From<&Fact> for Made {
    fn from(fact: &Fact) -> Self {
        Self {
            verb: fact.verb.clone(),
            actor: Some(fact.actor.clone()),
            at: fact.at,
            fact_id: Some(fact.fact_id.clone()),
            run_id: Some(fact.run_id.clone()).filter(|r| !r.is_empty()),
        }
    }
}
