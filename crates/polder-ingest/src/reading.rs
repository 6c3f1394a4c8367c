//! Reads sources on several threads and gives what they find in the order of the listing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::runtime::Handle;

use crate::IngestError;
use crate::compression::Budget;
use crate::database;
use crate::readers::{self, Layer};
use crate::record::{Fault, Flow, Gone, Item, Origin, Sink};
use crate::settings::{Outside, Request, Settings};
use crate::sources::{Listing, Place, SourceFile, Task};

/// A batch goes on its way at this much.
const BATCH_BYTES: usize = 1 << 20;
/// Batches that may wait for whoever takes them, for each task that is read.
const WAITING_BATCHES: usize = 4;
const THREADS_MAX: usize = 8;
const REMOTE_THREADS: usize = 16;

/// Counts of what was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Files.
    pub files: u64,
    /// Packages.
    pub packages: u64,
    /// Packages of which the limit allowed only a part.
    pub packages_cut: u64,
    /// Links that were not followed.
    pub links: u64,
    /// Whether the limit left something out.
    pub is_limited: bool,
}

/// What was found, in order.
#[derive(Debug, Default)]
pub struct Batch {
    /// Records and faults.
    pub items: Vec<Item>,
    /// What came to its end with them.
    pub tally: Tally,
}

/// Sources that are being read. Dropping it ends the reading.
pub struct Reading {
    tasks: Receiver<Receiver<Batch>>,
    current: Option<Receiver<Batch>>,
}

impl Reading {
    /// Lists the sources and begins to read them. `outside` reads tables and object stores; `handle` runs what waits
    /// for the web.
    ///
    /// # Errors
    /// There is no such source, or it cannot be listed.
    pub fn start(request: &Request, outside: Arc<dyn Outside>, handle: Handle) -> Result<Self, IngestError> {
        let listing = Listing::new(request, outside.as_ref())?;
        let settings = Arc::new(Settings::new(request, outside, handle));
        let n_threads = thread::available_parallelism().map_or(2, usize::from).clamp(1, THREADS_MAX);
        // What is far away is waited for, not worked on.
        let n_threads = if listing.is_remote() { n_threads.max(REMOTE_THREADS) } else { n_threads };
        // Tasks wait in order; as many as this channel holds are ahead of the one that is taken from.
        let (ordered, tasks) = sync_channel(2 * n_threads);
        let (work, todo) = channel::<(Task, SyncSender<Batch>)>();
        let todo = Arc::new(Mutex::new(todo));
        for _ in 0..n_threads {
            let (todo, settings) = (todo.clone(), settings.clone());
            thread::spawn(move || {
                loop {
                    let next = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((task, sender)) = next else { break };
                    // Nobody takes what this task finds: others may still be wanted.
                    let _ = read_task(task, &settings, &sender);
                }
            });
        }
        thread::spawn(move || list(listing, &ordered, &work));
        Ok(Self { tasks, current: None })
    }

    /// Waits for what is found next; `None` at the end.
    pub fn next_batch(&mut self) -> Option<Batch> {
        loop {
            if let Some(batch) = self.current.as_ref().and_then(|current| current.recv().ok()) {
                return Some(batch);
            }
            self.current = Some(self.tasks.recv().ok()?);
        }
    }
}

fn list(listing: Listing, ordered: &SyncSender<Receiver<Batch>>, work: &Sender<(Task, SyncSender<Batch>)>) {
    for task in listing {
        let (sender, receiver) = sync_channel(WAITING_BATCHES);
        if ordered.send(receiver).is_err() || work.send((task, sender)).is_err() {
            break;
        }
    }
}

fn read_task(task: Task, settings: &Settings, sender: &SyncSender<Batch>) -> Flow {
    let (mut items, mut bytes) = (Vec::new(), 0);
    let mut tally = Tally {
        files: task.files.len() as u64,
        packages: task.packages,
        packages_cut: task.packages_cut,
        links: task.links,
        is_limited: task.is_limited,
    };
    for file in task.files {
        let origin = Arc::new(Origin { source: file.source.clone(), package: file.package.clone() });
        let mut emit = |item: Item| {
            bytes += item.bytes();
            items.push(item);
            if bytes < BATCH_BYTES {
                return Ok(());
            }
            bytes = 0;
            sender.send(Batch { items: std::mem::take(&mut items), tally: Tally::default() }).map_err(|_| Gone)
        };
        let mut sink = Sink::new(origin, settings, &mut emit);
        read(&file, &mut sink)?;
        tally.links += sink.links;
    }
    sender.send(Batch { items, tally }).map_err(|_| Gone)
}

fn read(file: &SourceFile, sink: &mut Sink<'_>) -> Flow {
    let member = file.member();
    if let Some(why) = &file.unreadable {
        return sink.bad(member, Fault::new("unreadable", why.clone()));
    }
    let layer = Layer { depth: 0, budget: Budget::new(sink.settings.limits), is_named: file.is_named };
    // A library that loses its head over a broken file costs that file, not the others.
    let caught = catch_unwind(AssertUnwindSafe(|| match &file.place {
        Place::Path(path) => readers::read_file(path, member, &layer, sink),
        Place::Table(path) => {
            let outside = sink.settings.outside.clone();
            outside.read_table(path, member, sink)
        }
        Place::Object(address) => readers::read_object(address, member, &layer, sink),
        Place::Web(url) => readers::read_web(url, member, &layer, sink),
        Place::Database(target) => database::read(target, member, sink),
    }));
    caught.unwrap_or_else(|_| sink.bad(file.member(), Fault::new("corrupt", "its reader gave up over it")))
}
