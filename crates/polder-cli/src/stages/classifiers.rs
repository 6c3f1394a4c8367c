//! Classifiers of text, trained on a query's rows.

use polder_base::Manifest;
use polder_pipeline::TrainClassifier;

use super::train::record;
use crate::failure::OrAdvise;
use crate::progress::{Bar, Unit};
use crate::stages;
use crate::world::World;

/// Trains a classifier and writes its card, unless a version stands there made from the same.
///
/// # Errors
/// Rows that teach nothing, files that cannot be written.
pub fn train(world: &mut World, request: TrainClassifier) -> anyhow::Result<Manifest> {
    let lake = world.lake()?;
    let (name, now) = (request.name.clone(), world.now());
    let plan = world.block_on(async { request.plan(&lake).await.or_advise() })?;
    let reference = stages::version_for(world, "classifiers", &name, &plan.inputs_digest());
    let manifest = if stages::stands(world, &reference) {
        stages::manifest(world, &reference)?
    } else {
        let mut line: Option<(String, Bar)> = None;
        let mut on_progress = |what: &str, done: u64, all: u64| {
            if line.as_ref().is_none_or(|(name, _)| name != what) {
                let unit = if what == "learning" { Unit::Count } else { Unit::Bytes };
                line = Some((what.to_owned(), Bar::new(what, all, unit)));
            }
            if let Some((_, bar)) = &line {
                bar.at(done);
            }
        };
        world.block_on(async { plan.run(&lake, &reference, now, &mut on_progress).await.or_advise() })?
    };
    polder_govern::write_classifier_card(&stages::folder(world, &reference)?).or_advise()?;
    record(world, "train classifier", &manifest)?;
    Ok(manifest)
}
