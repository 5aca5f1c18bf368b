//! The thread that unmaps buffers nobody has used for a while.
//!
//! The paths that take and return buffers read no clock. They stamp a returned buffer with the
//! number of the janitor's current period, and only the janitor counts periods.

use std::io;
use std::thread;
use std::time::Duration;

/// Periods in the time after which buffers are released: a buffer overstays by at most one of them.
pub(super) const PERIODS: u32 = 4;

/// The shortest period: waking up more often would cost more than the memory is worth.
pub(super) const MIN_PERIOD: Duration = Duration::from_millis(1);

/// Starts the thread.
pub(super) fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // At most 15 bytes, or Linux cuts the name.
    thread::Builder::new().name("alts-pool-idle".into()).spawn(work)?;
    Ok(())
}
