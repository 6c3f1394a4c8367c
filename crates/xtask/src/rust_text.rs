//! Just enough of Rust's lexis to find string literals: it tells them from comments, characters and lifetimes.
//!
//! It is not a parser; code that does not compile may be read wrongly.

/// A string literal of a source file.
#[derive(Debug, PartialEq, Eq)]
pub struct Literal<'a> {
    /// The text between the quotes, escapes as written.
    pub text: &'a str,
    /// The line of its opening quote, counted from 1.
    pub line: usize,
    /// Where it begins, in bytes.
    pub start: usize,
}

/// Lists the string literals of a source text, in order.
pub fn literals(source: &str) -> Vec<Literal<'_>> {
    let bytes = source.as_bytes();
    let mut found = Vec::new();
    let mut i = 0;
    while i < bytes.len() {
        let rest = &bytes[i..];
        if rest.starts_with(b"//") {
            i += rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        } else if rest.starts_with(b"/*") {
            i = block_comment_end(bytes, i);
        } else if bytes[i] == b'\'' {
            i = after_quote(bytes, i);
        } else if let Some((open, hashes)) = raw_string(bytes, i) {
            let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
            let length = bytes[open..].windows(close.len()).position(|w| w == close).unwrap_or(bytes.len() - open);
            push(&mut found, source, i, open, open + length);
            i = (open + length + close.len()).min(bytes.len());
        } else if bytes[i] == b'"' {
            let mut end = i + 1;
            while end < bytes.len() && bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            push(&mut found, source, i, i + 1, end.min(bytes.len()));
            i = end + 1;
        } else {
            i += 1;
        }
    }
    found
}

fn push<'a>(found: &mut Vec<Literal<'a>>, source: &'a str, start: usize, open: usize, end: usize) {
    if let Some(text) = source.get(open..end) {
        let line = 1 + source.as_bytes()[..start].iter().filter(|b| **b == b'\n').count();
        found.push(Literal { text, line, start });
    }
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut i) = (0usize, start);
    while i < bytes.len() {
        if bytes[i..].starts_with(b"/*") {
            depth += 1;
            i += 2;
        } else if bytes[i..].starts_with(b"*/") {
            depth -= 1;
            i += 2;
            if depth == 0 {
                return i;
            }
        } else {
            i += 1;
        }
    }
    i
}

/// A quote opens a character (`'"'`, `'\''`, `'é'`) or a lifetime (`'a`).
fn after_quote(bytes: &[u8], i: usize) -> usize {
    if bytes.get(i + 1) == Some(&b'\\') {
        let escape = i + 3;
        return bytes[escape.min(bytes.len())..].iter().position(|b| *b == b'\'').map_or(bytes.len(), |n| escape + n + 1);
    }
    // A character is at most four bytes long.
    match bytes[i + 1..].iter().take(5).skip(1).position(|b| *b == b'\'') {
        Some(n) if n == 0 || bytes[i + 1] >= 0x80 => i + n + 3,
        _ => i + 1,
    }
}

/// Finds `r"`, `r#"`, `br##"`, `cr"` at `i`: where the text begins and how many `#` close it.
fn raw_string(bytes: &[u8], i: usize) -> Option<(usize, usize)> {
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    if i > 0 && is_word(&bytes[i - 1]) {
        return None;
    }
    let r = match bytes[i..] {
        [b'r', ..] => i + 1,
        [b'b' | b'c', b'r', ..] => i + 2,
        _ => return None,
    };
    let hashes = bytes[r..].iter().take_while(|b| **b == b'#').count();
    (bytes.get(r + hashes) == Some(&b'"')).then_some((r + hashes + 1, hashes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        literals(source).into_iter().map(|l| l.text).collect()
    }

    #[test]
    fn strings_are_found_and_comments_are_not() {
        let source = "// \"no\"\n/* \"no\" /* \"no\" */ */ let a = \"yes\"; let b = b\"bytes\";";
        assert_eq!(texts(source), ["yes", "bytes"]);
        assert_eq!(literals(source)[0].line, 2);
    }

    #[test]
    fn characters_lifetimes_and_escapes_do_not_confuse_it() {
        assert_eq!(texts(r#"let q = '"'; let s = "a\"b"; let e = '\''; "c""#), [r#"a\"b"#, "c"]);
        assert_eq!(texts("fn f<'a>(x: &'a str) -> &'a str { \"x\" }"), ["x"]);
        assert_eq!(texts("let c = 'é'; \"y\""), ["y"]);
    }

    #[test]
    fn raw_strings_end_at_their_own_quote() {
        assert_eq!(texts(r###"r#"a "quoted" b"# r"plain" br##"x"#y"##"###), [r#"a "quoted" b"#, "plain", r##"x"#y"##]);
        assert_eq!(texts("for \"x\""), ["x"]);
    }

    #[test]
    fn unfinished_text_does_not_panic() {
        for source in ["\"", "r#\"x", "'", "/*", "'\\", "\"\\", "'é", "b'"] {
            literals(source);
        }
    }
}
