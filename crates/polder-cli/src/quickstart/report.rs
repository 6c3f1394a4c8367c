//! What now exists, and the commands to go on.

use std::time::Duration;

use polder_base::{Reference, units};

use super::{Context, model, tune};
use crate::{output, stages};

/// Ends the run's output.
///
/// # Errors
/// The lake cannot be read.
pub fn end(context: &mut Context<'_>, ran: usize, took: Duration) -> anyhow::Result<()> {
    let pile = super::prepare::tagged(context)?;
    let model = model(context.world);
    let adapter = tune::adapter(context);
    let folder = stages::folder(context.world, &model)?;
    let lake = context.world.root.display().to_string();
    let lake_flag = if lake == "./lake" { String::new() } else { format!(" --lake {lake}") };
    if context.world.json {
        return output::object(
            "polder.run",
            &serde_json::json!({ "pile": pile, "model": model, "adapter": adapter, "folder": folder, "steps_run": ran }),
        );
    }
    let state = if ran == 0 { "everything is up to date".to_owned() } else { format!("{ran} steps done") };
    output::note(&format!("\n{state} in {}. The lake at {lake} holds", units::duration(took)));
    output::note(&format!("  {:<24} the base data pile, with its card in cards/", pile.to_string()));
    output::note(&format!("  {:<24} {}", model.to_string(), folder.display()));
    if let Some(adapter) = &adapter {
        output::note(&format!("  {:<24} the adapter tuned on it", adapter.to_string()));
    }
    let name = Reference::artefact("models", super::NAME);
    output::note("Go on with");
    for command in [
        format!(
            "polder{lake_flag} sql \"SELECT category, count(*) AS n FROM {} VERSION AS OF '{}' GROUP BY 1 ORDER BY n DESC\"",
            super::pile(),
            tag(&pile)
        ),
        format!("polder{lake_flag} serve {name}"),
        format!("polder{lake_flag} facts lineage {name}"),
    ] {
        output::note(&format!("  {command}"));
    }
    Ok(())
}

fn tag(pile: &Reference) -> String {
    match pile {
        Reference::Table(_, polder_base::At::Tag(tag)) => tag.clone(),
        _ => String::new(),
    }
}
