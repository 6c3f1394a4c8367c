//! `polder sql`: statements over the lake; standard output is their rows, or what was written.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::json::LineDelimitedWriter;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::dataframe::DataFrame;
use futures::StreamExt;
use polder_lake::{Answer, Lake, LakeError, Reading, Statements};

use crate::failure::{OrAdvise, usage};
use crate::progress::{Bar, Unit};
use crate::world::World;
use crate::{output, stages};

/// Cells longer than this are cut in tables; JSON output is never cut.
const CELL_CHARACTERS_MAX: usize = 72;

/// What the help says after the options.
// tidy: sql, because a help shows what is typed
const STATEMENTS: &str = "\
Statements:
  SELECT …, EXPLAIN [ANALYZE] …      FROM pile.base VERSION AS OF 3 | VERSION AS OF 'v1' | TIMESTAMP AS OF '2026-01-31T12:00:00Z'
  SHOW TABLES | SCHEMAS | TAGS [IN t] | COLUMNS FROM t | FUNCTIONS [LIKE 'x%'], DESCRIBE [HISTORY | DETAIL] t
  INSERT [OVERWRITE] …, UPDATE …, DELETE …, TRUNCATE TABLE t, MERGE INTO t USING s ON … WHEN [NOT] MATCHED THEN …
  CREATE [OR REPLACE] TABLE t (…) | AS SELECT …, CREATE VIEW v AS SELECT …, DROP TABLE t, DROP VIEW v
  ALTER TABLE t ADD COLUMN … | ADD CONSTRAINT c CHECK (…) | DROP CONSTRAINT c | SET TBLPROPERTIES ('k' = 'v')
  ALTER TABLE t CREATE TAG v1 [AS OF VERSION n] [MATERIALIZED] [COMMENT '…'], ALTER TABLE t DROP TAG v1 REASON '…'
  RESTORE TABLE t TO VERSION AS OF n, OPTIMIZE t [ZORDER BY (c)], VACUUM t [RETAIN n HOURS] [DRY RUN]
  SELECT * FROM table_changes('t', 3, 7), PREPARE p AS …, EXECUTE p(…), DEALLOCATE p";

#[derive(Debug, clap::Args)]
#[command(after_help = STATEMENTS)]
pub struct Args {
    /// The statement.
    statement: Option<String>,
    /// A file with statements.
    #[arg(short, long, conflicts_with = "statement", value_name = "FILE")]
    file: Option<PathBuf>,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    let text = match (&args.statement, &args.file) {
        (Some(statement), _) => statement.clone(),
        (None, Some(path)) => {
            let hint = "Name a file with SQL statements, or write the statement itself: polder sql \"SELECT 1\".";
            std::fs::read_to_string(path).map_err(|e| usage(format!("cannot read `{}`: {e}", path.display()), hint))?
        }
        (None, None) if io::stdin().is_terminal() => return shell(world),
        (None, None) => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            text
        }
    };
    let mut known = known(world)?;
    let run = statements(&text).iter().try_for_each(|statement| one(world, &mut known, statement));
    // What was done before a statement failed was done.
    let told = world.bring_in();
    run.and(told)
}

fn known(world: &mut World) -> anyhow::Result<Statements> {
    Ok(Statements::new(world.lake()?, world.actor.clone()))
}

/// Reads statements line by line, each ended by `;`, until the end of input.
fn shell(world: &mut World) -> anyhow::Result<()> {
    output::note("one statement at a time, ended by `;` · end with Ctrl-D");
    let mut known = known(world)?;
    let mut text = String::new();
    loop {
        let _ = write!(io::stderr(), "{}", if text.is_empty() { "polder> " } else { "   ...> " });
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line).context("cannot read standard input")? == 0 {
            return world.bring_in();
        }
        text.push_str(&line);
        if line.trim_end().ends_with(';') {
            for statement in statements(&std::mem::take(&mut text)) {
                if let Err(error) = one(world, &mut known, &statement) {
                    crate::failure::report(&error);
                }
            }
        }
    }
}

