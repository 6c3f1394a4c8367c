//! `bar(x, max [, width])`: a number as a bar to look at.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType;
use datafusion_expr::ScalarUDF;

use crate::function::{Definition, Kind};

/// Characters of a full bar.
const WIDTH: i64 = 20;
const WIDTH_MAX: i64 = 200;
/// Eighths of a character, from none to seven.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

pub(crate) fn udf() -> ScalarUDF {
    Definition {
        name: "bar",
        description: "A bar as long as x is of max, in eighths of a character; nothing below 0, full from max on.",
        example: "SELECT source, bar(count(*), 1000) FROM raw.docs GROUP BY source",
        required: &[("x", Kind::Float, "The number."), ("max", Kind::Float, "The number that fills the bar.")],
        optional: &[("width", Kind::Integer, "Characters of a full bar, 1 to 200; 20 if left out.")],
        returns: DataType::Utf8,
    }
    .udf(|args| {
        let (x, max) = (args.float(0)?, args.float(1)?);
        let width = if args.has(2) { Some(args.integer(2)?) } else { None };
        let of = |row| {
            let width = width.as_ref().map_or(Some(WIDTH), |w| w.get(row))?;
            Some(bar(x.get(row)?, max.get(row)?, width.clamp(1, WIDTH_MAX)))
        };
        Ok(Arc::new(args.rows().map(of).collect::<StringArray>()))
    })
}

fn bar(x: f64, max: f64, width: i64) -> String {
    let share = if max > 0.0 && x > 0.0 { x / max } else { 0.0 };
    // Infinity by infinity is not a number: nothing to show.
    let eighths = if share.is_nan() { 0 } else { (share.min(1.0) * (width * 8) as f64).round() as usize };
    let mut bar = "█".repeat(eighths / 8);
    bar.push_str(EIGHTHS[eighths % 8]);
    bar
}
