//! What SQL text may say, and what it may not.

use datafusion::scalar::ScalarValue;
use polder_base::{Advice as _, ExitKind};

use super::{append, grown, lake, name, number, refused, told};
use crate::LakeError;

#[tokio::test]
async fn ordinary_sql_is_understood() {
    let (_dir, lake) = lake().await;
    grown(&lake, "raw.docs").await;
    for (sql, n) in [
        ("SELECT CAST('7' AS BIGINT)", 7),
        ("SELECT '7'::BIGINT", 7),
        ("SELECT \"id\" FROM raw.docs WHERE text = 'row 4'", 4),
        ("SELECT sum(id) FILTER (WHERE id > 3) FROM raw.docs", 9),
        ("SELECT COUNT(DISTINCT id % 2) FROM lake.raw.docs;", 2),
        ("SELECT id FROM raw.docs QUALIFY row_number() OVER (ORDER BY id DESC) = 2", 4),
        ("SELECT id FROM raw.docs ORDER BY id LIMIT 1 OFFSET 2", 3),
        ("SELECT array_length([1, 2, 3])::BIGINT", 3),
        ("SELECT sum(x)::BIGINT FROM UNNEST([1, 2, 3]) AS t(x)", 6),
        ("SELECT sum(value)::BIGINT FROM generate_series(1, 4)", 10),
        ("SELECT count(*) FROM raw.docs AS at_table WHERE at_table.text LIKE 'row%'", 5),
        ("SELECT CASE WHEN 'a' || 'b' = 'ab' THEN 1 ELSE 0 END", 1),
        ("SELECT date_part('year', TIMESTAMP '2026-11-23T00:00:00')::BIGINT", 2026),
        ("SELECT id FROM raw.docs EXCEPT SELECT id FROM raw.docs WHERE id < 5", 5),
    ] {
        assert_eq!(number(&lake, sql).await, n, "{sql}");
    }
    let params = [("low", ScalarValue::from(3i64)), ("unused", ScalarValue::from("x"))];
    let frame = lake.sql_with("SELECT id FROM raw.docs WHERE id > $low", &params).await.expect("plan");
    assert_eq!(frame.count().await.expect("count"), 2);
    for sql in [
        "EXPLAIN SELECT * FROM raw.docs VERSION AS OF 0",
        "SHOW TABLES",
        "SHOW COLUMNS FROM raw.docs",
        "DESCRIBE raw.docs",
        "SHOW FUNCTIONS LIKE 'lower'",
        "SHOW TAGS",
        "SHOW TAGS IN raw.docs",
    ] {
        let frame = lake.sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {}", told(&e)));
        frame.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    assert_eq!(lake.sql("DESCRIBE HISTORY raw.docs").await.expect("history").count().await.expect("count"), 3);
    assert_eq!(lake.sql("describe history raw.docs limit 1").await.expect("history").count().await.expect("count"), 1);
}

#[tokio::test]
async fn identifiers_keep_their_case() {
    let (_dir, lake) = lake().await;
    let camel = lake.sql("SELECT 1 AS docId, 'x' AS \"Text\"").await.expect("plan");
    lake.write(&name("clean.Camel"), camel, &super::overwrite()).await.expect("write");
    assert_eq!(number(&lake, "SELECT docId FROM clean.Camel").await, 1);
    assert!(lake.sql("SELECT docid FROM clean.Camel").await.is_err());
}

#[tokio::test]
async fn unknown_names_come_with_near_misses() {
    let (_dir, lake) = lake().await;
    append(&lake, "raw.docs", &[1]).await;
    for sql in ["SELECT * FROM raw.dcos", "SELECT * FROM docs", "SELECT * FROM rwa.docs", "SHOW TAGS IN raw.dosc"] {
        let error = refused(&lake, sql).await;
        assert!(error.to_string().contains("did you mean `raw.docs`?"), "{sql}: {}", told(&error));
        assert_eq!(error.exit(), ExitKind::Usage);
    }
    let column = refused(&lake, "SELECT txet FROM raw.docs").await;
    assert!(told(&column).contains("text"), "{}", told(&column));
    let function = refused(&lake, "SELECT lowr(text) FROM raw.docs").await;
    assert!(told(&function).contains("lower"), "{}", told(&function));
    assert!(matches!(lake.table("raw.dcos").await, Err(LakeError::NoTable { .. })));
    assert!(matches!(lake.table("models/x").await, Err(LakeError::NotATable { .. })));
}

#[tokio::test]
async fn statements_that_write_are_refused_where_rows_are_asked_for_and_the_books_by_name() {
    let (_dir, lake) = lake().await;
    grown(&lake, "raw.docs").await;
    lake.tag(&name("raw.docs"), "v1", None, "", "me", polder_base::Timestamp(0)).await.expect("tag");
    for sql in [
        "INSERT INTO raw.docs VALUES (9, 'x')",
        "DELETE FROM raw.docs",
        "UPDATE raw.docs SET id = 1",
        "TRUNCATE TABLE raw.docs",
        "DROP TABLE raw.docs",
        "CREATE TABLE raw.x AS SELECT 1",
        "CREATE VIEW raw.x AS SELECT 1",
        "ALTER TABLE raw.docs ADD COLUMN x INT",
        "ALTER TABLE raw.docs CREATE TAG v2",
        "OPTIMIZE raw.docs",
        "VACUUM raw.docs",
    ] {
        let error = refused(&lake, sql).await;
        assert!(matches!(error, LakeError::Writes { .. }), "{sql}: {}", told(&error));
    }
    for sql in [
        "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '/tmp/x'",
        "COPY raw.docs TO '/tmp/x.parquet'",
        "SET datafusion.execution.batch_size = 1",
    ] {
        let error = refused(&lake, sql).await;
        assert!(matches!(error, LakeError::Unsupported { .. }), "{sql}: {}", told(&error));
        let error = super::run_refused(&lake, sql).await;
        assert!(matches!(error, LakeError::Unsupported { .. }), "{sql}: {}", told(&error));
    }
    for sql in [
        "INSERT INTO ops.tags VALUES (1)",
        "INSERT INTO lake.ops.tags SELECT * FROM ops.tags",
        "DELETE FROM ops.tags",
        "DROP TABLE ops.tags",
        "update ops.tags set tag = 'x'",
        "TRUNCATE TABLE ops.tags",
        "MERGE INTO ops.tags t USING raw.docs s ON t.tag = s.text WHEN MATCHED THEN DELETE",
        "CREATE TABLE ops.mine AS SELECT 1 AS x",
        "CREATE VIEW ops.mine AS SELECT 1 AS x",
        "ALTER TABLE ops.tags ADD COLUMN x INT",
    ] {
        let error = refused(&lake, sql).await;
        assert!(matches!(error, LakeError::OpsWrite { .. }), "{sql}: {}", told(&error));
        let error = super::run_refused(&lake, sql).await;
        assert!(matches!(error, LakeError::OpsWrite { .. }), "{sql}: {}", told(&error));
    }
    let error = super::run_refused(&lake, "RESTORE TABLE ops.tags TO VERSION AS OF 0").await;
    assert!(matches!(error, LakeError::OpsWrite { .. }), "{}", told(&error));
    for sql in ["SELECT 1; SELECT 2", "", "SELEC 1", "SELECT 1 INTO raw.x"] {
        assert!(lake.sql(sql).await.is_err(), "{sql}");
        assert!(lake.execute(sql, &[], &super::me()).await.is_err(), "{sql}");
    }
    assert_eq!(number(&lake, "SELECT count(*) FROM raw.docs").await, 5);
}
