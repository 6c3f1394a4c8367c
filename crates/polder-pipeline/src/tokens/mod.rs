//! From a pile to token shards: rows in order of doc_id, encoded, written, and noted in the lake's books.
//!
//! [`sort`] brings the rows in order in the memory that is given, [`encode`] takes them through, `polder-shard` writes,
//! [`books`] notes which row went where. A set that stands is brought up to date where tokenizer and settings are the
//! same: what did not change is shared.
//!
//! A row whose text is NULL is no document: it is left out and counted. One whose text is empty is a document.

mod books;
mod encode;
mod sort;
mod text;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow::datatypes::DataType;
use datafusion::prelude::{DataFrame, col, lit, when};
use futures::StreamExt;
use polder_base::{At, Clearance, Digest, Input, Manifest, Reference, Timestamp, digest_json};
use polder_lake::{Lake, Snapshot};
use polder_shard::{LAYOUT, OfferCounts, SetOptions, ShardOptions, TokenSet, TokenSetWriter, Unfinished, standing_set};
use polder_tokenizer::{END_OF_TEXT, Tokenizer};

use crate::PipelineError;
use encode::{Splitting, Work, encode_all};
use sort::Sorter;

/// The share of documents that becomes the validation split of a pile that names no splits.
pub const VALIDATION_SHARE: f64 = 0.005;
/// Tokens in a shard by default.
const SHARD_TOKENS_MAX: u64 = 100_000_000;
/// Memory for sorting by default; a table that holds more is sorted on disk.
const MEMORY_BYTES: u64 = 1 << 30;
/// Text that a batch of rows should hold.
const BATCH_TEXT_BYTES: u64 = 4 << 20;
/// How much longer text is than the compressed file that holds it, about.
const COMPRESSION: u64 = 3;

/// What a build does with one that was broken off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begin {
    /// Goes on with it if it was made from the same, else begins anew.
    #[default]
    Any,
    /// Goes on with it; it is an error if there is none, or one made from something else.
    Resume,
    /// Throws it away, and the set that stands too: everything is encoded.
    Fresh,
}

/// What to make shards of.
#[derive(Clone, Debug)]
pub struct BuildTokens {
    /// The set's name under `tokens/`.
    pub name: String,
    /// The pile; its newest version or tag is fixed when planned.
    pub from: Reference,
    /// A tokenizer of the lake.
    pub tokenizer: String,
    /// Splits of the set; the first is what training reads. With a column `split` they are its values, else there are two.
    pub splits: Vec<String>,
    /// The share of documents, by a hash of their ids, in the second split of a pile that has no column `split`.
    pub validation_share: Option<f64>,
    /// A condition on rows, as SQL.
    pub filter: Option<String>,
    /// The special token that opens every document, if one does.
    pub bos: Option<String>,
    /// The special token that closes every document, if one does.
    pub eos: Option<String>,
    /// Tokens in a shard at most.
    pub shard_tokens_max: u64,
    /// Memory for sorting, in bytes.
    pub memory_bytes: u64,
    /// What to do with a build that was broken off.
    pub begin: Begin,
}

impl BuildTokens {
    /// A build with the usual settings.
    pub fn new(name: &str, from: Reference, tokenizer: &str) -> Self {
        Self {
            name: name.to_owned(),
            from,
            tokenizer: tokenizer.to_owned(),
            splits: vec!["train".into(), "validation".into()],
            validation_share: None,
            filter: None,
            bos: None,
            eos: Some(END_OF_TEXT.to_owned()),
            shard_tokens_max: SHARD_TOKENS_MAX,
            memory_bytes: MEMORY_BYTES,
            begin: Begin::Any,
        }
    }
}

/// What a build makes of the set that stands under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    None,
    /// It is made from the same.
    Same,
    /// It is of an earlier version of the pile: what did not change is shared.
    Base,
    /// It cannot be a base, and is replaced; why.
    Replaced(String),
}

/// A set with its inputs fixed, before the policy's verdict.
#[derive(Debug)]
pub struct BuildTokensPlan {
    request: BuildTokens,
    snapshot: Snapshot,
    tokenizer: Tokenizer,
    splitting: Splitting,
    options: SetOptions,
    inputs: Vec<Input>,
    settings: Digest,
    standing: Standing,
    at: Timestamp,
}

