//! From a pile to token shards, by the program: built, checked, looked at, brought up to date, killed and gone on with.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::finished::{copy_tree, folder};
use crate::packages::Draw;
use crate::program::{command, finish, line, number, polder, sql};

const BUILD: &str = "tokens build set --from pile.base --tokenizer small --shard-tokens 0.005";

/// A lake with a pile and a tokenizer, and the SQL file that makes the pile.
struct Prepared {
    lake: PathBuf,
    sql_dir: PathBuf,
}

/// Documents of the pile: so many files, of words that are drawn.
const N_FILES: usize = 600;

fn prepared() -> &'static Prepared {
    static PREPARED: OnceLock<Prepared> = OnceLock::new();
    PREPARED.get_or_init(|| {
        let source = folder("texts");
        write_texts(&source, 0..N_FILES);
        let lake = folder("pile").join("lake");
        line(&lake, "init").well();
        polder(&lake, &["ingest", &source.display().to_string()]).well();
        let sql_dir = folder("pile-sql");
        make_pile(&lake, &sql_dir, "true", "text");
        line(&lake, "tokenizer train small --vocab 400 --from pile.base").well();
        Prepared { lake, sql_dir }
    })
}

fn write_texts(source: &Path, numbers: std::ops::Range<usize>) {
    const WORDS: [&str; 12] = ["der", "Deich", "wird", "bei", "Nacht", "bewacht", "water", "in", "the", "polder", "rises", "slowly"];
    for i in numbers {
        let draw = &mut Draw::new(i as u64 + 1);
        let words: Vec<&str> = (0..20 + draw.below(200)).map(|_| WORDS[draw.below(12) as usize]).collect();
        fs::write(source.join(format!("text-{i:04}.txt")), format!("Nummer {i}: {}.\n", words.join(" "))).expect("a file");
    }
}

/// Makes `pile.base` of the raw documents for which a condition is true.
fn make_pile(lake: &Path, sql_dir: &Path, condition: &str, text: &str) {
    let place = sql_dir.join("40_mix");
    fs::create_dir_all(&place).expect("a folder");
    let file = format!(
        "-- table: pile.base\n-- mode: full\n-- why: What the tests build.\nSELECT uri AS doc_id, {text} AS text FROM raw.docs WHERE {condition}\n"
    );
    fs::write(place.join("base.sql"), file).expect("a file");
    polder(lake, &["pipeline", "apply", "--sql-dir", &sql_dir.display().to_string()]).well();
}

/// A copy of the prepared lake that a test may change, and of its SQL.
fn copied(name: &str) -> Prepared {
    let all = folder(name);
    copy_tree(&prepared().lake, &all.join("lake"));
    copy_tree(&prepared().sql_dir, &all.join("sql"));
    Prepared { lake: all.join("lake"), sql_dir: all.join("sql") }
}

/// What a build leaves: the digests of its files, and the rows of the books.
#[derive(Debug, PartialEq)]
struct Built {
    files: BTreeMap<String, String>,
    rows: Vec<String>,
}

impl Built {
    #[track_caller]
    fn read(lake: &Path) -> Self {
        let manifest = polder_base::Manifest::verify(&lake.join("tokens/set")).expect("the set is whole");
        let files = manifest.files.into_iter().map(|f| (f.path, f.digest.to_string())).collect();
        let documents = sql(lake, "SELECT * FROM ops.token_documents WHERE token_set = 'set'");
        let shards = sql(
            lake,
            "SELECT token_set, build, shard, shard_digest, split, n_documents, n_tokens FROM ops.token_shards WHERE token_set = 'set'",
        );
        let mut rows: Vec<String> = documents.iter().chain(&shards).map(ToString::to_string).collect();
        rows.sort();
        Self { files, rows }
    }
}

/// Rows of the books that are current.
fn current(lake: &Path) -> i64 {
    number(
        lake,
        "SELECT count(*) FROM ops.token_documents d JOIN ops.token_shards s ON s.token_set = d.token_set AND s.shard = d.shard \
         AND s.shard_digest = d.shard_digest WHERE s.token_set = 'set' \
         AND s.at = (SELECT max(at) FROM ops.token_shards WHERE token_set = 'set')",
    )
}

