//! A small source folder, made by code: the same bytes each time, varied enough that no filter takes it for a copy.
//!
//! Fifteen packages of Rust, Markdown and TOML with licences and authors' addresses. Planted in them: exact duplicates, one
//! near-duplicate, a binary file, a package without a licence.

use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Packages with a licence.
pub const N_LICENSED: usize = 14;
/// The package that no licence was found for.
pub const UNLICENSED: &str = "orphan-0.1.0";
/// The domain of all authors' addresses.
pub const MAIL_DOMAIN: &str = "keelworks.net";

const NOUNS: &[&str] = &[
    "anchor",
    "barge",
    "canal",
    "dike",
    "estuary",
    "ferry",
    "gauge",
    "harbour",
    "island",
    "jetty",
    "kettle",
    "lock",
    "marsh",
    "notch",
    "orchard",
    "pump",
    "quay",
    "river",
    "sluice",
    "tide",
    "umbrella",
    "valley",
    "windmill",
    "yard",
    "zenith",
    "basin",
    "culvert",
    "drain",
    "embankment",
    "floodgate",
    "groyne",
    "hull",
    "inlet",
    "keel",
    "levee",
    "meadow",
    "oar",
    "pasture",
    "reed",
    "shoal",
    "turbine",
    "vessel",
    "weir",
];
const VERBS: &[&str] = &[
    "align", "balance", "collect", "divide", "empty", "fill", "gather", "hoist", "inspect", "join", "keep", "lower", "measure", "number",
    "open", "pack", "query", "raise", "sort", "trace", "unload", "visit", "weigh", "close", "drop", "extend", "find", "grow", "hold",
    "index",
];
const ADJECTIVES: &[&str] = &[
    "deep", "early", "flat", "green", "heavy", "idle", "late", "muddy", "narrow", "old", "quiet", "rapid", "shallow", "tall", "upper",
    "wide", "young", "broken", "calm", "damp", "empty", "frozen", "gentle", "hollow",
];

const MIT: &str = "MIT License

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the \"Software\"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
";

/// Numbers that depend on the seed alone.
pub struct Draw(u64);

impl Draw {
    /// Starts a row of numbers.
    pub fn new(seed: u64) -> Self {
        let mut draw = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // The first numbers still resemble the seed.
        for _ in 0..8 {
            draw.below(2);
        }
        draw
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % n
    }

    fn word(&mut self, words: &'static [&'static str]) -> &'static str {
        words[self.below(words.len() as u64) as usize]
    }

    fn noun(&mut self) -> &'static str {
        self.word(NOUNS)
    }
}

fn sentence(d: &mut Draw) -> String {
    let (a, b, c, v) = (d.noun(), d.noun(), d.noun(), d.word(VERBS));
    let (x, y) = (d.word(ADJECTIVES), d.word(ADJECTIVES));
    match d.below(6) {
        0 => format!("Before you {v} the {x} {a}, make sure that every {b} has been written down together with its {c}."),
        1 => format!("The {x} {a} is shared by the {b} and the {c}, which is why it should be opened only once."),
        2 => format!("When the {a} becomes {x}, the program tries to {v} it again and reports the {y} {b} to the caller."),
        3 => format!("There are two ways to {v} a {a}: with a {x} {b}, or by hand when the {c} is too {y} for that."),
        4 => format!("Most users will never need the {x} {a}, but those who {v} a {b} each day have asked for it."),
        _ => format!("This version can {v} the {a} without a {b}, and it no longer forgets the {y} {c} at the end."),
    }
}

