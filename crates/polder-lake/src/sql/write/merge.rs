//! MERGE INTO: rows of a source decide what becomes of the rows they match.
//!
//! Keys are null-safe: `t.key = s.key` in the ON condition also matches NULL with NULL, else a row without a key would come in
//! again with every run.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::logical_expr::dml::{MergeIntoAction, MergeIntoClause, MergeIntoClauseKind, MergeIntoOp};
use datafusion::logical_expr::utils::{conjunction, expr_to_columns, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, lit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, Expr as SqlExpr, Ident, Merge, MergeAction, MergeInsertKind, ObjectName, ObjectNamePart, Parens,
    TableFactor, Values,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};
use deltalake::DeltaTable;
use deltalake::delta_datafusion::SessionFallbackPolicy;
use deltalake::kernel::StructField;
use deltalake::operations::merge::MergeBuilder;
use polder_base::TableName;

use super::{Done, Run, rows};
use crate::{LakeError, write};

/// Names of the two sides while the writer works.
const TARGET: &str = "target";
const SOURCE: &str = "source";

pub(super) async fn run(
    run: &Run<'_>,
    table: &TableName,
    reference: &TableReference,
    opened: DeltaTable,
    op: MergeIntoOp,
    source: LogicalPlan,
) -> Result<Done, LakeError> {
    let sides = Sides { target: reference, source: source.schema().as_ref().clone() };
    let schema = opened.snapshot().map_err(LakeError::delta("read the snapshot of", table))?.schema();
    let columns: Vec<String> = schema.fields().map(StructField::name).cloned().collect();
    let required: Vec<String> = schema.fields().filter(|f| !f.is_nullable()).map(StructField::name).cloned().collect();
    let on = sides.on(op.on, &required).map_err(LakeError::statement)?;
    let rows = DataFrame::new(run.session.state(), source);
    let mut builder = opened
        .clone()
        .merge(rows, on)
        .with_source_alias(SOURCE)
        .with_target_alias(TARGET)
        .with_session_state(run.state())
        .with_session_fallback_policy(SessionFallbackPolicy::RequireSessionState)
        .with_writer_properties(write::parquet())
        .with_commit_properties(run.commit());
    // Without a value a column of a row that comes in is NULL; one that is there stays.
    let make = |values: &mut BTreeMap<String, Expr>, is_new: bool| {
        rows::make_anew(run, table, &opened, values, &|name, schema| match is_new {
            true => Ok(lit(ScalarValue::try_from(schema.field_with_unqualified_name(name)?.data_type())?)),
            false => Ok(Expr::Column(Column::new(Some(TableReference::bare(TARGET)), name))),
        })
    };
    for clause in op.clauses {
        builder = sides.clause(builder, clause, &columns, &make).map_err(LakeError::statement)?;
    }
    let (after, metrics) = builder.await.map_err(write::failed("merge into", table))?;
    Ok(Done::new("MERGE", table, after.version())
        .with("n_rows_inserted", metrics.num_target_rows_inserted as u64)
        .with("n_rows_updated", metrics.num_target_rows_updated as u64)
        .with("n_rows_deleted", metrics.num_target_rows_deleted as u64))
}

struct Sides<'a> {
    target: &'a TableReference,
    source: DFSchema,
}

