//! SQL files in the order in which they can run: each after those that make what it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use polder_base::{Digest, Hasher, TableName};
use polder_lake::LakeDialect;
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, Statement, TableAlias, TableFactor, Value, VisitMut, VisitorMut,
};
use sqlparser::parser::Parser;

use crate::{FILES, FrontMatter, PipelineError};

/// One SQL file, parsed.
#[derive(Clone, Debug)]
pub struct SqlFile {
    /// Its path below the SQL folder.
    pub path: String,
    /// Its whole text.
    pub text: String,
    /// What it says of itself.
    pub front: FrontMatter,
    /// The table it makes.
    pub table: TableName,
    /// The tables it reads, in order of name.
    pub reads: Vec<TableName>,
    statement: Statement,
}

/// All SQL files that make tables, in an order in which they can run.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// The files.
    pub files: Vec<SqlFile>,
}

impl SqlFile {
    fn parse(path: &str, text: &str) -> Result<Option<Self>, PipelineError> {
        let front = FrontMatter::parse(path, text)?;
        let Some(table) = front.table.clone() else { return Ok(None) };
        let wrong = |message: String| PipelineError::Sql { path: path.to_owned(), message };
        let mut statements = Parser::parse_sql(&LakeDialect, text).map_err(|e| wrong(e.to_string()))?;
        let statement = match (statements.pop(), statements.is_empty()) {
            (Some(Statement::Query(query)), true) => Statement::Query(query),
            _ => return Err(wrong("expected one SELECT".into())),
        };
        let mut reads = Reads::default();
        let _ = statement.clone().visit(&mut reads);
        Ok(Some(Self { path: path.to_owned(), text: text.to_owned(), front, table, reads: reads.tables.into_iter().collect(), statement }))
    }

    /// Digest of what decides the result: the query without comments and layout, and its parameters.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        hasher.field(self.statement.to_string().as_bytes());
        for parameter in &self.front.parameters {
            hasher.field(format!("{} = {:?}", parameter.name, parameter.value).as_bytes());
        }
        hasher.field(format!("{:?}", self.front.removes).as_bytes());
        hasher.finish()
    }

    /// Returns the query with every table it reads fixed to a version.
    pub fn pinned(&self, versions: &BTreeMap<TableName, u64>) -> String {
        let mut statement = self.statement.clone();
        let _ = statement.visit(&mut Pin { versions });
        statement.to_string()
    }
}

/// The two parts of `schema.table`; anything else is a CTE or a function.
fn table_name(name: &ObjectName) -> Option<TableName> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(table)] => Some(TableName::new(&schema.value, &table.value)),
        _ => None,
    }
}

/// The tables that a table function names in quotes, such as `near_duplicates('clean.docs')`, each with the text that names it.
fn function_tables(factor: &mut TableFactor) -> impl Iterator<Item = (TableName, &mut String)> {
    let args = match factor {
        TableFactor::Table { args: Some(args), .. } => args.args.as_mut_slice(),
        _ => &mut [],
    };
    args.iter_mut().filter_map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => match &mut value.value {
            Value::SingleQuotedString(text) => Some((text.parse().ok()?, text)),
            _ => None,
        },
        _ => None,
    })
}

#[derive(Default)]
struct Reads {
    tables: BTreeSet<TableName>,
}

impl VisitorMut for Reads {
    type Break = ();
    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        self.tables.extend(table_name(relation));
        ControlFlow::Continue(())
    }
    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        self.tables.extend(function_tables(factor).map(|(table, _)| table));
        ControlFlow::Continue(())
    }
}

struct Pin<'a> {
    versions: &'a BTreeMap<TableName, u64>,
}

impl VisitorMut for Pin<'_> {
    type Break = ();
    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        for (table, text) in function_tables(factor) {
            if let Some(version) = self.versions.get(&table) {
                *text = format!("{table}@{version}");
            }
        }
        if let TableFactor::Table { name, alias, .. } = factor
            && let Some(table) = table_name(name)
            && let Some(version) = self.versions.get(&table)
        {
            name.0[1] = ObjectNamePart::Identifier(Ident::with_quote('"', format!("{}@{version}", table.name)));
            // Columns written as `docs.text` must still find their table.
            alias.get_or_insert_with(|| TableAlias { explicit: true, name: Ident::new(&table.name), columns: Vec::new(), at: None });
        }
        ControlFlow::Continue(())
    }
}

impl Pipeline {
    /// Reads the SQL files that are part of the program, or those of a folder laid out the same way.
    ///
    /// # Errors
    /// A file that cannot be read or parsed, two files for one table, a circle.
    pub fn open(sql_dir: Option<&Path>) -> Result<Self, PipelineError> {
        let texts = match sql_dir {
            None => FILES.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect(),
            Some(dir) => read_dir(dir)?,
        };
        let mut files = Vec::new();
        for (path, text) in texts {
            files.extend(SqlFile::parse(&path, &text)?);
        }
        Self::sorted(files)
    }

