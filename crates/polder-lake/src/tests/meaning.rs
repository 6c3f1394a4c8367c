//! Statements that could be taken for something else than they say: each does that, or is refused.

use polder_base::{Advice as _, Timestamp};

use super::{lake, lake_in_folder, lines, number, run, run_refused, told};
use crate::{LakeError, Statements};

#[tokio::test]
async fn every_check_of_a_new_table_holds_and_no_two_share_a_name() {
    let (_dir, lake) = lake().await;
    run(&lake, "CREATE TABLE raw.c (a INT CHECK (a > 0) CHECK (a < 10), b INT, CONSTRAINT a_check CHECK (b > 0), CHECK (b < 9))").await;
    for row in ["(-5, 1)", "(50, 1)", "(1, -1)", "(1, 11)"] {
        let error = run_refused(&lake, &format!("INSERT INTO raw.c VALUES {row}")).await;
        assert!(matches!(error, LakeError::Rule { .. }), "{row}: {error}");
    }
    run(&lake, "INSERT INTO raw.c VALUES (1, 1)").await;
    let twice = run_refused(&lake, "CREATE TABLE raw.d (a INT, CONSTRAINT x CHECK (a > 0), CONSTRAINT x CHECK (a < 9))").await;
    assert!(told(&twice).contains("two constraints are called `x`"), "{}", told(&twice));
}

#[tokio::test]
async fn text_to_partition_by_cannot_be_not_null_since_an_empty_one_would_be() {
    let (_dir, lake) = lake().await;
    let error = run_refused(&lake, "CREATE TABLE raw.n (a STRING NOT NULL, b INT) PARTITIONED BY (a)").await;
    assert!(told(&error).contains("CHECK (a <> '')"), "{}", told(&error));
    run(&lake, "CREATE TABLE raw.n (a STRING, b INT) PARTITIONED BY (a)").await;
    run(&lake, "INSERT INTO raw.n VALUES ('', 1), ('x', 2)").await;
    assert_eq!(number(&lake, "SELECT sum(b) FROM raw.n").await, 3);
    let error = run_refused(&lake, "CREATE TABLE raw.all (a INT) PARTITIONED BY (a)").await;
    assert!(told(&error).contains("a column beside"), "{}", told(&error));
}

#[tokio::test]
async fn unsigned_numbers_become_signed_ones_that_hold_them() {
    let (_dir, lake) = lake().await;
    let small = "SELECT arrow_cast(200, 'UInt8') AS a, arrow_cast(65535, 'UInt16') AS b, arrow_cast(4000000000, 'UInt32') AS c, \
                 arrow_cast(7, 'UInt64') AS d";
    run(&lake, &format!("CREATE TABLE raw.u AS {small}")).await;
    assert_eq!(lines(&lake, "SELECT * FROM raw.u").await, ["200|65535|4000000000|7"]);
    run_refused(&lake, "CREATE TABLE raw.v AS SELECT arrow_cast(18446744073709551615, 'UInt64') AS a").await;
    assert!(matches!(lake.sql("SELECT * FROM raw.v").await.expect_err("none"), LakeError::NoTable { .. }));
}

#[tokio::test]
async fn clauses_that_the_planner_would_leave_out_are_refused() {
    let (_dir, lake) = lake().await;
    run(&lake, "CREATE TABLE raw.s AS SELECT 2 AS a").await;
    for (sql, clause) in [
        ("SELECT a FROM raw.s TABLESAMPLE BERNOULLI (0)", "TABLESAMPLE"),
        ("SELECT a FROM (SELECT a FROM raw.s) AS s TABLESAMPLE (10 PERCENT)", "TABLESAMPLE"),
        ("SELECT a FROM raw.s PREWHERE a > 100", "PREWHERE"),
        ("SELECT a FROM raw.s PARTITION (p0)", "PARTITION"),
        ("SELECT a FROM raw.s WITH (NOLOCK)", "WITH"),
        ("SELECT a FROM raw.s FOR UPDATE", "FOR UPDATE"),
        ("SELECT a FROM raw.s SETTINGS max_threads = 1", "SETTINGS"),
        ("SELECT a FROM raw.s FORMAT JSON", "FORMAT"),
        ("SELECT a FROM raw.s WHERE a IN (SELECT a FROM raw.s PREWHERE a > 100)", "PREWHERE"),
    ] {
        let error = lake.sql(sql).await.expect_err(sql);
        assert!(told(&error).contains(&format!("{clause} is nothing that is known here")), "{sql}: {}", told(&error));
    }
    run_refused(&lake, "INSERT INTO raw.s SELECT a FROM raw.s PREWHERE a > 100").await;
    assert_eq!(lines(&lake, "FROM raw.s VERSION AS OF 0").await, ["2"]);
}

