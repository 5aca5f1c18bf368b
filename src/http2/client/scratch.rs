//! Memory in which frames are put together, one piece a thread.

use std::cell::Cell;

use crate::http2::limits::UNSENT;
use crate::http2::output::Output;

thread_local! {
    static SCRATCH: Cell<Option<Output>> = const { Cell::new(None) };
}

/// The thread's, or new.
pub(super) fn take() -> Output {
    SCRATCH.try_with(Cell::take).ok().flatten().unwrap_or_default()
}

/// Keeps an empty output's memory for the next call on this thread, unless it is large.
pub(super) fn give_back(output: Output) {
    if (1..=UNSENT).contains(&output.capacity()) {
        // At the thread's end it is dropped.
        let _ = SCRATCH.try_with(|scratch| scratch.set(Some(output)));
    }
}
