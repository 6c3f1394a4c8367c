//! `polder classifier show [NAME]`.

use polder_base::{ClassifierDetails, Reference, units};
use serde_json::json;

use crate::failure::OrAdvise;
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A classifier, for example quality or quality@2; without one, all are listed.
    name: Option<String>,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    world.lake()?;
    match &args.name {
        Some(name) => one(world, name),
        None => all(world),
    }
}

fn one(world: &World, name: &str) -> anyhow::Result<()> {
    let reference = stages::newest(world, &stages::named("classifiers", name).or_advise()?);
    let manifest = stages::manifest(world, &reference)?;
    let details: ClassifierDetails = serde_json::from_value(manifest.details.clone())?;
    if world.json {
        return output::object("polder.classifier", &serde_json::to_value(&manifest)?);
    }
    let from: Vec<String> = manifest.inputs.iter().map(|i| i.reference.to_string()).collect();
    output::data(&format!("{reference}, made at {} from {}", manifest.created_at, from.join(" and ")))?;
    output::data(&output::printable(&format!(
        "{} features · {} rows learnt from · {}\n{}\n",
        units::count(details.n_features),
        units::count(details.n_rows),
        details.options,
        details.query
    )))?;
    super::scores(false, &details.held_out)?;
    let card = stages::folder(world, &reference)?.join("README.md");
    if card.is_file() {
        output::note(&format!("its card: {}", card.display()));
    }
    Ok(())
}

fn all(world: &World) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(world.layout().kind("classifiers")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    let (mut objects, mut cells) = (Vec::new(), Vec::new());
    for name in names {
        for version in stages::versions(world, "classifiers", &name) {
            let reference = Reference::Artefact { kind: "classifiers".into(), name: name.clone(), version: Some(version.to_string()) };
            let manifest = stages::manifest(world, &reference)?;
            let details: ClassifierDetails = serde_json::from_value(manifest.details.clone())?;
            let bytes: u64 = manifest.files.iter().map(|f| f.bytes).sum();
            let from: Vec<String> = manifest.inputs.iter().map(|i| i.reference.to_string()).collect();
            objects.push(json!({
                "classifier": reference, "created_at": manifest.created_at, "bytes": bytes, "from": from, "n_labels": details.labels.len(),
                "accuracy": details.held_out.accuracy, "macro_f1": details.held_out.macro_f1,
            }));
            cells.push(vec![
                reference.to_string(),
                details.labels.len().to_string(),
                format!("{:.3}", details.held_out.accuracy),
                format!("{:.3}", details.held_out.macro_f1),
                units::bytes(bytes),
                manifest.created_at.to_string(),
                from.join(" "),
            ]);
        }
    }
    let headings = ["classifier", "labels", "accuracy", "macro F1", "size", "made at", "from"];
    output::rows(world.json, "polder.classifier", &objects, &headings, &cells, &[1, 2, 3, 4])
}
