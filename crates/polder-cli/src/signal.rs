//! Ctrl-C and SIGTERM: the first asks the work to stop where it can go on later, the second ends it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that long work looks at between steps.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// The flag itself, for work that has no async runtime.
    pub fn flag(&self) -> &AtomicBool {
        &self.0
    }

    /// Whether the user asked to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns when the user asks to stop.
    pub async fn wait(&self) {
        while !self.is_set() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// Starts listening on a runtime.
    pub fn listen(&self, runtime: &tokio::runtime::Runtime) {
        let stop = self.clone();
        runtime.spawn(async move {
            loop {
                if one_signal().await.is_err() {
                    return;
                }
                if stop.0.swap(true, Ordering::Relaxed) {
                    std::process::exit(i32::from(polder_base::ExitKind::Interrupted.code()));
                }
                crate::output::note("stopping … (once more to stop at once)");
            }
        });
    }
}

#[cfg(unix)]
async fn one_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        r = tokio::signal::ctrl_c() => r,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn one_signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
