//! Tokenizers of others come in, and are compared.

use std::fs;

use crate::finished::{finished, folder};
use crate::program::{command, finish, line, polder, sql};

/// A WordPiece file that knows a few words of the packages.
const WORD_PIECE: &str = r###"{
  "added_tokens": [{"id": 0, "content": "[UNK]", "special": true}, {"id": 1, "content": "[SEP]", "special": true}],
  "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
  "pre_tokenizer": {"type": "BertPreTokenizer"},
  "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
  "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
    "vocab": {"[UNK]": 0, "[SEP]": 1, "pub": 2, "fn": 3, "let": 4, "##ting": 5, "(": 6, ")": 7}}
}"###;

/// All bytes, then three tokens.
fn ranks() -> String {
    let digits = |n: u32| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[n as usize & 63]);
    let line = |(rank, token): (usize, Vec<u8>)| {
        let word = (u32::from(token[0]) << 8) | token.get(1).map_or(0, |b| u32::from(*b));
        let text: String = match token.len() {
            1 => [digits(u32::from(token[0]) >> 2), digits(u32::from(token[0]) << 4), '=', '='].iter().collect(),
            _ => [digits(word >> 10), digits(word >> 4), digits(word << 2), '='].iter().collect(),
        };
        format!("{text} {rank}\n")
    };
    (0..=255u8).map(|b| vec![b]).chain([b"fn".to_vec(), b"le".to_vec(), b"in".to_vec()]).enumerate().map(line).collect()
}

#[test]
fn a_tokenizer_of_others_becomes_an_artefact_with_its_fact() {
    let lake = folder("import").join("lake");
    line(&lake, "init").well();
    let files = folder("import_files");
    fs::write(files.join("bert.json"), WORD_PIECE).expect("write");
    let path = files.join("bert.json").display().to_string();
    let manifest = &polder(&lake, &["--json", "tokenizer", "import", "bert", &path]).well().objects()[0];
    assert_eq!((manifest["schema"].as_str(), manifest["reference"].as_str()), (Some("polder.tokenizer"), Some("tokenizers/bert")));
    assert_eq!((manifest["details"]["kind"].as_str(), manifest["details"]["end_token"].as_str()), (Some("WordPiece"), Some("[SEP]")));
    assert!(lake.join("tokenizers/bert/tokenizer.json").is_file());
    let again = &polder(&lake, &["--json", "tokenizer", "import", "bert", &path]).well().objects()[0];
    assert_eq!(again["created_at"], manifest["created_at"], "the same is not made twice");
    let facts = line(&lake, "--json facts list --about tokenizers/bert").well().objects();
    assert_eq!((facts.len(), facts[0]["verb"].as_str()), (1, Some("import tokenizer")));
    let said = polder(&lake, &["tokenizer", "import", "bert", &path]).well();
    assert!(said.out.is_empty() && said.err.contains("--eos '[SEP]'"), "{}", said.err);
}

#[test]
fn a_rank_file_needs_its_splitter_and_takes_special_tokens() {
    let lake = folder("ranks").join("lake");
    line(&lake, "init").well();
    let files = folder("ranks_files");
    fs::write(files.join("x.tiktoken"), ranks()).expect("write");
    let path = files.join("x.tiktoken").display().to_string();
    polder(&lake, &["tokenizer", "import", "x", &path]).fails(2, "does not say how text is cut");
    let odd = polder(&lake, &["tokenizer", "import", "x", &path, "--splitter", "odd"]);
    assert!(odd.code == Some(2) && odd.err.contains("there is no splitter `odd`"), "{}", odd.err);
    let words = ["--json", "tokenizer", "import", "x", &path, "--splitter", "qwen2", "--special", "<|endoftext|>", "--special", "<a>=300"];
    let manifest = &polder(&lake, &words).well().objects()[0];
    assert_eq!((manifest["details"]["vocab_size"].as_u64(), manifest["details"]["splitter"].as_str()), (Some(301), Some("qwen2")));
    let shown = &polder(&lake, &["--json", "tokenizer", "show", "x", "--text", "fn<a>le"]).well().objects()[0];
    assert_eq!(shown["ids"], serde_json::json!([256, 60, 97, 62, 257]));
}

