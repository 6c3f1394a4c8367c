//! Running steps in order, skipping those that are done.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use polder_base::{Advice, Digest, ExitKind, Input, Timestamp, WholeError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Done, Lease, State};

/// What came of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// One line: what is true now.
    pub summary: String,
    /// What it made.
    pub outputs: Vec<Input>,
    /// What later steps and the reader want to know besides.
    pub details: serde_json::Value,
}

/// One step of a workflow.
///
/// `C` is what steps share, `E` their error. A step that was killed is simply run again: going on where it
/// stopped is its own business.
pub trait Step<C, E> {
    /// A short name, unique in the workflow.
    fn name(&self) -> &'static str;
    /// The stage it belongs to.
    fn stage(&self) -> &'static str;
    /// Digest of all that its result depends on; asked when the steps before it have ended.
    ///
    /// # Errors
    /// What it depends on cannot be read.
    fn key(&self, context: &mut C) -> Result<Digest, E>;
    /// Whether what it once made still stands.
    ///
    /// # Errors
    /// That cannot be found out.
    fn stands(&self, context: &mut C, done: &Outcome) -> Result<bool, E>;
    /// Does the work.
    ///
    /// # Errors
    /// Anything; steps done before stay done.
    fn run(&self, context: &mut C) -> Result<Outcome, E>;
}

/// Why a workflow could not run.
#[derive(Debug, Error)]
pub enum WorkflowError {
    /// Another run holds the lease.
    #[error("this workflow is running already ({holder})")]
    Held {
        /// Who.
        holder: String,
    },
    /// The folder cannot be read or written.
    #[error("cannot use `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The state file is not one.
    #[error("`{path}` is not the state of a workflow")]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The state could not be written whole.
    #[error(transparent)]
    Whole(#[from] WholeError),
}

impl Advice for WorkflowError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Held { .. } => {
                Some("Wait until it has ended, or stop it, then run the same command again; or choose another lake with --lake.".into())
            }
            Self::State { path, .. } => {
                Some(format!("Remove `{}`; finished work is found again by its manifests, and training is planned anew.", path.display()))
            }
            Self::Whole(e) => e.hint(),
            Self::Write { .. } => None,
        }
    }
    fn exit(&self) -> ExitKind {
        ExitKind::Failed
    }
}

/// What happens while a workflow runs.
#[derive(Debug)]
pub enum Moment<'a> {
    /// A step is done already.
    UpToDate(&'a Done),
    /// A step begins.
    Begins,
    /// A step has ended.
    Ended(&'a Done),
}

/// Hears what happens to a step.
pub type Listener<'a, C, E> = dyn FnMut(&mut C, &dyn Step<C, E>, Moment<'_>) + 'a;

/// A workflow's folder, held by this process.
#[derive(Debug)]
pub struct Workflow {
    state: State,
    _lease: Lease,
}

impl Workflow {
    /// Takes the workflow's lease and reads its state.
    ///
    /// # Errors
    /// Another run holds it; the folder cannot be used.
    pub fn open(folder: &Path) -> Result<Self, WorkflowError> {
        let lease = Lease::take(folder)?;
        Ok(Self { state: State::open(folder)?, _lease: lease })
    }

    /// What is done so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Runs one step unless it is done from the same inputs and its outputs stand. Returns whether it ran.
    ///
    /// # Errors
    /// The step's own, and those of writing the state.
    pub fn run<C, E>(
        &mut self,
        step: &dyn Step<C, E>,
        context: &mut C,
        now: &dyn Fn() -> Timestamp,
        on_moment: &mut Listener<'_, C, E>,
    ) -> Result<bool, E>
    where
        E: From<WorkflowError>,
    {
        let key = step.key(context)?;
        if let Some(done) = self.state.steps.get(step.name()).filter(|d| d.key == key)
            && step.stands(context, &done.outcome)?
        {
            on_moment(context, step, Moment::UpToDate(done));
            return Ok(false);
        }
        on_moment(context, step, Moment::Begins);
        let started = Instant::now();
        let outcome = step.run(context)?;
        let took_ms = u64::try_from(started.elapsed().max(Duration::ZERO).as_millis()).unwrap_or(u64::MAX);
        // The key may include what the step itself fixed (a version that did not exist before).
        let key = step.key(context)?;
        let done = Done { key, at: now(), took_ms, outcome };
        on_moment(context, step, Moment::Ended(&done));
        self.state.finish(step.name(), done)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polder_base::digest_bytes;

    #[derive(Debug, Error)]
    enum Failure {
        #[error("workflow")]
        Workflow(#[from] WorkflowError),
        #[error("step")]
        Step,
    }

    #[derive(Default)]
    struct World {
        input: u8,
        runs: usize,
        stands: bool,
        fails: bool,
    }

    struct Count;

    impl Step<World, Failure> for Count {
        fn name(&self) -> &'static str {
            "count"
        }
        fn stage(&self) -> &'static str {
            "test"
        }
        fn key(&self, w: &mut World) -> Result<Digest, Failure> {
            Ok(digest_bytes(&[w.input]))
        }
        fn stands(&self, w: &mut World, _: &Outcome) -> Result<bool, Failure> {
            Ok(w.stands)
        }
        fn run(&self, w: &mut World) -> Result<Outcome, Failure> {
            if w.fails {
                return Err(Failure::Step);
            }
            w.runs += 1;
            w.stands = true;
            Ok(Outcome::default())
        }
    }

    fn go(folder: &Path, world: &mut World) -> Result<bool, Failure> {
        Workflow::open(folder)?.run(&Count, world, &|| Timestamp(0), &mut |_, _, _| {})
    }

    #[test]
    fn a_step_runs_again_only_when_its_inputs_change_or_its_outputs_are_gone() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let mut world = World::default();
        assert!(go(dir.path(), &mut world).expect("first"));
        assert!(!go(dir.path(), &mut world).expect("second"));
        world.input = 1;
        assert!(go(dir.path(), &mut world).expect("changed"));
        world.stands = false;
        assert!(go(dir.path(), &mut world).expect("gone"));
        assert_eq!(world.runs, 3);
    }

    #[test]
    fn a_failed_step_is_not_done() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let mut world = World { fails: true, ..World::default() };
        assert!(go(dir.path(), &mut world).is_err());
        world.fails = false;
        assert!(go(dir.path(), &mut world).expect("second try"));
    }

    #[test]
    fn two_runs_of_one_workflow_exclude_each_other() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let first = Workflow::open(dir.path()).expect("first");
        assert!(matches!(Workflow::open(dir.path()), Err(WorkflowError::Held { .. })));
        drop(first);
        assert!(Workflow::open(dir.path()).is_ok());
    }
}
