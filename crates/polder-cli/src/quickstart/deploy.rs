//! Stage 5: the model answers over HTTP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use polder_base::{Digest, digest_json};
use polder_infer::Dtype;
use polder_workflow::{Outcome, Step};

use super::{Context, model};
use crate::failure::Error;
use crate::output;
use crate::stages::{self, deploy as stage};

const TOKENS_MAX: usize = 24;

/// One completion through the service.
pub struct Answer;

impl<'a> Step<Context<'a>, Error> for Answer {
    fn name(&self) -> &'static str {
        "serve"
    }
    fn stage(&self) -> &'static str {
        "5 Deploy"
    }
    fn key(&self, context: &mut Context<'a>) -> Result<Digest, Error> {
        Ok(digest_json(&stages::manifest(context.world, &model(context.world))?.content_digest()))
    }
    fn stands(&self, _: &mut Context<'a>, _: &Outcome) -> Result<bool, Error> {
        Ok(true)
    }
    fn run(&self, context: &mut Context<'a>) -> Result<Outcome, Error> {
        let request = stage::ServeRequest {
            model: model(context.world),
            adapter: None,
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            token: None,
            keep_text: false,
            parallel: None,
            precision: Dtype::F32,
        };
        let prompt = "pub fn new(";
        let text = stage::answer_once(context.world, &request, prompt, TOKENS_MAX)?;
        let shown = output::printable(&text).replace('\n', "⏎");
        Ok(super::outcome(format!("answered over HTTP: {prompt}«{shown}»"), Vec::new()))
    }
}
