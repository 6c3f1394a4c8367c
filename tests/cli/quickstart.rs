//! The main job on a small source: every stage, what it leaves, and what it does when it is run again.

use std::fs;
use std::path::Path;

use crate::finished::{copy, copy_tree, finished, folder};
use crate::packages::{MAIL_DOMAIN, N_LICENSED, UNLICENSED};
use crate::program::{line, number, polder, quickstart, sql};

/// How each step ended, by its name: whether it was up to date.
fn steps(err: &str) -> Vec<(String, bool)> {
    let lines = err.lines().filter_map(|l| l.strip_prefix("  ✓ "));
    lines.map(|l| (l.split_whitespace().next().unwrap_or_default().to_owned(), l.contains(" up to date: "))).collect()
}

fn ran(err: &str) -> Vec<String> {
    steps(err).into_iter().filter(|s| !s.1).map(|s| s.0).collect()
}

#[test]
fn every_stage_runs_and_says_what_exists() {
    let said = &finished().said;
    let names: Vec<String> = steps(&said.err).into_iter().map(|s| s.0).collect();
    let all =
        ["ingest", "tables", "tag", "card", "tokenizer", "tokens", "plan", "train", "requests", "evaluate", "examples", "tune", "serve"];
    assert_eq!(names, all);
    assert_eq!(ran(&said.err), all);
    for heading in ["1 Prepare", "2 Train", "3 Validate", "4 Tune", "5 Deploy", "unigram entropy", "answered over HTTP", "Go on with"] {
        assert!(said.err.contains(heading), "{heading} in {}", said.err);
    }
    assert!(said.err.contains("exact duplicate") && said.err.contains("─"), "the funnel and the curve: {}", said.err);
    // What it recommends works.
    let lake = &finished().lake;
    for command in said.err.lines().skip_while(|l| *l != "Go on with").skip(1).filter(|l| !l.contains(" serve ")) {
        let rest = command.trim().strip_prefix("polder ").expect("a command");
        let output = std::process::Command::new("sh").arg("-c").arg(format!("\"{}\" {rest}", env!("CARGO_BIN_EXE_polder"))).output();
        assert!(output.expect("runs").status.success(), "{command}");
    }
    assert!(lake.join("polder.toml").is_file());
}

#[test]
fn the_tables_hold_what_the_sources_hold() {
    let lake = &finished().lake;
    let quarantined = sql(lake, "SELECT uri, reason FROM raw.quarantine");
    assert_eq!(quarantined.len(), 1, "{quarantined:?}");
    assert!(quarantined[0]["uri"].as_str().expect("a path").ends_with("logo.bin"));
    let n_files = walk(&finished().source) as i64;
    assert_eq!(number(lake, "SELECT count(*) FROM raw.docs"), n_files - 1);
    let licensed = N_LICENSED as i64;
    assert_eq!(number(lake, "SELECT count(*) FROM clean.packages WHERE license IS NOT NULL"), licensed);
    assert_eq!(number(lake, "SELECT count(*) FROM clean.packages WHERE license_from = 'licence file' AND license = 'MIT'"), 3);
    assert_eq!(number(lake, "SELECT count(DISTINCT package) FROM pile.base"), licensed);

    let removed = sql(lake, "SELECT reason, count(*) AS n FROM ops.removed GROUP BY 1 ORDER BY 1");
    let n = |reason: &str| removed.iter().find(|r| r["reason"] == reason).and_then(|r| r["n"].as_i64()).unwrap_or(0);
    // The licence of every package but one, and two copies of a module.
    assert_eq!(n("exact duplicate"), licensed - 1 + 2, "{removed:?}");
    assert_eq!(n("near duplicate"), 1, "{removed:?}");
    assert_eq!(n("no licence found"), 1, "{removed:?}");
    let left = format!("SELECT count(*) FROM ops.removed WHERE reason = 'no licence found' AND detail LIKE '{}%'", &UNLICENSED[..6]);
    assert_eq!(number(lake, &left), 1);
    assert!(number(lake, &format!("SELECT count(*) FROM raw.docs WHERE text LIKE '%@{MAIL_DOMAIN}%'")) >= 2 * licensed);
    assert_eq!(number(lake, &format!("SELECT count(*) FROM pile.base WHERE text LIKE '%@{MAIL_DOMAIN}%'")), 0, "addresses are redacted");
    assert_eq!(number(lake, "SELECT count(*) FROM (SELECT package FROM pile.base GROUP BY 1 HAVING count(DISTINCT split) > 1)"), 0);
    assert_eq!(number(lake, "SELECT count(DISTINCT split) FROM pile.base"), 3);
    // Every row is accounted for: in the pile, or left out with a reason.
    assert_eq!(number(lake, "SELECT (SELECT count(*) FROM pile.base) + (SELECT count(*) FROM ops.removed)"), n_files - 1);
    assert_eq!(number(lake, "SELECT count(*) FROM pile.base VERSION AS OF 'v1'"), number(lake, "SELECT count(*) FROM pile.base"));
}