/// What a build is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokensPhase {
    /// Rows come from the table and are brought in order.
    #[default]
    Reading,
    /// Documents are encoded and written.
    Encoding,
    /// The lake's books are written.
    Noting,
}

/// How far a build is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokensProgress {
    /// What it is at.
    pub phase: TokensPhase,
    /// Rows read, then documents encoded or found unchanged.
    pub n_documents: u64,
    /// Documents there are; while they are read, rows of the table.
    pub n_documents_total: u64,
    /// Rows left out because their text is NULL.
    pub n_without_text: u64,
    /// Bytes of text gone through.
    pub bytes: u64,
    /// Tokens encoded, those that open and close documents left out.
    pub n_tokens: u64,
}

/// What a build came to.
#[derive(Clone, Debug, PartialEq)]
pub struct TokensBuilt {
    /// The set's manifest.
    pub manifest: Manifest,
    /// Whether it stood there already.
    pub stood: bool,
    /// Documents taken over, written by an earlier attempt, and encoded.
    pub counts: OfferCounts,
    /// Rows left out because their text is NULL.
    pub n_without_text: u64,
    /// Rows left out because they are of other splits, or the condition is not true for them.
    pub n_left_out: u64,
    /// Shards of the set that stood before: shared as they are, written anew without departed documents, and added.
    pub n_shards: (u64, u64, u64),
}

fn has_columns(frame: &DataFrame, table: &str) -> Result<(), PipelineError> {
    for column in ["doc_id", "text"] {
        let field = frame.schema().field_with_unqualified_name(column);
        let is_text = |kind: &DataType| match kind {
            DataType::Dictionary(_, values) => values.is_string(),
            kind => kind.is_string(),
        };
        if !field.is_ok_and(|f| is_text(f.data_type())) {
            return Err(PipelineError::Column { what: table.to_owned(), column: column.into(), expected: "text" });
        }
    }
    Ok(())
}

impl BuildTokens {
    /// Fixes the pile's version, the tokenizer and what documents are opened and closed with.
    ///
    /// # Errors
    /// One of them is not there; options that do not go together; a condition that cannot be used.
    pub async fn plan(self, lake: &Lake, at: Timestamp) -> Result<BuildTokensPlan, PipelineError> {
        let snapshot = lake.snapshot(&self.from).await?;
        let reference = Reference::artefact("tokenizers", &self.tokenizer);
        let folder = lake.layout().artefact(&reference).unwrap_or_default();
        let manifest = Manifest::read(&folder)?;
        let tokenizer = Tokenizer::open(&folder.join("tokenizer.json"))?;
        let frame = self.frame(lake, &snapshot).await?;
        let splitting = self.splitting(frame.schema().has_column_with_unqualified_name("split"))?;
        let options = SetOptions {
            splits: self.splits.clone(),
            shards: ShardOptions {
                vocab_size: tokenizer.vocab_size(),
                bos_id: self.special(&tokenizer, self.bos.as_deref())?,
                eos_id: self.special(&tokenizer, self.eos.as_deref())?,
                tokens_per_shard_max: self.shard_tokens_max,
            },
            tokenizer_digest: tokenizer.digest(),
        };
        // A tag says more than a number, and names the same rows for ever.
        let at_version = match &self.from {
            Reference::Table(_, At::Tag(tag)) => At::Tag(tag.clone()),
            _ => At::Version(snapshot.version),
        };
        let inputs = vec![
            Input { reference: Reference::Table(snapshot.table.clone(), at_version), digest: snapshot.files_digest },
            Input { reference, digest: manifest.content_digest() },
        ];
        let share = match splitting {
            Splitting::Column => None,
            Splitting::Share(share) => Some(share),
        };
        let settings = digest_json(&(LAYOUT, &self.splits, self.shard_tokens_max, share, &self.filter, &self.bos, &self.eos));
        let mut plan =
            BuildTokensPlan { request: self, snapshot, tokenizer, splitting, options, inputs, settings, standing: Standing::None, at };
        plan.standing = plan.look(lake)?;
        Ok(plan)
    }

