//! A session behind its lock, as the driver and all handles see it.

use std::sync::{Arc, Mutex, PoisonError};

use super::session::{After, Core};

pub(super) struct Shared(Mutex<Core>);

impl Shared {
    pub(super) fn new(core: Core) -> Arc<Self> {
        Arc::new(Self(Mutex::new(core)))
    }

    /// Does something to the session, and when the lock is free again what that left to do.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut Core, &mut After) -> R) -> R {
        let mut after = After::default();
        // No code of others runs under the lock, so that a panic elsewhere leaves nothing half done.
        let result = change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), &mut after);
        after.run();
        result
    }
}
