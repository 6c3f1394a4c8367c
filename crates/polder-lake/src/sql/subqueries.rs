//! Sub-queries in the conditions of UPDATE and DELETE: answered first and put in as values, since the writers underneath judge
//! one row at a time.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery, lit};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;

/// More values than this belong into a MERGE: the condition is written into the table's log.
const VALUES_MAX: usize = 10_000;

/// Replaces every sub-query by its answer.
pub(super) async fn answered(session: &SessionContext, expr: Expr) -> Result<Expr> {
    let mut found = Vec::new();
    expr.apply(|e| {
        if is_subquery(e) {
            found.push(e.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let mut answers = Vec::new();
    for one in found {
        answers.push(answer(session, one).await?);
    }
    let mut answers = answers.into_iter();
    let replaced = expr.transform_down(|e| match is_subquery(&e).then(|| answers.next()).flatten() {
        Some(answer) => Ok(Transformed::yes(answer.into(e))),
        None => Ok(Transformed::no(e)),
    })?;
    Ok(replaced.data)
}

/// What a sub-query is replaced by; the left side of IN stays as it is.
enum Answer {
    Value(Expr),
    List(Vec<Expr>),
}

impl Answer {
    fn into(self, replaced: Expr) -> Expr {
        match (self, replaced) {
            (Self::List(list), Expr::InSubquery(of)) => Expr::InList(InList { expr: of.expr, list, negated: of.negated }),
            (Self::Value(value), _) => value,
            (Self::List(_), other) => other,
        }
    }
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_))
}

async fn answer(session: &SessionContext, expr: Expr) -> Result<Answer> {
    match expr {
        Expr::InSubquery(of) => Ok(Answer::List(column(session, &of.subquery, VALUES_MAX + 1).await?.into_iter().map(lit).collect())),
        Expr::Exists(of) => {
            let rows = rows(session, &of.subquery, 1).await?;
            Ok(Answer::Value(lit((rows > 0) != of.negated)))
        }
        Expr::ScalarSubquery(of) => match column(session, &of, 2).await?.as_slice() {
            [] => Ok(Answer::Value(lit(ScalarValue::try_from(of.subquery.schema().field(0).data_type())?))),
            [one] => Ok(Answer::Value(lit(one.clone()))),
            _ => Err(DataFusionError::Plan("a sub-query that stands for a value gives more than one row".into())),
        },
        _ => Err(DataFusionError::Plan("ANY and ALL over a sub-query cannot decide what is written; write IN, or a MERGE".into())),
    }
}

fn plan(session: &SessionContext, of: &Subquery, n_rows: usize) -> Result<DataFrame> {
    if !of.outer_ref_columns.is_empty() {
        let what = "a sub-query that refers to the table that is written cannot be used here; write MERGE INTO … USING (…) instead";
        return Err(DataFusionError::Plan(what.into()));
    }
    let plan: LogicalPlan = of.subquery.as_ref().clone();
    DataFrame::new(session.state(), plan).limit(0, Some(n_rows))
}

async fn rows(session: &SessionContext, of: &Subquery, n_rows: usize) -> Result<usize> {
    let batches = plan(session, of, n_rows)?.collect().await?;
    Ok(batches.iter().map(|b| b.num_rows()).sum())
}

async fn column(session: &SessionContext, of: &Subquery, n_rows: usize) -> Result<Vec<ScalarValue>> {
    let mut values = Vec::new();
    for batch in plan(session, of, n_rows)?.collect().await? {
        for row in 0..batch.num_rows() {
            values.push(ScalarValue::try_from_array(batch.column(0), row)?);
        }
    }
    if values.len() > VALUES_MAX {
        let what = format!("the sub-query gives more than {VALUES_MAX} values; write MERGE INTO … USING (…) instead");
        return Err(DataFusionError::Plan(what));
    }
    Ok(values)
}