    fn special(&self, tokenizer: &Tokenizer, token: Option<&str>) -> Result<Option<u32>, PipelineError> {
        let Some(token) = token else { return Ok(None) };
        let known = || (0..tokenizer.vocab_size() as u32).filter(|id| tokenizer.is_special(*id)).map(|id| tokenizer.decode(&[id]));
        let missing =
            || PipelineError::NoToken { tokenizer: self.tokenizer.clone(), token: token.to_owned(), known: known().take(20).collect() };
        tokenizer.special_id(token).ok_or_else(missing).map(Some)
    }

    fn splitting(&self, has_column: bool) -> Result<Splitting, PipelineError> {
        let refuse = |message: String, hint: &str| Err(PipelineError::Request { message, hint: hint.to_owned() });
        match (has_column, self.validation_share) {
            (true, Some(_)) => refuse(
                format!("{} says itself, by its column `split`, which documents are for validation", self.from),
                "Leave out --validation; or change the column with SQL.",
            ),
            (true, None) => Ok(Splitting::Column),
            (false, share) => {
                let share = share.unwrap_or(VALIDATION_SHARE);
                if !(0.0..1.0).contains(&share) {
                    return refuse(
                        format!("{share} is no share of documents"),
                        "Give --validation a number from 0 to below 1, such as 0.005.",
                    );
                }
                if self.splits.len() != 2 {
                    return refuse(
                        format!("{} has no column `split`, and {} splits are asked for", self.from, self.splits.len()),
                        "Without the column there are two: train and validation.",
                    );
                }
                Ok(Splitting::Share(share))
            }
        }
    }

    /// The rows that are asked for, all columns.
    async fn frame(&self, lake: &Lake, snapshot: &Snapshot) -> Result<DataFrame, PipelineError> {
        let row_bytes = (snapshot.bytes * COMPRESSION / snapshot.n_rows.max(1)).max(1);
        let batch_rows = (BATCH_TEXT_BYTES / row_bytes).clamp(16, 8192) as usize;
        let frame = lake.table_in_batches(&format!("{}@{}", snapshot.table, snapshot.version), batch_rows).await?;
        has_columns(&frame, &snapshot.table.to_string())?;
        let Some(filter) = &self.filter else { return Ok(frame) };
        let refuse = |source| PipelineError::Condition { condition: filter.clone(), source };
        let condition = frame.parse_sql_expr(filter).map_err(refuse)?;
        frame.filter(condition).map_err(refuse)
    }
}

impl BuildTokensPlan {
    fn reference(&self) -> Reference {
        Reference::artefact("tokens", &self.request.name)
    }

    fn folder(&self, lake: &Lake) -> PathBuf {
        lake.layout().artefact(&self.reference()).unwrap_or_default()
    }

    /// Digest of what it is made from: what a policy judges.
    pub fn inputs_digest(&self) -> Digest {
        Manifest::new(self.reference(), self.at, self.inputs.clone(), self.settings, serde_json::Value::Null).inputs_digest()
    }

    /// The set's name.
    pub fn name(&self) -> &str {
        &self.request.name
    }

    /// What it is made from.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The table's version.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What becomes of the set that stands under this name.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Whether the set stands there already, made from the same.
    pub fn is_done(&self, lake: &Lake) -> bool {
        Manifest::stands(&self.folder(lake), &self.inputs_digest())
    }

    fn look(&self, lake: &Lake) -> Result<Standing, PipelineError> {
        let folder = self.folder(lake);
        let set = match standing_set(&folder) {
            Ok(Some(set)) => set,
            Ok(None) => return Ok(Standing::None),
            Err(_) => return Ok(Standing::Replaced("what stands there cannot be read".into())),
        };
        if self.request.begin == Begin::Fresh {
            return Ok(Standing::Replaced("--fresh was asked for".into()));
        }
        if Manifest::stands(&folder, &self.inputs_digest()) {
            return Ok(Standing::Same);
        }
        let (details, shards) = (set.details(), &self.options.shards);
        let of_table = |i: &Input| matches!(&i.reference, Reference::Table(table, _) if *table == self.snapshot.table);
        let why = if details.tokenizer_digest != self.options.tokenizer_digest {
            "it was made with another tokenizer"
        } else if (details.bos_id, details.eos_id) != (shards.bos_id, shards.eos_id) {
            "its documents are opened or closed by other tokens"
        } else if !set.manifest().inputs.iter().any(of_table) {
            "it was made from another table"
        } else if set.manifest().config_digest != self.settings {
            "it was made with other settings"
        } else {
            return Ok(Standing::Base);
        };
        Ok(Standing::Replaced(why.into()))
    }

