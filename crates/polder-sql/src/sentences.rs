//! `sentences(text [, language])`: a text sentence by sentence.

use std::sync::Arc;

use arrow::array::StringViewBuilder;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};
use crate::nested::{list_type, lists};

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "sentences",
        description: "The sentences of a text, trimmed. Full stops after abbreviations, initials and counted numbers end none; Chinese and Japanese need no space after theirs; Thai, Lao, Khmer and Burmese are parted at spaces, so that pieces are phrases as often as sentences.",
        example: "SELECT doc_id, unnest(sentences(text, 'de')) AS sentence FROM raw.docs",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[("language", Kind::Text, "Its code: decides whether `3.` is a counted number. NULL is as if not given.")],
        returns: list_type(DataType::Utf8View),
    }
    .udf(|args| {
        let text = args.text(0)?;
        let language = if args.has(1) { Some(args.text(1)?) } else { None };
        let mut items = StringViewBuilder::new();
        let mut lengths = Vec::with_capacity(args.rows().len());
        for row in args.rows() {
            // No language is no reason for no sentences.
            let language = language.as_ref().and_then(|l| l.get(row));
            let found = text.get(row).map(|t| polder_text::sentences(t, language));
            lengths.push(found.map(|f| f.into_iter().map(|sentence| items.append_value(sentence)).count()));
        }
        lists(&lengths, Arc::new(items.finish()))
    })
}
