//! `polder train rows RUN --step N`.

use std::collections::{BTreeMap, BTreeSet};

use polder_shard::TokenSet;
use polder_train::RunConfig;
use serde_json::json;

use crate::failure::{OrAdvise, usage};
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run, as `polder train status` names it.
    run: String,
    /// The step, counted from 1.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    step: u64,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    stages::named("runs", &args.run).or_advise()?;
    let path = world.layout().run(&args.run).join("config.json");
    let hint = "See which runs there are with `polder train status`.";
    let text = std::fs::read(&path).map_err(|_| usage(format!("there is no run `{}`", args.run), hint))?;
    let config: RunConfig = serde_json::from_slice(&text)?;
    if args.step > config.train.steps {
        return Err(usage(format!("`{}` has {} steps", args.run, config.train.steps), "Ask for one of them."));
    }
    let tokens: Vec<_> = config.tokens.iter().map(|t| (t.reference.clone(), t.weight)).collect();
    let sets = stages::train::open_sets(world, &tokens)?;
    let loader = polder_train::loader(&config, &sets).or_advise()?;
    let samples = loader.rows(config.train.samples_of(args.step)).or_advise()?;
    let mut wanted: BTreeMap<(usize, &str), BTreeSet<u64>> = BTreeMap::new();
    for sample in &samples {
        for document in &sample.documents {
            wanted.entry((sample.place.source, document.shard)).or_default().insert(document.doc_idx);
        }
    }
    let mut doc_ids = BTreeMap::new();
    for ((source, shard), doc_idxs) in &wanted {
        let set: &TokenSet = &sets[*source];
        for (doc_idx, doc_id) in set.doc_ids(shard, doc_idxs).or_advise()? {
            doc_ids.insert((*source, *shard, doc_idx), doc_id);
        }
    }
    let (mut objects, mut cells) = (Vec::new(), Vec::new());
    for sample in &samples {
        for document in &sample.documents {
            let doc_id = doc_ids.get(&(sample.place.source, document.shard, document.doc_idx)).map_or("", String::as_str);
            // Within the document, where a reader of it would look.
            let (from, to) = (document.tokens.start - document.document.start, document.tokens.end - document.document.start);
            objects.push(json!({
                "sample": sample.position, "tokens": sample.set, "epoch": sample.place.epoch,
                "shard": document.shard, "doc_idx": document.doc_idx, "doc_id": doc_id, "from_token": from, "to_token": to,
            }));
            let place = format!("{}/{}", document.shard, document.doc_idx);
            cells.push(vec![sample.position.to_string(), sample.set.to_owned(), place, format!("{from}..{to}"), doc_id.to_owned()]);
        }
    }
    output::rows(world.json, "polder.training_row", &objects, &["sample", "tokens", "document", "its tokens", "doc_id"], &cells, &[0, 3])
}
