//! The program as its users run it: what it prints, how it exits, and what stands in the lake afterwards.
//!
//! [`program`] runs it, [`packages`] writes the small source that all lakes are made from, [`finished`] is one whole
//! quickstart that the tests share. What these tests cover: [`classifiers`], [`commands`], [`quickstart`], [`bad_input`], [`kills`],
//! [`models`], [`statements`], [`stores`], [`tokenizers`], [`tokens`], [`training`].

#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod bad_input;
mod classifiers;
mod commands;
mod finished;
mod ingest;
mod kills;
mod models;
mod packages;
mod program;
mod quickstart;
mod statements;
mod stores;
mod tokenizers;
mod tokens;
mod training;

#[test]
fn every_file_beside_this_one_is_a_module_of_it() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cli");
    let source = std::fs::read_to_string(here.join("main.rs")).expect("this file");
    for entry in std::fs::read_dir(here).expect("this folder") {
        let name = entry.expect("entry").file_name().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".rs").filter(|s| *s != "main") else { continue };
        assert!(source.contains(&format!("\nmod {stem};\n")), "{name} is not named here");
    }
}
