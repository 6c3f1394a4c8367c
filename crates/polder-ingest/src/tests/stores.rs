//! Objects of a store.

use std::sync::{Arc, Mutex};

use super::{Elsewhere, folder, gzip, put, try_read};
use crate::{IngestError, Request, Seen};

#[test]
fn objects_below_a_prefix_are_read_as_files_of_a_folder_are() {
    let dir = folder();
    put(dir.path(), "crawl/serde-1.0.0/a b.rs", "fn a() {}");
    put(dir.path(), "crawl/lines.jsonl.gz", gzip(b"{\"text\": \"one\"}\n"));
    put(dir.path(), "crawl/.hidden/x.txt", "x");
    put(dir.path(), "other/x.txt", "x");
    let found = try_read(&Request::new(vec!["s3://bucket/crawl".into()]), Elsewhere(dir.path().into())).expect("read");
    assert_eq!((found.texts(), found.paths()), (vec!["one", "fn a() {}"], vec!["lines.jsonl.gz#line=1", "serde-1.0.0/a b.rs"]));
    assert_eq!(found.records[1].uri, "s3://bucket/crawl/serde-1.0.0/a%20b.rs");
    assert_eq!((found.records[1].origin.source.as_str(), found.records[1].origin.package.as_str()), ("crawl", "serde"));
    let one = try_read(&Request::new(vec!["s3://bucket/other/x.txt".into()]), Elsewhere(dir.path().into())).expect("read");
    assert_eq!(one.paths(), ["x.txt"]);
}

#[test]
fn a_store_that_does_not_answer_and_one_that_is_empty_are_told() {
    let read = |address: &str| try_read(&Request::new(vec![address.into()]), Elsewhere(folder().path().into())).err().expect("refused");
    assert_eq!(read("s3://else/x").to_string(), "cannot list `s3://else/x`: there is no such bucket");
    assert!(matches!(read("s3://bucket/x"), IngestError::Absent { .. }));
    assert!(!read("s3://key:secret@bucket/x").to_string().contains("secret"));
}

#[test]
fn a_followed_prefix_gives_objects_once() {
    let dir = folder();
    put(dir.path(), "a.txt", "a");
    let mut asked = Request::new(vec!["s3://bucket/".into()]);
    asked.only_changed = Some(Arc::new(Mutex::new(Seen::default())));
    let read = || try_read(&asked, Elsewhere(dir.path().into())).expect("read").records.len();
    assert_eq!([read(), read(), read()], [0, 1, 0]);
}