impl Sides<'_> {
    /// Says of each column which side it is of.
    fn sided(&self, expr: Expr) -> PlanResult<Expr> {
        let sided = expr.transform(|e| {
            let Expr::Column(column) = e else {
                return match e {
                    Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => {
                        Err(DataFusionError::Plan("sub-queries stand in the source of a MERGE, behind USING".into()))
                    }
                    other => Ok(Transformed::no(other)),
                };
            };
            let is_target = match &column.relation {
                Some(relation) => relation == self.target,
                None => self.source.index_of_column_by_name(None, &column.name).is_none(),
            };
            let side = if is_target { TARGET } else { SOURCE };
            Ok(Transformed::yes(Expr::Column(Column::new(Some(TableReference::bare(side)), column.name))))
        })?;
        Ok(sided.data)
    }

    /// What columns get, those that are made from others among them.
    fn assigned(&self, values: impl IntoIterator<Item = (String, Expr)>, make: &Make<'_>, is_new: bool) -> PlanResult<Vec<(Column, Expr)>> {
        let mut sided = BTreeMap::new();
        for (column, value) in values {
            sided.insert(column, self.sided(value)?);
        }
        make(&mut sided, is_new)?;
        Ok(sided.into_iter().map(|(column, value)| (Column::new_unqualified(column), value)).collect())
    }

    /// The ON condition, its keys null-safe. A key that cannot be NULL keeps `=`, by which files are left out.
    fn on(&self, on: Expr, required: &[String]) -> PlanResult<Expr> {
        let mut terms = Vec::new();
        for term in split_conjunction_owned(self.sided(on)?) {
            terms.push(match term {
                Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_key(&left, &right, required)? => {
                    Expr::BinaryExpr(BinaryExpr { left, op: Operator::IsNotDistinctFrom, right })
                }
                other => other,
            });
        }
        conjunction(terms).ok_or_else(|| DataFusionError::Plan("MERGE needs an ON condition".into()))
    }

    fn clause(&self, builder: MergeBuilder, clause: MergeIntoClause, columns: &[String], make: &Make<'_>) -> PlanResult<MergeBuilder> {
        let predicate = clause.predicate.map(|p| self.sided(p)).transpose()?;
        let wrong = |e: deltalake::DeltaTableError| DataFusionError::External(Box::new(e));
        match (clause.kind.canonical(), clause.action) {
            (kind @ (MergeIntoClauseKind::Matched | MergeIntoClauseKind::NotMatchedBySource), MergeIntoAction::Update(values)) => {
                let sided = self.assigned(values, make, false)?;
                let build = |update: deltalake::operations::merge::UpdateBuilder| {
                    let update = sided.into_iter().fold(update, |update, (column, value)| update.update(column, value));
                    predicate.into_iter().fold(update, |update, p| update.predicate(p))
                };
                match kind {
                    MergeIntoClauseKind::Matched => builder.when_matched_update(build),
                    _ => builder.when_not_matched_by_source_update(build),
                }
                .map_err(wrong)
            }
            (MergeIntoClauseKind::NotMatchedByTarget, MergeIntoAction::Insert { columns: named, values }) => {
                let named = if named.is_empty() { columns.to_vec() } else { named };
                let sided = self.assigned(named.into_iter().zip(values), make, true)?;
                let build = |insert: deltalake::operations::merge::InsertBuilder| {
                    let insert = sided.into_iter().fold(insert, |insert, (column, value)| insert.set(column, value));
                    predicate.into_iter().fold(insert, |insert, p| insert.predicate(p))
                };
                builder.when_not_matched_insert(build).map_err(wrong)
            }
            (kind, MergeIntoAction::Delete) => {
                let build = |delete: deltalake::operations::merge::DeleteBuilder| {
                    predicate.into_iter().fold(delete, |delete, p| delete.predicate(p))
                };
                match kind {
                    MergeIntoClauseKind::Matched => builder.when_matched_delete(build),
                    MergeIntoClauseKind::NotMatchedBySource => builder.when_not_matched_by_source_delete(build),
                    _ => return Err(DataFusionError::Plan("a row that no target matches cannot be deleted".into())),
                }
                .map_err(wrong)
            }
            (kind, action) => Err(DataFusionError::Plan(format!("MERGE cannot do {action:?} for {kind:?}"))),
        }
    }
}

/// Makes the generated columns of a row, new or not, from values.
type Make<'a> = dyn Fn(&mut BTreeMap<String, Expr>, bool) -> PlanResult<()> + 'a;

