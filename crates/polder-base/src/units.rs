//! Numbers as people read them.

use std::time::Duration;

/// Writes a count: `999`, `12.8 k`, `3.4 M`, `1.2 G`.
pub fn count(n: u64) -> String {
    scaled(n, 1000.0, &["", " k", " M", " G", " T"])
}

/// Writes a size in decimal units: `999 B`, `12.8 kB`, `3.4 MB`.
pub fn bytes(n: u64) -> String {
    scaled(n, 1000.0, &[" B", " kB", " MB", " GB", " TB"])
}

fn scaled(n: u64, base: f64, names: &[&str]) -> String {
    let mut value = n as f64;
    let mut i = 0;
    while value >= base - 0.5 && i + 1 < names.len() {
        value /= base;
        i += 1;
    }
    if i == 0 { format!("{n}{}", names[0]) } else { format!("{value:.1}{}", names[i]) }
}

/// Writes a duration: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`.
pub fn duration(d: Duration) -> String {
    let s = d.as_secs_f64();
    match d.as_secs() {
        _ if s < 9.95 => format!("{s:.1} s"),
        t if t < 60 => format!("{t} s"),
        t if t < 3600 => format!("{} min {:02} s", t / 60, t % 60),
        t => format!("{} h {:02} min", t / 3600, t / 60 % 60),
    }
}

/// Writes a share: `12.3 %`.
pub fn percent(part: f64, whole: f64) -> String {
    if whole == 0.0 { "–".to_owned() } else { format!("{:.1} %", 100.0 * part / whole) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([count(999), count(1000), bytes(12_800), bytes(0)], ["999", "1.0 k", "12.8 kB", "0 B"]);
        assert_eq!(duration(Duration::from_secs(185)), "3 min 05 s");
        assert_eq!(duration(Duration::from_millis(420)), "0.4 s");
    }
}
