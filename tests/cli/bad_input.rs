//! What goes wrong in users' hands: one clear error, a hint, the right exit code, and a lake that stays readable and whole.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::finished::{Left, copy, copy_tree, copy_untrained, finished, folder};
use crate::program::{command, finish, line, number, polder, quickstart, sql, wait_until};

fn source(kind: &str) -> PathBuf {
    folder(kind)
}

/// Fails unless every table of the lake can be read.
#[track_caller]
fn must_be_whole(lake: &Path) {
    for table in line(lake, "--json table list").well().objects() {
        let name = table["table"].as_str().expect("a name");
        assert_eq!(number(lake, &format!("SELECT count(*) FROM {name}")), table["n_rows"].as_i64().expect("rows"), "{name}");
    }
}

#[test]
fn sources_that_hold_nothing_to_read_are_refused() {
    let binary = source("binary");
    fs::write(binary.join("a.bin"), [0, 1, 2, 0]).expect("a file");
    fs::write(binary.join("b.txt"), [0xff, 0xfe, 0x41, 0xd8]).expect("a file");
    let empty = source("empty");
    for (folder, text) in
        [(Path::new("/no/such/folder"), "there is no file or folder"), (&empty, "there are no files in"), (&binary, "no readable text in")]
    {
        // On a lake that is new, and on one that is not: it keeps what it had.
        let new = source("new").join("lake");
        polder(&new, &quickstart(folder)).fails_in_stage(2, text);
        must_be_whole(&new);
        polder(&new, &["ingest", &folder.display().to_string()]).fails(2, text);
        let lake = copy("kept");
        polder(&lake, &quickstart(folder)).fails_in_stage(2, text);
        assert_eq!(number(&lake, "SELECT count(*) FROM raw.docs"), number(&finished().lake, "SELECT count(*) FROM raw.docs"));
        let said = polder(&lake, &quickstart(&finished().source)).well();
        assert!(said.err.contains("everything is up to date"), "{}", said.err);
    }
}

#[test]
fn a_lake_of_another_format_version_is_left_alone() {
    let lake = copy("format");
    let settings = lake.join("polder.toml");
    let text = fs::read_to_string(&settings).expect("settings");
    fs::write(&settings, text.replace("format = 1", "format = 99")).expect("settings");
    for words in ["table list", "init", "run quickstart", "ingest /tmp"] {
        line(&lake, words).fails(1, "has format 99; this program reads format 1");
    }
    fs::write(&settings, "format = \"old\"").expect("settings");
    line(&lake, "table list").fails(1, "is not the settings file of a lake");
    fs::write(&settings, text).expect("settings");
    must_be_whole(&lake);
}

#[test]
fn a_place_without_a_lake_says_how_to_make_one() {
    let none = source("none");
    for words in ["table list", "sql SELECT", "facts list", "pile show", "pipeline plan"] {
        line(&none, words).fails(2, "there is no lake at");
    }
    assert_eq!(fs::read_dir(&none).expect("a folder").count(), 0, "looking makes nothing");
}

#[test]
fn a_broken_sql_file_is_named_and_the_tables_keep_their_versions() {
    let lake = copy("broken");
    let sql_dir = folder("sql");
    copy_tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sql"), &sql_dir);
    let file = sql_dir.join("20_clean/docs_clean.sql");
    let good = fs::read_to_string(&file).expect("a file");
    let mut arguments = quickstart(&finished().source);
    arguments.extend(["--sql-dir".into(), sql_dir.display().to_string()]);
    for (text, says) in [
        (good.replace("SELECT", "SELEC"), "docs_clean.sql"),
        (good.replace("j.package, j.path", "j.packge, j.path"), "packge"),
        (good.replace("FROM clean.docs_stage", "FROM clean.docs_staeg"), "docs_staeg"),
        (good.replace("-- table:", "-- tabel:"), "docs_clean.sql"),
    ] {
        assert_ne!(text, good);
        fs::write(&file, text).expect("a file");
        polder(&lake, &arguments).fails_in_stage(2, says);
        must_be_whole(&lake);
    }
    fs::write(&file, good).expect("a file");
    let said = polder(&lake, &arguments).well();
    assert!(said.err.contains("everything is up to date"), "{}", said.err);
    line(&lake, "pipeline plan --sql-dir /no/such/folder").fails(2, "/no/such/folder");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let said = polder(&finished().lake, &["serve", "models/quickstart", "--listen", &address.to_string()]);
    said.fails(2, &format!("port {} of 127.0.0.1 is in use", address.port()));
    assert!(said.err.contains("--listen"), "{}", said.err);
    polder(&finished().lake, &["serve", "models/quickstart", "--listen", "0.0.0.0:0"]).fails(2, "token");
}

