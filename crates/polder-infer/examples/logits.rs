//! Writes the logits of a model's folder as JSON, for `tests/golden/check_transformers.py` to compare:
//! `cargo run --release -p polder-infer --example logits -- MODEL_DIR [ADAPTER_DIR] > LOGITS.json`

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::PathBuf;

use polder_infer::Engine;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let model = arguments.next().ok_or("usage: logits MODEL_DIR [ADAPTER_DIR]")?;
    let adapter = arguments.next();
    let engine = Engine::open(&model, adapter.as_deref())?;
    let vocab_size = engine.config().vocab_size as u32;
    let n = engine.config().max_position_embeddings.min(64) as u32;
    // Spread over the vocabulary, the first and the last token among them.
    let tokens: Vec<u32> = (0..n).map(|i| if i == 0 { vocab_size - 1 } else { (i * i * 31 + i - 1) % vocab_size }).collect();
    let text = "fn main() {\n    println!(\"Goedendag, wereld: 42 €\");\n}\n";
    let value = serde_json::json!({
        "tokens": tokens,
        "logits": engine.logits(&tokens)?,
        "text": text,
        "text_tokens": engine.tokenizer().encode(text),
    });
    println!("{value}");
    Ok(())
}
