//! `opt_outs(text [, source])`: how a page, its headers or a site's files say that it isn't to be used.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err};
use datafusion_expr::ScalarUDF;
use polder_text::{OPT_OUT_SOURCES, OptOut};

use crate::arguments::Arguments;
use crate::function::{Definition, Kind};
use crate::nested::{list_type, lists, struct_type, structs};

fn item_type() -> DataType {
    struct_type(&[("signal", DataType::Utf8), ("agent", DataType::Utf8), ("source", DataType::Utf8)])
}

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "opt_outs",
        description: "The signals by which a text asks not to be used, as a list of {signal, agent, source}, each once, in order of place: `noai`, \
                      `noimageai`, `noindex`, `noarchive`, `nosnippet`, `tdm-reservation`, `ai-train=no`, `ai-input=no`, `search=no`, and `disallow` for \
                      an agent of AI (or `*`) that a `robots.txt` or `ai.txt` keeps from `/`. `agent` is `*` where all are addressed.",
        example: "SELECT doc_id, unnest(opt_outs(html)) FROM raw.pages",
        required: &[("text", Kind::Text, "The page, the headers or the file.")],
        optional: &[("source", Kind::Text, "What the text is: `html` (if left out), `headers`, `robots.txt`, `ai.txt` or `tdmrep.json`.")],
        returns: list_type(item_type()),
    }
    .udf(signals)
}

fn signals(args: &Arguments<'_>) -> Result<ArrayRef> {
    let text = args.text(0)?;
    let source = if args.has(1) { Some(args.text(1)?) } else { None };
    let (mut lengths, mut all): (Vec<Option<usize>>, Vec<OptOut>) = (Vec::new(), Vec::new());
    for row in args.rows() {
        let source = source.as_ref().map_or(Some("html"), |s| s.get(row));
        let (Some(text), Some(source)) = (text.get(row), source) else {
            lengths.push(None);
            continue;
        };
        let Some(found) = polder_text::opt_outs(text, source) else {
            return exec_err!("opt_outs knows no source `{source}`; the sources are {}", OPT_OUT_SOURCES.join(", "));
        };
        lengths.push(Some(found.len()));
        all.extend(found);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(all.iter().map(|o| o.signal))),
        Arc::new(StringArray::from_iter_values(all.iter().map(|o| &o.agent))),
        Arc::new(StringArray::from_iter_values(all.iter().map(|o| o.source))),
    ];
    lists(&lengths, structs(&item_type(), columns, None)?)
}
