//! Opening, and what is not a lake.

use std::fs;

use polder_base::{Advice as _, ExitKind};

use super::{append, lake_in_folder, name};
use crate::{Lake, LakeError};

#[tokio::test]
async fn a_lake_keeps_its_name_when_it_is_made_again() {
    let (dir, made) = lake_in_folder().await;
    let root = dir.path().join("lake");
    let again = Lake::init(&root).await.expect("again");
    assert_eq!(made.id(), again.id());
    assert_eq!(Lake::open(&root).await.expect("open").id(), made.id());
    assert!(again.tables().await.expect("tables").is_empty());
}

#[tokio::test]
async fn no_lake_and_another_format_are_told_apart() {
    let (dir, _) = lake_in_folder().await;
    let absent = Lake::open(&dir.path().join("nowhere")).await.expect_err("absent");
    assert!(matches!(absent, LakeError::Absent { .. }));
    assert!(absent.hint().expect("a hint").contains("polder init"));
    let settings = dir.path().join("lake/polder.toml");
    fs::write(&settings, "format = 2\nshape = \"round\"\n").expect("write");
    let other = Lake::open(&dir.path().join("lake")).await.expect_err("another format");
    assert!(matches!(other, LakeError::Format { found: 2, known: 1, .. }));
    assert!(matches!(Lake::init(&dir.path().join("lake")).await, Err(LakeError::Format { .. })));
    fs::write(&settings, "format = 1\nid = \"x\"\nextra = 3\n").expect("write");
    let unknown = Lake::open(&dir.path().join("lake")).await.expect_err("unknown key");
    assert!(unknown.to_string().contains("extra"), "{unknown}");
    assert_eq!(unknown.exit(), ExitKind::Failed);
}

#[tokio::test]
async fn tables_are_listed_and_a_half_made_one_is_not_there() {
    let (dir, lake) = lake_in_folder().await;
    append(&lake, "raw.docs", &[1]).await;
    append(&lake, "pile.base", &[1]).await;
    let listed: Vec<String> = lake.tables().await.expect("tables").iter().map(ToString::to_string).collect();
    assert_eq!(listed, ["raw.docs", "pile.base"]);
    fs::create_dir_all(dir.path().join("lake/tables/raw/torn/_delta_log")).expect("folder");
    assert!(lake.snapshot_opt(&name("raw.torn")).await.expect("looked").is_none());
    append(&lake, "raw.torn", &[1, 2]).await;
    assert_eq!(lake.snapshot_opt(&name("raw.torn")).await.expect("looked").expect("there").n_rows, 2);
}
