//! `polder pile …`: base data piles.

mod card;
mod check;
mod diff;
mod list;
mod show;
mod tag;

use crate::world::World;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Give a version of a table a name that never moves.
    Tag {
        /// For example pile.base, or pile.base@3 for an older version.
        pile: String,
        /// The tag.
        tag: String,
        /// Why this version.
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// List all tags.
    List,
    /// Show what a pile holds, and what was left out on the way.
    Show {
        /// For example pile.base@v1.
        #[arg(default_value = "pile.base")]
        pile: String,
    },
    /// Prove that a tag's rows are still exactly those: files, schema, every row.
    Check {
        /// For example pile.base@v1.
        pile: String,
    },
    /// Show which columns and rows came and went between two states, by source, language and reason.
    Diff {
        /// The older state, for example pile.base@v1.
        old: String,
        /// The newer one, for example pile.base@v2, or v2 for short.
        new: String,
        /// The column that tells rows apart.
        #[arg(long, default_value = "doc_id")]
        key: String,
    },
    /// Print the data card, as Markdown.
    Card {
        /// For example pile.base@v1.
        #[arg(default_value = "pile.base")]
        pile: String,
    },
}

pub fn run(world: &mut World, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Tag { pile, tag, comment } => tag::run(world, &pile, &tag, &comment),
        Command::List => list::run(world),
        Command::Show { pile } => show::run(world, &pile),
        Command::Check { pile } => check::run(world, &pile),
        Command::Diff { old, new, key } => diff::run(world, &old, &new, &key),
        Command::Card { pile } => card::run(world, &pile),
    }
}
