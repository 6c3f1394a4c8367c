//! Query results as JSON lines beside a manifest: what evaluation and tuning read where there is no lake.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;

use arrow::json::LineDelimitedWriter;
use datafusion::common::ScalarValue;
use futures::StreamExt;
use polder_base::{At, Clearance, Digest, Input, Manifest, Reference, TableName, Timestamp, digest_json, publish_dir};
use polder_lake::Lake;

use crate::PipelineError;

/// One file of an export: its name and the query that fills it.
#[derive(Clone, Debug)]
pub struct ExportQuery {
    /// The file's name, such as `requests.jsonl`; several queries may fill one file, in order.
    pub file: String,
    /// The query's text.
    pub sql: String,
    /// Its parameters.
    pub parameters: Vec<(String, ScalarValue)>,
}

/// Rows of the lake to be written as files.
#[derive(Clone, Debug)]
pub struct Export {
    /// Where to: `requests/NAME` or `tuning/NAME`.
    pub target: Reference,
    /// Tables that the queries read; the manifest names their versions.
    pub reads: Vec<TableName>,
    /// The queries.
    pub queries: Vec<ExportQuery>,
}

/// An export with its inputs fixed, before the policy's verdict.
#[derive(Debug)]
pub struct ExportPlan {
    export: Export,
    manifest: Manifest,
}

impl Export {
    /// Fixes what will be read.
    ///
    /// # Errors
    /// A table that is not there.
    pub async fn plan(self, lake: &Lake, at: Timestamp) -> Result<ExportPlan, PipelineError> {
        let mut inputs = Vec::new();
        for table in &self.reads {
            let snapshot = lake.snapshot(&Reference::table(table)).await?;
            inputs.push(Input { reference: Reference::Table(table.clone(), At::Version(snapshot.version)), digest: snapshot.files_digest });
        }
        let settings: Vec<_> = self.queries.iter().map(|q| (&q.file, &q.sql, format!("{:?}", q.parameters))).collect();
        let manifest = Manifest::new(self.target.clone(), at, inputs, digest_json(&settings), serde_json::Value::Null);
        Ok(ExportPlan { export: self, manifest })
    }
}

impl ExportPlan {
    /// Digest of what will be read and how: what a policy judges.
    pub fn inputs_digest(&self) -> Digest {
        self.manifest.inputs_digest()
    }

    /// Whether the target stands there already, made from the same.
    pub fn is_done(&self, lake: &Lake) -> bool {
        let folder = lake.layout().artefact(&self.export.target);
        folder.is_some_and(|f| Manifest::stands(&f, &self.inputs_digest()))
    }

    /// Writes the files, whole, and returns their manifest; `details.n_rows` counts the lines of each file.
    ///
    /// # Errors
    /// A query that fails, no rows at all, files that cannot be written.
    pub async fn run(mut self, lake: &Lake, clearance: Clearance) -> Result<Manifest, PipelineError> {
        let Some(folder) = lake.layout().artefact(&self.export.target) else {
            return Err(PipelineError::Graph { message: format!("`{}` is no place for files", self.export.target) });
        };
        let temporary = folder.with_extension(format!("{}.tmp", std::process::id()));
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let written = self.write_files(lake, &temporary, &mut counts).await;
        if let Err(error) = written {
            let _ = fs::remove_dir_all(&temporary);
            return Err(error);
        }
        self.manifest.details = serde_json::json!({ "n_rows": counts });
        self.manifest.clearance = Some(clearance);
        let files: Vec<&str> = counts.keys().map(String::as_str).collect();
        self.manifest.describe(&temporary, &files)?;
        self.manifest.write(&temporary)?;
        publish_dir(&temporary, &folder)?;
        Ok(self.manifest)
    }

    async fn write_files(&self, lake: &Lake, temporary: &std::path::Path, counts: &mut BTreeMap<String, u64>) -> Result<(), PipelineError> {
        let io = |path: &std::path::Path| {
            let path = path.to_owned();
            move |source| PipelineError::Read { path, source }
        };
        if temporary.exists() {
            fs::remove_dir_all(temporary).map_err(io(temporary))?;
        }
        fs::create_dir_all(temporary).map_err(io(temporary))?;
        for query in &self.export.queries {
            let path = temporary.join(&query.file);
            let file = File::options().create(true).append(true).open(&path).map_err(io(&path))?;
            let mut writer = LineDelimitedWriter::new(BufWriter::new(file));
            let parameters: Vec<(&str, ScalarValue)> = query.parameters.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
            let mut rows = lake.sql_with(&query.sql, &parameters).await?.execute_stream().await?;
            let n = counts.entry(query.file.clone()).or_default();
            while let Some(batch) = rows.next().await {
                let batch = batch?;
                *n += batch.num_rows() as u64;
                writer.write(&batch).map_err(datafusion::error::DataFusionError::from)?;
            }
            writer.finish().map_err(datafusion::error::DataFusionError::from)?;
            writer.into_inner().into_inner().map_err(|e| io(&path)(e.into_error()))?.sync_all().map_err(io(&path))?;
        }
        match counts.iter().all(|(_, n)| *n == 0) {
            true => Err(PipelineError::Empty { what: self.export.target.to_string() }),
            false => Ok(()),
        }
    }
}
