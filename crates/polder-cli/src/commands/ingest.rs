//! `polder ingest SOURCE… --into raw.docs`: bring files into the lake.

use clap::ValueEnum;
use polder_base::{TableName, units};
use polder_lake::{IngestRequest, Order};
use serde_json::json;

use crate::failure::{OrAdvise, usage};
use crate::world::World;
use crate::{output, stages};

/// In which order sources are taken.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Take {
    /// By path.
    Path,
    /// Whole top-level folders, by a hash of their names.
    Hash,
}

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders and files.
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// The table to add to.
    #[arg(long, default_value = "raw.docs", value_name = "TABLE")]
    into: String,
    /// Stop after this much text, in MB.
    #[arg(long, value_parser = stages::positive, value_name = "MB")]
    limit: Option<f64>,
    /// In which order.
    #[arg(long, value_enum, default_value = "path")]
    order: Take,
    /// What to call the source; by default the folder's name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Leave out files larger than this, in MB.
    #[arg(long, value_parser = stages::positive, default_value_t = 4.0, value_name = "MB")]
    max_file: f64,
}

pub fn run(world: &mut World, args: Args) -> anyhow::Result<()> {
    let into: TableName = args.into.parse::<TableName>().or_advise()?;
    if into.schema != "raw" {
        let hint = "Documents come into the schema raw, for example --into raw.docs; the SQL files make the other tables.";
        return Err(usage(format!("`{into}` is not a table for raw documents"), hint));
    }
    let request = IngestRequest {
        sources: args.sources,
        into: into.clone(),
        limit_bytes: args.limit.map(stages::megabytes),
        order: match args.order {
            Take::Path => Order::Path,
            Take::Hash => Order::PackageHash,
        },
        max_file_bytes: stages::megabytes(args.max_file),
        source_name: args.name,
        at: world.now(),
    };
    let report = stages::prepare::ingest(world, &request)?;
    let left: u64 = report.quarantined.values().sum();
    if world.json {
        let numbers = json!({
            "table": into, "files": report.files, "kept": report.kept, "quarantined": report.quarantined, "added": report.added,
            "present": report.present, "bytes": report.bytes, "packages": report.packages, "version": report.version,
        });
        return output::object("polder.ingest", &numbers);
    }
    let reasons: Vec<String> = report.quarantined.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    let quarantined = if left > 0 { format!(", {left} went to raw.quarantine ({})", reasons.join(", ")) } else { String::new() };
    output::note(&format!(
        "{into} gained {} documents ({}), {} were there already{quarantined} · next: polder sql \"SELECT path, bytes FROM {into} LIMIT 10\"",
        report.added,
        units::bytes(report.bytes_added),
        report.present,
    ));
    Ok(())
}
