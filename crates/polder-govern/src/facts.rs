//! `ops.facts`: events in the order they reached the lake, each bound to the one before it by a digest.
//!
//! An event comes in once, whoever brings it and how often. Nothing here changes or removes a fact.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::time::Duration;

use polder_base::{Digest, Event, Hasher, Input, Reference, Timestamp, read_events};
use polder_lake::{Lake, ops};
use serde::{Deserialize, Serialize};

use crate::books::{record_scores, scores_of};
use crate::policy::Policy;
use crate::{GovernError, rows};

/// How often an append starts anew because another program came first.
const TRIES: usize = 20;

/// A fact as `ops.facts` holds it: lists and details are JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    fact_id: String,
    #[serde(alias = "at_ms")]
    at: i64,
    actor: String,
    verb: String,
    subject: String,
    inputs: String,
    outputs: String,
    run_id: Option<String>,
    policy_digest: Option<String>,
    details: String,
    previous_digest: Option<String>,
}

impl Stored {
    fn new(event: &Event, policy_digest: Option<&Digest>, previous: Option<Digest>) -> Result<Self, GovernError> {
        let json = |value: &Vec<Input>| {
            serde_json::to_string(value).map_err(|source| GovernError::Json { what: format!("event {}", event.id), source })
        };
        Ok(Self {
            fact_id: event.id.clone(),
            at: event.at.0,
            actor: event.actor.clone(),
            verb: event.verb.clone(),
            subject: event.subject.to_string(),
            inputs: json(&event.inputs)?,
            outputs: json(&event.outputs)?,
            run_id: Some(event.run_id.clone()),
            policy_digest: policy_digest.map(Digest::to_string),
            details: event.details.to_string(),
            previous_digest: previous.map(|d| d.to_string()),
        })
    }

    /// Digest of the whole row, the link to its predecessor included.
    fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        let optional = |v: &Option<String>| v.clone().unwrap_or_default();
        let fields = [
            &self.fact_id,
            &self.at.to_string(),
            &self.actor,
            &self.verb,
            &self.subject,
            &self.inputs,
            &self.outputs,
            &optional(&self.run_id),
            &optional(&self.policy_digest),
            &self.details,
            &optional(&self.previous_digest),
        ];
        fields.iter().for_each(|f| hasher.field(f.as_bytes()));
        hasher.finish()
    }

    fn fact(self) -> Result<Fact, GovernError> {
        let wrong = |source| GovernError::Json { what: format!("fact {}", self.fact_id), source };
        let text = |v: &str| serde_json::Value::String(v.to_owned());
        Ok(Fact {
            at: Timestamp(self.at),
            subject: serde_json::from_value(text(&self.subject)).map_err(wrong)?,
            inputs: serde_json::from_str(&self.inputs).map_err(wrong)?,
            outputs: serde_json::from_str(&self.outputs).map_err(wrong)?,
            details: serde_json::from_str(&self.details).map_err(wrong)?,
            policy_digest: self.policy_digest.as_deref().map(|d| serde_json::from_value(text(d)).map_err(wrong)).transpose()?,
            digest: self.digest(),
            run_id: self.run_id.unwrap_or_default(),
            fact_id: self.fact_id,
            actor: self.actor,
            verb: self.verb,
        })
    }
}

/// Something that happened, as the lake knows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fact {
    /// The event's id.
    pub fact_id: String,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// What was done.
    pub verb: String,
    /// To what.
    pub subject: Reference,
    /// From what.
    pub inputs: Vec<Input>,
    /// Giving what.
    pub outputs: Vec<Input>,
    /// The run it belongs to.
    pub run_id: String,
    /// The policy in force.
    pub policy_digest: Option<Digest>,
    /// What the verb says besides.
    pub details: serde_json::Value,
    /// Digest of this fact, to which the next one is bound.
    pub digest: Digest,
}

/// Which facts are asked for; the default asks for all.
#[derive(Clone, Debug, Default)]
pub struct FactFilter {
    /// Only this verb.
    pub verb: Option<String>,
    /// Only facts whose subject, inputs or outputs name this, at any version.
    pub about: Option<Reference>,
    /// Only the newest so many.
    pub limit: Option<usize>,
}