/// Cuts a text at `;` outside quotes and comments.
fn statements(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut quote = None;
    let mut comment = false;
    let mut previous = ' ';
    for c in text.chars() {
        match c {
            '\n' => comment = false,
            '-' if previous == '-' && quote.is_none() => comment = true,
            _ if comment => {}
            '\'' | '"' if quote == Some(c) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(c),
            ';' if quote.is_none() => {
                found.push(String::new());
                previous = ' ';
                continue;
            }
            _ => {}
        }
        previous = c;
        if let Some(last) = found.last_mut() {
            last.push(c);
        }
    }
    let empty = |s: &String| s.lines().all(|l| l.trim().is_empty() || l.trim().starts_with("--"));
    found.into_iter().filter(|s| !empty(s)).collect()
}

fn one(world: &mut World, known: &mut Statements, statement: &str) -> anyhow::Result<()> {
    let now = world.now();
    let lake = world.lake()?;
    match world.block_on_watched(&lake, reading(), async { known.run(statement, now).await.or_advise() })? {
        None => Ok(()),
        Some(Answer::Rows(frame)) => rows(world, &lake, frame),
        Some(Answer::Done(done)) => {
            stages::statements::tell(world, &done, statement)?;
            let frame = lake.session().read_batch(done.batch().or_advise()?)?;
            rows(world, &lake, frame)
        }
    }
}

/// A line that is there when a statement takes long.
fn reading() -> impl FnMut(Reading) {
    let mut bar = None;
    move |reading| bar.get_or_insert_with(|| Bar::new("rows read", 1, Unit::Count)).reading(reading)
}

fn rows(world: &World, lake: &Lake, frame: DataFrame) -> anyhow::Result<()> {
    let json = world.json;
    world.block_on_watched(lake, reading(), async {
        let names: Vec<String> = frame.schema().fields().iter().map(|f| f.name().clone()).collect();
        let numeric: Vec<usize> =
            frame.schema().fields().iter().enumerate().filter(|(_, f)| is_number(f.data_type())).map(|(i, _)| i).collect();
        let mut rows = frame.execute_stream().await.map_err(LakeError::reading).or_advise()?;
        if json {
            let mut writer = LineDelimitedWriter::new(io::stdout().lock());
            while let Some(batch) = rows.next().await {
                writer.write(&batch.map_err(LakeError::reading).or_advise()?)?;
            }
            return Ok(writer.finish()?);
        }
        let mut cells = Vec::new();
        while let Some(batch) = rows.next().await {
            cells.extend(cells_of(&batch.map_err(LakeError::reading).or_advise()?)?);
        }
        let headings: Vec<&str> = names.iter().map(String::as_str).collect();
        if !headings.is_empty() {
            output::data(&output::table(&headings, &cells, &numeric))?;
            output::note(&format!("{} row{}", cells.len(), if cells.len() == 1 { "" } else { "s" }));
        }
        Ok(())
    })
}

fn is_number(kind: &DataType) -> bool {
    kind.is_numeric()
}

fn cells_of(batch: &RecordBatch) -> anyhow::Result<Vec<Vec<String>>> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options)).collect::<Result<Vec<_>, _>>()?;
    Ok((0..batch.num_rows()).map(|row| columns.iter().map(|c| cut(&c.value(row).to_string())).collect()).collect())
}

fn cut(text: &str) -> String {
    let one_line = text.replace('\n', "⏎").replace('\t', " ");
    match one_line.char_indices().nth(CELL_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &one_line[..end]),
        None => one_line,
    }
}

#[cfg(test)]
mod tests {
    use super::statements;

    #[test]
    fn statements_are_cut_at_semicolons_outside_quotes_and_comments() {
        let found = statements("SELECT ';' ; -- a; b\nSELECT \"x;y\";\n -- only a comment\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("';'") && found[1].contains("\"x;y\""));
    }
}
