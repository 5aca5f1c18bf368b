//! What is sent during transmission.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

/// The sending direction, shared by all requests in flight.
#[derive(Debug)]
pub(super) struct Output<W> {
    io: Mutex<W>,
    /// Part of a reply is missing, or the socket has failed: nothing may follow.
    broken: AtomicBool,
}

/// The connection can no longer be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// How sending a part went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    All,
    /// The client has taken nothing for a while; so many bytes were taken before.
    Stalled(usize),
}

impl<W: AsyncWrite + Unpin> Output<W> {
    pub(super) fn new(io: W) -> Self {
        Self { io: Mutex::new(io), broken: AtomicBool::new(false) }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Marks the connection as one that has to be closed.
    pub(super) fn break_off(&self) -> Broken {
        self.broken.store(true, Ordering::Release);
        Broken
    }

    /// Waits for this reply's turn.
    pub(super) async fn turn(&self) -> Result<Turn<'_, W>, Broken> {
        self.begin(self.io.lock().await)
    }

    /// As [`turn`](Self::turn), but not longer than `patience`.
    pub(super) async fn turn_within(
        &self,
        patience: Duration,
    ) -> Option<Result<Turn<'_, W>, Broken>> {
        if let Ok(io) = self.io.try_lock() {
            return Some(self.begin(io));
        }
        timeout(patience, self.io.lock()).await.ok().map(|io| self.begin(io))
    }

    fn begin<'out>(&'out self, io: MutexGuard<'out, W>) -> Result<Turn<'out, W>, Broken> {
        match self.is_broken() {
            true => Err(Broken),
            false => Ok(Turn { output: self, io, complete: true }),
        }
    }

    /// Sends a whole reply, which takes no memory worth mentioning.
    pub(super) async fn send(&self, reply: &[u8]) -> Result<(), Broken> {
        let mut turn = self.turn().await?;
        turn.send(reply).await?;
        turn.end().await
    }

    /// Ends the direction.
    pub(super) async fn shut_down(&self) {
        let mut io = self.io.lock().await;
        if !self.is_broken() && io.shutdown().await.is_err() {
            self.break_off();
        }
    }
}

/// A reply's turn. A turn that is dropped in the middle breaks the connection.
#[derive(Debug)]
pub(super) struct Turn<'out, W: AsyncWrite + Unpin> {
    output: &'out Output<W>,
    io: MutexGuard<'out, W>,
    complete: bool,
}

impl<W: AsyncWrite + Unpin> Turn<'_, W> {
    /// Sends all, however long that takes.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.complete = false;
        let result = self.io.write_all(bytes).await;
        self.checked(result)
    }

    /// Sends until all is taken, or nothing has been for as long as `patience`.
    pub(super) async fn send_within(
        &mut self,
        bytes: &[u8],
        patience: Duration,
    ) -> Result<Sent, Broken> {
        self.complete = false;
        let mut sent = 0;
        while sent < bytes.len() {
            match timeout(patience, self.io.write(&bytes[sent..])).await {
                Err(_) => return Ok(Sent::Stalled(sent)),
                Ok(Ok(0)) => return self.checked(Err(io::ErrorKind::WriteZero.into())),
                Ok(result) => sent += self.checked(result)?,
            }
        }
        Ok(Sent::All)
    }

    /// Marks the connection as one that has to be closed.
    pub(super) fn break_off(&self) -> Broken {
        self.output.break_off()
    }

    /// What is sent to.
    pub(super) fn io_mut(&mut self) -> &mut W {
        &mut self.io
    }

    /// Notes whether something of the reply was sent.
    pub(super) fn begun_if(&mut self, begun: bool) {
        self.complete &= !begun;
    }

    /// The reply, or its chunk, is complete.
    pub(super) async fn end(mut self) -> Result<(), Broken> {
        let result = self.io.flush().await;
        self.checked(result)?;
        self.complete = true;
        Ok(())
    }

    pub(super) fn checked<T>(&self, result: io::Result<T>) -> Result<T, Broken> {
        result.map_err(|error| {
            tracing::debug!(%error, "cannot send to the client");
            self.output.break_off()
        })
    }
}

impl<W: AsyncWrite + Unpin> Drop for Turn<'_, W> {
    fn drop(&mut self) {
        if !self.complete {
            self.output.break_off();
        }
    }
}
