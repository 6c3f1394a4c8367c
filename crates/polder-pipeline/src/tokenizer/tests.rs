//! Training over a lake: the same tokenizer in little memory as in much, in any order; what is held out; what is refused.

use std::collections::BTreeSet;

use polder_base::Advice;
use polder_lake::{WriteMode, WriteOptions};
use polder_tokenizer::Splitter;

use super::*;

/// A lake with `raw.docs`: 2,400 texts of words that mostly occur once.
async fn lake(folder: &std::path::Path) -> Lake {
    let lake = Lake::init(folder).await.expect("lake");
    let made = "
        SELECT
          concat('d', CAST(d AS VARCHAR)) AS doc_id, CASE WHEN d % 4 = 0 THEN 'nl' ELSE 'en' END AS language, 'made' AS source,
          string_agg(concat('common word', CAST(n % 50 AS VARCHAR), ' ', translate(exact_digest(CAST(d * 50 + n AS VARCHAR)), '0123456789', 'ghijklmnop')), ' ') AS text
        FROM (SELECT unnest(range(0, 2400)) AS d) CROSS JOIN (SELECT unnest(range(0, 50)) AS n)
        GROUP BY d";
    let frame = lake.session().sql(made).await.expect("made");
    lake.write(&"raw.docs".parse().expect("name"), frame, &WriteOptions { mode: WriteMode::Overwrite, ..WriteOptions::default() })
        .await
        .expect("written");
    lake
}

fn request(name: &str, source: TextSource) -> TrainTokenizer {
    TrainTokenizer {
        name: name.into(),
        source,
        options: TrainOptions { vocab_size: 600, ..TrainOptions::default() },
        bytes_max: 1_000_000_000,
        held_out_share: 0.01,
    }
}

fn docs() -> TextSource {
    TextSource::Table("raw.docs".parse().expect("reference"))
}

