//! What a server sends during transmission.

use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::Error;
use crate::wire::reply::{ChunkHeader, ReplyHeader, SimpleReply};

/// What is read ahead while replies are awaited: small replies arrive by the dozen.
const AHEAD: usize = 16 << 10;
/// What a quiet connection waits with.
const QUIET: usize = 32;

/// The receiving direction.
#[derive(Debug)]
pub(super) struct Input<R> {
    io: R,
    ahead: Vec<u8>,
    start: usize,
    end: usize,
}

impl<R: AsyncRead + Unpin> Input<R> {
    pub(super) fn new(io: R) -> Self {
        Self { io, ahead: Vec::new(), start: 0, end: 0 }
    }

    /// The next reply's header; `None` if the server has ended its direction between two replies. `quiet` says whether none is
    /// awaited: then there is no memory for one.
    pub(super) async fn header(
        &mut self,
        quiet: impl Fn() -> bool,
    ) -> Result<Option<ReplyHeader>, Error> {
        if self.start == self.end && quiet() {
            self.ahead = Vec::new();
            (self.start, self.end) = (0, 0);
            let mut some = [0; QUIET];
            match self.read(&mut some).await? {
                0 => return Ok(None),
                read => {
                    self.ahead = vec![0; AHEAD];
                    self.ahead[..read].copy_from_slice(&some[..read]);
                    self.end = read;
                }
            }
        }
        let between = self.start == self.end;
        if !self.gather(SimpleReply::LEN, between).await? {
            return Ok(None);
        }
        let ahead = &self.ahead[self.start..];
        let len = ReplyHeader::len_of([ahead[0], ahead[1], ahead[2], ahead[3]])?;
        self.gather(len, false).await?;
        let header = ReplyHeader::decode(&self.ahead[self.start..self.start + len])?;
        self.start += len;
        Ok(Some(header))
    }

    /// The next bytes.
    pub(super) async fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        const { assert!(N <= ChunkHeader::LEN, "it fits into what is read ahead") };
        self.gather(N, false).await?;
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.ahead[self.start..self.start + N]);
        self.start += N;
        Ok(bytes)
    }

    /// Fills all of `buf`.
    pub(super) async fn fill(&mut self, buf: &mut [u8]) -> Result<(), Error> {
        let mut filled = self.take(buf);
        while filled < buf.len() {
            // Much is read to where it belongs, little together with what comes behind it.
            if buf.len() - filled >= AHEAD {
                match self.read(&mut buf[filled..]).await? {
                    0 => return Err(in_the_middle()),
                    read => filled += read,
                }
            } else {
                self.gather(1, false).await?;
                filled += self.take(&mut buf[filled..]);
            }
        }
        Ok(())
    }

    /// Copies what was read ahead.
    fn take(&mut self, buf: &mut [u8]) -> usize {
        let ahead = &self.ahead[self.start..self.end];
        let count = ahead.len().min(buf.len());
        buf[..count].copy_from_slice(&ahead[..count]);
        self.start += count;
        count
    }

    /// Reads until so many bytes are there. Without any, `false` is the end, if it `may_end`.
    async fn gather(&mut self, len: usize, may_end: bool) -> Result<bool, Error> {
        if self.end - self.start >= len {
            return Ok(true);
        }
        self.ahead.resize(AHEAD, 0);
        self.ahead.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < len {
            let read = self.io.read(&mut self.ahead[self.end..]).await;
            match read.map_err(|error| Error::io("cannot receive from the server", &error))? {
                0 if may_end && self.end == 0 => return Ok(false),
                0 => return Err(in_the_middle()),
                read => self.end += read,
            }
        }
        Ok(true)
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let read = self.io.read(buf).await;
        read.map_err(|error| Error::io("cannot receive from the server", &error))
    }
}

fn in_the_middle() -> Error {
    Error::cut("the server ended the connection in the middle of a reply")
}
