//! How fast licences, copyright notices and opt-outs are looked for on one core.
//!
//! Prints MB/s over prose without a licence, over the sources that cargo has downloaded (nearly each file of which says something of
//! licences), and over whole licences one behind the other, the slowest there is; then addresses a second for `domain`.
#![allow(clippy::print_stdout, clippy::expect_used, missing_docs)]

mod sources;

use std::hint::black_box;
use std::time::Instant;

use polder_text::{copyright_notices, domain, license, opt_outs};

fn main() {
    let prose = "The dike keeps the water out of the village; whoever walks along it in the evening hears the mills, and sees how low the land lies. ".repeat(400);
    let prose: Vec<String> = vec![prose; sources::BYTES / 53_000];
    let own = include_str!("../LICENSE");
    // The first pass loads lists.
    black_box(license(own));
    let code = sources::texts();
    let licenses: Vec<String> = vec![own.repeat(4); 200];
    for (name, texts) in [("prose", &prose), ("code", &code), ("licences", &licenses)] {
        println!(
            "rights: {name}: license {:.0} MB/s, copyright_notices {:.0} MB/s, opt_outs {:.0} MB/s over {:.1} MB in {} documents",
            rate(texts, &|t| drop(black_box(license(t)))),
            rate(texts, &|t| drop(black_box(copyright_notices(t)))),
            rate(texts, &|t| drop(black_box(opt_outs(t, "html")))),
            texts.iter().map(String::len).sum::<usize>() as f64 / 1e6,
            texts.len()
        );
    }
    let start = Instant::now();
    let n = 1_000_000;
    for i in 0..n {
        black_box(domain(black_box(&format!("https://www.example{i}.co.uk/dike/{i}"))));
    }
    println!("rights: domain: {:.2} million addresses a second", f64::from(n) / 1e6 / start.elapsed().as_secs_f64());
}

fn rate(texts: &[String], run: &dyn Fn(&str)) -> f64 {
    let start = Instant::now();
    texts.iter().for_each(|t| run(t));
    texts.iter().map(String::len).sum::<usize>() as f64 / 1e6 / start.elapsed().as_secs_f64()
}