#[test]
fn two_runs_of_one_workflow_exclude_each_other_and_other_work_goes_on() {
    let lake = copy_untrained("lease");
    let first = command(&lake).args(quickstart(&finished().source)).spawn().expect("starts");
    wait_until("the first run holds the lease", || {
        let begun = fs::read_dir(lake.join("runs")).into_iter().flatten().flatten();
        begun.into_iter().any(|e| e.file_name().to_string_lossy().starts_with("train-"))
    });
    let second = polder(&lake, &quickstart(&finished().source));
    assert!(number(&lake, "SELECT count(*) FROM pile.base") > 0, "readers go on");
    let more = folder("more");
    fs::write(more.join("note.md"), "The meadow behind the dike is dry in summer, and sheep are brought there from the village.\n")
        .expect("a file");
    let third = polder(&lake, &["ingest", &more.display().to_string(), "--into", "raw.notes"]);
    let first = first.wait_with_output().expect("ends");
    second.fails(1, "this workflow is running already (process ");
    third.well();
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert_eq!(number(&lake, "SELECT count(*) FROM raw.notes"), 1);
    must_be_whole(&lake);
}

#[test]
fn names_that_are_not_there_come_with_near_misses() {
    let lake = &finished().lake;
    for (statement, says) in [
        ("SELECT * FROM pile.bas", "did you mean `pile.base`?"),
        ("SELECT categry FROM pile.base", "Did you mean 'pile.base.category'?"),
        ("SELECT languag(text) FROM pile.base", "Did you mean 'language'?"),
        ("SELECT * FROM pile.base VERSION AS OF 'v9'", "did you mean `v1`?"),
        ("SELECT * FROM pile.base VERSION AS OF 99", "has no version 99"),
        ("SELEC 1", "cannot understand the SQL statement"),
        ("DELETE FROM ops.facts", "ops.facts"),
    ] {
        polder(lake, &["sql", statement]).fails(2, says);
    }
    for (words, says) in [
        ("table show pile.bas", "did you mean `pile.base`?"),
        ("table show nope", "`nope` is not a reference"),
        ("pile show pile.base@v9", "did you mean `v1`?"),
        ("tokens show nope", "there is no artefact tokens/nope"),
        ("model show nope", "there is no artefact models/nope"),
        ("serve models/nope", "there is no artefact models/nope"),
        ("serve models/quickstart --adapter nope", "there is no artefact adapters/nope"),
        ("eval run models/nope", "there is no artefact models/nope"),
        ("eval run models/quickstart --task nope", "there is no task `nope`"),
        ("tokens build x --tokenizer nope", "there is no artefact tokenizers/nope"),
        ("train start x --tokens quickstart --model nope --steps 1", "there is no size of model called `nope`"),
        ("train resume nope --name small", "nope"),
        ("train start x --tokens quickstart=0 --steps 1", "`0` is not a weight"),
        ("train start x --tokens quickstart --tokens quickstart --steps 1", "tokens/quickstart is named twice"),
        ("train start ../m --tokens quickstart --steps 1", "`models/../m` is not a reference"),
        ("tokenizer train bad/name", "`tokenizers/bad/name` is not a reference"),
        ("tokenizer train x --splitter gpt3", "there is no splitter `gpt3`"),
        ("tokenizer train x --splitter (", "`(` is not a regular expression"),
        ("tokenizer train x --vocab 100", "a vocabulary of 100 is not possible"),
        ("tokenizer train x --special a", "`a` cannot be a special token"),
        ("tokenizer train x --from pile.bas", "did you mean `pile.base`?"),
        ("tokens build ../x --tokenizer quickstart", "`tokens/../x` is not a reference"),
        ("tune start models/quickstart --name ../x", "`adapters/../x` is not a reference"),
        ("ingest . --into ops.facts", "`ops.facts` is not a table for raw documents"),
        ("facts lineage models/nope", "nothing is known of `models/nope"),
        ("facts show zzz", "no fact begins with `zzz`"),
        ("pile tag pile.base@v1 next", "is not a table or a version of one"),
        ("pile tag pile.base 7", "cannot be a tag"),
    ] {
        line(lake, words).fails(2, says);
    }
    let said = line(lake, "tokenizer train x --held-out 0.9");
    assert_eq!((said.code, said.err.contains("a number from 0 to 0.5 is needed")), (Some(2), true), "{}", said.err);
    for (query, says) in [
        ("SELECT category FROM pile.base", "needs a column `text` of type text"),
        ("SELECT text FROM pile.bas", "did you mean `pile.base`?"),
    ] {
        polder(lake, &["tokenizer", "train", "x", "--query", query]).fails(2, says);
    }
    assert_eq!(sql(lake, "SELECT 1 AS one").len(), 1);
}

