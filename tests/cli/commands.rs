//! Each command on a small lake: standard output is data, `--json` is one object a line, the exit code is right.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::finished::{copy, finished, folder};
use crate::packages;
use crate::program::{command, line, number, polder, quickstart, sql};

/// Every command: what its help begins with is an example of it.
const COMMANDS: [&str; 38] = [
    "run",
    "init",
    "doctor",
    "ingest",
    "sql",
    "table list",
    "table show",
    "table history",
    "pile tag",
    "pile list",
    "pile show",
    "pile card",
    "pipeline plan",
    "pipeline apply",
    "tokenizer train",
    "tokenizer import",
    "tokenizer show",
    "tokens build",
    "tokens check",
    "tokens export",
    "tokens list",
    "tokens show",
    "model sizes",
    "model plan",
    "model import",
    "model export",
    "model list",
    "model show",
    "train start",
    "train resume",
    "train rows",
    "train status",
    "eval run",
    "tune start",
    "serve",
    "facts list",
    "facts show",
    "facts lineage",
];

#[test]
fn help_begins_with_examples() {
    let lake = folder("none");
    let said = polder(&lake, &["--help"]).well();
    assert!(said.out.starts_with("Examples:\n  polder run"), "{}", said.out);
    assert!(said.err.is_empty());
    for name in COMMANDS {
        let said = line(&lake, &format!("{name} --help")).well();
        assert!(said.out.starts_with("Example"), "{name}: {}", said.out);
        assert!(said.out.lines().take(6).any(|l| l.starts_with(&format!("  polder {name}"))), "{name}: {}", said.out);
    }
}

#[test]
fn a_command_that_does_not_exist_is_a_usage_error() {
    let lake = folder("none");
    for words in ["tabel list", "table lost", "run --stops 3", "ingest"] {
        let said = line(&lake, words);
        assert_eq!(said.code, Some(2), "{words}: {}", said.err);
        assert!(said.err.starts_with("error: ") && said.out.is_empty(), "{words}: {}", said.err);
    }
    let said = line(&lake, "tabel list");
    assert!(said.err.contains("'table'"), "names the near miss: {}", said.err);
    line(&lake, "run nosuch").fails(2, "there is no workflow `nosuch`");
    assert_eq!(polder::<&str>(&lake, &[]).code, Some(2));
    let said = line(&lake, "--version").well();
    assert!(said.out.starts_with("polder "), "{}", said.out);
}

#[test]
fn json_is_one_object_a_line_with_a_schema_name() {
    let lake = &finished().lake;
    for (words, schema) in [
        ("doctor", "polder.doctor"),
        ("table list", "polder.table"),
        ("table show pile.base@v1", "polder.column"),
        ("table history raw.docs", "polder.commit"),
        ("pile list", "polder.tag"),
        ("pile show pile.base@v1", "polder.pile"),
        ("pile card pile.base@v1", "polder.data_card"),
        ("pipeline plan", "polder.step"),
        ("tokens show quickstart", "polder.tokens"),
        ("tokens list", "polder.token_set"),
        ("tokens check", "polder.tokens_check"),
        ("model sizes", "polder.model_size"),
        ("model list", "polder.model"),
        ("model show models/quickstart", "polder.model"),
        ("train status", "polder.training"),
        ("facts list", "polder.fact"),
        ("facts lineage models/quickstart", "polder.lineage"),
        ("facts sync", "polder.facts"),
        ("eval run models/quickstart", "polder.scores"),
        ("tune start models/quickstart", "polder.adapter"),
        ("run quickstart --dry-run", "polder.planned_step"),
    ] {
        let said = line(lake, &format!("--json {words}")).well();
        let objects = said.objects();
        assert!(!objects.is_empty(), "{words} printed nothing");
        assert!(objects.iter().all(|o| o["schema"] == schema), "{words}: {}", said.out);
    }
    let facts = line(lake, "--json facts list --limit 1").well().objects();
    let id = facts[0]["fact_id"].as_str().expect("an id");
    let shown = line(lake, &format!("--json facts show {}", &id[..12])).well().objects();
    assert_eq!(shown[0]["fact_id"], id);
}

