//! Stored views: CREATE VIEW, DROP VIEW, and their queries planned into the statements that name them.

use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{CreateView, ObjectName};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use polder_base::TableName;

use super::write::{Done, Run};
use super::{parse, reads, tokens, versions};
use crate::catalog::CATALOG;
use crate::tables::SCHEMAS;
use crate::{Lake, LakeError, functions, views};

/// Puts the views that a statement names into its session, planned over the same snapshots as the rest of it.
pub(super) fn expand<'a>(
    lake: &'a Lake,
    session: &'a SessionContext,
    statement: &'a Statement,
    within: &'a [TableName],
) -> BoxFuture<'a, Result<(), LakeError>> {
    async move {
        for reference in session.state().resolve_table_references(statement).unwrap_or_default() {
            let (schema, name) = match &reference {
                TableReference::Partial { schema, table } => (schema.as_ref(), table.as_ref()),
                TableReference::Full { catalog, schema, table } if catalog.as_ref() == CATALOG => (schema.as_ref(), table.as_ref()),
                _ => continue,
            };
            let (stem, clause) = name.split_once('@').map_or((name, None), |(stem, clause)| (stem, Some(clause)));
            if !SCHEMAS.contains(&schema) {
                continue;
            }
            let Ok(view) = format!("{schema}.{stem}").parse::<TableName>() else { continue };
            let Some(query) = views::read(lake.layout(), &view)? else { continue };
            if lake.tables.store().exists(&view).await? {
                continue;
            }
            if let Some(clause) = clause {
                let reason = format!("`{view}` is a view; its tables have versions, it has none");
                return Err(LakeError::VersionClause { clause: clause.to_owned(), reason });
            }
            if within.contains(&view) {
                return Err(LakeError::statement(DataFusionError::Plan(format!("the view `{view}` is made from itself"))));
            }
            let within: Vec<TableName> = within.iter().chain([&view]).cloned().collect();
            let provider = planned(lake, session, &query, &within).await?;
            let of = || TableReference::partial(schema.to_owned(), name.to_owned());
            session.register_table(of(), Arc::new(provider)).map_err(LakeError::query("plan the view", &view))?;
        }
        Ok(())
    }
    .boxed()
}

async fn planned(lake: &Lake, session: &SessionContext, query: &str, within: &[TableName]) -> Result<ViewTable, LakeError> {
    let mut statement = parse(versions::name_tags(tokens(query)?))?;
    versions::rewrite(&mut statement, &[])?;
    expand(lake, session, &statement, within).await?;
    functions::prepare(lake, session, &mut statement, &[]).await?;
    let plan = session.state().statement_to_plan(statement.clone()).await;
    let plan = super::planned_or_why(lake, session, &statement, plan).await?;
    Ok(ViewTable::new(plan, Some(query.to_owned())))
}

/// Keeps a view, once its query has been planned.
pub(super) async fn create(run: &Run<'_>, create: CreateView) -> Result<Done, LakeError> {
    let refused = |what: &str| Err(LakeError::statement(DataFusionError::Plan(what.to_owned())));
    if create.materialized || create.temporary {
        return refused("a view is a query under a name; for its rows write CREATE TABLE … AS");
    }
    if !create.columns.is_empty() {
        return refused("columns of a view are named in its query: SELECT … AS name");
    }
    let view = run.named(&create.name).await?;
    if run.lake.tables.store().exists(&view).await? {
        return Err(LakeError::NameTaken { name: view, what: "table" });
    }
    let exists = views::exists(run.lake.layout(), &view);
    if exists && create.if_not_exists {
        return Ok(Done::new("CREATE VIEW", &view, None));
    }
    if exists && !create.or_replace {
        return Err(LakeError::NameTaken { name: view, what: "view" });
    }
    let query = query_of(run.text)?;
    if !parse(versions::name_tags(tokens(query)?)).is_ok_and(|s| reads(&s)) {
        return refused("a view is made from a query: CREATE VIEW schema.name AS SELECT …");
    }
    if tokens(query)?.iter().any(|t| matches!(t.token, Token::Placeholder(_))) {
        return refused("a view has no parameters: nobody could give them values");
    }
    planned(run.lake, run.session, query, std::slice::from_ref(&view)).await?;
    views::write(run.lake.layout(), &view, query)?;
    Ok(Done::new("CREATE VIEW", &view, None))
}

/// Forgets a view.
pub(super) async fn drop(run: &Run<'_>, names: &[ObjectName], if_exists: bool) -> Result<Done, LakeError> {
    let [one] = names else { return Err(LakeError::statement(DataFusionError::Plan("DROP VIEW takes one view".into()))) };
    let view = run.named(one).await?;
    if views::exists(run.lake.layout(), &view) {
        views::remove(run.lake.layout(), &view)?;
    } else if run.lake.tables.store().exists(&view).await? {
        return Err(LakeError::NameTaken { name: view, what: "table" });
    } else if !if_exists {
        return Err(run.lake.tables.missing(&view.to_string()).await);
    }
    Ok(Done::new("DROP VIEW", &view, None))
}

/// The text behind `CREATE VIEW name AS`, as it was written.
fn query_of(text: &str) -> Result<&str, LakeError> {
    let tokens = tokens(text)?;
    let is = |t: &Token, keyword| matches!(t, Token::Word(word) if word.keyword == keyword);
    let view = tokens.iter().position(|t| is(&t.token, Keyword::VIEW)).unwrap_or_default();
    let found = tokens.iter().skip(view).find(|t| is(&t.token, Keyword::AS));
    let Some(end) = found.map(|t| t.span.end) else { return Ok("") };
    // Places are counted from one, in lines and characters.
    let line = text.split_inclusive('\n').take((end.line as usize).saturating_sub(1)).map(str::len).sum::<usize>();
    let rest = &text[line.min(text.len())..];
    let column = rest.char_indices().nth((end.column as usize).saturating_sub(1)).map_or(rest.len(), |(i, _)| i);
    Ok(rest[column..].trim().trim_end_matches(';').trim_end())
}

#[cfg(test)]
mod tests {
    use super::query_of;

    #[test]
    fn the_query_of_a_view_is_kept_as_it_was_written() {
        let of = |text: &str| query_of(text).expect("a query").to_owned();
        assert_eq!(of("CREATE VIEW clean.v AS SELECT 'it''s' FROM t VERSION AS OF 'v1';"), "SELECT 'it''s' FROM t VERSION AS OF 'v1'");
        assert_eq!(of("create or replace view\n  clean.ä as\n  SELECT 1 AS b\n"), "SELECT 1 AS b");
    }
}
