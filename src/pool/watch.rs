//! The thread that runs while requests wait for memory: it reports lasting pressure to the log, and wakes holders of buffers
//! that have waited for a peer for too long.
//!
//! A timer of the caller's runtime is no alternative: a stream may be polled where there is none.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::inner::Inner;
use super::state::Watch;

/// Starts the thread. It ends about 3 seconds after the last request was served, or with the pool.
pub(super) fn spawn(pool: Arc<Inner>) -> io::Result<()> {
    // At most 15 bytes, or Linux cuts the name.
    thread::Builder::new().name("alts-pool-watch".into()).spawn(move || watch(&pool))?;
    Ok(())
}

fn watch(pool: &Arc<Inner>) {
    loop {
        match pool.change(|state, after| state.watch(Instant::now(), after)) {
            Watch::Relieved(reported) => {
                if reported {
                    tracing::info!("the buffer pool has room again");
                }
                return;
            }
            Watch::Again { after, report } => {
                if let Some(report) = report {
                    tracing::warn!(
                        seconds = report.lasted.as_secs(),
                        waiting = report.waiting,
                        refused = report.refused,
                        in_use_bytes = report.in_use_bytes,
                        cap_bytes = report.cap_bytes,
                        "the buffer pool stays at its cap and readers wait: raise the cap, or find what keeps buffers, or slices \
                         of them, for long",
                    );
                }
                pool.watch_sleep(after);
            }
        }
    }
}