    fn sorted(mut files: Vec<SqlFile>) -> Result<Self, PipelineError> {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut makers: BTreeMap<TableName, String> = BTreeMap::new();
        for file in &files {
            if let Some(other) = makers.insert(file.table.clone(), file.path.clone()) {
                return Err(PipelineError::Graph { message: format!("`{other}` and `{}` both make `{}`", file.path, file.table) });
            }
        }
        let mut done = BTreeSet::new();
        let mut ordered = Vec::new();
        while !files.is_empty() {
            let ready = files.iter().position(|f| f.reads.iter().all(|t| done.contains(t) || !makers.contains_key(t)));
            let Some(i) = ready else {
                let circle: Vec<&str> = files.iter().map(|f| f.path.as_str()).collect();
                return Err(PipelineError::Graph { message: format!("these files read each other in a circle: {}", circle.join(", ")) });
            };
            let file = files.remove(i);
            done.insert(file.table.clone());
            ordered.push(file);
        }
        Ok(Self { files: ordered })
    }
}

/// Reads `NN_stage/*.sql` of a folder: (path below it, text).
fn read_dir(dir: &Path) -> Result<Vec<(String, String)>, PipelineError> {
    let list = |path: &Path| -> Result<Vec<std::path::PathBuf>, PipelineError> {
        let read = |source| PipelineError::Read { path: path.to_owned(), source };
        let mut paths = Vec::new();
        for entry in fs::read_dir(path).map_err(read)? {
            paths.push(entry.map_err(read)?.path());
        }
        paths.sort();
        Ok(paths)
    };
    let mut texts = Vec::new();
    for folder in list(dir)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !folder.is_dir() || !name.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        for path in list(&folder)? {
            if path.extension().is_some_and(|e| e == "sql") {
                let text = fs::read_to_string(&path).map_err(|source| PipelineError::Read { path: path.clone(), source })?;
                texts.push((format!("{name}/{}", path.file_name().unwrap_or_default().to_string_lossy()), text));
            }
        }
    }
    if texts.is_empty() {
        return Err(PipelineError::Graph { message: format!("`{}` holds no folder such as 10_stage with SQL files", dir.display()) });
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, table: &str, query: &str) -> SqlFile {
        SqlFile::parse(path, &format!("-- table: {table}\n-- why: test\n{query}")).expect("parse").expect("table")
    }

    #[test]
    fn embedded_files_run_in_an_order_that_respects_what_they_read() {
        let pipeline = Pipeline::open(None).expect("pipeline");
        let place = |t: &str| pipeline.files.iter().position(|f| f.table.to_string() == t).expect(t);
        assert!(place("clean.packages") < place("clean.docs_stage"));
        assert!(place("clean.near_pairs") < place("clean.docs_near"));
        assert!(place("clean.docs_near") < place("pile.base"));
    }

    #[test]
    fn pinning_reaches_every_table_and_no_cte() {
        let f = file(
            "10_stage/a.sql",
            "clean.a",
            "WITH docs AS (SELECT * FROM raw.docs) SELECT * FROM docs JOIN raw.docs AS r ON r.id = docs.id WHERE x IN (SELECT y FROM raw.other)",
        );
        assert_eq!(f.reads, [TableName::new("raw", "docs"), TableName::new("raw", "other")]);
        let pinned = f.pinned(&BTreeMap::from([(TableName::new("raw", "docs"), 4), (TableName::new("raw", "other"), 0)]));
        assert_eq!(pinned.matches("raw.\"docs@4\"").count(), 2, "{pinned}");
        assert!(pinned.contains("raw.\"other@0\" AS other") && pinned.contains("FROM docs JOIN"), "{pinned}");
    }

    #[test]
    fn tables_that_a_table_function_names_are_read_and_pinned() {
        let f = file(
            "10_stage/a.sql",
            "clean.a",
            "SELECT * FROM near_duplicates('raw.docs', text => 'raw.body', jaccard => 0.8) n WHERE n.x = 'raw.docs'",
        );
        assert_eq!(f.reads, [TableName::new("raw", "docs")]);
        let pinned = f.pinned(&BTreeMap::from([(TableName::new("raw", "docs"), 4)]));
        assert!(pinned.contains("near_duplicates('raw.docs@4', text => 'raw.body'") && pinned.ends_with("= 'raw.docs'"), "{pinned}");
    }

    #[test]
    fn layout_and_comments_do_not_change_a_digest_and_parameters_do() {
        let a = file("10_stage/a.sql", "clean.a", "SELECT 1 FROM raw.docs");
        let b = file("10_stage/a.sql", "clean.a", "SELECT   1\nFROM raw.docs -- note");
        let c = SqlFile::parse("10_stage/a.sql", "-- table: clean.a\n-- param: n = 2\n-- why: test\nSELECT 1 FROM raw.docs")
            .expect("parse")
            .expect("table");
        assert_eq!(a.digest(), b.digest());
        assert_ne!(a.digest(), c.digest());
    }

    #[test]
    fn circles_and_double_makers_are_refused() {
        let a = file("10_stage/a.sql", "clean.a", "SELECT * FROM clean.b");
        let b = file("10_stage/b.sql", "clean.b", "SELECT * FROM clean.a");
        assert!(Pipeline::sorted(vec![a.clone(), b]).is_err());
        assert!(Pipeline::sorted(vec![a.clone(), a]).is_err());
    }
}
