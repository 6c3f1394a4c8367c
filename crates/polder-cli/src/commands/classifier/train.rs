//! `polder classifier train NAME --query SQL`.

use polder_base::{ClassifierDetails, units};
use polder_pipeline::TrainClassifier;
use polder_text::classifier::Options;

use crate::failure::{OrAdvise, usage};
use crate::world::World;
use crate::{output, stages};

/// What kind of text it is: which n-grams are looked at follows from it.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum TextKind {
    /// Documents of prose.
    Prose,
    /// Short, freely spelt text: posts, messages, questions.
    Posts,
    /// Source code and other files for machines.
    Code,
    /// For telling languages apart.
    Language,
}

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to call it.
    name: String,
    /// A query with the columns text and label.
    #[arg(long, value_name = "SQL")]
    query: String,
    /// What kind of text it is.
    #[arg(long, value_enum, default_value = "prose", value_name = "KIND")]
    kind: TextKind,
    /// Features to keep: each takes some 5 bytes.
    #[arg(long, value_name = "N")]
    features: Option<usize>,
    /// Passes over the rows.
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// From 0, labels as often as they come, to 1, every label weighs the same.
    #[arg(long, value_name = "SHARE")]
    balance: Option<f32>,
    /// Text to read at most, in MB; where there is more, rows are drawn.
    #[arg(long, value_parser = stages::positive, default_value_t = 1000.0, value_name = "MB")]
    limit: f64,
}

pub fn run(world: &mut World, args: Args) -> anyhow::Result<()> {
    let reference = stages::named("classifiers", &args.name).or_advise()?;
    let polder_base::Reference::Artefact { name, version: None, .. } = reference else {
        return Err(usage(format!("`{}` names a version", args.name), "Leave the version out: training makes the next one."));
    };
    let mut options = match args.kind {
        TextKind::Prose => Options::prose(),
        TextKind::Posts => Options::posts(),
        TextKind::Code => Options::code(),
        TextKind::Language => Options::language(),
    };
    options.features_max = args.features.unwrap_or(options.features_max);
    options.epochs = args.epochs.unwrap_or(options.epochs);
    options.balance = args.balance.unwrap_or(options.balance);
    let request = TrainClassifier { name, query: args.query, options, bytes_max: stages::megabytes(args.limit) };
    let manifest = stages::classifiers::train(world, request)?;
    let details: ClassifierDetails = serde_json::from_value(manifest.details.clone())?;
    super::scores(world.json, &details.held_out)?;
    if world.json {
        return output::object("polder.classifier", &serde_json::to_value(&manifest)?);
    }
    let name = manifest.reference.to_string().replace("classifiers/", "");
    output::note(&format!(
        "{} knows {} labels, learnt from {} rows ({}) and judged on {} others · next: polder sql \"SELECT classify('{name}', text) FROM …\"",
        manifest.reference,
        details.labels.len(),
        units::count(details.n_rows),
        units::bytes(details.bytes),
        units::count(details.held_out.n_rows),
    ));
    Ok(())
}