fn walk(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries.map(|e| if e.path().is_dir() { walk(&e.path()) } else { 1 }).sum()
}

#[test]
fn the_files_of_every_stage_stand_with_their_manifests() {
    let lake = &finished().lake;
    for folder in [
        "tokenizers/quickstart",
        "tokens/quickstart",
        "models/quickstart/1",
        "adapters/quickstart/1",
        "requests/bits_per_byte",
        "requests/next_line",
        "tuning/signatures",
    ] {
        let manifest = polder_base::Manifest::verify(&lake.join(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
        assert!(!manifest.inputs.is_empty() && !manifest.files.is_empty(), "{folder}");
    }
    let model = lake.join("models/quickstart/1");
    for file in ["config.json", "model.safetensors", "tokenizer.json", "README.md"] {
        assert!(model.join(file).is_file(), "{file}");
    }
    let data_card = fs::read_to_string(lake.join("cards/pile.base@v1.md")).expect("the data card");
    for text in ["Rust", "MIT OR Apache-2.0", "exact duplicate", "near duplicate", "no licence found", "`clean.docs_clean@0`", "-- why:"] {
        assert!(data_card.contains(text), "the data card says `{text}`:\n{data_card}");
    }
    assert_eq!(line(lake, "pile card pile.base@v1").well().out.trim_end(), data_card.trim_end(), "the card is made, not typed");
    let model_card = fs::read_to_string(model.join("README.md")).expect("the model card");
    for text in ["pile.base@v1", "bits_per_byte", "accuracy"] {
        assert!(model_card.contains(text), "the model card says `{text}`:\n{model_card}");
    }
    assert!(!model_card.contains(MAIL_DOMAIN) && !data_card.contains(MAIL_DOMAIN));
}

#[test]
fn the_books_tell_what_happened() {
    let lake = &finished().lake;
    assert_eq!(number(lake, "SELECT count(DISTINCT step) FROM ops.runs WHERE workflow = 'quickstart' AND state = 'done'"), 13);
    let verbs = "SELECT count(DISTINCT verb) FROM ops.facts WHERE verb IN ('ingest', 'make', 'tag', 'train tokenizer', 'build tokens', 'train', 'evaluate', 'tune')";
    assert_eq!(number(lake, verbs), 8);
    assert_eq!(number(lake, "SELECT count(*) FROM ops.tags WHERE tag = 'v1'"), 1);
    assert!(number(lake, "SELECT count(*) FROM ops.evals WHERE task = 'next_line' AND metric = 'accuracy' AND \"group\" = 'all'") >= 1);
    assert!(number(lake, "SELECT count(DISTINCT model) FROM ops.evals WHERE metric = 'nats_per_token'") == 2, "before and after tuning");
    // Every token stands in a row.
    let documents =
        "SELECT count(*) FROM ops.token_documents t JOIN pile.base p ON p.doc_id = t.doc_id WHERE p.split IN ('train', 'validation')";
    assert_eq!(number(lake, documents), number(lake, "SELECT count(*) FROM pile.base WHERE split IN ('train', 'validation')"));
}

#[test]
fn lineage_walks_from_the_model_to_the_packages() {
    let lake = &finished().lake;
    let said = line(lake, "facts lineage models/quickstart --sources 0").well();
    for text in ["models/quickstart@1", "tokens/quickstart", "tokenizers/quickstart", "pile.base@0", "tag v1", "raw.docs@0"] {
        assert!(said.out.contains(text), "{text} in {}", said.out);
    }
    for package in sql(lake, "SELECT DISTINCT package FROM pile.base WHERE split = 'train'") {
        let package = package["package"].as_str().expect("a name");
        assert!(said.out.contains(package), "{package} in {}", said.out);
    }
}

#[test]
fn a_second_run_finds_everything_up_to_date() {
    let lake = copy("again");
    let said = polder(&lake, &quickstart(&finished().source)).well();
    assert_eq!(ran(&said.err), Vec::<String>::new(), "{}", said.err);
    assert!(said.err.contains("everything is up to date in "), "{}", said.err);
    let mut arguments = quickstart(&finished().source);
    arguments.insert(0, "--json".into());
    let object = &polder(&lake, &arguments).well().objects()[0];
    assert_eq!((object["schema"].as_str(), object["steps_run"].as_u64()), (Some("polder.run"), Some(0)));
    assert_eq!((object["pile"].as_str(), object["model"].as_str()), (Some("pile.base@v1"), Some("models/quickstart@1")));
}

#[test]
fn a_changed_sql_file_runs_again_only_what_depends_on_it() {
    let lake = copy("changed");
    let sql_dir = folder("sql");
    copy_tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sql"), &sql_dir);
    let mut arguments = quickstart(&finished().source);
    arguments.extend(["--sql-dir".into(), sql_dir.display().to_string()]);
    let said = polder(&lake, &arguments).well();
    assert_eq!(ran(&said.err), Vec::<String>::new(), "the same files elsewhere change nothing: {}", said.err);

    let file = sql_dir.join("50_eval/heldout.sql");
    let text = fs::read_to_string(&file).expect("a file");
    let changed = text.replace("characters_max = 3000", "characters_max = 300");
    assert_ne!(changed, text);
    fs::write(&file, changed).expect("a file");
    let said = polder(&lake, &arguments).well();
    assert_eq!(ran(&said.err), ["tables", "requests", "evaluate"], "{}", said.err);
    let version = |table: &str| line(&lake, &format!("--json table history {table} --limit 1")).well().objects()[0]["version"].clone();
    assert_eq!((version("eval.heldout"), version("eval.next_line"), version("pile.base")), (1.into(), 0.into(), 0.into()));
    assert_eq!(number(&lake, "SELECT max(length(text)) FROM eval.heldout"), 300);
    let said = polder(&lake, &arguments).well();
    assert_eq!(ran(&said.err), Vec::<String>::new(), "{}", said.err);
}

#[test]
fn a_new_file_in_the_source_runs_again_what_reads_it() {
    let lake = copy("grown");
    let source = &finished().source;
    // The same folder must stay as it is for other tests: the new file stands in a source of its own.
    let more = folder("more");
    fs::create_dir_all(more.join("late-1.0.0")).expect("a folder");
    fs::write(
        more.join("late-1.0.0/README.md"),
        "The dike was raised again in the spring, and nobody had written down who paid for all of the stones.\n",
    )
    .expect("a file");
    let mut arguments = quickstart(source);
    arguments.extend(["--source".into(), more.display().to_string()]);
    let said = polder(&lake, &arguments).well();
    assert_eq!(ran(&said.err)[..2], ["ingest", "tables"], "{}", said.err);
    assert_eq!(number(&lake, "SELECT count(*) FROM raw.docs WHERE path LIKE 'late-1.0.0/%'"), 1);
}

#[test]
fn upkeep_of_a_table_makes_nothing_stale() {
    let lake = copy("upkeep");
    for table in ["clean.docs_clean", "clean.packages"] {
        line(&lake, &format!("table vacuum {table} --retain-hours 0")).well();
    }
    let said = polder(&lake, &quickstart(&finished().source)).well();
    assert!(said.err.contains("everything is up to date in "), "{}", said.err);
}
