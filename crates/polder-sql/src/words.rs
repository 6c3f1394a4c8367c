//! `words(text [, splitter])`: the words of a text, as a tokenizer cuts them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion_common::Result;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};
use crate::nested::lists;
use crate::word_counts::{Splitters, words_array, words_type};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "words",
        description: "The words of a text as tokenizers cut them, each with its count, in order of their bytes. With GROUP BY over the unnested list, words \
                      are counted in any memory: what does not fit is spilled.",
        example: "SELECT w['word'] AS word, sum(w['count']) AS n FROM (SELECT unnest(words(text)) AS w FROM pile.base) GROUP BY w['word'] ORDER BY n DESC",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[("splitter", Kind::Text, "How it is cut: `gpt2` where it is not given, `cl100k`, `o200k`, `llama3`, `qwen2`.")],
        returns: words_type(),
    }
    .udf(|args| {
        let text = args.text(0)?;
        let splitter = if args.has(1) { Some(args.text(1)?) } else { None };
        let mut splitters = Splitters::default();
        let mut lengths = Vec::with_capacity(args.rows().len());
        let mut found: Vec<(&[u8], u64)> = Vec::new();
        for row in args.rows() {
            let name = splitter.as_ref().map_or(Some("gpt2"), |s| s.get(row));
            let (Some(text), Some(name)) = (text.get(row), name) else {
                lengths.push(None);
                continue;
            };
            let mut counts: BTreeMap<&[u8], u64> = BTreeMap::new();
            splitters.open(name)?.split(text, &mut |word| *counts.entry(word).or_default() += 1);
            lengths.push(Some(counts.len()));
            found.extend(counts);
        }
        array(&lengths, &found)
    })
}

fn array(lengths: &[Option<usize>], found: &[(&[u8], u64)]) -> Result<ArrayRef> {
    lists(lengths, Arc::new(words_array(found)?))
}
