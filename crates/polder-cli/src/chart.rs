//! Things to look at in a terminal: a curve and a funnel, in plain Unicode blocks.

use polder_base::units;

/// Draws a curve of (x, y) points, `width` × `height` characters, with axis labels; a horizontal mark is optional.
pub fn curve(points: &[(f64, f64)], mark: Option<(f64, &str)>, width: usize, height: usize, x_name: &str) -> String {
    if points.len() < 2 || width < 8 || height < 3 {
        return String::new();
    }
    let ys = points.iter().map(|p| p.1).chain(mark.map(|m| m.0));
    let (low, high) = ys.fold((f64::MAX, f64::MIN), |(a, b), y| (a.min(y), b.max(y)));
    let (first, last) = (points[0].0, points[points.len() - 1].0);
    let span = (high - low).max(1e-9);
    // Two rows a character: half blocks double the resolution.
    let n = height * 2;
    let row_of = |y: f64| (((high - y) / span) * (n - 1) as f64).round() as usize;
    let mut cells = vec![vec![false; width]; n];
    for (column, rows) in columns(points, first, last, width).iter().enumerate() {
        if let Some((top, bottom)) = rows {
            for row in cells.iter_mut().take(row_of(*bottom) + 1).skip(row_of(*top)) {
                row[column] = true;
            }
        }
    }
    let mark_row = mark.map(|(y, _)| row_of(y) / 2);
    let mut out = String::new();
    for row in 0..height {
        let label = match row {
            0 => format!("{high:6.2}"),
            r if r + 1 == height => format!("{low:6.2}"),
            _ => " ".repeat(6),
        };
        let line: String = (0..width)
            .map(|c| match (cells[2 * row][c], cells[2 * row + 1][c]) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                _ if mark_row == Some(row) => '┄',
                _ => ' ',
            })
            .collect();
        let note = mark.filter(|_| mark_row == Some(row)).map_or(String::new(), |(y, name)| format!(" {name} {y:.2}"));
        out.push_str(format!("{label} ┤{line}{note}").trim_end());
        out.push('\n');
    }
    out.push_str(&format!(
        "       └{}\n        {first:<10.0}{:>pad$}",
        "─".repeat(width),
        format!("{x_name} {last:.0}"),
        pad = width.saturating_sub(10)
    ));
    out
}

/// The lowest and highest value of each column; columns between points are interpolated.
fn columns(points: &[(f64, f64)], first: f64, last: f64, width: usize) -> Vec<Option<(f64, f64)>> {
    let scale = (width - 1) as f64 / (last - first).max(1e-9);
    let mut columns: Vec<Option<(f64, f64)>> = vec![None; width];
    for pair in points.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        let (from, to) = ((a.0 - first) * scale, (b.0 - first) * scale);
        let between = columns.iter_mut().enumerate().take(to.round() as usize + 1).skip(from.round() as usize);
        for (c, column) in between {
            let t = if to > from { ((c as f64 - from) / (to - from)).clamp(0.0, 1.0) } else { 1.0 };
            let y = a.1 + (b.1 - a.1) * t;
            let (high, low) = column.unwrap_or((y, y));
            *column = Some((high.max(y), low.min(y)));
        }
    }
    columns
}

/// One level of a funnel.
pub struct Level {
    /// What it is called.
    pub name: String,
    /// Rows that came through.
    pub n: u64,
    /// What was left out here: (reason, rows).
    pub left_out: Vec<(String, u64)>,
}

/// Draws how many rows came through each level, and what was left out.
pub fn funnel(levels: &[Level], width: usize) -> String {
    let most = levels.iter().map(|l| l.n).max().unwrap_or(0).max(1);
    let names = levels.iter().map(|l| l.name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for level in levels {
        let blocks = "█".repeat(((level.n as f64 / most as f64) * width as f64).ceil() as usize);
        let mut left: Vec<&(String, u64)> = level.left_out.iter().filter(|(_, n)| *n > 0).collect();
        left.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let why: Vec<String> = left.iter().map(|(reason, n)| format!("−{n} {reason}")).collect();
        let line = format!("  {:<names$} {:>8} {blocks:<width$} {}", level.name, units::count(level.n), why.join(", "));
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_curve_starts_high_on_the_left_and_ends_low_on_the_right() {
        let points: Vec<(f64, f64)> = (0..50).map(|i| (f64::from(i), 8.0 - f64::from(i) * 0.1)).collect();
        let text = curve(&points, Some((7.0, "unigram")), 40, 6, "step");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains('▀') || lines[0].contains('█'), "{text}");
        assert!(lines[5].trim_end().ends_with(['▄', '▀', '█']), "{text}");
        assert!(text.contains("unigram 7.00") && text.contains("step 49"), "{text}");
    }

    #[test]
    fn a_funnel_shows_what_was_left_out() {
        let levels = [
            Level { name: "raw".into(), n: 100, left_out: vec![] },
            Level { name: "clean".into(), n: 40, left_out: vec![("too short".into(), 60)] },
        ];
        let text = funnel(&levels, 10);
        assert!(text.contains("██████████") && text.contains("−60 too short"), "{text}");
    }
}