#[test]
fn what_is_no_tokenizer_is_refused_with_its_reason_and_leaves_nothing() {
    let lake = folder("refused").join("lake");
    line(&lake, "init").well();
    let files = folder("refused_files");
    let import = |name: &str, bytes: &[u8]| {
        fs::write(files.join(name), bytes).expect("write");
        polder(&lake, &["tokenizer", "import", "x", &files.join(name).display().to_string()])
    };
    import("a.txt", b"words").fails(2, "its format is not known");
    import("a.gguf", b"GGUF\x03\0\0\0").fails(1, "at byte 8");
    import("a.tiktoken", b"AA== 0\nAQ==\n").fails(1, "at line 2");
    import("a.json", WORD_PIECE.replace("BertPreTokenizer", "UnicodeScripts").as_bytes()).fails(2, "`pre_tokenizer` is UnicodeScripts");
    import("b.json", &WORD_PIECE.as_bytes()[..300]).fails(1, "line");
    polder(&lake, &["tokenizer", "import", "x", "/no/such/file"]).fails(1, "cannot read tokenizer `/no/such/file`");
    polder(&lake, &["tokenizer", "import", "../x", "/no/such/file"]).fails(2, "");
    assert!(!lake.join("tokenizers/x").exists());
    line(&lake, "tokenizer show x").fails(2, "there is no tokenizer `x`");
}

#[test]
fn tokenizers_are_compared_on_a_text_and_on_a_table() {
    let lake = &finished().lake;
    let files = folder("compare_files");
    fs::write(files.join("bert.json"), WORD_PIECE).expect("write");
    let bert = files.join("bert.json").display().to_string();
    let text = "pub fn letting(\u{1b}[31m)\n";
    let plain = polder(lake, &["tokenizer", "show", "quickstart", &bert, "--text", text]).well();
    assert!(plain.out.contains('│') && plain.out.contains("\\u{1b}") && !plain.out.contains('\u{1b}'), "{}", plain.out);
    assert!(plain.out.contains("pub│fn│let│##ting│(│"), "{}", plain.out);
    let without = finish(command(lake).env("NO_COLOR", "1").args(["tokenizer", "show", "quickstart", &bert, "--text", text]));
    assert_eq!(without.well().out, plain.out);

    let shown = polder(lake, &["--json", "tokenizer", "show", "quickstart", &bert, "--from", "pile.base@v1"]).well().objects();
    assert_eq!(shown.len(), 2);
    let sum = &sql(lake, "SELECT sum(octet_length(text)) AS b, count(*) AS n FROM pile.base VERSION AS OF 'v1'")[0];
    for (object, name) in shown.iter().zip(["quickstart", bert.as_str()]) {
        assert_eq!((object["schema"].as_str(), object["name"].as_str()), (Some("polder.token_report"), Some(name)));
        assert_eq!((&object["bytes"], &object["n_documents"]), (&sum["b"], &sum["n"]), "{object}");
        let by_language: u64 = object["languages"].as_object().expect("languages").values().filter_map(|t| t["n_tokens"].as_u64()).sum();
        assert_eq!(Some(by_language), object["n_tokens"].as_u64(), "every document has a language or none");
        let unused = object["unused"].as_array().expect("unused").len() as u64;
        assert_eq!(object["n_unused"].as_u64(), Some(unused));
    }
    let report = polder(lake, &["tokenizer", "show", "quickstart", "--from", "pile.base@v1"]).well();
    assert!(report.out.contains("bytes/token") && report.out.contains("never occur") && report.out.contains("longest"), "{}", report.out);
    let all = line(lake, "--json tokenizer show quickstart").well().objects();
    assert_eq!((all[0]["schema"].as_str(), all[0]["vocab_size"].as_u64()), (Some("polder.tokenizer_shown"), Some(512)));
    line(lake, "tokenizer show quickstart --from raw.nothing").fails(2, "raw.nothing");
}

#[test]
fn token_sets_can_be_built_with_a_model_over_characters() {
    let lake = crate::finished::copy("characters");
    let files = folder("characters_files");
    fs::write(files.join("bert.json"), WORD_PIECE.replace("[SEP]", "<|endoftext|>")).expect("write");
    polder(&lake, &["tokenizer", "import", "bert", &files.join("bert.json").display().to_string()]).well();
    let tokens = &line(&lake, "--json tokens build words --from pile.base@v1 --tokenizer bert").well().objects()[0];
    assert_eq!((tokens["schema"].as_str(), tokens["reference"].as_str()), (Some("polder.tokens"), Some("tokens/words")));
    assert!(line(&lake, "tokens show words").well().out.contains('│'));
}
