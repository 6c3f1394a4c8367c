//! `polder classifier eval NAME --query SQL`.

use polder_pipeline::{evaluate_classifier, open_classifier};

use crate::failure::OrAdvise;
use crate::stages;
use crate::world::World;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A classifier, for example quality or quality@2.
    name: String,
    /// A query with the columns text and label.
    #[arg(long, value_name = "SQL")]
    query: String,
    /// Text to read at most, in MB; where there is more, rows are drawn.
    #[arg(long, value_parser = stages::positive, default_value_t = 1000.0, value_name = "MB")]
    limit: f64,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    let reference = stages::newest(world, &stages::named("classifiers", &args.name).or_advise()?);
    stages::manifest(world, &reference)?;
    let classifier = open_classifier(&stages::folder(world, &reference)?).or_advise()?;
    let (lake, bytes_max) = (world.lake()?, stages::megabytes(args.limit));
    let scores = world.block_on(async { evaluate_classifier(&lake, &classifier, &args.query, bytes_max).await.or_advise() })?;
    super::scores(world.json, &scores)
}
