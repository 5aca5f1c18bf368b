//! Unread content that keeps buffers of the pool while others may need them.

use std::task::Waker;
use std::time::{Duration, Instant};

use super::connection::Core;
use super::limits::PIN_SECONDS;
use crate::pool::{BufferPool, Lease};

/// What a shell knows of the content of its streams that is in buffers of the pool.
#[derive(Debug, Default)]
pub(crate) struct Pins(Option<Lease>);

impl Pins {
    /// To be called before the shell waits. Copies the content if it has been unread while others waited for memory for too long.
    /// Otherwise `waker` is woken when it has.
    pub(crate) fn look<T: Default>(
        &mut self,
        core: &mut Core<T>,
        pool: &BufferPool,
        waker: &Waker,
        now: impl FnOnce() -> Instant,
    ) {
        if !core.pins() {
            self.0 = None;
            return;
        }
        let now = now();
        let limit = Duration::from_secs(PIN_SECONDS.into());
        let lease = self.0.get_or_insert_with(|| Lease::within(pool, now, limit, waker));
        if lease.is_over(now, waker) {
            core.unpin();
            self.0 = None;
        }
    }
}
