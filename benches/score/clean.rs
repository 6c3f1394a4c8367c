//! Scores of the functions that make text right: correct text they leave alone, broken text they repair.

use std::path::Path;

use polder_text::fix_mojibake;

use crate::Row;

pub fn score(data: &Path) -> Vec<Row> {
    let folder = data.join("text_udhr/txt_udhr2");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("clean: no set at {}", folder.display());
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    let texts: Vec<String> = paths.iter().filter_map(|p| std::fs::read_to_string(p).ok()).collect();
    let lines: Vec<&str> = texts.iter().flat_map(|t| t.lines()).filter(|l| !l.is_ascii()).collect();
    let beyond: Vec<&String> = texts.iter().filter(|t| !t.is_ascii()).collect();
    let share = |n: usize, of: usize| n as f64 / of.max(1) as f64;
    let repaired = |layers: usize| {
        let broken = |text: &str| (0..layers).fold(text.to_owned(), |t, _| misread(&t));
        share(beyond.iter().filter(|t| fix_mojibake(&broken(t)) == ***t).count(), beyond.len())
    };
    let row = |what: &str, figure: f64, asked: Option<f64>, note: String| Row { what: what.to_owned(), figure, asked, note };
    vec![
        row(
            "text_udhr, texts left alone",
            share(texts.iter().filter(|t| fix_mojibake(t) == **t).count(), texts.len()),
            Some(1.0),
            format!("{} texts, all languages", texts.len()),
        ),
        row(
            "text_udhr, lines left alone",
            share(lines.iter().filter(|l| fix_mojibake(l) == **l).count(), lines.len()),
            None,
            format!("{} lines beyond ASCII, each alone", lines.len()),
        ),
        row(
            "text_udhr, read as Windows-1252, repaired",
            repaired(1),
            None,
            format!("{} texts beyond ASCII, equal to the last byte", beyond.len()),
        ),
        row("text_udhr, twice read as Windows-1252, repaired", repaired(2), None, format!("{} texts beyond ASCII", beyond.len())),
    ]
}

/// What a reader of Windows-1252 makes of UTF-8; the bytes that Windows-1252 lacks stay themselves.
fn misread(text: &str) -> String {
    const WINDOWS: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•',
        '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    text.bytes().map(|b| if (0x80..0xa0).contains(&b) { WINDOWS[usize::from(b) - 0x80] } else { char::from(b) }).collect()
}
