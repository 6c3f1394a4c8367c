//! `polder pile …`: base data piles.

mod card;
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
        Command::Card { pile } => card::run(world, &pile),
    }
}
