//! UTF-8 that was read as Windows-1252 or Latin-1, made right again.
//!
//! A letter beyond ASCII became two to four characters of Windows-1252: `é` became `Ã©`, `’` became `â€™`, `п` became `Ð¿`. Such runs also stand in
//! correct text, if seldom: a French `é… »` is the bytes of a Chinese character, a German `Fuß“` those of an N'Ko letter. So a run counts
//! for itself only where no orthography writes it; a run that might be meant is made right only beside one that can't be.

/// How many runs there must be for each character beyond ASCII outside them, for all of them to be misread.
const WHOLE_SHARE: usize = 12;

/// What speaks for a run of characters being a misread one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Evidence {
    /// No text is written so.
    Sure,
    /// It might be meant: it counts beside a sure one.
    Possible,
}

/// A run that could be one misread character.
struct Run {
    start: usize,
    end: usize,
    /// What it would be.
    decoded: char,
}

/// Makes misread UTF-8 right, up to three layers of it; correct text comes back as it is.
pub fn fix_mojibake(text: &str) -> String {
    let mut fixed = text.to_owned();
    for _ in 0..3 {
        match once(&fixed) {
            Some(better) => fixed = better,
            None => break,
        }
    }
    fixed
}

/// Takes one layer off; `None` if there is none to take.
fn once(text: &str) -> Option<String> {
    let runs = runs(text);
    if runs.is_empty() {
        return None;
    }
    let mut evidence: Vec<Option<Evidence>> = (0..runs.len()).map(|i| judge(text, &runs, i)).collect();
    let n_covered: usize = runs.iter().map(|r| r.decoded.len_utf8()).sum();
    let n_beyond = text.chars().filter(|c| !c.is_ascii()).count();
    // Hardly a character beyond ASCII that is not in a run: no text is so by chance.
    let is_whole = n_beyond - n_covered <= runs.len() / WHOLE_SHARE;
    if is_whole && (evidence.contains(&Some(Evidence::Sure)) || runs.len() >= 8) {
        evidence.fill(Some(Evidence::Sure));
    }
    if !evidence.contains(&Some(Evidence::Sure)) {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (run, _) in runs.iter().zip(&evidence).filter(|(_, e)| e.is_some()) {
        out.push_str(text.get(at..run.start).unwrap_or(""));
        out.push(run.decoded);
        at = run.end;
    }
    out.push_str(text.get(at..).unwrap_or(""));
    Some(out)
}

/// All runs that are the bytes of one character, read as Windows-1252.
fn runs(text: &str) -> Vec<Run> {
    let bytes = text.as_bytes();
    let mut runs = Vec::new();
    let mut at = 0;
    // The first of a run is `Â` to `ô`, which UTF-8 writes as 0xC3 and one of 0x82 to 0xB4.
    while let Some(i) = bytes.get(at..).and_then(|rest| rest.iter().position(|&b| b == 0xc3)) {
        let start = at + i;
        at = start + 2;
        if let Some(run) = run_at(text, start) {
            at = run.end;
            runs.push(run);
        }
    }
    runs
}

fn run_at(text: &str, start: usize) -> Option<Run> {
    let mut chars = text.get(start..)?.chars();
    let lead = u32::from(chars.next()?);
    let (n_more, first) = match lead {
        0xc2..=0xdf => (1, lead & 0x1f),
        0xe0..=0xef => (2, lead & 0x0f),
        0xf0..=0xf4 => (3, lead & 0x07),
        _ => return None,
    };
    let (mut code, mut end) = (first, start + 2);
    for _ in 0..n_more {
        let c = chars.next()?;
        code = (code << 6) | (u32::from(continuation(c)?) & 0x3f);
        end += c.len_utf8();
    }
    let decoded = char::from_u32(code)?;
    // UTF-8 has one way only to write a character.
    (decoded.len_utf8() == n_more + 1).then_some(Run { start, end, decoded })
}

/// The byte from 0x80 to 0xBF that Windows-1252, or Latin-1 where that has none, reads as `c`.
fn continuation(c: char) -> Option<u8> {
    const SPECIAL: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•',
        '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match u32::from(c) {
        code @ 0x80..=0xbf => Some(code as u8),
        0..=0xbf => None,
        _ => SPECIAL.iter().position(|&s| s == c).map(|i| 0x80 + i as u8),
    }
}

