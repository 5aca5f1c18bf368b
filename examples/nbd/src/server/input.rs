//! What a client sends during transmission.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::wire::request::Request;

/// Bytes that are read ahead: nine requests. It is all that a quiet connection has for receiving.
const AHEAD: usize = 256;

/// The receiving direction.
#[derive(Debug)]
pub(super) struct Input<R> {
    io: R,
    ahead: [u8; AHEAD],
    start: usize,
    end: usize,
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
        Self { io, ahead: [0; AHEAD], start: 0, end: 0 }
    }

    /// The next request's bytes; `None` if the client has ended its direction between two requests.
    pub(super) async fn request(&mut self) -> io::Result<Option<[u8; Request::LEN]>> {
        loop {
            if let Some(request) = self.ahead[self.start..self.end].first_chunk() {
                let request = *request;
                self.start += Request::LEN;
                return Ok(Some(request));
            }
            self.ahead.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            match self.io.read(&mut self.ahead[self.end..]).await? {
                0 if self.end == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.end += read,
            }
        }
    }

    /// Waits until there are bytes, without memory for them.
    pub(super) async fn readable(&mut self) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            match self.io.read(&mut self.ahead).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.end = read,
            }
        }
        Ok(())
    }

    /// Reads until `buf` is full from `filled` on, or nothing has come for as long as `patience`.
    pub(super) async fn fill(
        &mut self,
        buf: &mut [u8],
        filled: &mut usize,
        patience: Duration,
    ) -> io::Result<Filled> {
        let ahead = &self.ahead[self.start..self.end];
        let count = ahead.len().min(buf.len() - *filled);
        buf[*filled..*filled + count].copy_from_slice(&ahead[..count]);
        self.start += count;
        *filled += count;
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
            let count = len.min((self.end - self.start) as u64);
            self.start += count as usize;
            len -= count;
        }
        Ok(())
    }

    /// Reads until the client ends its direction.
    pub(super) async fn discard_all(&mut self) {
        while self.readable().await.is_ok() {
            self.start = self.end;
        }
    }
}
