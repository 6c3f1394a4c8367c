//! A model as an HTTP service, in the shape of OpenAI's completions.
//!
//! It binds loopback unless told otherwise, asks for a token beyond it, and caps body, time and queue. What it served is
//! appended to a local event log; it knows no lake. Start with [`ServeOptions`] and [`Server`].

mod api;
mod complete;
mod error;
mod handle;
mod options;
mod server;
mod usage;

pub use complete::{Complete, CompleteError};
pub use error::ServeError;
pub use options::{ServeOptions, UsageOptions};
pub use server::{Served, Server};