impl FactFilter {
    fn takes(&self, fact: &Fact) -> bool {
        let about = |r: &Reference| {
            let others = fact.inputs.iter().chain(&fact.outputs).map(|i| &i.reference);
            std::iter::once(&fact.subject).chain(others).any(|o| names(r, o))
        };
        self.verb.as_ref().is_none_or(|v| *v == fact.verb) && self.about.as_ref().is_none_or(about)
    }
}

/// Says whether `wanted` names `found`; a name without a version names all of them.
fn names(wanted: &Reference, found: &Reference) -> bool {
    match (wanted, found) {
        (Reference::Table(a, polder_base::At::Latest), Reference::Table(b, _)) => a == b,
        (Reference::Artefact { kind: a, name: n, version: None }, Reference::Artefact { kind: b, name: m, .. }) => a == b && n == m,
        _ => wanted == found,
    }
}

/// Appends events that `ops.facts` does not hold yet, and returns how many those were.
///
/// # Errors
/// The lake cannot be read or written, or others kept coming first.
pub async fn record(lake: &Lake, events: &[Event], policy_digest: Option<&Digest>) -> Result<usize, GovernError> {
    let known = known_ids(lake).await?;
    if events.iter().all(|e| known.contains(&e.id)) {
        return Ok(0);
    }
    let mut missing = Vec::new();
    for _ in 0..TRIES {
        let mut version = version_of_book(lake).await?;
        let mut only_writer = None;
        if version.is_none() {
            only_writer = Some(first_writer(lake).await?);
            version = version_of_book(lake).await?;
        }
        let stored = stored(lake).await?;
        let mut known: BTreeSet<&str> = stored.iter().map(|s| s.fact_id.as_str()).collect();
        missing = events.iter().filter(|e| known.insert(&e.id)).collect();
        if missing.is_empty() {
            return Ok(0);
        }
        let mut previous = head(&stored)?;
        let mut appended = Vec::new();
        for event in &missing {
            let row = Stored::new(event, policy_digest, previous)?;
            previous = Some(row.digest());
            appended.push(row);
        }
        // Every append raises the table's version, so this number grows with each. Of two programs that saw the same end of the
        // chain, one writes and the other finds its number taken, and starts anew.
        let number = version.map_or(1, |v| i64::try_from(v).unwrap_or(i64::MAX - 2) + 2);
        let batch = rows::batch(rows::schema_of("facts")?, &appended, "ops.facts")?;
        let written = lake.append_rows(&ops::table("facts"), batch, Some(("facts".to_owned(), number))).await;
        drop(only_writer);
        match written {
            Ok(w) if !w.skipped => return Ok(appended.len()),
            Ok(_) | Err(polder_lake::LakeError::Conflict { .. }) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(GovernError::Busy { n: missing.len() })
}

async fn version_of_book(lake: &Lake) -> Result<Option<u64>, GovernError> {
    Ok(lake.snapshot_opt(&ops::table("facts")).await?.map(|s| s.version))
}

/// Holds a lock while the table is made. Of two commits that both make a table, the Delta library appends the second one to the
/// first without comparing their transactions.
async fn first_writer(lake: &Lake) -> Result<File, GovernError> {
    let path = lake.layout().root().join(".facts.lock");
    let read = |source| GovernError::Read { path: path.clone(), source };
    let file = File::options().create(true).append(true).open(&path).map_err(read)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(TryLockError::Error(source)) => return Err(read(source)),
        }
    }
}

/// Brings the events that runs left beside the lake into it; returns how many were new.
///
/// Scores that an evaluation's event carries (`details.scores`) go to `ops.evals` with it.
///
/// # Errors
/// An event file that cannot be read, or those of [`record`].
pub async fn sync(lake: &Lake) -> Result<usize, GovernError> {
    let mut events = Vec::new();
    let folder = lake.layout().kind("runs");
    for run in subfolders(&folder)? {
        events.extend(read_events(&run)?);
    }
    if events.is_empty() {
        return Ok(0);
    }
    let known = known_ids(lake).await?;
    events.retain(|e| !known.contains(&e.id));
    if events.is_empty() {
        return Ok(0);
    }
    // Facts come in the order in which things happened; what one run did within a millisecond, as it wrote it down.
    events.sort_by_key(|e| e.at);
    for event in &events {
        if let Some(scores) = scores_of(event) {
            record_scores(lake, &event.id, &scores).await?;
        }
    }
    let policy = Policy::read(lake)?;
    record(lake, &events, Some(&policy.digest())).await
}

