//! `sparkline(list)`: a list of numbers as a line to look at.

use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use arrow::datatypes::{DataType, Float64Type};
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "sparkline",
        description: "One block per number, from the least (▁) to the greatest (█) of the list; a space for NULL and for what is no finite number. The \
                      empty list gives ''.",
        example: "SELECT run_id, sparkline(array_agg(value ORDER BY at)) FROM ops.evals GROUP BY run_id",
        required: &[("list", Kind::Any, "A list of numbers.")],
        optional: &[],
        returns: DataType::Utf8,
    }
    .udf(|args| {
        let list = args.list(0, DataType::Float64)?;
        let of = |row| {
            let items = list.get(row)?;
            Some(sparkline(&items.as_primitive_opt::<Float64Type>()?.iter().collect::<Vec<_>>()))
        };
        Ok(Arc::new(args.rows().map(of).collect::<StringArray>()))
    })
}

fn sparkline(numbers: &[Option<f64>]) -> String {
    let finite = || numbers.iter().flatten().copied().filter(|x| x.is_finite());
    let (least, greatest) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let level = |x: f64| {
        // Halves, since the distance between the largest finite numbers isn't one.
        let share = (x / 2.0 - least / 2.0) / (greatest / 2.0 - least / 2.0);
        if share.is_nan() { LEVELS[3] } else { LEVELS[((share * 8.0) as usize).min(7)] }
    };
    numbers.iter().map(|x| x.filter(|x| x.is_finite()).map_or(' ', level)).collect()
}
