//! Signals that operators send.

use std::io;
use std::time::SystemTime;

use rustix::time::{ClockId, clock_gettime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;

use super::notify;
use crate::identity::IdentityFiles;

/// The signals that end a program: SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From now on these signals no longer kill the process. None is lost: make it before anybody is told that the program is
    /// ready.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them. Can be asked again, for a second signal.
    pub async fn signaled(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Has identities read their files at once when SIGHUP arrives, and tells systemd so. The signal no longer kills the process, even
/// if there is no identity. The future never ends; spawn it.
///
/// A failure is logged where it arises; the old identity stays then.
///
/// # Errors
/// The system does not allow it.
pub fn reload_on_hangup(
    identities: impl IntoIterator<Item = IdentityFiles>,
) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut hangup = signal(SignalKind::hangup())?;
    let identities: Vec<_> = identities.into_iter().collect();
    Ok(async move {
        while hangup.recv().await.is_some() {
            let now = clock_gettime(ClockId::Monotonic);
            notify::reloading(
                now.tv_sec.cast_unsigned() * 1_000_000 + now.tv_nsec.cast_unsigned() / 1000,
            );
            for files in &identities {
                let files = files.clone();
                // Reads files: not on the threads that move bytes.
                let reload = move || files.reload_if_changed(SystemTime::now());
                if let Ok(Ok(changed)) = spawn_blocking(reload).await {
                    tracing::info!(changed, "identity files were read again");
                }
            }
            notify::ready();
        }
    })
}
