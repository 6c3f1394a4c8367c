//! Any bytes are answered.

use proptest::prelude::*;

use super::{folder, put, read};
use crate::{Format, Request};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever stands in a file, each reader says something about it and none of them fails.
    #[test]
    fn any_bytes_are_answered_in_every_format(bytes in prop::collection::vec(any::<u8>(), 0..600), which in 0..Format::ALL.len()) {
        let dir = folder();
        put(dir.path(), "file", &bytes);
        let request = Request { format: Some(Format::ALL[which].1), ..Request::new(vec![dir.path().join("file").to_string_lossy().into_owned()]) };
        let found = read(&request);
        prop_assert!(found.tally.files == 1 && found.records.len() + found.bad.len() > 0);
    }

    /// The same of files that begin as they should.
    #[test]
    fn files_that_break_in_the_middle_are_answered(at in 0usize..400, by in any::<u8>(), which in 0usize..5) {
        let text = "{\"text\": \"one\"}\n{\"text\": \"two\"}\n".repeat(8);
        let (name, mut bytes) = match which {
            0 => ("f.jsonl", text.clone().into_bytes()),
            1 => ("f.jsonl.gz", super::gzip(text.as_bytes())),
            2 => ("f.tar", super::tar(&[("a.jsonl", text.as_bytes())])),
            3 => ("f.csv", "id,text\n1,\"a\"\n2,\"b,c\"\n".repeat(20).into_bytes()),
            _ => ("f.warc", format!("WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: {}\r\n\r\n{text}\r\n\r\n", text.len()).into_bytes()),
        };
        let at = at % bytes.len();
        bytes[at] = by;
        let dir = folder();
        put(dir.path(), name, &bytes);
        let found = read(&super::of(&dir.path().join(name)));
        // Records of other kinds than ours are passed over in web archives.
        prop_assert!(found.tally.files == 1 && (which == 4 || found.records.len() + found.bad.len() > 0));
    }
}