    /// Writes the set whole, then notes its documents in the lake. A second call after a kill goes on where it was.
    ///
    /// # Errors
    /// An empty pile, a doc_id that is missing or there twice, a document that cannot be written, files that cannot be
    /// written, and what [`Begin`] refuses.
    pub async fn run(
        self,
        lake: &Lake,
        clearance: Clearance,
        on_progress: &mut (dyn FnMut(&TokensProgress) + Send),
    ) -> Result<TokensBuilt, PipelineError> {
        let folder = self.folder(lake);
        let lock = Arc::new(self.lock(lake)?);
        let (name, snapshot) = (self.request.name.clone(), self.snapshot.clone());
        // Under the lock it may stand now.
        let stood = self.request.begin != Begin::Fresh && self.is_done(lake);
        if stood && self.request.begin == Begin::Resume {
            self.judge_unfinished(&folder, None)?;
        }
        let built = if stood {
            let none = (0, 0, 0);
            TokensBuilt {
                manifest: Manifest::read(&folder)?,
                stood,
                counts: OfferCounts::default(),
                n_without_text: 0,
                n_left_out: 0,
                n_shards: none,
            }
        } else {
            self.write(lake, &folder, lock.clone(), clearance, on_progress).await?
        };
        on_progress(&TokensProgress { phase: TokensPhase::Noting, ..TokensProgress::default() });
        books::note(lake, &name, &snapshot, &folder).await?;
        Ok(built)
    }

    /// One build of a set at a time; the operating system gives the lock back when its holder dies.
    fn lock(&self, lake: &Lake) -> Result<File, PipelineError> {
        let folder = lake.layout().kind("tokens");
        let path = folder.join(format!(".{}.lock", self.request.name));
        let io = |source| PipelineError::Read { path: path.clone(), source };
        std::fs::create_dir_all(&folder).map_err(io)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(PipelineError::Busy { what: self.reference().to_string() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    /// Looks at what a build that was broken off left, and throws it away where that is asked for.
    fn judge_unfinished(&self, folder: &Path, base: Option<&TokenSet>) -> Result<(), PipelineError> {
        let reference = self.reference();
        let refuse = |message: String, hint: &str| Err(PipelineError::Request { message, hint: hint.to_owned() });
        match (self.request.begin, TokenSetWriter::unfinished(folder, &self.options, self.inputs_digest(), base)) {
            (Begin::Resume, Unfinished::None) => {
                refuse(format!("no build of {reference} was broken off"), "Leave out --resume to begin one.")
            }
            (Begin::Resume, Unfinished::Other) => refuse(
                format!("the build of {reference} that was broken off is made from something else"),
                "Give it the same pile, version, tokenizer and options; or leave out --resume to begin anew.",
            ),
            (Begin::Resume, Unfinished::Damaged) => refuse(
                format!("what the build of {reference} that was broken off left is not as it was written"),
                "Leave out --resume to begin anew.",
            ),
            (Begin::Fresh, Unfinished::Same | Unfinished::Other | Unfinished::Damaged) => Ok(TokenSetWriter::discard(folder)?),
            _ => Ok(()),
        }
    }

    /// Reads the rows and brings them in order.
    async fn sorted(
        &self,
        lake: &Lake,
        on_progress: &mut (dyn FnMut(&TokensProgress) + Send),
    ) -> Result<(sort::Sorted, u64), PipelineError> {
        let mut frame = self.request.frame(lake, &self.snapshot).await?;
        let mut columns = vec![col("doc_id"), col("text")];
        if let Splitting::Column = self.splitting {
            let splits = &self.request.splits;
            frame = frame.filter(col("split").in_list(splits.iter().map(|s| lit(s.as_str())).collect(), false))?;
            let is = |split: &str| col("split").eq(lit(split));
            let mut number = when(is(&splits[0]), lit(0i32));
            for (i, split) in (0i32..).zip(splits).skip(1) {
                number = number.when(is(split), lit(i));
            }
            columns.push(number.end()?.alias("split_idx"));
        }
        let mut rows = frame.select(columns)?.execute_stream().await?;
        let what = format!("{}@{}", self.snapshot.table, self.snapshot.version);
        let memory = usize::try_from(self.request.memory_bytes).unwrap_or(usize::MAX);
        let mut sorter = Sorter::new(&what, &lake.layout().kind("tokens"), memory);
        let mut progress = TokensProgress { n_documents_total: self.snapshot.n_rows, ..TokensProgress::default() };
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            progress.n_documents += batch.num_rows() as u64;
            sorter.push(&batch).await?;
            on_progress(&progress);
        }
        Ok((sorter.finish().await?, progress.n_documents))
    }

    async fn write(
        self,
        lake: &Lake,
        folder: &Path,
        lock: Arc<File>,
        clearance: Clearance,
        on_progress: &mut (dyn FnMut(&TokensProgress) + Send),
    ) -> Result<TokensBuilt, PipelineError> {
        let base = match self.standing {
            Standing::Base => standing_set(folder)?,
            _ => None,
        };
        self.judge_unfinished(folder, base.as_ref())?;
        let (sorted, n_documents) = self.sorted(lake, on_progress).await?;
        if n_documents == 0 {
            return Err(PipelineError::Empty { what: self.request.from.to_string() });
        }
        // Where nobody listens any more, the work stops at the next chunk.
        let (told, mut telling) = tokio::sync::mpsc::channel(1);
        let folder = folder.to_owned();
        let work = tokio::task::spawn_blocking(move || {
            let built = self.encode(&folder, base, sorted, n_documents, clearance, &told);
            // Held until here, also where nobody waits any more.
            drop(lock);
            built
        });
        while let Some(progress) = telling.recv().await {
            on_progress(&progress);
        }
        work.await.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))
    }