/// A file system of a few megabytes, unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(bytes: u64) -> Option<Self> {
        let folder = folder("small");
        let size = format!("size={bytes}");
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).stderr(std::process::Stdio::null()).status();
        status.is_ok_and(|s| s.success()).then_some(Self(folder))
    }

    fn again(&self, options: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status().expect("mount");
        assert!(status.success(), "remount,{options}");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_ends_a_run_and_the_same_command_goes_on_when_there_is_space() {
    let bytes: u64 = [finished().lake.join("tables"), finished().lake.join("models")].iter().map(|f| tree_bytes(f)).sum();
    for share in [8, 2] {
        let Some(small) = Small::mount(bytes / share) else {
            eprintln!("skipped: a small file system cannot be mounted here; a limit on the size of files stands in for it");
            return a_file_may_not_grow(1 << (8 - share));
        };
        let lake = small.0.join("lake");
        let said = polder(&lake, &quickstart(&finished().source));
        said.fails_in_stage(1, "No space left on device");
        assert!(said.err.contains("The disk is full"), "{}", said.err);
        must_be_whole(&lake);
        small.again(&format!("size={}", bytes * 20));
        polder(&lake, &quickstart(&finished().source)).well();
        Left::read(&lake).must_equal(&finished().left, "after a full disk");
    }
}

fn tree_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries.map(|e| if e.path().is_dir() { tree_bytes(&e.path()) } else { e.metadata().map_or(0, |m| m.len()) }).sum()
}

fn a_file_may_not_grow(kilobytes: u64) {
    let lake = folder("limited").join("lake");
    let program = env!("CARGO_BIN_EXE_polder");
    let script = format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"{program}\" --lake \"$0\" \"$@\"");
    let said = finish(Command::new("bash").args(["-c", &script]).arg(&lake).args(quickstart(&finished().source)));
    said.fails_in_stage(1, "File too large");
    polder(&lake, &quickstart(&finished().source)).well();
    Left::read(&lake).must_equal(&finished().left, "after a limit on files");
}

#[test]
fn a_file_that_may_not_grow_ends_a_run_and_the_same_command_goes_on_without_the_limit() {
    a_file_may_not_grow(64);
}

#[test]
fn a_lake_that_cannot_be_written_can_still_be_read() {
    let file = folder("file").join("a file");
    fs::write(&file, "text").expect("a file");
    polder(&file.join("lake"), &["init"]).fails(1, "lake");
    let Some(small) = Small::mount(200 << 20) else {
        eprintln!("skipped: no file system can be mounted here, so none that cannot be written");
        return;
    };
    let lake = small.0.join("lake");
    copy_tree(&copy_untrained("before"), &lake);
    small.again("ro");
    must_be_whole(&lake);
    line(&lake, "pile card pile.base@v1").well();
    line(&lake, "facts lineage tokens/quickstart").well();
    polder(&lake, &quickstart(&finished().source)).fails(1, "Read-only file system");
    line(&lake, "pile tag pile.base other").fails(1, "Read-only file system");
}