async fn train(lake: &Lake, request: TrainTokenizer) -> Result<Manifest, PipelineError> {
    request.plan(lake, Timestamp(0)).await?.run(lake, &mut |_, _, _| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_larger_than_the_memory_trains_the_same_tokenizer() {
    let folder = tempfile::tempdir().expect("folder");
    let lake = lake(folder.path()).await;
    let options = request("x", docs()).options;
    let count_in = |lake: Lake| {
        let options = options.clone();
        async move {
            let frame = lake.table("raw.docs").await.expect("table");
            count(&lake, Share { frame, bytes: 1 }, &options, &mut |_, _, _| {}).await
        }
    };
    let (much, n_parts) = count_in(lake.clone()).await.expect("counted");
    assert!(much.len() > 120_000 && much.memory_bytes() > 12_000_000, "{} words, {} bytes", much.len(), much.memory_bytes());
    let little = lake.clone().with_memory_max(3_000_000).expect("limit");
    let (same, n_parts_little) = count_in(little.clone()).await.expect("counted in little memory");
    assert!(n_parts_little > n_parts + 1, "the words were counted in {n_parts_little} parts, with memory in {n_parts}");
    assert!(much.sorted() == same.sorted(), "spilling changes no count");

    let unlimited = train(&lake, request("unlimited", docs())).await.expect("trained");
    let limited = train(&little, request("limited", docs())).await.expect("trained in little memory");
    assert_eq!(unlimited.details, limited.details);
    assert_eq!(unlimited.files[0].digest, limited.files[0].digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_order_nor_partitions_of_a_query_show_and_its_tables_are_inputs() {
    let folder = tempfile::tempdir().expect("folder");
    let lake = lake(folder.path()).await;
    let mut digests = BTreeSet::new();
    for (i, query) in [
        "SELECT text FROM raw.docs",
        "SELECT text FROM raw.docs ORDER BY text DESC",
        "SELECT arrow_cast(text, 'LargeUtf8') AS text FROM raw.docs@0 WHERE language = 'nl' UNION ALL SELECT text FROM raw.docs WHERE language <> 'nl'",
    ]
    .into_iter()
    .enumerate()
    {
        let wish = TrainTokenizer { bytes_max: 3_000_000, ..request(&format!("q{i}"), TextSource::Query(query.into())) };
        let manifest = train(&lake, wish).await.expect("trained");
        let bytes = manifest.details["bytes"].as_u64().expect("bytes");
        assert!((2_900_000..=3_000_000).contains(&bytes), "{bytes}");
        assert!(!manifest.inputs.is_empty() && manifest.inputs.iter().all(|i| i.reference.to_string() == "raw.docs@0"), "{:?}", manifest.inputs);
        digests.insert(manifest.files[0].digest.to_string());
    }
    assert_eq!(digests.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_is_of_rows_that_were_not_learnt_from() {
    let folder = tempfile::tempdir().expect("folder");
    let lake = lake(folder.path()).await;
    let wish = TrainTokenizer { held_out_share: 0.25, ..request("held", docs()) };
    let manifest = train(&lake, wish).await.expect("trained");
    let held_out: HeldOut = serde_json::from_value(manifest.details["held_out"].clone()).expect("report");
    let total: i64 = {
        let rows = lake.sql("SELECT sum(octet_length(text)) AS n FROM raw.docs").await.expect("sql").collect().await.expect("rows");
        rows[0].column(0).as_primitive::<Int64Type>().value(0)
    };
    assert_eq!(held_out.all.bytes + manifest.details["bytes"].as_u64().expect("bytes"), total as u64, "each row is on one side");
    assert!((500..700).contains(&held_out.all.n_documents), "{}", held_out.all.n_documents);
    let names = |rows: &[Compression]| rows.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    assert_eq!((names(&held_out.by_language), names(&held_out.by_source)), (vec!["en".into(), "nl".into()], vec!["made".to_owned()]));
    assert_eq!(held_out.by_language.iter().map(|c| c.n_tokens).sum::<u64>(), held_out.all.n_tokens);
    assert!(held_out.all.bytes_per_token > 1.0);
    let none = train(&lake, TrainTokenizer { held_out_share: 0.0, ..request("none", docs()) }).await.expect("trained");
    assert!(none.details["held_out"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_splits_is_learnt_from_one_and_measured_on_another() {
    let folder = tempfile::tempdir().expect("folder");
    let lake = Lake::init(folder.path()).await.expect("lake");
    let made = "SELECT 'a' AS doc_id, 'train' AS split, 'ab ab ab ab' AS text UNION ALL SELECT 'b', 'validation', 'ab' UNION ALL SELECT 'c', 'test', 'zz zz zz'";
    let frame = lake.session().sql(made).await.expect("made");
    lake.write(&"pile.base".parse().expect("name"), frame, &WriteOptions::default()).await.expect("written");
    let wish = request("split", TextSource::Table("pile.base".parse().expect("reference")));
    let manifest = train(&lake, wish).await.expect("trained");
    assert_eq!((manifest.details["bytes"].as_u64(), manifest.details["held_out"]["all"]["bytes"].as_u64()), (Some(11), Some(2)));
    assert_eq!(manifest.details["vocab_size"], 259, "ab, ` ab` and the special token: nothing of the test split");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_text_is_refused_with_a_hint() {
    let folder = tempfile::tempdir().expect("folder");
    let lake = Lake::init(folder.path()).await.expect("lake");
    for (query, says) in [
        ("SELECT 1 AS text", "needs a column `text` of type text"),
        ("SELECT 'x' AS body", "needs a column `text` of type text"),
        ("SELECT 'x' AS text WHERE 1 = 2", "the tokenizer's query has no rows"),
        ("SELECT CAST(NULL AS VARCHAR) AS text", "the tokenizer's query has no rows"),
    ] {
        let error = train(&lake, request("x", TextSource::Query(query.into()))).await.expect_err(query);
        assert!(error.to_string().contains(says) && error.hint().is_some(), "{query}: {error}");
    }
    assert!(Splitter::named("gpt3").is_err());
}
