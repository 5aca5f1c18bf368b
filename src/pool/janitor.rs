//! The thread that unmaps buffers nobody has used for a while.
//!
//! The paths that take and return buffers read no clock. They stamp a returned buffer with the
//! number of the janitor's current period, and only the janitor counts periods.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::shared::Shared;
use super::state::AfterUnlock;

/// Periods in the time after which buffers are released: a buffer overstays by at most one of them.
const PERIODS: u32 = 4;

/// The shortest period: waking up more often would cost more than the memory is worth.
const MIN_PERIOD: Duration = Duration::from_millis(1);

/// Starts the thread. It ends when it finds nothing idle, which includes a closed pool.
pub(super) fn spawn(pool: Arc<Shared>, release_after: Duration) -> io::Result<()> {
    let period = (release_after / PERIODS).max(MIN_PERIOD);
    // At most 15 bytes, or Linux cuts the name.
    thread::Builder::new().name("alts-pool-idle".into()).spawn(move || {
        while pool.janitor_sleep(period) {
            let mut after = AfterUnlock::default();
            pool.lock().expire(PERIODS, &mut after);
            pool.settle(after);
        }
    })?;
    Ok(())
}
