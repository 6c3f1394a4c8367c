//! What is too large, too much or too many; and the order of it all.

use super::{folder, gzip, of, put, read, tar};
use crate::{Limits, Order};

#[test]
fn large_records_and_files_go_to_quarantine_and_the_others_stay() {
    let dir = folder();
    let long = "x".repeat(5000);
    put(dir.path(), "a.jsonl", format!("{{\"text\": \"{long}\"}}\n{{\"text\": \"short\"}}\n"));
    put(dir.path(), "b.txt", &long);
    put(dir.path(), "c.txt.gz", gzip(long.as_bytes()));
    put(dir.path(), "d.tar", tar(&[("x.txt", long.as_bytes()), ("y.txt", b"y")]));
    put(dir.path(), "e.csv", format!("id,text\n1,{long}\n2,short\n"));
    put(dir.path(), "f.txt", "x".repeat(50_000));
    let mut asked = of(dir.path());
    asked.limits.record_bytes_max = 4000;
    let found = read(&asked);
    assert_eq!(found.texts(), ["short", "y", "short"]);
    assert_eq!(found.reasons(), ["too_large"; 6]);
}

#[test]
fn what_expands_beyond_the_limits_is_stopped_wherever_it_lies() {
    let dir = folder();
    let bomb = gzip(&vec![b'a'; 64 << 20]);
    put(dir.path(), "a.jsonl.gz", &bomb);
    put(dir.path(), "b.tar", tar(&[("c.jsonl.gz", &bomb), ("d.txt", b"d")]));
    let found = read(&of(dir.path()));
    assert_eq!(found.texts(), ["d"]);
    assert_eq!(found.reasons(), ["expansion"; 2]);
    let mut asked = of(dir.path());
    asked.limits = Limits { expansion_ratio_max: u64::MAX, expanded_bytes_max: 1 << 20, ..Limits::default() };
    assert_eq!(read(&asked).reasons(), ["expansion"; 2]);
}

#[test]
fn a_quote_that_is_never_closed_does_not_swallow_the_file() {
    let dir = folder();
    put(dir.path(), "a.csv", format!("id,text\n1,one\n2,\"open\n{}", "3,three\n".repeat(2_000_000)));
    let mut asked = of(dir.path());
    asked.limits.record_bytes_max = 100_000;
    let found = read(&asked);
    assert_eq!((found.texts(), found.reasons()), (vec!["one"], vec!["too_large"]));
}

#[test]
fn packages_are_taken_while_they_fit() {
    let dir = folder();
    for i in 0..30 {
        put(dir.path(), &format!("p{i}-1.0.0/a.txt"), "x".repeat(100));
        put(dir.path(), &format!("p{i}-2.0.0/a.txt"), "z".repeat(200));
    }
    let mut asked = of(dir.path());
    (asked.order, asked.limit_bytes) = (Order::PackageHash, Some(1300));
    let found = read(&asked);
    // Packages have 300 bytes: four fit, the fifth would not.
    assert_eq!((found.tally.packages, found.texts().len(), found.tally.is_limited), (4, 8, true));
    assert_eq!(read(&asked).paths(), found.paths());
}

#[test]
fn the_order_is_that_of_the_listing_whatever_the_threads_do() {
    let dir = folder();
    for i in 0..2000 {
        put(dir.path(), &format!("d{:02}/f{i:04}.txt", i % 20), format!("{i} ").repeat(i % 700 + 1));
    }
    put(dir.path(), "d05/large.jsonl", "{\"text\": \"long line of text\"}\n".repeat(100_000));
    let found = read(&of(dir.path()));
    assert_eq!(found.texts().len(), 102_000);
    let files: Vec<&str> = found.paths().iter().map(|p| p.split('#').next().unwrap_or_default()).collect();
    assert!(files.is_sorted());
}

#[test]
fn a_reading_that_is_let_go_ends_its_threads() {
    let dir = folder();
    put(dir.path(), "large.jsonl", "{\"text\": \"long line of text\"}\n".repeat(1_000_000));
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let tables = std::sync::Arc::new(super::Elsewhere("".into()));
    let held = std::sync::Arc::downgrade(&tables);
    let mut reading = crate::Reading::start(&of(dir.path()), tables, runtime.handle().clone()).expect("start");
    assert!(reading.next_batch().is_some());
    drop(reading);
    // The settings go with the last thread.
    for _ in 0..500 {
        if held.strong_count() == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("threads still read");
}
