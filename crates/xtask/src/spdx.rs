//! Licence expressions as packages write them: `MIT OR Apache-2.0`, `(A OR B) AND C`, `A WITH e`, and the old `A/B`.
//!
//! It answers one question: can the package be used under licences of a list? It keeps no list itself.

/// Says whether an expression can be satisfied with licences that `allowed` knows.
///
/// # Errors
/// The expression is none.
pub fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words, at: 0, allowed };
    let value = parser.any()?;
    if parser.at != words.len() {
        return Err(format!("`{expression}` goes on after its end"));
    }
    Ok(value)
}

struct Parser<'a> {
    words: &'a [&'a str],
    at: usize,
    allowed: &'a dyn Fn(&str) -> bool,
}

impl Parser<'_> {
    fn take(&mut self, word: &str) -> bool {
        let found = self.words.get(self.at).is_some_and(|w| w.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn any(&mut self) -> Result<bool, String> {
        let mut value = self.all()?;
        while self.take("OR") {
            value |= self.all()?;
        }
        Ok(value)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut value = self.one()?;
        while self.take("AND") {
            value &= self.one()?;
        }
        Ok(value)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.take("(") {
            let value = self.any()?;
            return if self.take(")") { Ok(value) } else { Err("a bracket stays open".into()) };
        }
        let name = *self.words.get(self.at).ok_or("a licence is missing")?;
        if ["AND", "OR", "WITH", ")"].contains(&name) {
            return Err(format!("`{name}` stands where a licence should"));
        }
        self.at += 1;
        if self.take("WITH") {
            // An exception only ever adds permissions.
            self.at += 1;
        }
        Ok((self.allowed)(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_needs_one_and_a_sum_needs_all() {
        let ok = |e: &str| satisfied(e, &|l| ["MIT", "Apache-2.0"].contains(&l)).expect(e);
        for yes in [
            "MIT",
            "GPL-3.0 OR MIT",
            "MIT/Unlicense",
            "Apache-2.0 / GPL-2.0",
            "Apache-2.0 WITH LLVM-exception",
            "(MIT OR X) AND Apache-2.0",
        ] {
            assert!(ok(yes), "{yes}");
        }
        for no in ["GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR X) AND MIT", "X WITH MIT"] {
            assert!(!ok(no), "{no}");
        }
    }

    #[test]
    fn what_is_no_expression_is_an_error() {
        for wrong in ["", "MIT OR", "(MIT", "MIT)", "AND", "MIT Apache-2.0"] {
            assert!(satisfied(wrong, &|_| true).is_err(), "{wrong}");
        }
    }
}