/// Folders below a folder, in order of name; none where it does not exist.
pub(crate) fn subfolders(folder: &std::path::Path) -> Result<Vec<std::path::PathBuf>, GovernError> {
    let read = |source| GovernError::Read { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(read(e)),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.map_err(read)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// Lists facts, oldest first.
///
/// # Errors
/// The lake cannot be read, or a row is no fact.
pub async fn list(lake: &Lake, filter: &FactFilter) -> Result<Vec<Fact>, GovernError> {
    let all: Result<Vec<Fact>, _> = stored(lake).await?.into_iter().map(Stored::fact).collect();
    let mut facts: Vec<Fact> = all?.into_iter().filter(|f| filter.takes(f)).collect();
    let skip = filter.limit.map_or(0, |n| facts.len().saturating_sub(n));
    Ok(facts.split_off(skip))
}

/// Finds the fact whose id begins with `id`.
///
/// # Errors
/// None, or more than one.
pub async fn show(lake: &Lake, id: &str) -> Result<Fact, GovernError> {
    let mut found: Vec<Fact> = list(lake, &FactFilter::default()).await?.into_iter().filter(|f| f.fact_id.starts_with(id)).collect();
    match (found.len(), found.pop()) {
        (1, Some(fact)) if !id.is_empty() => Ok(fact),
        (0, _) => Err(GovernError::NoFact { id: id.to_owned() }),
        (n, _) => Err(GovernError::ManyFacts { id: id.to_owned(), n }),
    }
}

/// Checks that every fact is bound to the one before it, and returns how many there are.
///
/// # Errors
/// A fact was changed, taken away or slipped in.
pub async fn verify_chain(lake: &Lake) -> Result<usize, GovernError> {
    let stored = stored(lake).await?;
    let mut next: BTreeMap<Option<String>, &Stored> = BTreeMap::new();
    for row in &stored {
        if let Some(other) = next.insert(row.previous_digest.clone(), row) {
            return Err(GovernError::Chain { reason: format!("facts {} and {} follow the same one", other.fact_id, row.fact_id) });
        }
    }
    let mut at: Option<String> = None;
    let mut n = 0;
    while let Some(row) = next.remove(&at) {
        n += 1;
        at = Some(row.digest().to_string());
    }
    match next.into_values().next() {
        None => Ok(n),
        Some(row) => Err(GovernError::Chain { reason: format!("what stood before fact {} is not what it was bound to", row.fact_id) }),
    }
}

/// Digest of the fact that no other follows.
fn head(stored: &[Stored]) -> Result<Option<Digest>, GovernError> {
    let followed: BTreeSet<&str> = stored.iter().filter_map(|s| s.previous_digest.as_deref()).collect();
    let mut ends = stored.iter().map(Stored::digest).filter(|d| !followed.contains(d.to_string().as_str()));
    match (ends.next(), ends.next()) {
        (Some(_), Some(_)) => Err(GovernError::Chain { reason: "it has two ends".into() }),
        (None, _) if !stored.is_empty() => Err(GovernError::Chain { reason: "it has no end".into() }),
        (end, _) => Ok(end),
    }
}

async fn stored(lake: &Lake) -> Result<Vec<Stored>, GovernError> {
    rows::of_table(lake, &ops::table("facts"), "facts").await
}

async fn known_ids(lake: &Lake) -> Result<BTreeSet<String>, GovernError> {
    #[derive(Deserialize)]
    struct Row {
        fact_id: String,
    }
    let ids: Vec<Row> = rows::of_table(lake, &ops::table("facts"), "fact_ids").await?;
    Ok(ids.into_iter().map(|r| r.fact_id).collect())
}