#[test]
fn a_set_is_built_listed_and_shown() {
    let lake = copied("shown").lake;
    let plan = line(&lake, &format!("{BUILD} --dry-run")).well();
    assert!(plan.out.contains("would build it") && !lake.join("tokens/set").exists(), "{}", plan.out);
    let said = line(&lake, BUILD).well();
    assert!(said.err.contains("training tokens, to tokens/set · next: polder train start set --tokens set"), "{}", said.err);
    let again = line(&lake, BUILD).well();
    assert!(again.err.contains("tokens/set is up to date"), "{}", again.err);
    let plan = &line(&lake, &format!("--json {BUILD} --dry-run")).well().objects()[0];
    assert_eq!((plan["schema"].as_str(), plan["rows"].as_u64()), (Some("polder.tokens_plan"), Some(N_FILES as u64)));
    assert!(plan["does"].as_str().is_some_and(|d| d.starts_with("leave it")), "{plan}");

    let listed = &line(&lake, "--json tokens list").well().objects()[0];
    assert_eq!((listed["schema"].as_str(), listed["tokens"].as_str()), (Some("polder.token_set"), Some("tokens/set")));
    assert_eq!((listed["n_documents"].as_u64(), listed["tokenizer"].as_str()), (Some(N_FILES as u64), Some("tokenizers/small")));
    assert!(line(&lake, "tokens list").well().out.contains("pile.base@0"));

    let row = &sql(&lake, "SELECT doc_id, shard, doc_idx, n_tokens FROM ops.token_documents WHERE doc_idx = 3 ORDER BY shard LIMIT 1")[0];
    let id = row["doc_id"].as_str().expect("an id");
    let text = sql(&lake, &format!("SELECT text FROM pile.base WHERE doc_id = '{id}'"))[0]["text"].as_str().expect("text").to_owned();
    let shown = polder(&lake, &["tokens", "show", "set", "--document", id]).well();
    assert!(!shown.out.contains('\u{1b}'), "no colours where nobody looks: {}", shown.out);
    let body = shown.out.split_once('\n').expect("a heading").1.replace('│', "").replace("\\n\n", "\n");
    assert_eq!(body.trim_end(), format!("{text}<|endoftext|>"));
    let place = format!("--json tokens show set --shard {} --doc 3", row["shard"].as_str().expect("a shard"));
    let document = &line(&lake, &place).well().objects()[0];
    assert_eq!((document["schema"].as_str(), document["doc_id"].as_str()), (Some("polder.token_document"), Some(id)));
    assert_eq!(document["ids"].as_array().map(|a| a.len() as u64), row["n_tokens"].as_u64());
    let summary = line(&lake, "tokens show set").well();
    assert!(summary.out.contains("train") && summary.out.contains("validation") && summary.out.contains('│'), "{}", summary.out);
    assert!(line(&lake, "tokens show set --split train").well().out.contains("train-00001"));
    line(&lake, "tokens show set --document nothing").fails(2, "holds no document `nothing`");
    line(&lake, "tokens show set --shard train-99999").fails(2, "has no shard `train-99999`");
    line(&lake, "tokens show set --shard train-00000 --doc 99999").fails(2, "has no document 99999");
    line(&lake, "tokens show set --split test").fails(2, "there is no split `test`");
}

#[test]
fn a_newer_pile_shares_what_stayed_and_the_books_know_what_is_current() {
    let Prepared { lake, sql_dir } = copied("newer");
    line(&lake, BUILD).well();
    let first = Built::read(&lake);
    let source = folder("more");
    write_texts(&source, N_FILES..N_FILES + 30);
    polder(&lake, &["ingest", &source.display().to_string()]).well();
    let changed = "CASE WHEN uri LIKE '%text-0300.txt' THEN 'anders' ELSE text END";
    make_pile(&lake, &sql_dir, "uri NOT LIKE '%text-0007.txt'", changed);
    let said = line(&lake, BUILD).well();
    let kept = format!("kept {} documents; ", N_FILES - 2);
    assert!(said.err.contains(&kept) && said.err.contains("2 are rewritten without departed documents"), "{}", said.err);
    assert!(said.err.contains("are added with 31 documents"), "{}", said.err);
    let second = Built::read(&lake);
    let shared = second.files.iter().filter(|(path, digest)| path.ends_with(".bin") && first.files.get(*path) == Some(digest)).count();
    assert!(said.err.contains(&format!("{shared} shards stay as they are")) && shared > 5, "{shared}: {}", said.err);
    assert_eq!(current(&lake), N_FILES as i64 + 29);
    assert_eq!(number(&lake, "SELECT count(*) FROM pile.base"), N_FILES as i64 + 29);
    assert!(first.rows.iter().filter(|r| r.contains("doc_idx")).all(|r| second.rows.contains(r)), "the books keep what was");
    // Another tokenizer: from nothing, and it says so.
    line(&lake, "tokenizer train other --vocab 350 --from pile.base").well();
    let said = line(&lake, &BUILD.replace("small", "other")).well();
    assert!(said.err.contains("tokens/set is built from nothing: it was made with another tokenizer"), "{}", said.err);
    assert_eq!(current(&lake), N_FILES as i64 + 29);
}

