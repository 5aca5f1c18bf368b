//! What leaves through the transport.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use super::output::Output;

/// Slices of one call. Linux takes 1,024; after 64 of 4 KiB and more another call costs nothing.
const SLICES: usize = 64;

thread_local! {
    /// Where the frames of a turn are written, most of the time to leave within it.
    static OUTPUT: Cell<Option<Box<Output>>> = const { Cell::new(None) };
}

/// The thread's memory for output, empty, if it has any.
pub(crate) fn take_scratch() -> Option<Box<Output>> {
    OUTPUT.try_with(Cell::take).ok().flatten()
}

/// Gives it back, and answers what did not leave, without memory for what may come.
pub(crate) fn return_scratch(mut output: Box<Output>) -> Option<Box<Output>> {
    let rest = (!output.is_empty()).then(|| Box::new(output.split_off_rest()));
    // At the thread's end it is dropped.
    let _ = OUTPUT.try_with(|scratch| scratch.set(Some(output)));
    rest
}

/// Writes as much as the transport takes, until no more than `rest` bytes are left. `Pending` with more of them left; then the transport
/// wakes the task. A transport that secures bytes takes a batch at a time, and a caller that has more to come lets it be full batches.
pub(crate) fn poll_write<IO: AsyncWrite + Unpin + ?Sized>(
    io: &mut IO,
    cx: &mut Context<'_>,
    output: &mut Output,
    rest: usize,
) -> Poll<io::Result<()>> {
    while output.len() > rest {
        let written = match output.only() {
            Some(bytes) => Pin::new(&mut *io).poll_write(cx, bytes),
            None => poll_write_slices(Pin::new(&mut *io), cx, output),
        };
        match written {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => output.advance(written),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
    }
    match output.is_empty() {
        true => Pin::new(io).poll_flush(cx),
        false => Poll::Ready(Ok(())),
    }
}

fn poll_write_slices<IO: AsyncWrite + ?Sized>(
    io: Pin<&mut IO>,
    cx: &mut Context<'_>,
    output: &Output,
) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let count = output.slices(&mut slices);
    match io.is_write_vectored() {
        true => io.poll_write_vectored(cx, &slices[..count]),
        false => io.poll_write(cx, &slices[0]),
    }
}
