//! How a connection comes to its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::Request;
use tokio::io::AsyncWrite;
use tower_service::Service;

use super::Connection;
use crate::http2::body::Body;
use crate::http2::budget::Tick;
use crate::http2::error::Error;
use crate::http2::limits::LINGER_BYTES;
use crate::http2::output::Output;
use crate::http2::transport::poll_write;
use crate::ready::ReadyReader;

/// How a connection ends.
pub(super) struct Ending {
    pub(super) result: Result<(), Error>,
    pub(super) stage: Stage,
    pub(super) since: Tick,
}

pub(super) enum Stage {
    /// The last frames leave.
    Flush,
    /// The transport is shut down.
    Shutdown,
    /// Reading goes on for a while, or the kernel could withdraw the last frames: it does when bytes come that nobody reads. So many have
    /// come.
    Linger(usize),
}

impl<IO, S, B> Connection<IO, S, B>
where
    IO: ReadyReader + AsyncWrite + Unpin,
    S: Service<Request<Body>>,
{
    /// Brings the connection to its end.
    pub(super) fn poll_end(
        &mut self,
        cx: &mut Context<'_>,
        now: Tick,
        out: &mut Output,
    ) -> Poll<Result<(), Error>> {
        let late = now >= self.next_due();
        let Self { io, shared, active, .. } = self;
        let Some(active) = active else { return Poll::Ready(Ok(())) };
        let Some(ending) = &mut active.ending else { return Poll::Ready(Ok(())) };
        loop {
            let done = match &mut ending.stage {
                Stage::Flush => match poll_write(io, cx, out, 0) {
                    Poll::Ready(Ok(())) => {
                        ending.stage = Stage::Shutdown;
                        continue;
                    }
                    other => other.map(|_| ()),
                },
                Stage::Shutdown => match Pin::new(&mut *io).poll_shutdown(cx) {
                    Poll::Ready(Ok(())) => {
                        (ending.stage, ending.since) = (Stage::Linger(0), now);
                        continue;
                    }
                    other => other.map(|_| ()),
                },
                Stage::Linger(bytes) => {
                    match io.poll_read_on_ready(cx, &shared.pool, &mut active.ticket) {
                        Poll::Ready(Ok(Some(buf))) if *bytes + buf.len() < LINGER_BYTES => {
                            *bytes += buf.len();
                            continue;
                        }
                        other => other.map(|_| ()),
                    }
                }
            };
            if done.is_pending() && !late {
                return Poll::Pending;
            }
            return Poll::Ready(std::mem::replace(&mut ending.result, Ok(())));
        }
    }
}