fn function(d: &mut Draw, n: usize) -> String {
    let (v, a, b, c) = (d.word(VERBS), d.noun(), d.noun(), d.noun());
    let (x, k, m) = (d.word(ADJECTIVES), d.below(90) + 7, d.below(900) + 11);
    let name = format!("{v}_{x}_{a}_{n}");
    let doc = match d.below(3) {
        0 => format!("/// Returns the {x} {a} of a {b}, counted from the first {c}."),
        1 => format!("/// Tries to {v} the {x} {a}, and gives back the {b} that is left of the {c}."),
        _ => format!("/// Says how far the {x} {a} stands above the {b} when the {c} rises."),
    };
    match d.below(4) {
        0 => format!(
            "{doc}\npub fn {name}({b}: u64, {c}_share: f64) -> f64 {{\n    let {x}_{a} = {b} as f64 * {c}_share;\n    if {x}_{a} > {m}.0 {{\n        return {x}_{a} - {k}.5;\n    }}\n    {x}_{a} + {c}_share.sqrt()\n}}\n"
        ),
        1 => format!(
            "{doc}\npub fn {name}({b}s: &[u32]) -> Option<u32> {{\n    let mut {c}_total = {k}u32;\n    for {b} in {b}s.iter().filter(|n| **n % {k} != 0) {{\n        {c}_total = {c}_total.wrapping_mul({m}).wrapping_add(*{b});\n    }}\n    ({c}_total != {m}).then_some({c}_total)\n}}\n"
        ),
        2 => format!(
            "{doc}\npub fn {name}({b}: &str) -> Vec<String> {{\n    let {c}_marks = [\"{a}\", \"{c}\", \"{x}\"];\n    let mut found_{a} = Vec::with_capacity({k});\n    for word in {b}.split_whitespace() {{\n        if {c}_marks.contains(&word) {{\n            found_{a}.push(format!(\"{{word}}-{m}\"));\n        }}\n    }}\n    found_{a}\n}}\n"
        ),
        _ => format!(
            "{doc}\npub fn {name}({b}: &mut Vec<i64>, {c}_limit: usize) -> bool {{\n    while {b}.len() > {c}_limit + {k} {{\n        {b}.pop();\n    }}\n    {b}.sort_unstable_by_key(|{a}| ({a} - {m}).abs());\n    {b}.first().is_some_and(|{a}| *{a} < {m})\n}}\n"
        ),
    }
}

fn module(d: &mut Draw) -> String {
    let mut text = format!("//! {}\n", sentence(d));
    for n in 0..d.below(4) as usize + 6 {
        let _ = write!(text, "\n{}", function(d, n));
    }
    text
}

fn readme(d: &mut Draw, name: &str) -> String {
    let mut text = format!("# {name}\n");
    for _ in 0..d.below(3) + 4 {
        let paragraph: Vec<String> = (0..d.below(3) + 3).map(|_| sentence(d)).collect();
        let _ = write!(text, "\n{}\n", paragraph.join(" "));
    }
    let _ = write!(text, "\nQuestions go to {}@{MAIL_DOMAIN}, please.\n", name.replace('_', "."));
    text
}

fn manifest(d: &mut Draw, name: &str, version: &str, license: &str) -> String {
    let (a, b) = (d.noun(), d.noun());
    format!(
        "[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\nauthors = [\"The {a} team <{a}.{b}@{MAIL_DOMAIN}>\"]\ndescription = \"{}\"\n{license}keywords = [\"{a}\", \"{b}\", \"{}\"]\n\n[dependencies]\n{} = \"{}.{}\"\n",
        sentence(d),
        d.noun(),
        d.noun(),
        d.below(4),
        d.below(20),
    )
}

fn put(root: &Path, path: &str, text: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
    fs::write(path, text).expect("file");
}

/// Writes the source folder.
pub fn write(root: &Path) {
    let mut modules = Vec::new();
    for n in 0..N_LICENSED {
        let d = &mut Draw::new(n as u64 + 1);
        let name = format!("{}_{}", NOUNS[3 * n], VERBS[2 * n]);
        let folder = format!("{name}-0.{}.{}", n % 4 + 1, n % 3);
        // Every fourth package has its licence in a file alone.
        let license = if n % 4 == 3 { "" } else { "license = \"MIT OR Apache-2.0\"\n" };
        put(root, &format!("{folder}/Cargo.toml"), manifest(d, &name, "0.1.0", license));
        put(root, &format!("{folder}/LICENSE"), MIT);
        put(root, &format!("{folder}/README.md"), readme(d, &name));
        for file in ["lib", "reader", "writer", "table", "errors"] {
            let text = module(d);
            put(root, &format!("{folder}/src/{file}.rs"), &text);
            modules.push((folder.clone(), file, text));
        }
    }
    let (folder, _, original) = &modules[0];
    put(root, &format!("{folder}/src/copied.rs"), original);
    put(root, &format!("{}/src/copied.rs", modules[12].0), original);
    // One number differs: a near-duplicate of the longest module.
    let longest = modules.iter().max_by_key(|m| m.2.len()).expect("modules");
    put(
        root,
        &format!("{}/src/nearly.rs", modules[22].0),
        longest.2.replacen("_limit", "_bound", 1).replacen("word", "term", 1) + "// the end\n",
    );
    put(root, &format!("{folder}/logo.bin"), [0u8, 159, 146, 150, 0, 1, 2, 3]);
    put(root, &format!("{UNLICENSED}/src/lib.rs"), module(&mut Draw::new(99)));
}
