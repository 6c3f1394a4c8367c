//! `polder ingest SOURCE… --into raw.docs`: bring documents into the lake.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::ValueEnum;
use polder_base::{TableName, units};
use polder_lake::ingest::{Format, Limits, Mapping, Pages, Request, Seen, without_secrets};
use polder_lake::{IngestReport, IngestRequest, Order};
use serde_json::json;

use crate::failure::{self, OrAdvise, usage};
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

/// What becomes of web pages.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Html {
    /// They are kept as they are; SQL makes text of them.
    Source,
    /// Their main text is kept.
    Text,
}

/// What the help says after the options.
// tidy: sql, because a help shows what is typed
const DATABASES: &str = "\
Databases:
  postgres://USER@HOST:PORT/DATABASE?table=SCHEMA.NAME, mysql://USER@HOST:PORT/DATABASE?table=NAME (MariaDB too), sqlite:FILE?table=NAME
  Without a table, the error lists those that are there. --query \"SELECT …\" reads rows of its own; with a table as well, they are that table's.
  &sslmode=disable | prefer | require | verify-full, with &sslrootcert=FILE, as libpq has them; sockets are &host=FOLDER and &socket=FILE.
  Passwords come from PGPASSWORD, ~/.pgpass, MYSQL_PWD or the address, and are written nowhere. --allow-private is not asked.
  A row's address ends in --id-column, else the primary key, else id, else a digest of it. Times are kept in UTC; arrays, ranges and shapes as
  the database writes them; bytes where they are UTF-8.";

#[derive(Debug, clap::Args)]
#[command(after_help = DATABASES)]
pub struct Args {
    /// Folders, files, patterns, http(s) and s3 addresses. Text and code, HTML, JSONL, CSV, TSV, Parquet, Arrow, WARC and WET, tar and
    /// zip, folders with a Delta table; with gzip, zstd, bzip2, xz around them. Tables of PostgreSQL, MySQL and
    /// SQLite.
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
    /// What to call the source; by default the folder's name, or the host's.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What the files are, where their names do not tell: text, html, jsonl, csv, tsv, parquet, arrow, warc, tar or zip.
    #[arg(long, value_parser = format, value_name = "FORMAT")]
    format: Option<Format>,
    /// The column with the text; by default text, content or body.
    #[arg(long, value_name = "COLUMN")]
    text_column: Option<String>,
    /// The column that names a record; by default the primary key of a database's table, or id, else its line or row does.
    #[arg(long, value_name = "COLUMN")]
    id_column: Option<String>,
    /// The column with the address; by default uri or url.
    #[arg(long, value_name = "COLUMN")]
    uri_column: Option<String>,
    /// The column with the licence; by default license.
    #[arg(long, value_name = "COLUMN")]
    license_column: Option<String>,
    /// The column that says where a record came from; by default all have the name of their folder or host.
    #[arg(long, value_name = "COLUMN")]
    source_column: Option<String>,
    /// Columns that become columns of the table.
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,…")]
    keep: Vec<String>,
    /// The SELECT whose rows are read of a database, in place of a whole table's.
    #[arg(long, value_name = "SELECT")]
    query: Option<String>,
    /// A TOML file with text, id, uri, license, source (names of columns) and keep (a list of them).
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// What becomes of web pages.
    #[arg(long, value_enum, default_value = "source")]
    html: Html,
    /// Leave out documents larger than this, in MB.
    #[arg(long, value_parser = stages::positive, default_value_t = 4.0, value_name = "MB")]
    max_file: f64,
    /// Stop reading a file that becomes larger than this when it is unpacked, in MB.
    #[arg(long, value_parser = stages::positive, default_value_t = 200_000.0, value_name = "MB")]
    max_expanded: f64,
    /// Commit whenever so much text has been gathered, in MB.
    #[arg(long, value_parser = stages::positive, default_value_t = 128.0, value_name = "MB")]
    commit_every: f64,
    /// Read web addresses of this machine and of private networks too.
    #[arg(long)]
    allow_private: bool,
    /// Look again every so many seconds for new and changed files, until Ctrl-C.
    #[arg(long, value_parser = stages::positive, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    watch: Option<f64>,
    /// Read and count, and write nothing.
    #[arg(long, conflicts_with = "watch")]
    dry_run: bool,
}

fn format(text: &str) -> Result<Format, String> {
    let names = || Format::ALL.map(|(name, _)| name).join(", ");
    Format::ALL.iter().find(|(name, _)| *name == text).map(|(_, f)| *f).ok_or_else(|| format!("the formats are {}", names()))
}

