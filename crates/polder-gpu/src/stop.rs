//! Ctrl-C and SIGTERM: the first asks the work to stop where it can go on later, the second ends it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use polder_base::ExitKind;

/// Listens on a thread of its own, and returns the flag that it sets.
///
/// # Errors
/// The system gives no signals to listen to.
pub fn listen() -> std::io::Result<Arc<AtomicBool>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = Arc::new(AtomicBool::new(false));
    // From here on a signal sets the flag and ends nothing.
    let mut signals = runtime.block_on(async { Signals::try_new() })?;
    let asked = stop.clone();
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                signals.next().await;
                if asked.swap(true, Ordering::Relaxed) {
                    std::process::exit(i32::from(ExitKind::Interrupted.code()));
                }
                crate::note("stopping … (once more to stop at once)");
            }
        });
    });
    Ok(stop)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn try_new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn try_new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
