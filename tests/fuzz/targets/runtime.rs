//! What targets with sockets share: a runtime whose clock goes only when nothing else does, and identities for both sides.

use std::cell::LazyCell;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

use crate::support::Parties;

/// Runs `future` to its end, which must not depend on real time.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    thread_local! {
        static RUNTIME: LazyCell<Runtime> = LazyCell::new(|| {
            Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
        });
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// A runtime to enter, whose clock stands still.
pub(crate) fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// The same authority and identities for all inputs.
pub(crate) fn parties() -> &'static Parties {
    static PARTIES: OnceLock<Parties> = OnceLock::new();
    PARTIES.get_or_init(Parties::new)
}
