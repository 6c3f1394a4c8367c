//! Stage 5: a model as a service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use polder_base::{Clearance, Manifest, Reference};
use polder_compute::cuda::{Chosen, CudaError};
use polder_infer::{DecodeOptions, Dtype, Engine, InferError};
use polder_serve::{ServeOptions, Server, UsageOptions};

use crate::failure::OrAdvise;
use crate::stages;
use crate::world::World;

/// Requests that are answered at once where nothing is said: on a GPU they share its passes.
const ON_GPU: usize = 16;
const ON_PROCESSOR: usize = 2;

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServeRequest {
    /// The model.
    pub model: Reference,
    /// An adapter on it.
    pub adapter: Option<Reference>,
    /// Where to listen.
    pub address: SocketAddr,
    /// What requests must carry beyond loopback.
    pub token: Option<String>,
    /// Whether prompts and answers are kept.
    pub keep_text: bool,
    /// Requests that are answered at once; `None` for as many as the machine is good for.
    pub parallel: Option<usize>,
    /// How the model's numbers are stored while it answers.
    pub precision: Dtype,
}

/// What requests call a model: its name, whichever version answers.
pub fn service_name(model: &Reference) -> String {
    match model {
        Reference::Artefact { name, .. } => name.clone(),
        other => other.to_string(),
    }
}

/// Opens a cleared model and begins to listen.
///
/// # Errors
/// A model that is missing or not cleared; a port in use.
pub fn bind(world: &mut World, request: &ServeRequest) -> anyhow::Result<Server> {
    let model = stages::newest(world, &request.model);
    let folder = stages::folder(world, &model)?;
    let mut cleared = vec![Manifest::verify(&folder).or_advise()?];
    let adapter = request.adapter.as_ref().map(|a| stages::folder(world, a)).transpose()?;
    if let Some(adapter) = &adapter {
        let tuned = Manifest::verify(adapter).or_advise()?;
        let base = &cleared[0];
        if !tuned.inputs.iter().any(|i| i.reference == base.reference && i.digest == base.content_digest()) {
            let hint =
                format!("Tune this model with `polder tune start {}`, or serve the one that the adapter was made from.", base.reference);
            return Err(crate::failure::refused(format!("{} was not made from {}", tuned.reference, base.reference), hint));
        }
        cleared.push(tuned);
    }
    for manifest in &cleared {
        Clearance::require(manifest.clearance.as_ref(), &manifest.reference.to_string(), &manifest.inputs_digest()).or_advise()?;
    }
    let mut engine = Engine::open(&folder, adapter.as_deref()).or_advise()?;
    let machine = world.device.choose(0).or_advise()?;
    stages::train::say_machine(&machine);
    let n_workers = place(&mut engine, &machine, request).or_advise()?;
    if matches!(machine, Chosen::Gpu(_)) {
        crate::output::note(&format!("    {n_workers} requests at once"));
    }
    let run_id = "serve".to_owned();
    let options = ServeOptions {
        address: request.address,
        token: request.token.clone(),
        usage: Some(UsageOptions {
            folder: world.layout().run(&run_id),
            actor: world.actor.clone(),
            subject: cleared.last().map_or(model, |m| m.reference.clone()),
            run_id,
            keep_text: request.keep_text,
        }),
        n_workers,
        ..ServeOptions::new(service_name(&request.model))
    };
    world.block_on(async { Server::bind(options, Arc::new(engine)).await.or_advise() })
}

/// Puts a model on the machine that answers; returns how many requests it answers at once.
fn place(engine: &mut Engine, machine: &Chosen, request: &ServeRequest) -> Result<usize, InferError> {
    let mut slots = request.parallel.unwrap_or(match machine {
        Chosen::Gpu(_) => ON_GPU,
        Chosen::Processor { .. } => ON_PROCESSOR,
    });
    loop {
        match engine.generate_on_machine(machine, DecodeOptions { slots, dtype: request.precision }) {
            // Where nothing was said, as many as fit.
            Err(InferError::Machine { source: CudaError::Memory { .. } }) if request.parallel.is_none() && slots > 1 => slots /= 2,
            placed => return placed.map(|()| slots),
        }
    }
}

/// Serves until the user stops it.
///
/// # Errors
/// The network failed.
pub fn serve(world: &mut World, server: Server) -> anyhow::Result<polder_serve::Served> {
    let stop = world.stop.clone();
    world.block_on_whole(async move { server.serve(async move { stop.wait().await }).await }).or_advise()
}

/// Starts the service, asks it one completion over HTTP, and shuts it down. Returns the answer's text.
///
/// # Errors
/// The service cannot start, or does not answer as it should.
pub fn answer_once(world: &mut World, request: &ServeRequest, prompt: &str, tokens_max: usize) -> anyhow::Result<String> {
    let server = bind(world, request)?;
    let address = server.local_addr();
    let name = service_name(&request.model);
    let body = serde_json::json!({ "model": name, "prompt": prompt, "max_tokens": tokens_max, "temperature": 0.0 });
    let (done, shutdown) = tokio::sync::oneshot::channel::<()>();
    world.block_on_whole(async move {
        let service = tokio::spawn(server.serve(async move {
            let _ = shutdown.await;
        }));
        let asked = tokio::task::spawn_blocking(move || ask(address, &body)).await;
        let _ = done.send(());
        service.await.context("the service broke off")?.or_advise()?;
        asked.context("the client broke off")?
    })
}

fn ask(address: SocketAddr, body: &serde_json::Value) -> anyhow::Result<String> {
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(60))).build().into();
    let mut answer = agent.post(format!("http://{address}/v1/completions")).send_json(body).context("the service gave no answer")?;
    let answer: serde_json::Value = answer.body_mut().read_json().context("the service's answer is not JSON")?;
    let text = answer["choices"][0]["text"].as_str().context("the service's answer holds no text")?;
    Ok(text.to_owned())
}
