//! A workflow: steps in order, each run again only when what it depends on has changed.
//!
//! It knows no stage and no lake. Which steps there are, and what they do, is said by whoever calls it.
//! Start with [`Step`] and [`Workflow::run`].

mod lease;
mod state;
mod workflow;

pub use lease::Lease;
pub use state::{Done, State};
pub use workflow::{Listener, Moment, Outcome, Step, Workflow, WorkflowError};