/// Whether an equation compares one side with the other, and either may be NULL.
fn is_key(left: &Expr, right: &Expr, required: &[String]) -> PlanResult<bool> {
    let side = |expr: &Expr| -> PlanResult<Option<&'static str>> {
        let mut columns = std::collections::HashSet::new();
        expr_to_columns(expr, &mut columns)?;
        let is = |side: &str| !columns.is_empty() && columns.iter().all(|c| c.relation.as_ref().is_some_and(|r| r.table() == side));
        Ok(if is(TARGET) {
            Some(TARGET)
        } else if is(SOURCE) {
            Some(SOURCE)
        } else {
            None
        })
    };
    let is_required = |expr: &Expr| matches!(expr, Expr::Column(c) if c.relation.as_ref().is_some_and(|r| r.table() == TARGET) && required.contains(&c.name));
    let sides = (side(left)?, side(right)?);
    let crosses = matches!(sides, (Some(TARGET), Some(SOURCE)) | (Some(SOURCE), Some(TARGET)));
    Ok(crosses && !is_required(left) && !is_required(right))
}

/// Stands for all columns until the table is known.
const ALL: &str = "*";

/// Writes `UPDATE SET *` and `INSERT *` as the grammar can read them.
pub(in super::super) fn name_stars(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let words = |t: &TokenWithSpan| if let Token::Word(w) = &t.token { w.keyword } else { Keyword::NoKeyword };
    let is_merge = tokens.iter().find(|t| !matches!(t.token, Token::Whitespace(_))).is_some_and(|t| words(t) == Keyword::MERGE);
    if !is_merge {
        return tokens;
    }
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut previous = [Keyword::NoKeyword; 2];
    for token in tokens.drain(..) {
        if matches!(token.token, Token::Whitespace(_)) {
            out.push(token);
            continue;
        }
        let span = token.span;
        let word =
            |value: &str, quote_style, keyword| TokenWithSpan::new(Token::Word(Word { value: value.into(), quote_style, keyword }), span);
        if token.token == Token::Mul && previous == [Keyword::UPDATE, Keyword::SET] {
            out.push(word(ALL, Some('"'), Keyword::NoKeyword));
            out.push(TokenWithSpan::new(Token::Eq, span));
            out.push(word("NULL", None, Keyword::NULL));
        } else if token.token == Token::Mul && previous[1] == Keyword::INSERT {
            out.push(word("ROW", None, Keyword::ROW));
        } else {
            previous = [previous[1], words(&token)];
            out.push(token);
            continue;
        }
        previous = [Keyword::NoKeyword; 2];
    }
    out
}

/// Puts the table's columns in place of every star.
pub(in super::super) fn expand_stars(merge: &mut Merge, columns: &[String]) -> ControlFlow<String> {
    let source = match &merge.source {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => alias.name.clone(),
        TableFactor::Table { name, .. } => match name.0.last().and_then(ObjectNamePart::as_ident) {
            Some(ident) => ident.clone(),
            None => return ControlFlow::Break("the source of a MERGE needs a name".into()),
        },
        _ => Ident::new(""),
    };
    let quoted = |name: &str| Ident::with_quote('"', name);
    let value = |name: &str| {
        let parts = if source.value.is_empty() { vec![quoted(name)] } else { vec![source.clone(), quoted(name)] };
        SqlExpr::CompoundIdentifier(parts)
    };
    for clause in &mut merge.clauses {
        match &mut clause.action {
            MergeAction::Update(update) if update.assignments.iter().any(is_star) => {
                if update.assignments.len() > 1 {
                    return ControlFlow::Break("UPDATE SET * gives every column a value: no other stands beside it".into());
                }
                let target = |name: &str| AssignmentTarget::ColumnName(ObjectName::from(vec![quoted(name)]));
                update.assignments = columns.iter().map(|c| Assignment { target: target(c), value: value(c) }).collect();
            }
            MergeAction::Insert(insert) if insert.kind == MergeInsertKind::Row => {
                insert.columns = columns.iter().map(|c| ObjectName::from(vec![quoted(c)])).collect();
                let row = Parens::with_empty_span(columns.iter().map(|c| value(c)).collect());
                insert.kind = MergeInsertKind::Values(Values { explicit_row: false, value_keyword: false, rows: vec![row] });
            }
            _ => {}
        }
    }
    ControlFlow::Continue(())
}

fn is_star(assignment: &Assignment) -> bool {
    matches!(&assignment.target, AssignmentTarget::ColumnName(name) if name.0.last().and_then(ObjectNamePart::as_ident).is_some_and(|i| i.value == ALL))
}