#[tokio::test]
async fn a_replaced_table_has_the_rules_of_its_new_definition_or_stays() {
    let (_dir, lake) = lake().await;
    run(&lake, "CREATE TABLE raw.r (a BIGINT, CONSTRAINT pos CHECK (a > 0))").await;
    run(&lake, "INSERT INTO raw.r VALUES (1)").await;
    for sql in [
        "CREATE OR REPLACE TABLE raw.r AS SELECT 'x' AS name",
        "CREATE TABLE raw.q (a INT NOT NULL) AS SELECT 1 AS a",
        "CREATE OR REPLACE TABLE raw.r PARTITIONED BY (a) AS SELECT 1 AS a, 2 AS b",
    ] {
        run_refused(&lake, sql).await;
    }
    assert_eq!(number(&lake, "SELECT a FROM raw.r").await, 1);
    run(&lake, "CREATE OR REPLACE TABLE raw.r (a BIGINT NOT NULL, b INT NOT NULL) COMMENT 'new'").await;
    assert_eq!(number(&lake, "SELECT count(*) FROM raw.r").await, 0);
    assert!(matches!(run_refused(&lake, "INSERT INTO raw.r VALUES (NULL, 3)").await, LakeError::Rule { .. }));
    run(&lake, "INSERT INTO raw.r VALUES (-1, 3)").await;
    assert_eq!(number(&lake, "SELECT a FROM raw.r VERSION AS OF 1").await, 1);
    run(&lake, "CREATE TABLE raw.p AS SELECT 1 AS a").await;
    let error = run_refused(&lake, "CREATE OR REPLACE TABLE raw.p TBLPROPERTIES ('delta.appendOnly' = 'true') AS SELECT 2 AS a").await;
    assert!(told(&error).contains("INSERT INTO … SELECT"), "{}", told(&error));
    run(&lake, "CREATE OR REPLACE TABLE raw.p AS SELECT 'x' AS b").await;
    assert_eq!(lines(&lake, "SELECT * FROM raw.p").await, ["x"]);
}

#[tokio::test]
async fn a_version_whose_files_are_gone_gets_no_tag() {
    let (_dir, lake) = lake_in_folder().await;
    run(&lake, "CREATE TABLE raw.v AS SELECT 1 AS a").await;
    run(&lake, "INSERT OVERWRITE raw.v SELECT 2").await;
    run(&lake, "ALTER TABLE raw.v CREATE TAG kept AS OF VERSION 0").await;
    run(&lake, "INSERT OVERWRITE raw.v SELECT 3").await;
    run(&lake, "VACUUM raw.v RETAIN 0 HOURS").await;
    for sql in ["ALTER TABLE raw.v CREATE TAG t AS OF VERSION 1", "ALTER TABLE raw.v CREATE TAG t AS OF VERSION 1 MATERIALIZED"] {
        let error = run_refused(&lake, sql).await;
        assert!(matches!(error, LakeError::NoFiles { version: 1, .. }), "{error}");
        assert!(error.hint().expect("a hint").contains("VACUUM"));
    }
    // One that is there is there, with or without files of its version.
    run(&lake, "ALTER TABLE raw.v CREATE TAG kept AS OF VERSION 0 MATERIALIZED").await;
    run(&lake, "VACUUM raw.v RETAIN 0 HOURS").await;
    run(&lake, "ALTER TABLE raw.v CREATE TAG kept AS OF VERSION 0 MATERIALIZED").await;
    assert_eq!(number(&lake, "SELECT a FROM raw.v VERSION AS OF 'kept'").await, 1);
}

#[tokio::test]
async fn a_call_and_a_value_that_do_not_fit_are_told_without_the_engines_own_words() {
    let (_dir, lake) = lake().await;
    let told = told(&lake.sql("SELECT gopher_quality('a', 'b', 'c')").await.expect_err("refused"));
    assert!(told.contains("gopher_quality(String, String)") && !told.contains("bug"), "{told}");
    run(&lake, "CREATE TABLE raw.n (a BIGINT)").await;
    let error = run_refused(&lake, "INSERT INTO raw.n VALUES ('abc')").await;
    assert!(matches!(&error, LakeError::Rule { reason, .. } if reason.contains("Cannot cast string 'abc'")), "{error:?}");
}