#[test]
fn killed_at_random_moments_and_run_again_it_ends_in_the_same_shards_and_rows() {
    let n_kills = if std::env::var_os("POLDER_SOAK").is_some_and(|v| v == "1") { 100 } else { 10 };
    let seed = std::env::var("POLDER_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    eprintln!("{n_kills} kills, POLDER_SEED={seed}");
    let draw = &mut Draw::new(seed);
    let whole = copied("whole").lake;
    let start = Instant::now();
    line(&whole, BUILD).well();
    let longest = start.elapsed().as_micros() as u64;
    let expected = Built::read(&whole);
    let mut done = 0;
    while done < n_kills {
        let lake = copied("killed").lake;
        let mut moments = Vec::new();
        while done < n_kills && moments.len() < 5 {
            let moment = Duration::from_micros(draw.below(longest));
            let mut child = command(&lake).args(BUILD.split(' ')).spawn().expect("starts");
            std::thread::sleep(moment);
            if child.try_wait().expect("a child").is_some() {
                break;
            }
            child.kill().expect("SIGKILL");
            child.wait().expect("ends");
            moments.push(moment);
            done += 1;
        }
        let said = finish(command(&lake).args(BUILD.split(' ')));
        assert_eq!(said.code, Some(0), "after kills at {moments:?}:\n{}", said.err);
        assert!(Built::read(&lake) == expected, "after kills at {moments:?}: other files or other rows");
        let told = "SELECT count(*) FROM ops.facts WHERE verb = 'build tokens'";
        assert_eq!(number(&lake, told), 1, "after kills at {moments:?}");
        let left: Vec<String> =
            fs::read_dir(lake.join("tokens")).expect("a folder").flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        assert!(left.iter().all(|n| n == "set" || n == ".set.lock"), "after kills at {moments:?}: {left:?}");
    }
}

#[test]
fn a_flipped_byte_is_named_by_shard_and_place() {
    let lake = copied("flipped").lake;
    line(&lake, BUILD).well();
    let said = line(&lake, "tokens check set").well();
    assert!(said.out.is_empty() && said.err.contains("tokens/set is sound: "), "{}{}", said.out, said.err);
    let object = &line(&lake, "--json tokens check").well().objects()[0];
    assert_eq!((object["schema"].as_str(), object["sound"].as_bool()), (Some("polder.tokens_check"), Some(true)));
    assert_eq!(object["n_documents"].as_u64(), Some(N_FILES as u64));

    let (shard, place) = ("train-00002.bin", 1234usize);
    let path = lake.join("tokens/set").join(shard);
    let good = fs::read(&path).expect("a shard");
    let mut bytes = good.clone();
    bytes[place] ^= 0x10;
    // Shards may be shared with another set by a link: the flipped byte is this file's alone.
    fs::remove_file(&path).expect("removed");
    fs::write(&path, &bytes).expect("written");
    let said = line(&lake, "tokens check set");
    said.code_is(3);
    let named: Vec<&str> = said.out.lines().collect();
    assert!(named.len() == 1 && named[0].contains(shard) && named[0].contains(&format!("byte {place}")), "{}", said.out);
    assert!(said.err.contains("error: tokens/set is not as it was written") && said.err.contains("hint: "), "{}", said.err);
    let said = line(&lake, "--json tokens check set");
    said.code_is(3);
    let damage = &said.objects()[0]["damages"][0];
    assert_eq!((damage["from"].as_u64(), damage["to"].as_u64()), (Some(place as u64), Some(place as u64 + 1)), "{damage}");
    line(&lake, &format!("{BUILD} --fresh")).well();
    line(&lake, "tokens check").well();
    assert_eq!(fs::read(&path).expect("a shard"), good);
    line(&lake, "tokens check nothing").fails(2, "there is no artefact tokens/nothing");
}

#[test]
fn a_set_is_exported_to_formats_of_others_and_the_fact_is_told() {
    let lake = copied("exported").lake;
    line(&lake, BUILD).well();
    let all = folder("exports");
    for format in ["llm.c", "llm.c-u32", "mds", "nanogpt"] {
        let to = all.join(format).display().to_string();
        let arguments = ["--json", "tokens", "export", "set", "--format", format, "--to", &to];
        let manifest = &polder(&lake, &arguments).well().objects()[0];
        assert_eq!((manifest["schema"].as_str(), manifest["details"]["format"].as_str()), (Some("polder.export"), Some(format)));
        polder_base::Manifest::verify(Path::new(&to)).unwrap_or_else(|e| panic!("{format}: {e}"));
        polder(&lake, &arguments[1..]).fails(2, "is there already");
    }
    assert_eq!(number(&lake, "SELECT count(*) FROM ops.facts WHERE verb = 'export tokens' AND subject = 'tokens/set'"), 4);
    polder(&lake, &["tokens", "export", "set", "--format", "zip", "--to", "x"]).code_is(2);
}

/// Whether a build has noted a shard: it notes one before it closes the next.
fn has_noted_a_shard(lake: &Path) -> bool {
    let works = fs::read_dir(lake.join("tokens")).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| p.is_dir());
    let files = works.flat_map(|p| fs::read_dir(p).into_iter().flatten().flatten());
    files.filter(|e| e.path().extension().is_some_and(|x| x == "sums")).count() >= 2
}

