//! What leaves through the transport.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use super::super::output::Output;

/// Slices of one call. Linux takes 1,024; after 64 of 4 KiB and more another call costs nothing.
const SLICES: usize = 64;
/// What a thread keeps between two turns, in bytes.
const SCRATCH: usize = 64 << 10;

thread_local! {
    /// Where the frames of a turn are written, most of the time to leave within it.
    static OUTPUT: Cell<Option<Output>> = const { Cell::new(None) };
}

/// The thread's memory for output, empty.
pub(super) fn take_scratch() -> Output {
    OUTPUT.take().unwrap_or_default()
}

/// Gives it back, and answers what did not leave, in memory of its own.
pub(super) fn return_scratch(mut output: Output) -> Option<Output> {
    let rest = (!output.is_empty()).then(|| output.split_off_rest());
    if output.capacity() <= SCRATCH {
        output.clear();
        OUTPUT.set(Some(output));
    }
    rest
}

/// Writes as much as the transport takes. `Pending` with a part of it left; then the transport wakes the task.
pub(super) fn poll_write<IO: AsyncWrite + Unpin>(
    io: &mut IO,
    cx: &mut Context<'_>,
    output: &mut Output,
) -> Poll<io::Result<()>> {
    while !output.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = output.slices(&mut slices);
        match Pin::new(&mut *io).poll_write_vectored(cx, &slices[..count]) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => output.advance(written),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
    }
    Pin::new(io).poll_flush(cx)
}
