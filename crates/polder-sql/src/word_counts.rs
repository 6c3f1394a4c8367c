//! `word_counts(text [, splitter])`: how often each word occurs in all texts of a group.
//!
//! The state is one table of the group's different words, reported to the memory pool; it is merged, not spilled. For more
//! words than memory, [`crate::words`] and GROUP BY over the words themselves.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use datafusion_common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Documentation, Signature, TypeSignature, Volatility};
use polder_tokenizer::{Splitter, WordCounts};

use crate::arguments::Arguments;
use crate::function::{Kind, SECTION, coercion};
use crate::nested::{list_type, lists};

pub(crate) fn udaf() -> AggregateUDF {
    let text = || vec![coercion(Kind::Text)];
    let both = TypeSignature::Coercible([text(), text()].concat());
    let documentation = Documentation::builder(
        SECTION,
        "How often each word occurs in all texts, as tokenizers cut them: a list of words with their counts, in order of their bytes. Counts are exact; \
         NULL counts for nothing. The different words of a group stand in memory; `words` with GROUP BY counts more than that.",
        "word_counts(text [, splitter])",
    )
    .with_sql_example("SELECT language, array_length(word_counts(text)) AS n_words FROM pile.base GROUP BY language")
    .with_argument("text", "The texts.")
    .with_argument("splitter", "How they are cut, the same for a whole group: `gpt2` where it is not given, `cl100k`, `o200k`, `llama3`, `qwen2`.")
    .build();
    AggregateUDF::new_from_impl(WordCountsOf {
        signature: Signature::new(TypeSignature::OneOf(vec![TypeSignature::Coercible(text()), both]), Volatility::Immutable),
        documentation,
    })
}

struct WordCountsOf {
    signature: Signature,
    documentation: Documentation,
}

impl fmt::Debug for WordCountsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("word_counts")
    }
}

impl PartialEq for WordCountsOf {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for WordCountsOf {}

impl std::hash::Hash for WordCountsOf {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        "word_counts".hash(state);
    }
}

impl AggregateUDFImpl for WordCountsOf {
    fn name(&self) -> &str {
        "word_counts"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(words_type())
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Counting::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[counts]", args.name), words_type(), true))])
    }

    fn default_value(&self, _: &DataType) -> Result<ScalarValue> {
        value(&WordCounts::new())
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// The counts of one group.
#[derive(Debug, Default)]
struct Counting {
    counts: WordCounts,
    splitter: Option<(String, Splitter)>,
}

impl Accumulator for Counting {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let columns: Vec<ColumnarValue> = values.iter().cloned().map(ColumnarValue::Array).collect();
        let args = Arguments::new(&columns, values.first().map_or(0, |v| v.len()));
        let text = args.text(0)?;
        let names = if args.has(1) { Some(args.text(1)?) } else { None };
        for row in args.rows() {
            let name = names.as_ref().map_or(Some("gpt2"), |n| n.get(row));
            let (Some(text), Some(name)) = (text.get(row), name) else { continue };
            if self.splitter.as_ref().is_none_or(|(known, _)| known != name) {
                if let Some((known, _)) = &self.splitter {
                    return exec_err!("word_counts has two splitters in one group, `{known}` and `{name}`: group by the splitter");
                }
                self.splitter = Some((name.to_owned(), splitter(name)?));
            }
            if let Some((_, splitter)) = &self.splitter {
                self.counts.add_cut(text, splitter);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(lists) = states.first().and_then(|s| s.as_list_opt::<i32>()) else {
            return exec_err!("word_counts was given a state that is not its own");
        };
        for row in lists.iter().flatten() {
            add_words(&mut self.counts, &row)?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![value(&self.counts)?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        value(&self.counts)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.memory_bytes()
    }
}

/// Adds words and counts that stand in an array of structs.
fn add_words(counts: &mut WordCounts, words: &ArrayRef) -> Result<()> {
    let column = |i: usize| words.as_struct_opt().and_then(|s| s.columns().get(i));
    let (Some(words), Some(numbers)) =
        (column(0).and_then(|c| c.as_string_opt::<i32>()), column(1).and_then(|c| c.as_primitive_opt::<Int64Type>()))
    else {
        return exec_err!("word_counts was given a state that is not its own");
    };
    for (word, n) in words.iter().zip(numbers) {
        if let (Some(word), Some(n)) = (word, n.and_then(|n| u64::try_from(n).ok())) {
            counts.add_word(word.as_bytes(), n);
        }
    }
    Ok(())
}

fn value(counts: &WordCounts) -> Result<ScalarValue> {
    let words = counts.sorted();
    let list = lists(&[Some(words.len())], Arc::new(words_array(&words)?))?;
    ScalarValue::try_from_array(&list, 0)
}

fn fields() -> Fields {
    Fields::from(vec![Field::new("word", DataType::Utf8, true), Field::new("count", DataType::Int64, true)])
}

/// The type of a list of words with their counts.
pub(crate) fn words_type() -> DataType {
    list_type(DataType::Struct(fields()))
}

/// Words with their counts as structs.
pub(crate) fn words_array(words: &[(&[u8], u64)]) -> Result<StructArray> {
    let text = |word| std::str::from_utf8(word).map_err(|_| exec_datafusion_err!("this splitter cuts inside characters"));
    let number = |n| i64::try_from(n).map_err(|_| exec_datafusion_err!("a word occurs more often than 63 bits can say"));
    let texts = words.iter().map(|(word, _)| text(word)).collect::<Result<Vec<&str>>>()?;
    let numbers = words.iter().map(|(_, n)| number(*n)).collect::<Result<Vec<i64>>>()?;
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(texts)), Arc::new(Int64Array::from(numbers))];
    Ok(StructArray::try_new(fields(), columns, None)?)
}

/// A splitter by its name or expression.
fn splitter(name: &str) -> Result<Splitter> {
    Splitter::named(name).map_err(|e| exec_datafusion_err!("{e}"))
}

/// Makes a splitter once for rows that name the same.
#[derive(Default)]
pub(crate) struct Splitters(Option<(String, Splitter)>);

impl Splitters {
    pub(crate) fn open(&mut self, name: &str) -> Result<&Splitter> {
        if self.0.as_ref().is_none_or(|(known, _)| known != name) {
            self.0 = Some((name.to_owned(), splitter(name)?));
        }
        match &self.0 {
            Some((_, splitter)) => Ok(splitter),
            None => datafusion_common::internal_err!("the splitter is gone"),
        }
    }
}