    fn encode(
        self,
        folder: &Path,
        base: Option<TokenSet>,
        sorted: sort::Sorted,
        n_documents: u64,
        clearance: Clearance,
        told: &tokio::sync::mpsc::Sender<TokensProgress>,
    ) -> Result<TokensBuilt, PipelineError> {
        let (digest, base, reference) = (self.inputs_digest(), base.as_ref(), self.reference());
        let mut writer = TokenSetWriter::begin(folder, self.options.clone(), digest, base)?;
        let work = Work {
            tokenizer: &self.tokenizer,
            splits: &self.request.splits,
            splitting: &self.splitting,
            asks_first: writer.knows_documents(),
            spare: Mutex::default(),
        };
        let progress = TokensProgress { phase: TokensPhase::Encoding, n_documents_total: n_documents, ..TokensProgress::default() };
        let mut tell = |progress: &TokensProgress| {
            // One that is still unread is as good.
            !matches!(told.try_send(*progress), Err(tokio::sync::mpsc::error::TrySendError::Closed(_)))
        };
        let progress = encode_all(&work, sorted, &mut writer, progress, &mut tell)?;
        if progress.n_documents == 0 {
            return Err(PipelineError::Empty { what: format!("{} with text", self.request.from) });
        }
        let counts = writer.counts();
        let manifest = writer.finish(reference, self.at, self.inputs.clone(), self.settings, Some(clearance))?;
        let n_shards = compare(base, &manifest);
        let n_left_out = self.snapshot.n_rows.saturating_sub(n_documents);
        Ok(TokensBuilt { manifest, stood: false, counts, n_without_text: progress.n_without_text, n_left_out, n_shards })
    }
}

/// How many shards of the set before were shared and written anew, and how many were added.
fn compare(base: Option<&TokenSet>, manifest: &Manifest) -> (u64, u64, u64) {
    let mut n = (0, 0, 0);
    for file in manifest.files.iter().filter(|f| f.path.ends_with(".bin")) {
        let before = base.and_then(|b| b.manifest().files.iter().find(|f| f.path == file.path));
        match before {
            Some(before) if before.digest == file.digest => n.0 += 1,
            Some(_) => n.1 += 1,
            None => n.2 += 1,
        }
    }
    n
}

#[cfg(test)]
mod tests;
