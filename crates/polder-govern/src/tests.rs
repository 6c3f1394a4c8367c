//! Facts, lineage, cards and gates over a small lake, made the way the program makes one.

use std::fs;
use std::path::Path;

use polder_base::{
    At, Digest, Event, EventLog, ExitKind, Input, Manifest, Reference, TableName, Timestamp, Verdict, digest_bytes, read_events,
};
use polder_lake::{IngestRequest, Lake, WriteMode, WriteOptions};
use serde_json::{Value, json};

use super::*;

const AT: Timestamp = Timestamp(1_790_000_000_000);

fn reference(text: &str) -> Reference {
    text.parse().expect("reference")
}

fn event(verb: &str, subject: &str, run: &str, at: i64) -> Event {
    Event::new(Timestamp(AT.0 + at), "ada@mill", verb, reference(subject), run)
}

async fn empty() -> (tempfile::TempDir, Lake) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let lake = Lake::init(&dir.path().join("lake")).await.expect("lake");
    (dir, lake)
}

async fn input(lake: &Lake, table: &str) -> Input {
    let s = lake.snapshot(&reference(table)).await.expect(table);
    Input { reference: Reference::Table(s.table, At::Version(s.version)), digest: s.files_digest }
}

/// Runs one step and tells of it as the pipeline does.
async fn make(lake: &Lake, at: i64, table: &str, from: &str, sql: &str, removed: Value) -> Event {
    let inputs = vec![input(lake, from).await];
    let frame = lake.sql(sql).await.expect("query");
    let name: TableName = table.parse().expect("name");
    let options = WriteOptions { mode: WriteMode::Overwrite, ..WriteOptions::default() };
    let written = lake.write(&name, frame, &options).await.expect("write");
    let output = input(lake, table).await;
    let n_rows = lake.snapshot(&output.reference).await.expect("snapshot").n_rows;
    let text = format!("-- table: {table}\n-- removes: reason, detail\n-- why: because\n{sql}\n");
    let details = json!({"path": format!("20_clean/{}.sql", name.name), "why": "because", "sql": text, "sql_digest": digest_bytes(sql.as_bytes()),
        "n_rows": n_rows, "bytes": 1, "removed": removed});
    event("make", &output.reference.to_string(), "r1", at + written.version as i64)
        .with_inputs(inputs)
        .with_outputs(vec![output])
        .with_details(details)
}

fn artefact(lake: &Lake, name: &str, inputs: Vec<Input>, details: Value, files: &[(&str, &str)]) -> Manifest {
    let reference = reference(name);
    let folder = lake.layout().artefact(&reference).expect("folder");
    fs::create_dir_all(&folder).expect("create");
    let mut manifest = Manifest::new(reference, AT, inputs, digest_bytes(b"config"), details);
    for (path, text) in files {
        fs::write(folder.join(path), text).expect("write");
    }
    manifest.describe(&folder, &files.iter().map(|(p, _)| *p).collect::<Vec<_>>()).expect("describe");
    manifest.write(&folder).expect("manifest");
    manifest
}

