//! `polder serve MODEL`.

use std::net::SocketAddr;

use polder_infer::Dtype;

use crate::failure::OrAdvise;
use crate::stages::deploy::{ServeRequest, bind, serve};
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// For example models/quickstart or models/quickstart@1.
    #[arg(default_value = "models/quickstart")]
    model: String,
    /// An adapter tuned on it, for example adapters/quickstart.
    #[arg(long, value_name = "ADAPTER")]
    adapter: Option<String>,
    /// Where to listen; beyond this machine a token is needed.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// What requests must carry as `Authorization: Bearer …`.
    #[arg(long, env = "POLDER_SERVE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// Keep prompts and answers for feedback; without it only counts are kept.
    #[arg(long)]
    keep_text: bool,
    /// Requests that are answered at once; further ones wait [default: 16 on a GPU, where they share passes, 2 on the processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: Option<u16>,
    /// How numbers are stored while it answers: f32, or bf16, which takes half the memory traffic; on the processor, requests share passes then.
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    precision: Dtype,
}

pub fn run(world: &mut World, args: Args) -> anyhow::Result<()> {
    let request = ServeRequest {
        model: stages::newest(world, &stages::named("models", &args.model).or_advise()?),
        adapter: args.adapter.map(|a| stages::named("adapters", &a)).transpose().or_advise()?,
        address: args.listen,
        token: args.token,
        keep_text: args.keep_text,
        parallel: args.parallel.map(usize::from),
        precision: args.precision,
    };
    let server = bind(world, &request)?;
    let address = server.local_addr();
    let name = crate::stages::deploy::service_name(&request.model);
    if world.json {
        output::object("polder.service", &serde_json::json!({ "address": address, "model": name }))?;
    }
    output::note(&format!(
        "serving {} at http://{address} · end with Ctrl-C · try: curl http://{address}/v1/completions -H 'Content-Type: application/json' -d '{{\"model\":\"{name}\",\"prompt\":\"pub fn \",\"max_tokens\":32}}'",
        request.model
    ));
    let served = serve(world, server)?;
    output::note(&format!("answered {} requests, refused {} · next: polder facts list --verb serve", served.n_requests, served.n_refused));
    Ok(())
}
