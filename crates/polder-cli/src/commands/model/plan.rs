//! `polder model plan`.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::prelude::{cast, col, lit};

use crate::failure::OrAdvise;
use crate::world::World;
use crate::{output, stages};

/// Bytes of text a token stands for, where no tokenizer has been trained yet.
const BYTES_PER_TOKEN: f64 = 3.3;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pile.
    #[arg(long, default_value = "pile.base", value_name = "PILE")]
    pile: String,
    /// Hours to train.
    #[arg(long, value_parser = stages::positive, default_value_t = 0.05, value_name = "HOURS")]
    hours: f64,
    /// Vocabulary size.
    #[arg(long, default_value_t = 4096, value_name = "N")]
    vocab: usize,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    let lake = world.lake()?;
    let bytes = world.block_on(async {
        let frame = lake.table(&args.pile).await.or_advise()?;
        let total = frame
            .filter(col("split").eq(lit("train")))?
            .aggregate(vec![], vec![sum(cast(col("bytes"), DataType::Int64)).alias("total")])?
            .select(vec![cast(col("total"), DataType::Int64)])?
            .collect()
            .await?;
        Ok(total.first().map_or(0, |b| b.column(0).as_primitive::<Int64Type>().value(0)))
    })?;
    let request = stages::train::PlanRequest {
        n_tokens: (bytes as f64 / BYTES_PER_TOKEN) as u64,
        vocab_size: args.vocab,
        bos_id: Some(0),
        eos_id: Some(0),
        seconds: args.hours * 3600.0,
        steps: None,
        preset: None,
        seed: 1,
    };
    let plan = stages::train::plan(&request)?;
    if world.json {
        return output::object("polder.model_plan", &serde_json::to_value(&plan)?);
    }
    output::data(&stages::train::plan_table(&plan))?;
    output::note(&format!("{}: {} · next: polder train start NAME --tokens NAME --model {}", plan.chosen, plan.why, plan.chosen));
    Ok(())
}
