//! The application's handle on a session.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWrite;

use super::Driver;
use crate::pool::BufferPool;
use crate::ready::ReadyReader;
use crate::yamux::config::{Config, ConfigError};
use crate::yamux::error::Error;
use crate::yamux::limits;
use crate::yamux::session::{Core, Side, Steady};
use crate::yamux::shared::Shared;
use crate::yamux::stats::SessionStats;
use crate::yamux::stream::Stream;

/// A session: opens streams and accepts those of the peer. Clones share it.
///
/// Made with the [`Driver`] that moves its bytes. Both sides can open streams; which of them is the client decides only about ids, and has
/// to be agreed outside.
///
/// When the last clone is dropped, streams that were not accepted are reset, open ones go on, and then the session ends.
pub struct Session {
    shared: Arc<Shared>,
}

impl Session {
    /// The side whose streams have odd ids, by custom the one that connected. Received bytes are held in buffers of `pool`.
    pub fn client<S>(io: S, config: Config, pool: BufferPool) -> (Self, Driver<S>)
    where
        S: ReadyReader + AsyncWrite + Unpin,
    {
        Self::new(Side::Client, io, config, pool)
    }

    /// The other side.
    pub fn server<S>(io: S, config: Config, pool: BufferPool) -> (Self, Driver<S>)
    where
        S: ReadyReader + AsyncWrite + Unpin,
    {
        Self::new(Side::Server, io, config, pool)
    }

    fn new<S>(side: Side, io: S, config: Config, pool: BufferPool) -> (Self, Driver<S>)
    where
        S: ReadyReader + AsyncWrite + Unpin,
    {
        let shared = Shared::new(Steady::new(side, config, pool));
        (Self { shared: Arc::clone(&shared) }, Driver::new(io, shared))
    }

    /// Opens a stream. It can be used at once; the peer learns of it with the next frame. Waits while the peer has not
    /// acknowledged 256 others.
    ///
    /// # Errors
    /// [`Error::GoAway`] if the peer takes no new streams, [`Error::Closed`] after [`shutdown`](Self::shutdown), and whatever ended the
    /// session.
    pub async fn open(&self) -> Result<Stream, Error> {
        let window = self.shared.with(|core, _| core.config().window);
        poll_fn(|cx| self.poll_open(cx, window)).await
    }

    /// As [`open`](Self::open), for a stream with a window of its own: 256 KiB to 16 MiB, in bytes.
    ///
    /// # Errors
    /// As for `open`. The outer error is that of a size out of range.
    pub async fn open_with_window(
        &self,
        window: u32,
    ) -> Result<Result<Stream, Error>, ConfigError> {
        if !(limits::INITIAL_WINDOW..=limits::MAX_WINDOW).contains(&window) {
            return Err(ConfigError::Window(window));
        }
        Ok(poll_fn(|cx| self.poll_open(cx, window)).await)
    }

    fn poll_open(&self, cx: &mut Context<'_>, window: u32) -> Poll<Result<Stream, Error>> {
        let opened = self.shared.with(|core, after| core.open(window, cx.waker(), after));
        opened.map_ok(|(slot, id)| Stream::new(&self.shared, slot, id))
    }

    /// The next stream that the peer has opened; this tells the peer that it was accepted. `None`: there will be no more, because one
    /// of the sides has ended the session.
    ///
    /// One task should accept: of several, the one that asked last is woken.
    ///
    /// # Errors
    /// Whatever ended the session.
    pub async fn accept(&self) -> Result<Option<Stream>, Error> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// [`accept`](Self::accept) as a poll.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Stream>, Error>> {
        let accepted = self.shared.with(|core, after| core.accept(cx.waker(), after));
        accepted.map_ok(|stream| stream.map(|(slot, id)| Stream::new(&self.shared, slot, id)))
    }

    /// Asks the peer for a sign of life, ahead of all data, and says how long that took.
    ///
    /// # Errors
    /// Whatever ended the session before the answer came.
    pub async fn ping(&self) -> Result<Duration, Error> {
        let value =
            poll_fn(|cx| self.shared.with(|core, after| core.ping(cx.waker(), after))).await?;
        let ping = Ping { shared: &self.shared, value };
        poll_fn(|cx| self.shared.with(|core, after| core.poll_ping(ping.value, cx.waker(), after)))
            .await
    }

    /// Tells the peer that this side takes no new streams; from now on they are reset. Open ones go on, and this side can open more.
    ///
    /// Peers differ in what they make of it: hashicorp's stops opening and goes on; libp2p's in Go and rust-yamux end the
    /// session at once, and lose what was under way. [`shutdown`](Self::shutdown) works with all of them.
    pub fn go_away(&self) {
        self.shared.with(Core::go_away);
    }

    /// Ends the session in order: no new streams from here on, neither way; those that are open may go on for `limit`; then the peer is told and
    /// the connection is closed. Returns when that is done.
    ///
    /// # Errors
    /// [`Error::Deadline`] if streams were still open after `limit`, and were reset. Whatever ended the session before.
    pub async fn shutdown(&self, limit: Duration) -> Result<(), Error> {
        self.shared.with(|core, after| core.close(limit, after));
        match poll_fn(|cx| self.shared.with(|core, _| core.poll_finished(cx.waker()))).await {
            Error::Closed | Error::GoAway { code: 0 } => Ok(()),
            error => Err(error),
        }
    }

    /// Waits for the end of the session, and says what it was: [`Error::Closed`] or [`Error::GoAway`] with code 0 in order.
    pub async fn closed(&self) -> Error {
        poll_fn(|cx| self.shared.with(|core, _| core.poll_finished(cx.waker()))).await
    }

    /// Whether both are handles on the same session.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// The figures of this moment.
    pub fn stats(&self) -> SessionStats {
        self.shared.with(|core, _| core.stats())
    }
}

impl Clone for Session {
    fn clone(&self) -> Self {
        self.shared.with(|core, _| core.add_handle());
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.with(Core::drop_handle);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// A ping that is given up when it is dropped.
struct Ping<'session> {
    shared: &'session Shared,
    value: u32,
}

impl Drop for Ping<'_> {
    fn drop(&mut self) {
        self.shared.with(|core, after| core.forget_ping(self.value, after));
    }
}