#[test]
fn standard_output_is_data_and_everything_else_goes_to_standard_error() {
    let lake = &finished().lake;
    let said = polder(lake, &["sql", "SELECT split, count(*) AS n FROM pile.base GROUP BY 1 ORDER BY 1"]).well();
    let splits: Vec<&str> = said.out.lines().filter_map(|l| l.split_whitespace().next()).collect();
    assert_eq!(splits, ["split", "test", "train", "validation"]);
    assert_eq!(said.err, "3 rows\n");
    let rows = sql(lake, "SELECT 1 AS a, 'x;y' AS b; SELECT 2 AS a");
    assert_eq!(rows, [serde_json::json!({"a": 1, "b": "x;y"}), serde_json::json!({"a": 2})]);
    for words in ["table list", "pile list", "pile show", "pile card", "model list", "model show quickstart", "tokens show quickstart"] {
        let said = line(lake, words).well();
        assert!(!said.out.is_empty(), "{words}");
        let is_control = |c: char| c.is_control() && c != '\n' && c != '\t';
        assert!(!said.out.contains(is_control), "{words} steers the terminal: {:?}", said.out);
    }
    assert_eq!(finished().said.out, "", "the workflow's report is for people");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = command(&finished().lake).args(["--json", "sql", "SELECT text FROM raw.docs"]).spawn().expect("starts");
    let mut first = [0; 10];
    child.stdout.take().expect("output").read_exact(&mut first).expect("the beginning");
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn each_stage_is_a_command_of_its_own() {
    let source = folder("source");
    packages::write(&source);
    let lake = folder("stages").join("lake");
    let source = source.display().to_string();
    line(&lake, "init").well();
    line(&lake, "init").well();
    let report = &polder(&lake, &["--json", "ingest", &source]).well().objects()[0];
    assert_eq!(report["schema"], "polder.ingest");
    assert_eq!((report["table"].as_str(), report["quarantined"]["binary"].as_u64()), (Some("raw.docs"), Some(1)), "{report}");
    let again = &polder(&lake, &["--json", "ingest", &source]).well().objects()[0];
    assert_eq!((again["added"].as_u64(), &again["present"]), (Some(0), &report["kept"]), "nothing is taken twice: {again}");

    let applied = line(&lake, "--json pipeline apply").well().objects();
    assert!(applied.iter().all(|a| a["schema"] == "polder.applied" && a["written"] == true), "{applied:?}");
    let applied = line(&lake, "--json pipeline apply").well().objects();
    assert!(applied.iter().all(|a| a["written"] == false), "{applied:?}");
    let tag = &line(&lake, "--json pile tag pile.base first --comment why").well().objects()[0];
    assert_eq!((tag["schema"].as_str(), tag["tag"].as_str(), tag["version"].as_u64()), (Some("polder.tag"), Some("first"), Some(0)));
    line(&lake, "pile tag pile.base@0 first").well();
    assert_eq!(line(&lake, "--json pile list").well().objects().len(), 1, "a tag said twice is one tag");

    let tokenizer = &line(&lake, "--json tokenizer train small --vocab 300 --from pile.base@first").well().objects()[0];
    assert_eq!((tokenizer["schema"].as_str(), tokenizer["details"]["vocab_size"].as_u64()), (Some("polder.tokenizer"), Some(300)));
    let held_out = &tokenizer["details"]["held_out"];
    assert!(held_out["all"]["bytes_per_token"].as_f64().is_some_and(|x| x > 1.0), "{tokenizer}");
    assert!(held_out["by_source"].as_array().is_some_and(|rows| !rows.is_empty()), "{tokenizer}");
    let wish = "tokenizer train asked --vocab 290 --splitter o200k --min-count 3 --min-word-count 2 --max-token-bytes 3 --held-out 0.2 --memory 64 --query";
    let mut words: Vec<&str> = wish.split(' ').collect();
    words.push("SELECT text, language FROM pile.base@first");
    let said = polder(&lake, &words).well();
    assert!(said.out.contains("bytes/token") && said.out.contains("held out"), "{}", said.out);
    assert!(
        said.err.contains("tokenizers/asked has 290 tokens") && said.err.contains("next: polder tokens build NAME --tokenizer asked"),
        "{}",
        said.err
    );
    let tokens = &line(&lake, "--json tokens build small --from pile.base@first --tokenizer small").well().objects()[0];
    assert_eq!((tokens["schema"].as_str(), tokens["reference"].as_str()), (Some("polder.tokens"), Some("tokens/small")));
    let model = &line(&lake, "--json train start small --tokens small --model nano --steps 2").well().objects()[0];
    assert_eq!((model["schema"].as_str(), model["reference"].as_str()), (Some("polder.model"), Some("models/small@1")));
    let status = &line(&lake, "--json train status").well().objects()[0];
    assert_eq!((status["step"].as_u64(), status["steps"].as_u64()), (Some(2), Some(2)));
    let resumed = &line(&lake, &format!("--json train resume {} --name small", status["run"].as_str().expect("a run"))).well().objects()[0];
    assert_eq!(resumed["reference"], "models/small@1", "a finished run stays as it is");
    let rows = line(&lake, &format!("--json train rows {} --step 2", status["run"].as_str().expect("a run"))).well().objects();
    assert!(rows.iter().all(|r| r["schema"] == "polder.training_row" && r["tokens"] == "tokens/small" && r["doc_id"] != ""), "{rows:?}");
    let seen = format!(
        "SELECT count(*) FROM ops.token_documents WHERE token_set = 'small' AND doc_id = '{}'",
        rows[0]["doc_id"].as_str().expect("id")
    );
    assert_eq!(number(&lake, &seen), 1, "what a step saw is in the lake");
    line(&lake, "tokens build other --from pile.base@first --tokenizer small").well();
    let mixed = &line(&lake, "--json train start mixed --tokens small=0.75 --tokens other=0.25 --model nano --steps 1").well().objects()[0];
    let inputs: Vec<&str> = mixed["inputs"].as_array().expect("inputs").iter().filter_map(|i| i["reference"].as_str()).collect();
    assert_eq!(inputs, ["tokens/small", "tokens/other"]);
    let said = line(&lake, "facts lineage models/mixed").well();
    assert!(said.out.contains("tokens/small") && said.out.contains("tokens/other"), "{}", said.out);
    let scores = line(&lake, "--json eval run small --task next_line").well().objects();
    assert_eq!((scores.len(), scores[0]["schema"].as_str()), (1, Some("polder.scores")));
    assert!(lake.join("models/small/1/README.md").is_file(), "evaluation writes the card");
    let said = line(&lake, "facts lineage models/small").well();
    assert!(said.out.contains("pile.base@first") || said.out.contains("pile.base@0"), "{}", said.out);
    assert!(number(&lake, "SELECT count(*) FROM ops.token_documents WHERE token_set = 'small'") > 0);
}

#[test]
fn planning_prints_the_table_it_chose_from() {
    let plan = &line(&finished().lake, "--json model plan --hours 0.01 --vocab 512").well().objects()[0];
    let candidates = plan["candidates"].as_array().expect("candidates");
    assert!(plan["schema"] == "polder.model_plan" && candidates.iter().any(|c| c["name"] == plan["chosen"]), "{plan}");
}

#[test]
fn a_dry_run_changes_nothing() {
    let lake = folder("dry").join("lake");
    let mut arguments = quickstart(&finished().source);
    arguments.push("--dry-run".into());
    let said = polder(&lake, &arguments).well();
    assert!(said.out.contains("ingest") && said.out.contains("would run"), "{}", said.out);
    assert!(!lake.exists());
}

#[test]
fn a_served_model_answers_several_at_once_and_leaves_when_told() {
    let lake = copy("serve");
    let arguments = ["--json", "serve", "models/quickstart", "--listen", "127.0.0.1:0", "--precision", "bf16", "--parallel", "3"];
    let mut child = command(&lake).args(arguments).spawn().expect("starts");
    let mut out = BufReader::new(child.stdout.take().expect("output"));
    let mut first = String::new();
    out.read_line(&mut first).expect("a line");
    let service: serde_json::Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!(service["schema"], "polder.service");
    let (address, model) = (service["address"].as_str().expect("an address"), service["model"].as_str().expect("a model"));
    let ask = || {
        let body = serde_json::json!({ "model": model, "prompt": "pub fn ", "max_tokens": 4 }).to_string();
        let mut stream = TcpStream::connect(address).expect("connect");
        let length = body.len();
        write!(
            stream,
            "POST /v1/completions HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .expect("ask");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"choices\""), "{answer}");
    };
    std::thread::scope(|scope| (0..5).for_each(|_| drop(scope.spawn(ask))));

    crate::kills::signal(&child, "TERM");
    let output = child.wait_with_output().expect("ends");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(err.contains("answered 5 requests"), "{err}");
    assert_eq!(line(&lake, "--json facts list --verb serve").well().objects()[0]["schema"], "polder.fact");
}