pub fn run(world: &mut World, args: Args) -> anyhow::Result<()> {
    let into: TableName = args.into.parse::<TableName>().or_advise()?;
    if into.schema != "raw" {
        let hint = "Documents come into the schema raw, for example --into raw.docs; the SQL files make the other tables.";
        return Err(usage(format!("`{into}` is not a table for raw documents"), hint));
    }
    let mapping = mapping(&args)?;
    let mut request = IngestRequest {
        what: Request {
            sources: args.sources,
            source_name: args.name,
            limit_bytes: args.limit.map(stages::megabytes),
            order: match args.order {
                Take::Path => Order::Path,
                Take::Hash => Order::PackageHash,
            },
            format: args.format,
            query: args.query,
            mapping,
            pages: match args.html {
                Html::Source => Pages::Source,
                Html::Text => Pages::Text,
            },
            limits: Limits {
                record_bytes_max: stages::megabytes(args.max_file),
                expanded_bytes_max: stages::megabytes(args.max_expanded),
                ..Limits::default()
            },
            allow_private: args.allow_private,
            only_changed: None,
        },
        into,
        at: world.now(),
        slice_bytes: usize::try_from(stages::megabytes(args.commit_every)).unwrap_or(usize::MAX),
        is_dry: args.dry_run,
    };
    let Some(seconds) = args.watch else {
        let report = stages::prepare::ingest(world, &request)?;
        return show(world, &request, &report);
    };
    request.what.only_changed = Some(Arc::new(Mutex::new(Seen::default())));
    let sources = request.what.sources.iter().map(|s| without_secrets(s)).collect::<Vec<_>>().join(", ");
    output::note(&format!("following {sources} every {seconds} s; Ctrl-C ends it"));
    loop {
        request.at = world.now();
        let report = stages::prepare::ingest(world, &request)?;
        if report.added > 0 || !report.quarantined.is_empty() {
            show(world, &request, &report)?;
        }
        world.block_on(async {
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            Ok(())
        })?;
    }
}

/// The mapping file's columns, and over them those that were named.
fn mapping(args: &Args) -> anyhow::Result<Mapping> {
    let file = match &args.mapping {
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|e| {
                failure::usage(
                    format!("cannot read the mapping `{}`: {e}", path.display()),
                    "Name a TOML file, such as --mapping docs.toml.",
                )
            })?;
            Mapping::parse(&text).or_advise()?
        }
        None => Mapping::default(),
    };
    let or = |flag: &Option<String>, file: Option<String>| flag.clone().or(file);
    Ok(Mapping {
        text: or(&args.text_column, file.text),
        id: or(&args.id_column, file.id),
        uri: or(&args.uri_column, file.uri),
        license: or(&args.license_column, file.license),
        source: or(&args.source_column, file.source),
        keep: if args.keep.is_empty() { file.keep } else { args.keep.clone() },
    })
}

fn show(world: &World, request: &IngestRequest, report: &IngestReport) -> anyhow::Result<()> {
    let into = &request.into;
    if world.json {
        let numbers = json!({
            "table": into, "files": report.files, "records": report.records, "kept": report.kept, "quarantined": report.quarantined,
            "added": report.added, "present": report.present, "bytes": report.bytes, "packages": report.packages,
            "links_skipped": report.links_skipped, "version": report.version, "dry_run": request.is_dry,
        });
        return output::object("polder.ingest", &numbers);
    }
    let reasons: Vec<String> = report.quarantined.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    let n: u64 = report.quarantined.values().sum();
    let went = if request.is_dry { "would go" } else { "went" };
    let quarantined = if n > 0 { format!(", {n} {went} to raw.quarantine ({})", reasons.join(", ")) } else { String::new() };
    let gained = if request.is_dry { "would gain" } else { "gained" };
    let next = if request.is_dry {
        "the same without --dry-run".to_owned()
    } else if report.added == 0 && n > 0 {
        "polder sql \"SELECT uri, offset_in_file, detail FROM raw.quarantine LIMIT 10\"".to_owned()
    } else {
        format!("polder sql \"SELECT path, bytes FROM {into} LIMIT 10\"")
    };
    output::note(&format!(
        "{into} {gained} {} {} ({}), {} were there already{quarantined} · next: {next}",
        report.added,
        if report.added == 1 { "document" } else { "documents" },
        units::bytes(report.bytes_added),
        report.present,
    ));
    Ok(())
}
