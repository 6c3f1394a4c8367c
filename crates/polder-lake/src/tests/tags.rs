//! Tags stay where they are.

use polder_base::{Reference, Timestamp};

use super::{grown, lake, name, number};
use crate::LakeError;

#[tokio::test]
async fn a_tag_never_moves_and_doing_it_again_is_done_already() {
    let (_dir, lake) = lake().await;
    grown(&lake, "pile.base").await;
    let table = name("pile.base");
    let first = lake.tag(&table, "v1", Some(1), "the first", "me@here", Timestamp(1000)).await.expect("tag");
    assert_eq!((first.version, first.n_rows), (1, 3));
    let again = lake.tag(&table, "v1", Some(1), "again", "you", Timestamp(2000)).await.expect("again");
    assert_eq!(again, first);
    let moved = lake.tag(&table, "v1", None, "", "me", Timestamp(3000)).await.expect_err("moved");
    assert!(matches!(moved, LakeError::TagTaken { version: 1, .. }));
    for bad in ["", "7", "a b", "../x", ".x"] {
        assert!(matches!(lake.tag(&table, bad, None, "", "me", Timestamp(0)).await, Err(LakeError::BadTag { .. })), "{bad}");
    }
    lake.tag(&table, "v2", None, "", "me", Timestamp(4000)).await.expect("second");
    let tags = lake.tags(Some(&table)).await.expect("tags");
    assert_eq!(tags.iter().map(|t| (t.tag.as_str(), t.version)).collect::<Vec<_>>(), [("v1", 1), ("v2", 2)]);
    assert!(lake.tags(Some(&name("raw.docs"))).await.expect("tags").is_empty());
    assert_eq!(number(&lake, "SELECT count(*) FROM ops.tags").await, 2);
}

#[tokio::test]
async fn tags_set_at_the_same_moment_are_all_kept() {
    let (_dir, lake) = lake().await;
    grown(&lake, "pile.base").await;
    let table = name("pile.base");
    let names: Vec<String> = (0..6).map(|i| format!("t{i}")).collect();
    let all = names.iter().map(|t| lake.tag(&table, t, None, "", "me", Timestamp(0)));
    for made in futures::future::join_all(all).await {
        made.expect("tagged");
    }
    assert_eq!(lake.tags(None).await.expect("tags").len(), 6);
}

#[tokio::test]
async fn snapshots_say_what_a_version_holds() {
    let (_dir, lake) = lake().await;
    grown(&lake, "pile.base").await;
    let of = |text: &str| text.parse::<Reference>().expect("reference");
    let old = lake.snapshot(&of("pile.base@0")).await.expect("snapshot");
    let new = lake.snapshot(&of("pile.base")).await.expect("snapshot");
    assert_eq!((old.version, old.n_rows, new.version, new.n_rows), (0, 2, 2, 5));
    assert_ne!(old.files_digest, new.files_digest);
    assert_eq!(old.schema_digest, new.schema_digest);
    assert_eq!(lake.snapshot(&of("pile.base@2")).await.expect("snapshot"), new);
    assert!(lake.snapshot_opt(&name("pile.none")).await.expect("looked").is_none());
}
