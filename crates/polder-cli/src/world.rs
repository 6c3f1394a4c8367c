//! What every command shares: the lake's place, the runtime, who acts, when to stop.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use polder_base::{Event, EventLog, Layout, Timestamp};
use polder_lake::{Lake, Place, Reading, StoreAccess};

use crate::artefacts::LakeArtefacts;
use crate::failure::{self, OrAdvise};
use crate::progress;
use crate::signal::Stop;

/// One invocation of the program.
pub struct World {
    /// The lake's folder.
    pub root: PathBuf,
    /// Whether output is JSON lines.
    pub json: bool,
    /// What trains.
    pub device: polder_compute::cuda::Machine,
    /// Set when the user asks to stop.
    pub stop: Stop,
    /// `user@host`.
    pub actor: String,
    /// Memory that queries may hold together, where the user says.
    pub memory_bytes: Option<u64>,
    runtime: tokio::runtime::Runtime,
    lake: Option<Lake>,
}

impl World {
    /// Starts the runtime and listens for signals.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn new(root: &Path, json: bool, device: polder_compute::cuda::Machine, memory_bytes: Option<u64>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            // Deep plans recurse deeply.
            .thread_stack_size(8 << 20)
            .build()
            .context("cannot start the asynchronous runtime")?;
        let stop = Stop::default();
        stop.listen(&runtime);
        Ok(Self { root: root.to_owned(), json, device, stop, actor: actor(), memory_bytes, runtime, lake: None })
    }

    /// The lake's folders.
    pub fn layout(&self) -> Layout {
        Layout::new(&self.root)
    }

    /// The point in time at which something is done.
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Runs asynchronous work to its end, or until the user asks to stop.
    ///
    /// # Errors
    /// Those of the work, or that it was stopped.
    pub fn block_on<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        self.runtime.block_on(async {
            tokio::select! {
                result = work => result,
                () = self.stop.wait() => Err(failure::interrupted()),
            }
        })
    }

    /// Runs statements of a lake in the same way, and tells what they have read when it takes long.
    ///
    /// # Errors
    /// Those of the work, or that it was stopped.
    pub fn block_on_watched<T>(
        &self,
        lake: &Lake,
        tell: impl FnMut(Reading),
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let watch = lake.watch();
        self.block_on(async {
            tokio::select! {
                result = work => result,
                never = progress::each(&watch, tell) => match never {},
            }
        })
    }

    /// Runs asynchronous work that looks at the stop flag itself.
    pub fn block_on_whole<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Opens the lake, bringing in the facts that were written beside it.
    ///
    /// # Errors
    /// There is none, or it is of another format.
    pub fn lake(&mut self) -> anyhow::Result<Lake> {
        if let Some(lake) = &self.lake {
            return Ok(lake.clone());
        }
        let lake = self.block_on(async { Lake::open(&self.root).await.or_advise() })?;
        self.keep(lake)
    }

    /// Opens the lake, making it where there is none.
    ///
    /// # Errors
    /// It cannot be made, or is of another format.
    pub fn lake_or_init(&mut self) -> anyhow::Result<Lake> {
        if self.lake.is_none() {
            return self.init(None);
        }
        self.lake()
    }

    /// Makes the lake, with its tables at a place of an object store if one is given.
    ///
    /// # Errors
    /// It cannot be made, is of another format or has its tables elsewhere.
    pub fn init(&mut self, place: Option<&Place>) -> anyhow::Result<Lake> {
        let access = StoreAccess::of_environment();
        let lake = self.block_on(async { Lake::init_at(&self.root, place, &access).await.or_advise() })?;
        self.keep(lake)
    }

    fn keep(&mut self, lake: Lake) -> anyhow::Result<Lake> {
        let mut lake = lake.with_artefacts(Arc::new(LakeArtefacts::new(self.layout())));
        if let Some(bytes) = self.memory_bytes {
            lake = lake.with_memory_max(usize::try_from(bytes).unwrap_or(usize::MAX)).or_advise()?;
        }
        self.lake = Some(lake.clone());
        self.block_on(async { polder_govern::sync(&lake).await.or_advise() })?;
        Ok(lake)
    }

    /// Writes a fact beside the lake, for [`World::bring_in`] or the next command to bring it into it: many of them cost little.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn note(&self, run_id: &str, event: &Event) -> anyhow::Result<()> {
        EventLog::open(&self.layout().run(run_id)).or_advise()?.append(event).or_advise()
    }

    /// Brings the facts that were written beside the lake into it.
    ///
    /// # Errors
    /// The lake's books cannot be written.
    pub fn bring_in(&self) -> anyhow::Result<()> {
        match self.lake.clone() {
            Some(lake) => self.block_on(async { polder_govern::sync(&lake).await.or_advise() }).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Writes facts beside the lake and brings them into it.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn record(&mut self, run_id: &str, events: &[Event]) -> anyhow::Result<()> {
        let mut log = EventLog::open(&self.layout().run(run_id)).or_advise()?;
        let known = polder_base::read_events(&self.layout().run(run_id)).or_advise()?;
        for event in events {
            // The same thing told again by another user or host is still the same fact.
            let told = |k: &Event| k.id == event.id || (k.at == event.at && k.verb == event.verb && k.subject == event.subject);
            if !known.iter().any(told) {
                log.append(event).or_advise()?;
            }
        }
        self.bring_in()
    }
}

/// Who acts: the user and the host.
fn actor() -> String {
    let user = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|v| std::env::var(v).ok()).unwrap_or_else(|| "unknown".into());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    format!("{user}@{}", host.map_or_else(|| "localhost".into(), |h| h.trim().to_owned()))
}
