//! What a client sends during transmission.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::timeout;

use crate::wire::request::Request;

/// Bytes that are read ahead: 35 requests, or one and so much of its payload that the rest is as well aligned as the whole.
const AHEAD: usize = Request::LEN + 15 * 64;

/// The receiving direction.
#[derive(Debug)]
pub(super) struct Input<R> {
    io: R,
    /// What was read ahead. A quiet connection has no memory for it.
    ahead: Vec<u8>,
    start: usize,
}

/// How reading into a buffer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// The buffer is full.
    Full,
    /// Nothing has arrived for a while.
    Stalled,
}

impl<R: AsyncRead + Unpin> Input<R> {
    pub(super) fn new(io: R) -> Self {
        Self { io, ahead: Vec::new(), start: 0 }
    }

    fn ahead(&self) -> &[u8] {
        &self.ahead[self.start..]
    }

    /// How many requests have arrived, if none of them has a payload.
    pub(super) fn requests(&self) -> usize {
        self.ahead().len() / Request::LEN
    }

    /// Reads once what has arrived; 0 is the end.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.ahead.drain(..self.start);
        self.start = 0;
        let mut bytes = [const { MaybeUninit::uninit() }; AHEAD];
        let mut buf = ReadBuf::uninit(&mut bytes[..AHEAD - self.ahead.len()]);
        let polled = Pin::new(&mut self.io).poll_read(cx, &mut buf)?;
        if polled.is_pending() && self.ahead.is_empty() {
            self.ahead = Vec::new();
        }
        ready!(polled);
        self.ahead.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// The next request's bytes, of what was read ahead.
    pub(super) fn next_request(&mut self) -> Option<[u8; Request::LEN]> {
        let request = *self.ahead().first_chunk()?;
        self.start += Request::LEN;
        Some(request)
    }

    /// Takes back that this request was taken.
    pub(super) fn put_back_request(&mut self) {
        self.start -= Request::LEN;
    }

    /// Whether the client has ended its direction between two requests, if it has ended it.
    pub(super) fn is_between_requests(&self) -> bool {
        self.ahead().is_empty()
    }

    /// Waits until there are bytes, without memory for them.
    pub(super) async fn readable(&mut self) -> io::Result<()> {
        if self.ahead().is_empty() && poll_fn(|cx| self.poll_more(cx)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Puts into `buf` what has arrived, at least a byte.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let taken = self.take_ahead(buf);
        if taken > 0 || buf.is_empty() {
            return Poll::Ready(Ok(taken));
        }
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
        match buf.filled().len() {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            read => Poll::Ready(Ok(read)),
        }
    }

    fn take_ahead(&mut self, buf: &mut [u8]) -> usize {
        let ahead = self.ahead();
        let count = ahead.len().min(buf.len());
        buf[..count].copy_from_slice(&ahead[..count]);
        self.start += count;
        count
    }

    /// Reads until `buf` is full from `filled` on, or nothing has come for as long as `patience`.
    pub(super) async fn fill(
        &mut self,
        buf: &mut [u8],
        filled: &mut usize,
        patience: Duration,
    ) -> io::Result<Filled> {
        *filled += self.take_ahead(&mut buf[*filled..]);
        while *filled < buf.len() {
            match timeout(patience, self.io.read(&mut buf[*filled..])).await {
                Err(_) => return Ok(Filled::Stalled),
                Ok(read) => match read? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => *filled += read,
                },
            }
        }
        Ok(Filled::Full)
    }

    /// Reads so many bytes away.
    pub(super) async fn discard(&mut self, mut len: u64) -> io::Result<()> {
        while len > 0 {
            self.readable().await?;
            let count = len.min(self.ahead().len() as u64);
            self.start += count as usize;
            len -= count;
        }
        Ok(())
    }

    /// Reads until the client ends its direction.
    pub(super) async fn discard_all(&mut self) {
        while self.readable().await.is_ok() {
            self.start = self.ahead.len();
        }
    }
}
