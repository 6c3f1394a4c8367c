//! Accuracy on labelled sets, and the models trained from such sets: both by `benches/score`.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{cargo_command, say};

const PAGE: &str = "benches/README.md";
const BEGIN: &str = "<!-- scores -->";
const END: &str = "<!-- end of scores -->";

/// Scores topics (all when none is named) and writes their rows into the table of `benches/README.md`; other rows stay.
pub(crate) fn score(root: &Path, data: &str, topics: &[&str]) -> Result<()> {
    let printed = bench(root, topics, &[("POLDER_SCORE_DATA", data)])?;
    let rows: Vec<&str> = printed.lines().filter(|l| l.starts_with("| ")).collect();
    let page = root.join(PAGE);
    let before = std::fs::read_to_string(&page).with_context(|| format!("cannot read {PAGE}"))?;
    std::fs::write(&page, with_rows(&before, &rows)?).with_context(|| format!("cannot write {PAGE}"))?;
    rows.iter().for_each(|row| say(row));
    say(&format!("wrote {} rows to {PAGE}", rows.len()));
    Ok(())
}

/// Trains models (all when none is named) into `crates/polder-text/models/`.
pub(crate) fn models(root: &Path, data: &str, names: &[&str]) -> Result<()> {
    let folder = root.join("crates/polder-text/models");
    std::fs::create_dir_all(&folder).context("cannot make crates/polder-text/models")?;
    say(bench(root, names, &[("POLDER_SCORE_DATA", data), ("POLDER_SCORE_MODELS", &folder.to_string_lossy())])?.trim_end());
    Ok(())
}

fn bench(root: &Path, words: &[&str], environment: &[(&str, &str)]) -> Result<String> {
    let data = Path::new(environment[0].1);
    let data = data.canonicalize().with_context(|| format!("there is no folder `{}`", data.display()))?;
    let mut arguments = vec!["bench", "--profile", "release", "-p", "polder-text", "--bench", "score", "--"];
    arguments.extend(words);
    let mut command = cargo_command(root, &arguments);
    command.envs(environment.iter().copied()).env("POLDER_SCORE_DATA", data).stderr(std::process::Stdio::inherit());
    let output = command.output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("scoring failed: {}", output.status);
    }
    String::from_utf8(output.stdout).context("the scores are not UTF-8")
}

/// Puts rows in place of those of the same topics, sorted by topic; the order within a topic is the rows' own.
fn with_rows(page: &str, rows: &[&str]) -> Result<String> {
    let topic = |row: &str| row.split('|').nth(1).unwrap_or_default().trim().to_owned();
    let (head, rest) = page.split_once(BEGIN).with_context(|| format!("{PAGE} has no line `{BEGIN}`"))?;
    let (table, tail) = rest.split_once(END).with_context(|| format!("{PAGE} has no line `{END}`"))?;
    let fresh: Vec<String> = rows.iter().map(|r| topic(r)).collect();
    let kept = table.lines().filter(|l| l.starts_with("| ") && !l.starts_with("| topic")).filter(|l| !fresh.contains(&topic(l)));
    let mut all: Vec<&str> = kept.chain(rows.iter().copied()).collect();
    all.sort_by_key(|row| topic(row));
    Ok(format!("{head}{BEGIN}\n\n| topic | what | figure | asked | how |\n|---|---|---|---|---|\n{}\n\n{END}{tail}", all.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scored_topics_are_replaced_and_others_stay() {
        let page = "a\n<!-- scores -->\n| topic | what | figure | asked | how |\n|---|---|---|---|---|\n| pii | old | 1 | – | x |\n| hap | f | 2 | – | y |\n<!-- end of scores -->\nb\n";
        let after = with_rows(page, &["| pii | new | 3 | – | z |"]).unwrap();
        assert!(after.contains("| hap | f | 2 | – | y |\n| pii | new | 3 | – | z |\n\n<!-- end") && !after.contains("old"), "{after}");
        assert!(after.starts_with("a\n") && after.ends_with("\nb\n"), "{after}");
    }
}
