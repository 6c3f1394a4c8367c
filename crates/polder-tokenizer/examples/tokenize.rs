//! Tokenizes from other programs: `tokenize train VOCAB OUT < texts.jsonl`, `tokenize encode TOKENIZER < texts.jsonl`,
//! `tokenize split < texts.jsonl`. A line is a JSON string; so is, or a JSON list, each line that comes out.

use std::error::Error;
use std::io::{BufRead, BufWriter, Write};
use std::path::Path;

use polder_tokenizer::{END_OF_TEXT, Splitter, Tokenizer, TrainOptions, WordCounts, train};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let texts = std::io::stdin().lock().lines().map(|line| Ok(serde_json::from_str(&line?)?));
    let texts: Vec<String> = texts.collect::<Result<_, Box<dyn Error>>>()?;
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
            let tokenizer = Tokenizer::open(Path::new(tokenizer))?;
            for text in &texts {
                writeln!(out, "{}", serde_json::to_string(&tokenizer.encode(text))?)?;
            }
        }
        ["split"] => {
            for text in &texts {
                let pieces: Vec<_> = Splitter::Gpt2.pieces(text).into_iter().map(String::from_utf8_lossy).collect();
                writeln!(out, "{}", serde_json::to_string(&pieces)?)?;
            }
        }
        _ => return Err("usage: tokenize train VOCAB OUT | encode TOKENIZER | split".into()),
    }
    Ok(())
}