#[test]
fn a_build_is_gone_on_with_or_thrown_away_as_the_user_says() {
    let lake = copied("resume").lake;
    line(&lake, &format!("{BUILD} --resume")).fails(2, "no build of tokens/set was broken off");
    line(&lake, &format!("{BUILD} --resume --fresh")).code_is(2);
    let kill_midway = || loop {
        let mut child = command(&lake).args(BUILD.split(' ')).spawn().expect("starts");
        while child.try_wait().expect("a child").is_none() && !has_noted_a_shard(&lake) {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("ends");
        if !lake.join("tokens/set").exists() {
            return;
        }
        fs::remove_dir_all(lake.join("tokens")).expect("removed");
    };
    kill_midway();
    let other = format!("{} --resume", BUILD.replace("0.005", "0.01"));
    line(&lake, &other).fails(2, "is made from something else");
    let said = line(&lake, &format!("{BUILD} --resume")).well();
    assert!(said.err.contains("documents of an earlier attempt"), "{}", said.err);
    let resumed = Built::read(&lake);
    line(&lake, &format!("{BUILD} --resume")).fails(2, "no build of tokens/set was broken off");
    let said = line(&lake, &format!("{BUILD} --fresh")).well();
    assert!(said.err.contains("built from nothing: --fresh was asked for"), "{}", said.err);
    assert_eq!(Built::read(&lake).files, resumed.files);
    assert_eq!(current(&lake), N_FILES as i64);
    fs::remove_dir_all(lake.join("tokens/set")).expect("removed");
    kill_midway();
    let said = line(&lake, &format!("{BUILD} --fresh")).well();
    assert!(!said.err.contains("earlier attempt"), "{}", said.err);
    assert_eq!(Built::read(&lake).files, resumed.files);
}

#[test]
fn what_cannot_be_built_is_named_with_a_hint() {
    let Prepared { lake, sql_dir } = copied("bad");
    for (arguments, code, says) in [
        ("tokens build set --tokenizer none", 2, "there is no artefact tokenizers/none"),
        ("tokens build set --tokenizer small --from pile.none", 2, "there is no table `pile.none`"),
        ("tokens build set --tokenizer small --eos <|im_end|>", 2, "has no special token `<|im_end|>`"),
        ("tokens build set --tokenizer small --bos <s>", 2, "has no special token `<s>`"),
        ("tokens build set --tokenizer small --validation 1.5", 2, "1.5 is no share of documents"),
        ("tokens build set --tokenizer small --where lenght(text)>3", 2, "cannot be used"),
        ("tokens build set --tokenizer small --from ops.facts", 2, "needs a column `doc_id` of type text"),
        ("tokens build ../set --tokenizer small", 2, "is not a reference"),
        ("tokens build set --tokenizer small --where false", 1, "has no rows"),
    ] {
        line(&lake, arguments).fails(code, says);
    }
    make_pile(&lake, &sql_dir, "true", "CASE WHEN uri LIKE '%text-0003.txt' THEN NULL ELSE text END");
    let said = line(&lake, BUILD).well();
    assert!(said.err.contains("left out 1 rows without text"), "{}", said.err);
    make_pile(&lake, &sql_dir, "true", "'train' AS split, text");
    line(&lake, "tokens build set --tokenizer small --validation 0.1").fails(2, "says itself, by its column `split`");
    make_pile(
        &lake,
        &sql_dir,
        "true UNION ALL SELECT uri AS doc_id, 'twice' AS text FROM raw.docs WHERE uri LIKE '%text-0005.txt'",
        "text",
    );
    line(&lake, BUILD).fails(1, "more than one row with doc_id");
    make_pile(&lake, &sql_dir, "false", "text");
    line(&lake, BUILD).fails(1, "has no rows");
    assert!(lake.join("tokens/set/manifest.json").is_file(), "the set that stood still stands");
}
