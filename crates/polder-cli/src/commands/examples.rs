//! What the help of each command begins with: a line or two that can be typed as they are.

/// By command.
const EXAMPLES: [(&str, &[&str]); 48] = [
    ("run", &["polder run", "polder run quickstart --source ~/src --minutes 10", "polder run quickstart --sql-dir sql --dry-run"]),
    ("init", &["polder init", "polder init --lake ~/lake"]),
    ("doctor", &["polder doctor"]),
    (
        "ingest",
        &[
            "polder ingest ~/src --into raw.docs",
            "polder ingest 'crawl/*.warc.gz' data.tar.zst --limit 50",
            "polder ingest faq.csv --text-column answer --keep topic,lang",
            "polder ingest 'postgres://me@db/forum?table=public.posts' --text-column body",
        ],
    ),
    ("sql", &["polder sql \"SELECT split, count(*) FROM pile.base VERSION AS OF 'v1' GROUP BY 1\"", "polder sql --file report.sql --json"]),
    ("table list", &["polder table list"]),
    ("table show", &["polder table show pile.base@v1"]),
    ("table history", &["polder table history pile.base"]),
    ("table purge", &["polder table purge pile.base --where \"doc_id = '0a1b'\" --reason \"its author asked\""]),
    ("table restore", &["polder table restore pile.base@v1", "polder table restore pile.base --time 2026-01-31T12:00:00Z"]),
    ("table optimize", &["polder table optimize pile.base", "polder table optimize pile.base --zorder source,language"]),
    ("table vacuum", &["polder table vacuum pile.base --dry-run", "polder table vacuum pile.base --retain-hours 24"]),
    ("pile tag", &["polder pile tag pile.base v2 --comment \"before the new filter\"", "polder pile tag pile.base@3 v2"]),
    ("pile list", &["polder pile list"]),
    ("pile show", &["polder pile show pile.base@v1"]),
    ("pile check", &["polder pile check pile.base@v1"]),
    ("pile diff", &["polder pile diff pile.base@v1 v2", "polder pile diff pile.base@v1 pile.base --json"]),
    ("pile card", &["polder pile card pile.base@v1 > card.md"]),
    ("pipeline plan", &["polder pipeline plan --sql-dir sql"]),
    ("pipeline apply", &["polder pipeline apply", "polder pipeline apply --sql-dir sql"]),
    (
        "classifier train",
        &[
            // tidy: sql, because an example shows what is typed
            "polder classifier train quality --query \"SELECT text, label FROM raw.judged\"",
            // tidy: sql, because an example shows what is typed
            "polder classifier train intent --kind posts --query \"SELECT question AS text, intent AS label FROM raw.questions\"",
        ],
    ),
    // tidy: sql, because an example shows what is typed
    ("classifier eval", &["polder classifier eval quality --query \"SELECT text, label FROM raw.judged_later\""]),
    ("classifier show", &["polder classifier show", "polder classifier show quality@2"]),
    (
        "tokenizer train",
        &[
            "polder tokenizer train mine --from pile.base@v1 --vocab 8192",
            // tidy: sql, because an example shows what is typed
            "polder tokenizer train mine --query \"SELECT text, language FROM pile.base WHERE kind = 'prose'\" --vocab 32768 --splitter o200k",
        ],
    ),
    (
        "tokenizer import",
        &[
            "polder tokenizer import theirs ~/models/theirs/tokenizer.json",
            "polder tokenizer import ranks cl100k_base.tiktoken --splitter cl100k",
        ],
    ),
    (
        "tokenizer show",
        &["polder tokenizer show quickstart --text \"fn main() {}\"", "polder tokenizer show mine theirs --from pile.base@v1"],
    ),
    (
        "tokens build",
        &[
            "polder tokens build mine --from pile.base@v1 --tokenizer mine",
            "polder tokens build mine --tokenizer mine --where \"language = 'en'\"",
        ],
    ),
    ("tokens check", &["polder tokens check", "polder tokens check quickstart"]),
    (
        "tokens export",
        &["polder tokens export quickstart --format mds --to exported", "polder tokens export quickstart --format llm.c --to exported"],
    ),
    ("tokens list", &["polder tokens list"]),
    ("tokens show", &["polder tokens show quickstart", "polder tokens show quickstart --shard train-00000 --doc 7"]),
    ("model list", &["polder model list"]),
    (
        "model plan",
        &[
            "polder model plan --pile pile.base@v1 --hours 2",
            "polder model plan --pile pile.base@v1 --hours 8 --use classifier --tokenizer quickstart",
        ],
    ),
    ("model sizes", &["polder model sizes", "polder model sizes --family modernbert --vocab 32768 --context 1024"]),
    ("model import", &["polder model import theirs ~/models/theirs"]),
    ("model export", &["polder model export models/quickstart exported", "polder model export models/quickstart@1 exported"]),
    ("model show", &["polder model show models/quickstart"]),
    (
        "train start",
        &[
            "polder train start mine --tokens quickstart",
            "polder train start mine --tokens text=0.7 --tokens code=0.3 --model tiny --steps 500",
            "polder train start mine --tokens quickstart --set precision=bf16 --set optimizer=muon --set spikes=on --eval next_line",
            "polder train start more --tokens quickstart --from quickstart --set lr=3e-4",
        ],
    ),
    ("train resume", &["polder train resume train-0123456789ab --name mine"]),
    ("train rows", &["polder train rows train-0123456789ab --step 100"]),
    ("train status", &["polder train status"]),
    ("eval run", &["polder eval run models/quickstart", "polder eval run models/quickstart@1 --task next_line"]),
    (
        "tune start",
        &[
            "polder tune start models/quickstart",
            "polder tune start models/quickstart --rank 16 --epochs 2",
            "polder tune start models/quickstart --precision bf16 --device gpu",
        ],
    ),
    ("serve", &["polder serve models/quickstart", "polder serve models/quickstart --adapter adapters/quickstart --listen 127.0.0.1:9000"]),
    ("facts list", &["polder facts list --about models/quickstart", "polder facts list --verb train"]),
    ("facts show", &["polder facts show 0123456789ab"]),
    ("facts lineage", &["polder facts lineage models/quickstart", "polder facts lineage pile.base@v1 --sources 0"]),
    ("facts sync", &["polder facts sync"]),
];

/// Gives every command its examples.
pub fn add(command: clap::Command) -> clap::Command {
    EXAMPLES.iter().fold(command, |command, (path, lines)| {
        let names: Vec<&str> = path.split(' ').collect();
        at(command, &names, &format!("Examples:\n  {}", lines.join("\n  ")))
    })
}

fn at(command: clap::Command, names: &[&str], text: &str) -> clap::Command {
    match names {
        [] => command.before_help(text.to_owned()),
        [name, rest @ ..] => command.mut_subcommand(*name, |c| at(c, rest, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::EXAMPLES;
    use clap::CommandFactory;

    fn leaves(command: &clap::Command, path: &str) -> Vec<String> {
        let under: Vec<String> = command.get_subcommands().flat_map(|c| leaves(c, format!("{path} {}", c.get_name()).trim())).collect();
        if under.is_empty() { vec![path.to_owned()] } else { under }
    }

    #[test]
    fn every_command_has_examples_of_itself() {
        let mut named: Vec<String> = EXAMPLES.iter().map(|e| e.0.to_owned()).collect();
        let mut all = leaves(&crate::commands::Cli::command(), "");
        named.sort();
        all.sort();
        assert_eq!(named, all);
        for (name, lines) in EXAMPLES {
            assert!(lines.iter().all(|l| l.starts_with(&format!("polder {name}"))), "{name}");
        }
    }
}
