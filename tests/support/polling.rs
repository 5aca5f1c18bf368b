//! One poll at a time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use alts::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A waker that counts.
#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let wakes = Arc::new(Self::default());
        (wakes.clone(), wakes.into())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls once, with nobody to wake.
pub(crate) fn now<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    match poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// One attempt to write.
pub(crate) fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
) -> Option<io::Result<usize>> {
    now(|cx| Pin::new(stream).poll_write(cx, bytes))
}

pub(crate) fn flush(stream: &mut (impl AsyncWrite + Unpin)) -> Option<io::Result<()>> {
    now(|cx| Pin::new(stream).poll_flush(cx))
}

pub(crate) fn shutdown(stream: &mut (impl AsyncWrite + Unpin)) -> Option<io::Result<()>> {
    now(|cx| Pin::new(stream).poll_shutdown(cx))
}

/// One attempt to read up to 100 bytes.
pub(crate) fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<io::Result<Vec<u8>>> {
    let mut bytes = [0; 100];
    let mut buf = ReadBuf::new(&mut bytes);
    let read = now(|cx| Pin::new(stream).poll_read(cx, &mut buf))?;
    Some(read.map(|()| buf.filled().to_vec()))
}

/// The error with which an attempt failed.
#[track_caller]
pub(crate) fn error_of<T: std::fmt::Debug>(attempt: Option<io::Result<T>>) -> Error {
    Error::from(attempt.expect("ready").unwrap_err())
}