#[tokio::test]
async fn one_column_gets_one_value() {
    let (_dir, lake) = lake().await;
    run(&lake, "CREATE TABLE raw.t AS SELECT 1 AS id, 2 AS n").await;
    let error = run_refused(&lake, "UPDATE raw.t SET n = 3, n = 4").await;
    assert!(told(&error).contains("UPDATE gives `n` two values"), "{}", told(&error));
    let merge = "MERGE INTO raw.t t USING (SELECT 1 AS id, 5 AS n) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET *, n = 77";
    assert!(told(&run_refused(&lake, merge).await).contains("no other stands beside it"));
    assert_eq!(number(&lake, "SELECT n FROM raw.t").await, 2);
}

#[tokio::test]
async fn merge_makes_generated_columns() {
    let (_dir, lake) = lake().await;
    run(&lake, "CREATE TABLE raw.g (a INT, n INT, b INT GENERATED ALWAYS AS (a * 2))").await;
    run(&lake, "INSERT INTO raw.g (a, n) VALUES (7, 1), (8, 2)").await;
    let source = "MERGE INTO raw.g t USING (SELECT 7 AS a, 5 AS n UNION ALL SELECT 9, 6) s ON t.a = s.a";
    run(&lake, &format!("{source} WHEN MATCHED THEN UPDATE SET a = 70 WHEN NOT MATCHED THEN INSERT (a) VALUES (s.a)")).await;
    assert_eq!(lines(&lake, "SELECT a, n, b FROM raw.g").await, ["70|1|140", "8|2|16", "9|NULL|18"]);
    run(&lake, &format!("{source} WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *")).await;
    assert_eq!(lines(&lake, "SELECT a, n, b FROM raw.g").await, ["70|1|140", "7|5|14", "8|2|16", "9|6|18"]);
}

#[tokio::test]
async fn values_reach_every_kind_of_prepared_statement_and_no_view() {
    let (_dir, lake) = lake().await;
    run(&lake, "CREATE TABLE raw.t AS SELECT 1 AS a, 'x' AS b").await;
    let mut statements = Statements::new(lake.clone(), "ada@here");
    let merge = "PREPARE m AS MERGE INTO raw.t t USING (SELECT $1 AS a) s ON t.a = s.a AND t.a = $1 \
                 WHEN MATCHED AND t.b <> $2 THEN UPDATE SET b = $2";
    for sql in ["PREPARE ct AS CREATE TABLE raw.ct AS SELECT $1 AS a", "EXECUTE ct(5)", merge, "EXECUTE m(1, 'it''s merged')"] {
        statements.run(sql, Timestamp(0)).await.unwrap_or_else(|e| panic!("{sql}: {}", told(&e)));
    }
    assert_eq!(number(&lake, "SELECT a FROM raw.ct").await, 5);
    assert_eq!(lines(&lake, "SELECT b FROM raw.t").await, ["it's merged"]);
    for sql in ["PREPARE q AS SELECT count(*) FROM raw.t WHERE b <> 'no''one'", "EXECUTE q()"] {
        statements.run(sql, Timestamp(0)).await.unwrap_or_else(|e| panic!("{sql}: {}", told(&e)));
    }
    assert!(told(&run_refused(&lake, "CREATE VIEW raw.vv AS SELECT $1 AS a").await).contains("a view has no parameters"));
}

#[tokio::test]
async fn a_view_is_not_written_and_what_is_not_there_is_altered_where_that_is_asked() {
    let (_dir, lake) = lake().await;
    run(&lake, "CREATE VIEW raw.v AS SELECT 1 AS a").await;
    for sql in ["DELETE FROM raw.v", "OPTIMIZE raw.v", "ALTER TABLE raw.v ADD COLUMN b INT"] {
        let error = run_refused(&lake, sql).await;
        assert!(told(&error).contains("`raw.v` is a view"), "{sql}: {}", told(&error));
    }
    run(&lake, "ALTER TABLE IF EXISTS raw.none ADD COLUMN b INT").await;
    assert!(matches!(run_refused(&lake, "ALTER TABLE raw.none ADD COLUMN b INT").await, LakeError::NoTable { .. }));
}
