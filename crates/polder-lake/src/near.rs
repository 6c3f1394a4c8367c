//! Which names are close to one that is not there.

/// Counts the single-letter changes between two names; a swap of neighbours counts one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

/// Returns up to three candidates that could have been meant: close in spelling, or the same last part.
pub(crate) fn misses(asked: &str, candidates: impl IntoIterator<Item = String>) -> Vec<String> {
    let asked = asked.to_lowercase();
    let last = |s: &str| s.rsplit('.').next().unwrap_or_default().to_owned();
    let mut found: Vec<(usize, String)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let cost = match distance(&asked, &lower) {
                _ if last(&asked) == last(&lower) => 0,
                d if !asked.contains('.') => d.min(distance(&asked, &last(&lower))),
                d => d,
            };
            (cost <= 1 + asked.len() / 4).then_some((cost, candidate))
        })
        .collect();
    found.sort();
    found.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Writes near misses as the end of a sentence: `` ; did you mean `raw.docs`? ``
pub(crate) fn or(near: &[String]) -> String {
    match near {
        [] => String::new(),
        names => format!("; did you mean {}?", names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_table_names_the_one_that_is_there() {
        let tables = || ["raw.docs", "raw.quarantine", "clean.docs_clean", "ops.facts"].map(str::to_owned);
        assert_eq!(misses("raw.dcos", tables()), ["raw.docs"]);
        assert_eq!(misses("docs", tables()), ["raw.docs"]);
        assert_eq!(misses("clean.docs", tables()), ["raw.docs"]);
        assert_eq!(misses("Raw.Docs", tables()), ["raw.docs"]);
        assert!(misses("weather", tables()).is_empty());
        assert_eq!(or(&misses("ops.fact", tables())), "; did you mean `ops.facts`?");
    }
}