/// Marks and spaces that stand right after letters in correct text.
fn is_common(c: char) -> bool {
    matches!(
        c,
        '\u{a0}'
            | '«'
            | '»'
            | '‹'
            | '›'
            | '‘'
            | '’'
            | '“'
            | '”'
            | '‚'
            | '„'
            | '…'
            | '–'
            | '—'
            | '•'
            | '·'
            | '²'
            | '³'
            | '¹'
            | '°'
            | '®'
            | '™'
            | 'º'
            | 'ª'
            | '´'
    )
}

fn judge(text: &str, runs: &[Run], i: usize) -> Option<Evidence> {
    let run = &runs[i];
    let source = text.get(run.start..run.end).unwrap_or("");
    let mut chars = source.chars();
    let lead = chars.next()?;
    let code = u32::from(run.decoded);
    // C1 controls are in no text, so a run with one is misread; but what it would become must be a character.
    if code < 0xa0 {
        return chars.any(|c| matches!(u32::from(c), 0x80..=0x9f)).then_some(Evidence::Possible);
    }
    if chars.clone().any(|c| matches!(u32::from(c), 0x80..=0x9f)) {
        return Some(Evidence::Sure);
    }
    let previous = text.get(..run.start).and_then(|t| t.chars().next_back());
    let all_common = chars.clone().all(is_common);
    let second = chars.next()?;
    let sure_if = |sure: bool| Some(if sure { Evidence::Sure } else { Evidence::Possible });
    // Two neighbours that are letters of one script: no text has that by chance.
    if run.decoded.is_alphabetic() && !all_common && (is_beside(runs, i, i.wrapping_sub(1)) || is_beside(runs, i, i + 1)) {
        return Some(Evidence::Sure);
    }
    match lead {
        'Â' | 'Ã' => {
            // `MANHû, `ROMÂ”`: the end of a word in capitals.
            let in_capitals = previous.is_some_and(char::is_uppercase);
            sure_if(
                !(is_common(second)
                    && (in_capitals || !previous.is_some_and(char::is_alphanumeric) && second != '\u{a0}' && second != '°')),
            )
        }
        'Ä' | 'Å' | 'È' if run.decoded.is_alphabetic() => {
            let follows_letter = previous.is_some_and(char::is_lowercase);
            sure_if(!is_common(second) && (!second.is_alphabetic() || follows_letter))
        }
        'á' if (0x1e00..0x2000).contains(&code) => sure_if(!(is_common(second) && chars.next().is_some_and(is_common))),
        // `â€`, `â„`, `â‚`: punctuation, the euro, signs.
        'â' if (0x2010..0x2800).contains(&code) => {
            sure_if(!is_common(second) && !second.is_alphabetic() || matches!(second, '„' | '‚') && !chars.next().is_some_and(is_common))
        }
        'ï' if code == 0xfeff || code == 0xfffd || (0xff00..0xfff0).contains(&code) => {
            sure_if(second == '¼' || second == '½' || second == '¿')
        }
        'ð' if second == 'Ÿ' => Some(Evidence::Sure),
        'ã' if (0x3000..0x3100).contains(&code) => sure_if(!is_common(second)),
        _ => (run.decoded.is_alphabetic() && !all_common).then_some(Evidence::Possible),
    }
}

/// Whether the run `other` touches the run `i`, and both are letters that stand together in a text.
fn is_beside(runs: &[Run], i: usize, other: usize) -> bool {
    let Some(other) = runs.get(other) else { return false };
    let run = &runs[i];
    (run.end == other.start || other.end == run.start) && other.decoded.is_alphabetic() && block(run.decoded) == block(other.decoded)
}

/// A coarse name of a character's script.
fn block(c: char) -> u32 {
    match u32::from(c) {
        code @ 0..=0x0fff => code >> 7,
        0x2e80..=0x9fff | 0xf900..=0xfaff | 0xff00..=0xffef | 0x20000..=0x3ffff => 0x1000,
        0xac00..=0xd7af | 0x1100..=0x11ff => 0x1001,
        code => 0x2000 + (code >> 8),
    }
}
