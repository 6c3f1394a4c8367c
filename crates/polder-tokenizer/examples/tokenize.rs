//! Tokenizes from other programs: `tokenize train VOCAB OUT < texts.jsonl`, `tokenize encode TOKENIZER < texts.jsonl`,
//! `tokenize encode-special TOKENIZER` (special tokens in the text are found), `tokenize decode TOKENIZER` (lists of ids),
//! `tokenize split < texts.jsonl`. A line is a JSON string; so is, or a JSON list, each line that comes out.
//! `tokenize export TOKENIZER json|ranks|vocab-bpe|gguf OUT` writes another format; `--splitter NAME` in front is for rank files.

use std::error::Error;
use std::io::{BufRead, BufWriter, Write};
use std::path::Path;

use polder_tokenizer::{
    END_OF_TEXT, GgufRoles, RankOptions, SpecialPolicy, Splitter, Tokenizer, TrainOptions, WordCounts, train, write_gguf_metadata,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut ranks = RankOptions::default();
    if let ["--splitter", name, ..] = arguments[..] {
        ranks.splitter = Some(name.parse()?);
        arguments.drain(..2);
    }
    let open = |path: &str| Tokenizer::open_with(Path::new(path), &ranks);
    if let ["export", tokenizer, format, to] = arguments[..] {
        return export(&open(tokenizer)?, format, Path::new(to));
    }
    let lines: Vec<String> = std::io::stdin().lock().lines().collect::<Result<_, _>>()?;
    if let ["decode", tokenizer] = arguments[..] {
        let tokenizer = open(tokenizer)?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        for line in &lines {
            writeln!(out, "{}", serde_json::to_string(&tokenizer.decode(&serde_json::from_str::<Vec<u32>>(line)?))?)?;
        }
        return Ok(());
    }
    let texts: Vec<String> = lines.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    match arguments[..] {
        ["train", vocab, to] => {
            let mut counts = WordCounts::new();
            counts.add_all(&texts);
            let options = TrainOptions {
                vocab_size: vocab.parse()?,
                special_tokens: vec![END_OF_TEXT.into()],
                min_count: 2,
                ..TrainOptions::default()
            };
            std::fs::write(to, train(&counts, &options, &mut |_, _| {})?.to_json())?;
        }
        ["encode", tokenizer] => {
            let tokenizer = open(tokenizer)?;
            let mut encoder = tokenizer.encoder();
            let mut ids = Vec::new();
            for text in &texts {
                ids.clear();
                encoder.encode_into(text, &mut ids);
                writeln!(out, "{}", serde_json::to_string(&ids)?)?;
            }
        }
        ["encode-special", tokenizer] => {
            let tokenizer = open(tokenizer)?;
            for text in &texts {
                let mut ids = Vec::new();
                tokenizer.encode_with(text, &SpecialPolicy::AllowAll, &mut ids)?;
                writeln!(out, "{}", serde_json::to_string(&ids)?)?;
            }
        }
        ["split"] => {
            for text in &texts {
                let pieces: Vec<_> = Splitter::Gpt2.pieces(text).into_iter().map(String::from_utf8_lossy).collect();
                writeln!(out, "{}", serde_json::to_string(&pieces)?)?;
            }
        }
        _ => return Err("usage: tokenize train VOCAB OUT | encode TOKENIZER | encode-special TOKENIZER | decode TOKENIZER | export TOKENIZER FORMAT OUT | split".into()),
    }
    Ok(())
}

fn export(tokenizer: &Tokenizer, format: &str, to: &Path) -> Result<(), Box<dyn Error>> {
    match format {
        "json" => std::fs::write(to, tokenizer.to_json())?,
        "ranks" => std::fs::write(to, tokenizer.to_ranks()?)?,
        "vocab-bpe" => {
            let (vocabulary, merges) = tokenizer.to_vocab_bpe()?;
            std::fs::create_dir_all(to)?;
            std::fs::write(to.join("encoder.json"), vocabulary)?;
            std::fs::write(to.join("vocab.bpe"), merges)?;
        }
        "gguf" => {
            let roles = GgufRoles { bos: tokenizer.end_id(), eos: tokenizer.end_id(), padding: None };
            std::fs::write(to, write_gguf_metadata(&tokenizer.gguf_vocabulary(&roles)?))?;
        }
        other => return Err(format!("there is no format `{other}`").into()),
    }
    Ok(())
}
