//! `classify(classifier, text)`: what a classifier of the lake says of a text.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_datafusion_err};
use datafusion_expr::ScalarUDF;
use polder_text::classifier::Classifier;

use crate::Artefacts;
use crate::function::{Definition, Kind};
use crate::nested::{struct_type, structs};

fn returns() -> DataType {
    struct_type(&[("label", DataType::Utf8), ("probability", DataType::Float64)])
}

pub(crate) fn udf(artefacts: Arc<dyn Artefacts>) -> ScalarUDF {
    Definition {
        name: "classify",
        description: "What a classifier says of a text, as {label, probability}. `polder classifier train NAME` makes one; NAME is its newest version, \
                      NAME@2 the second. A text without anything that it knows gets the label that rows have most often.",
        example: "SELECT classify('quality', text)['label'], count(*) FROM pile.base GROUP BY 1",
        required: &[("classifier", Kind::Text, "A classifier's name in the lake."), ("text", Kind::Text, "The text.")],
        optional: &[],
        returns: returns(),
    }
    .stable_udf(move |args| {
        let (name, text) = (args.text(0)?, args.text(1)?);
        let mut last: Option<(String, Arc<Classifier>)> = None;
        let mut answer = |row| -> Result<Option<(String, f64)>> {
            let (Some(name), Some(text)) = (name.get(row), text.get(row)) else { return Ok(None) };
            let classifier = match last.take().filter(|(open, _)| open == name) {
                Some((_, same)) => same,
                None => artefacts.classifier(name).map_err(|e| exec_datafusion_err!("{e}"))?,
            };
            let (label, probability) = classifier.classify(text);
            let answer = (label.to_owned(), f64::from(probability));
            last = Some((name.to_owned(), classifier));
            Ok(Some(answer))
        };
        let rows = args.rows().map(&mut answer).collect::<Result<Vec<_>>>()?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|r| r.as_ref().map(|(label, _)| label.as_str())).collect::<StringArray>()),
            Arc::new(rows.iter().map(|r| r.as_ref().map(|(_, p)| *p)).collect::<Float64Array>()),
        ];
        structs(&returns(), columns, Some(rows.iter().map(Option::is_some).collect()))
    })
}