/// Three packages → raw.docs → clean.docs_clean → pile.base@v1 → tokens/base → models/quickstart.
async fn lake_with_a_model() -> (tempfile::TempDir, Lake) {
    let (dir, lake) = empty().await;
    let source = dir.path().join("sources");
    for (path, text) in [
        ("alpha-1.0/src/lib.rs", "//! Alpha adds numbers.\npub fn add(a: u32, b: u32) -> u32 { a + b }\n"),
        ("beta-2.0/README.md", "# Beta\n\nA library that multiplies two numbers and says so.\n"),
        ("gamma|0.1/README.md", "# Gamma\n\nShort.\n"),
        ("beta-2.0/logo.bin", "\0\u{1}\u{2}\0\0"),
    ] {
        let path = source.join(path);
        fs::create_dir_all(path.parent().expect("parent")).expect("create");
        fs::write(path, text).expect("write");
    }
    let mut request = IngestRequest::new(vec![source.display().to_string()], "raw.docs".parse().expect("name"), AT);
    request.what.source_name = Some("registry".into());
    let report = lake.ingest(&request, &mut |_| {}).await.expect("ingest");
    let from = Input { reference: reference("file:///sources"), digest: report.listing_digest.expect("digest") };
    let ingest = event("ingest", "raw.docs", "r1", 0).with_inputs(vec![from]).with_outputs(vec![input(&lake, "raw.docs").await]);

    let columns = "doc_id, source, uri, package, path, license, fetched_at, bytes, text";
    let long = format!("SELECT {columns}, 'train' AS split, 'en' AS language, 'Rust' AS category FROM raw.docs WHERE bytes > 30");
    let clean = make(&lake, 10, "clean.docs_clean", "raw.docs", &long, json!({"too short": 1})).await;
    let pile = make(&lake, 20, "pile.base", "clean.docs_clean", "SELECT * FROM clean.docs_clean", json!({})).await;
    lake.tag(&TableName::new("pile", "base"), "v1", None, "first | pile", "ada@mill", AT).await.expect("tag");
    let base = input(&lake, "pile.base@v1").await;
    let tag = event("tag", "pile.base@v1", "r1", 30).with_inputs(vec![base.clone()]).with_outputs(vec![base.clone()]);

    let tokens =
        artefact(&lake, "tokens/base", vec![base], json!({"n_tokens": {"train": 40, "validation": 2}}), &[("train-00000.bin", "x")]);
    let used = Input { reference: tokens.reference.clone(), digest: tokens.content_digest() };
    let config = r#"{"model_type": "llama", "hidden_size": 64, "max_position_embeddings": 128}"#;
    let details = json!({"n_params": 1_200_000, "run_id": "train-1"});
    let model = artefact(&lake, "models/quickstart", vec![used.clone()], details, &[("config.json", config)]);
    let scores = json!([{"group": "Rust", "metric": "bits_per_byte", "value": 2.5, "stderr": 0.1, "n": 12, "n_contaminated": 1}]);
    let events = [
        ingest,
        clean,
        pile,
        tag,
        event("train", "models/quickstart", "train-1", 40)
            .with_inputs(vec![used])
            .with_outputs(vec![Input { reference: model.reference.clone(), digest: model.content_digest() }])
            .with_details(json!({"loss": 3.25})),
        event("eval", "models/quickstart", "eval-1", 50).with_details(json!({"task": "heldout", "scores": scores})),
    ];
    for e in &events {
        EventLog::open(&lake.layout().run(&e.run_id)).expect("log").append(e).expect("append");
    }
    fs::write(lake.layout().run("train-1").join("config.json"), r#"{"lr": 0.001, "steps": 200}"#).expect("write");
    fs::write(lake.layout().run("train-1").join("metrics.jsonl"), "{\"step\": 1, \"loss\": 7.5}\n{\"step\": 200, \"loss\": 3.25}\n")
        .expect("write");
    assert_eq!(sync(&lake).await.expect("sync"), events.len());
    (dir, lake)
}

#[tokio::test]
async fn an_event_becomes_one_fact_however_often_it_is_brought() {
    let (_dir, lake) = lake_with_a_model().await;
    assert_eq!(sync(&lake).await.expect("again"), 0);
    let events = read_events(&lake.layout().run("r1")).expect("events");
    assert_eq!(record(&lake, &events, None).await.expect("record"), 0);
    let twice = event("serve", "models/quickstart", "s", 60);
    assert_eq!(record(&lake, &[twice.clone(), twice], None).await.expect("record"), 1);
    assert_eq!(list(&lake, &FactFilter::default()).await.expect("list").len(), 7);
    assert_eq!(verify_chain(&lake).await.expect("chain"), 7);
}

#[tokio::test]
async fn facts_are_found_by_verb_subject_and_the_start_of_their_id() {
    let (_dir, lake) = lake_with_a_model().await;
    let about = |r: &str| FactFilter { about: Some(reference(r)), ..FactFilter::default() };
    assert_eq!(list(&lake, &about("models/quickstart")).await.expect("list").len(), 2);
    assert_eq!(list(&lake, &about("clean.docs_clean")).await.expect("list").len(), 2, "made, and read");
    let verb = FactFilter { verb: Some("make".into()), limit: Some(1), ..FactFilter::default() };
    let newest = list(&lake, &verb).await.expect("list");
    assert_eq!((newest.len(), newest[0].subject.to_string().starts_with("pile.base")), (1, true));
    let found = show(&lake, &newest[0].fact_id[..12]).await.expect("show");
    assert_eq!(found, newest[0]);
    assert_eq!(found.details["removed"], json!({}));
    assert!(matches!(show(&lake, "zz").await, Err(GovernError::NoFact { .. })));
    assert!(matches!(show(&lake, "").await, Err(GovernError::ManyFacts { .. })));
}

#[tokio::test]
async fn writers_at_the_same_time_leave_one_chain() {
    let (_dir, lake) = empty().await;
    let tasks: Vec<_> = (0..6)
        .map(|i| {
            let lake = lake.clone();
            tokio::spawn(async move { record(&lake, &[event("a", "raw.docs", "x", i), event("b", "raw.docs", "x", i)], None).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("task").expect("record"), 2);
    }
    assert_eq!(verify_chain(&lake).await.expect("chain"), 12);
}

#[tokio::test]
async fn a_fact_that_was_slipped_in_breaks_the_chain() {
    let (_dir, lake) = empty().await;
    record(&lake, &[event("a", "raw.docs", "x", 1), event("b", "raw.docs", "x", 2)], None).await.expect("record");
    let book = polder_lake::ops::table("facts");
    let copy = lake.sql("SELECT * FROM ops.facts LIMIT 1").await.expect("query");
    lake.write(&book, copy, &WriteOptions::default()).await.expect("write");
    assert!(matches!(verify_chain(&lake).await, Err(GovernError::Chain { .. })));
}

#[tokio::test]
async fn lineage_walks_from_a_model_to_the_packages() {
    let (_dir, lake) = lake_with_a_model().await;
    let walked = lineage(&lake, &reference("models/quickstart")).await.expect("lineage");
    let names: Vec<String> = walked.nodes().iter().map(|n| n.reference.to_string()).collect();
    let stems: Vec<&str> = names.iter().map(|n| n.split('@').next().expect("stem")).collect();
    assert_eq!(stems, ["models/quickstart", "tokens/base", "pile.base", "clean.docs_clean", "raw.docs", "file:///sources"]);
    let nodes = walked.nodes();
    let packages: Vec<&str> = nodes[4].sources.iter().filter_map(|s| s.package.as_deref()).collect();
    assert_eq!(packages.len(), 3, "{packages:?}");
    assert!(nodes.iter().all(|n| !n.is_changed && !n.is_gone), "{}", walked.text(9));
    let text = walked.text(2);
    assert!(text.contains("pile.base@") && text.contains("tag v1") && text.contains("1 more packages"), "{text}");
    let json = serde_json::to_value(&walked).expect("json");
    assert_eq!(json["root"]["inputs"][0]["reference"], "tokens/base");
}

#[tokio::test]
async fn lineage_says_what_changed_what_is_gone_and_what_it_does_not_know() {
    let (_dir, lake) = lake_with_a_model().await;
    artefact(&lake, "tokens/base", vec![], json!({}), &[("train-00000.bin", "other")]);
    let walked = lineage(&lake, &reference("models/quickstart")).await.expect("lineage");
    assert!(walked.root.inputs[0].is_changed);
    fs::remove_dir_all(lake.layout().kind("tokens")).expect("remove");
    let walked = lineage(&lake, &reference("models/quickstart")).await.expect("lineage");
    assert!(walked.root.inputs[0].is_gone);
    assert!(walked.text(1).contains("no longer in the lake"), "{}", walked.text(1));
    for text in ["models/none", "clean.none"] {
        let error = lineage(&lake, &reference(text)).await.expect_err(text);
        assert_eq!(polder_base::Advice::exit(&error), ExitKind::Usage, "{error}");
    }
}

#[tokio::test]
async fn many_sources_stay_whole_in_a_lineage() {
    let (_dir, lake) = empty().await;
    let inputs: Vec<Input> =
        (0..50).map(|i| Input { reference: reference(&format!("package:p{i}-1.0")), digest: digest_bytes(&[i]) }).collect();
    artefact(&lake, "models/wide", inputs, json!({}), &[("config.json", "{}")]);
    assert_eq!(lineage(&lake, &reference("models/wide")).await.expect("lineage").root.inputs.len(), 50);
}

#[tokio::test]
async fn a_data_card_counts_what_is_there_and_what_was_removed() {
    let (_dir, lake) = lake_with_a_model().await;
    let card = data_card(&lake, &reference("pile.base@v1")).await.expect("card");
    assert_eq!((card.n_docs, card.n_ingested, card.title()), (2, 3, "pile.base@v1".to_owned()));
    assert_eq!(card.steps.len(), 2);
    assert_eq!((card.steps[0].rows_in, card.steps[0].rows_out), (Some(3), 2));
    assert_eq!(card.quarantined.iter().map(|s| s.n_docs).sum::<u64>(), 1);
    let text = card.markdown();
    for part in [
        "pretty_name: \"pile.base@v1\"",
        "- \"en\"",
        "- \"n<1K\"",
        "too short",
        "```sql\n-- table: clean.docs_clean",
        "first \\| pile",
        "## Licences",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("first | pile"));
}

#[tokio::test]
async fn what_is_no_table_of_documents_has_no_data_card() {
    let (_dir, lake) = lake_with_a_model().await;
    for text in ["models/quickstart", "ops.facts"] {
        let error = data_card(&lake, &reference(text)).await.expect_err(text);
        assert!(matches!(error, GovernError::NoCard { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_model_card_names_the_pile_and_gives_intervals() {
    let (_dir, lake) = lake_with_a_model().await;
    let model = reference("models/quickstart");
    let tuned = Input { reference: model.clone(), digest: digest_bytes(b"model") };
    artefact(&lake, "adapters/signatures", vec![tuned], json!({"rank": 8}), &[("adapter_config.json", "{}")]);
    let after =
        |model: &str, value| json!({"model": model, "task": "signatures", "metric": "loss", "value": value, "stderr": 0.01, "n": 20});
    let scores = json!([after("models/quickstart", 3.0), after("adapters/signatures", 1.5)]);
    let e = event("eval", "adapters/signatures", "eval-2", 70).with_details(json!({"scores": scores}));
    EventLog::open(&lake.layout().run("eval-2")).expect("log").append(&e).expect("append");
    assert_eq!(sync(&lake).await.expect("sync"), 1);

    let path = write_model_card(&lake, &model).await.expect("card");
    assert_eq!(path.file_name().expect("name"), "README.md");
    let text = fs::read_to_string(&path).expect("read");
    for part in [
        "library_name: transformers",
        "model-index:",
        "`pile.base@v1`",
        "2.500 ± 0.1960",
        "1 of 12 requests of heldout (Rust) overlap",
        "| `lr` | 0.001000 |",
        "| `last.loss` | 3.250 |",
        "| signatures | all | loss | 3.000 ± 0.01960 | 1.500 ± 0.01960 | 20 |",
        "## Lineage",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    Manifest::verify(path.parent().expect("folder")).expect("the card is not part of what the manifest binds");
}

#[tokio::test]
async fn scores_come_in_once_and_the_newest_counts() {
    let (_dir, lake) = lake_with_a_model().await;
    let score = |value| Score { metric: "bits_per_byte".into(), ..score_of(value) };
    record_scores(&lake, "x", &[score(2.0)]).await.expect("record");
    record_scores(&lake, "x", &[score(2.0)]).await.expect("record");
    let all = scores(&lake).await.expect("scores");
    assert_eq!(all.iter().map(|s| s.value).collect::<Vec<_>>(), [Some(2.0)]);
    assert_eq!(lake.sql("SELECT * FROM ops.evals").await.expect("query").count().await.expect("count"), 2);
    assert_eq!(all[0].interval().map(|(a, b)| ((a * 100.0).round(), (b * 100.0).round())), Some((180.0, 220.0)));
}

fn score_of(value: f64) -> Score {
    Score {
        model: "models/quickstart".into(),
        task: "heldout".into(),
        group: "Rust".into(),
        metric: String::new(),
        value: Some(value),
        stderr: Some(0.1),
        n: 12,
        n_contaminated: None,
        data_digest: None,
        requests_digest: None,
        at: AT.0 + 99,
    }
}

#[tokio::test]
async fn runs_are_written_down_once() {
    let (_dir, lake) = empty().await;
    let run = RunRow {
        run_id: "r1".into(),
        workflow: "quickstart".into(),
        step: "ingest".into(),
        state: "done".into(),
        started_at: AT,
        ended_at: Timestamp(AT.0 + 5),
        config_digest: "sha256:00".into(),
        code_version: "0.1.0".into(),
        input_versions: "[]".into(),
        counters: "{}".into(),
    };
    record_runs(&lake, &[run.clone(), run]).await.expect("record");
    assert_eq!(lake.sql("SELECT * FROM ops.runs").await.expect("query").count().await.expect("count"), 1);
}

fn gate(lake: &Lake, file: &str, sql: &str) {
    let folder = lake.layout().root().join("policy");
    fs::create_dir_all(&folder).expect("create");
    fs::write(folder.join(file), sql).expect("write");
}

#[tokio::test]
async fn a_lake_without_a_policy_clears() {
    let (_dir, lake) = empty().await;
    let digest = digest_bytes(b"inputs");
    let said = clearance(&lake, digest, AT).await.expect("clearance");
    assert_eq!((said.verdict, said.input_digest, said.reasons.len(), said.at), (Verdict::Cleared, digest, 0, AT));
    assert_eq!(said.policy_digest, digest_bytes(b""));
    gate(&lake, "notes.txt", "not a gate");
    assert_eq!(clearance(&lake, digest, AT).await.expect("clearance").policy_digest, said.policy_digest);
}

#[tokio::test]
async fn a_gate_with_rows_refuses_and_says_why() {
    let (_dir, lake) = lake_with_a_model().await;
    let digest = digest_bytes(b"inputs");
    gate(&lake, "20_short.sql", "-- why: No pile with short documents.\nSELECT doc_id FROM pile.base WHERE bytes < 10\n");
    let cleared = clearance(&lake, digest, AT).await.expect("clearance");
    assert_eq!(cleared.verdict, Verdict::Cleared);
    gate(
        &lake,
        "10_licence.sql",
        "-- why: Every document has a licence.\nSELECT package, 'a\nb' AS x FROM pile.base WHERE license IS NULL ORDER BY package\n",
    );
    let refused = clearance(&lake, digest, AT).await.expect("clearance");
    assert_eq!(refused.verdict, Verdict::Refused);
    assert_ne!(refused.policy_digest, cleared.policy_digest);
    assert_eq!(refused.reasons.len(), 1);
    assert!(refused.reasons[0].starts_with("Every document has a licence. (10_licence.sql returned 2 row(s)"), "{:?}", refused.reasons);
    assert!(!refused.reasons[0].contains('\n'));
}

#[tokio::test]
async fn a_gate_that_cannot_run_clears_nothing() {
    let (_dir, lake) = empty().await;
    for sql in ["SELECT nothing FROM pile.base", "this is not SQL", "DELETE FROM pile.base"] {
        gate(&lake, "x.sql", sql);
        let error = clearance(&lake, Digest::try_from(digest_bytes(b"").to_string()).expect("digest"), AT).await.expect_err(sql);
        assert!(matches!(error, GovernError::Gate { .. }), "{error}");
        assert_eq!(polder_base::Advice::exit(&error), ExitKind::Refused);
    }
}

#[tokio::test]
async fn a_torn_event_file_gives_its_whole_lines() {
    let (_dir, lake) = empty().await;
    let folder = lake.layout().run("r9");
    EventLog::open(&folder).expect("log").append(&event("a", "raw.docs", "r9", 1)).expect("append");
    append(&folder, "{\"id\": \"torn");
    assert_eq!(sync(&lake).await.expect("sync"), 1);
}

fn append(folder: &Path, text: &str) {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().append(true).open(folder.join("events.jsonl")).expect("open");
    file.write_all(text.as_bytes()).expect("write");
}
