//! `quality(text)`: the verdicts of FineWeb's four rule sets at once.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, StringArray};
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;
use polder_text::Quality;

use crate::function::{Definition, Kind};
use crate::nested::{struct_type, structs};
use crate::verdicts::{verdict_type, verdicts};
use crate::{c4_quality, fineweb_quality, gopher_quality, gopher_repetition};

fn returns() -> DataType {
    struct_type(&[
        ("keep", DataType::Boolean),
        ("reason", DataType::Utf8),
        ("gopher_repetition", verdict_type(&gopher_repetition::figures())),
        ("gopher_quality", verdict_type(&gopher_quality::figures())),
        ("c4_quality", verdict_type(&c4_quality::figures())),
        ("fineweb_quality", verdict_type(&fineweb_quality::figures())),
    ])
}

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "quality",
        description: "FineWeb's four rule sets in one pass: {keep, reason, gopher_repetition, gopher_quality, c4_quality, fineweb_quality}, each as the \
                      function of that name gives it in datatrove's dialect, c4_quality in fineweb's. `keep` says whether all four do, `reason` is the first \
                      one's that doesn't, in this order. The empty text is not kept.",
        example: "SELECT quality(text)['reason'], count(*) FROM raw.docs GROUP BY 1",
        required: &[("text", Kind::Text, "The text.")],
        optional: &[],
        returns: returns(),
    }
    .udf(|args| {
        let rows: Vec<Option<Quality>> = args.map_text(|t| Some(polder_text::quality(t)))?;
        fn part<T>(rows: &[Option<Quality>], read: fn(&Quality) -> &T) -> Vec<Option<&T>> {
            rows.iter().map(|q| q.as_ref().map(read)).collect()
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|q| q.as_ref().map(|q| q.keep)).collect::<BooleanArray>()),
            Arc::new(rows.iter().map(|q| q.as_ref().and_then(|q| q.reason)).collect::<StringArray>()),
            verdicts(&gopher_repetition::figures(), &part(&rows, |q| &q.gopher_repetition))?,
            verdicts(&gopher_quality::figures(), &part(&rows, |q| &q.gopher_quality))?,
            verdicts(&c4_quality::figures(), &part(&rows, |q| &q.c4_quality))?,
            verdicts(&fineweb_quality::figures(), &part(&rows, |q| &q.fineweb_quality))?,
        ];
        structs(&returns(), columns, Some(rows.iter().map(Option::is_some).collect()))
    })
}
