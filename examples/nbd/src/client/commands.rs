//! A connection's handle: what callers ask for.

use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;

use alts::pool::{PoolError, PooledBuf};
use bytes::Bytes;
use futures_util::stream::{StreamExt as _, iter};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;

use super::connection::run;
use super::error::{Error, Usage};
use super::reconnect::Redial;
use super::table::{Answer, Submission, Table};
use super::terms::Terms;
use super::{Haggling, Settings};
use crate::wire::flags::CommandFlags;
use crate::wire::reply::Extent;
use crate::wire::request::Command;

/// Pieces that one call has in flight.
const PIECES: usize = 8;
/// The most bytes that one request without data is about. It is a multiple of every block size, and servers work on it in one go.
const HINT: u64 = 1 << 30;

/// A connection in transmission. Clones share it, and when the last is dropped, requests in flight are completed and the connection is closed.
#[derive(Clone, Debug)]
pub struct Client(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    table: Arc<Table>,
    terms: Terms,
    settings: Settings,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.table.close();
    }
}

impl Client {
    /// Negotiates over a stream, and opens the export of that name. For TLS and for questions, begin with a [`Haggling`].
    ///
    /// # Errors
    /// What the handshake meets.
    pub async fn over<S>(stream: S, name: &str, settings: Settings) -> Result<Self, Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let opened = async { Haggling::begin(stream).await?.open(name).await };
        let opened = tokio::time::timeout(settings.handshake_timeout, opened).await;
        let (stream, terms) = opened.map_err(|_| Error::Timeout)??;
        Ok(Self::start(stream, terms, settings))
    }

    /// Begins transmission over a stream whose handshake has ended. It has to be called inside of a runtime of tokio, where it
    /// starts a task.
    pub fn start<S>(stream: S, terms: Terms, settings: Settings) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::start_again(stream, terms, settings, None)
    }

    /// As [`start`](Self::start); if the connection breaks, and [`Settings::reconnect`] is set, it is made again by `redial`.
    pub fn start_again<S>(
        stream: S,
        terms: Terms,
        settings: Settings,
        redial: Option<Redial<S>>,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let table = Arc::new(Table::new(settings.requests_in_flight, terms.allocation));
        let again = settings.reconnect.zip(redial);
        tokio::spawn(run(Arc::clone(&table), stream, terms.clone(), again));
        Self(Arc::new(Handle { table, terms, settings }))
    }

    /// What the handshake has agreed on.
    pub fn terms(&self) -> &Terms {
        &self.0.terms
    }

    /// Bytes of the export.
    pub fn size(&self) -> u64 {
        self.0.terms.size()
    }

    /// The most bytes that [`read_into`](Self::read_into) and [`write_from`](Self::write_from) move with one request.
    pub fn piece(&self) -> usize {
        let (terms, settings) = (&self.0.terms, &self.0.settings);
        let block = terms.block_size().minimum as usize;
        let piece = settings.request_size.min(terms.most_data() as usize);
        (piece - piece % block).max(block)
    }

    /// Reads so many bytes with one request, into a buffer of the pool. Dropping the buffer gives the memory back.
    ///
    /// # Errors
    /// What the server answers; [`Usage::TooLong`] beyond its maximum or 32 MiB.
    pub async fn read(&self, offset: u64, len: usize) -> Result<PooledBuf, Error> {
        self.read_with(offset, len, CommandFlags::NONE).await
    }

    /// As [`read`](Self::read), with flags: DF.
    pub async fn read_with(
        &self,
        offset: u64,
        len: usize,
        flags: CommandFlags,
    ) -> Result<PooledBuf, Error> {
        if len == 0 {
            return Err(Usage::Empty.into());
        }
        self.0.terms.check(Command::Read, flags, offset, len as u64)?;
        let (place, buf) = self.place_and_buffer(len).await?;
        let (command, payload) = (Command::Read, Bytes::new());
        let len = len as u32;
        let submission = Submission { place, command, flags, offset, len, payload, buf: Some(buf) };
        match self.answer(submission).await? {
            Answer::Data(buf) => Ok(buf),
            _ => Err(Error::Disconnected),
        }
    }

    /// Fills `buf` from there, with as many requests as it takes, several at a time.
    ///
    /// # Errors
    /// The first that happens. `buf` has parts of the data then.
    pub async fn read_into(&self, offset: u64, buf: &mut [u8]) -> Result<(), Error> {
        let pieces = pieces(offset, buf.len(), self.piece())?;
        let reads = pieces.map(|(at, range)| async move {
            self.read(at, range.len()).await.map(|data| (range, data))
        });
        let mut reads = iter(reads).buffer_unordered(PIECES);
        while let Some(read) = reads.next().await {
            let (range, data) = read?;
            buf[range].copy_from_slice(&data);
        }
        Ok(())
    }

    /// Writes these bytes with one request. Flags: FUA. The bytes are shared, not copied: a buffer of the pool comes
    /// by [`PooledBuf::freeze`].
    ///
    /// # Errors
    /// What the server answers; [`Usage::TooLong`] beyond its maximum or 32 MiB.
    pub async fn write(
        &self,
        offset: u64,
        payload: impl Into<Bytes>,
        flags: CommandFlags,
    ) -> Result<(), Error> {
        let payload = payload.into();
        if payload.is_empty() {
            return Ok(());
        }
        let (command, size) = (Command::Write, payload.len() as u64);
        self.0.terms.check(command, flags, offset, size)?;
        let place = self.0.table.place().await?;
        let len = size as u32;
        let submission = Submission { place, command, flags, offset, len, payload, buf: None };
        self.answer(submission).await.map(|_| ())
    }

    /// Writes all of `buf` to there, with as many requests as it takes, several at a time. They are copied into buffers of the
    /// pool.
    ///
    /// # Errors
    /// The first that happens. Other parts may have been written.
    pub async fn write_from(
        &self,
        offset: u64,
        buf: &[u8],
        flags: CommandFlags,
    ) -> Result<(), Error> {
        let pieces = pieces(offset, buf.len(), self.piece())?;
        let writes = pieces.map(|(at, range)| async move {
            let (command, offset, size) = (Command::Write, at, range.len() as u64);
            self.0.terms.check(command, flags, offset, size)?;
            let (place, mut piece) = self.place_and_buffer(range.len()).await?;
            piece.copy_from_slice(&buf[range]);
            let (len, payload) = (size as u32, piece.freeze());
            let submission = Submission { place, command, flags, offset, len, payload, buf: None };
            self.answer(submission).await
        });
        let mut writes = iter(writes).buffer_unordered(PIECES);
        while let Some(written) = writes.next().await {
            written?;
        }
        Ok(())
    }

    /// Makes stable what was answered before; that is all that a caller has awaited.
    ///
    /// # Errors
    /// What the server answers, and [`Error::UnsavedWrites`] after a connection was made again.
    pub async fn flush(&self) -> Result<(), Error> {
        self.bare(Command::Flush, 0..0, CommandFlags::NONE).await.map(|_| ())
    }

    /// Says that the contents of a range are no longer needed. What is read there afterwards is anything. Flags: FUA.
    pub async fn trim(&self, range: Range<u64>, flags: CommandFlags) -> Result<(), Error> {
        self.hint(Command::Trim, range, flags).await
    }

    /// Has a range read as zeroes. Flags: FUA, `NO_HOLE`, `FAST_ZERO`.
    pub async fn zero(&self, range: Range<u64>, flags: CommandFlags) -> Result<(), Error> {
        self.hint(Command::WriteZeroes, range, flags).await
    }

    /// Says that a range will be read soon.
    pub async fn cache(&self, range: Range<u64>) -> Result<(), Error> {
        self.hint(Command::Cache, range, CommandFlags::NONE).await
    }

    /// What is allocated from `offset` on: extents one after another, at least one. They may end before the range does; the last
    /// may go beyond it. Flags: `REQ_ONE`.
    pub async fn block_status(
        &self,
        offset: u64,
        len: u32,
        flags: CommandFlags,
    ) -> Result<Vec<Extent>, Error> {
        if len == 0 {
            return Err(Usage::Empty.into());
        }
        let end = offset.checked_add(len.into()).ok_or(Usage::BeyondEnd(self.size()))?;
        match self.bare(Command::BlockStatus, offset..end, flags).await? {
            Answer::Extents(extents) => Ok(extents),
            _ => Err(Error::Disconnected),
        }
    }

    /// Completes what is in flight, tells the server, and closes the connection. Other handles cannot use it any more.
    ///
    /// # Errors
    /// Why the connection had ended before.
    pub async fn disconnect(&self) -> Result<(), Error> {
        self.0.table.close();
        self.0.table.ended().await
    }

    /// A place among the requests in flight, and a buffer whose first `len` bytes are visible. Nobody waits for memory with a
    /// place in hand: the places of requests in flight become free, those of waiting ones might not.
    async fn place_and_buffer(
        &self,
        len: usize,
    ) -> Result<(OwnedSemaphorePermit, PooledBuf), Error> {
        let pool = &self.0.settings.pool;
        let mut place = self.0.table.place().await?;
        let mut buf = match pool.take(len) {
            Err(PoolError::AtCap) => {
                drop(place);
                let mut ticket = None;
                let buf = poll_fn(|cx| pool.poll_take(cx, &mut ticket, len)).await?;
                place = self.0.table.place().await?;
                buf
            }
            taken => taken?,
        };
        buf.set_range(0..len);
        Ok((place, buf))
    }

    async fn hint(
        &self,
        command: Command,
        range: Range<u64>,
        flags: CommandFlags,
    ) -> Result<(), Error> {
        let mut at = range.start;
        while at < range.end {
            let end = range.end.min(at.saturating_add(HINT));
            self.bare(command, at..end, flags).await?;
            at = end;
        }
        Ok(())
    }

    async fn bare(
        &self,
        command: Command,
        range: Range<u64>,
        flags: CommandFlags,
    ) -> Result<Answer, Error> {
        let (offset, len) = (range.start, range.end - range.start);
        self.0.terms.check(command, flags, offset, len)?;
        let place = self.0.table.place().await?;
        let (len, payload) = (len as u32, Bytes::new());
        self.answer(Submission { place, command, flags, offset, len, payload, buf: None }).await
    }

    async fn answer(&self, submission: Submission) -> Result<Answer, Error> {
        let answer = self.0.table.submit(submission)?;
        // The task answers whatever happens, unless its runtime has ended.
        answer.await.unwrap_or(Err(Error::Disconnected))
    }
}

/// Where pieces of a buffer belong. Pieces end at multiples of their size, as far as the server is concerned.
fn pieces(
    offset: u64,
    len: usize,
    piece: usize,
) -> Result<impl Iterator<Item = (u64, Range<usize>)>, Error> {
    offset.checked_add(len as u64).ok_or(Usage::BeyondEnd(u64::MAX))?;
    let mut at = 0;
    Ok(std::iter::from_fn(move || {
        let start = at;
        let place = offset + start as u64;
        let aligned = piece - (place % piece as u64) as usize;
        at = len.min(start + aligned);
        (start < at).then_some((place, start..at))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_aligned_and_complete() {
        let all = |offset, len| pieces(offset, len, 100).unwrap().collect::<Vec<_>>();
        assert_eq!(all(0, 250), [(0, 0..100), (100, 100..200), (200, 200..250)]);
        assert_eq!(all(90, 20), [(90, 0..10), (100, 10..20)]);
        assert!(all(5, 0).is_empty());
        assert!(pieces(u64::MAX, 1, 100).is_err());
    }
}
