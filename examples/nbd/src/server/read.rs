//! Reads.

use alts::pool::PooledBuf;
use tokio::io::{AsyncRead, AsyncWrite, WriteHalf};

use super::connection::{Connection, DATA_START, InFlight};
use super::output::{Broken, Sent, Turn};
use crate::wire::Errno;
use crate::wire::flags::CommandFlags;
use crate::wire::reply::{SimpleReply, encode_data_prefix, encode_none};
use crate::wire::request::Request;

/// Bytes that are kept outside of a buffer for a client that takes nothing. When it takes them, a buffer is worth having again.
const BRIDGE: usize = 64;

/// Zeroes in place of what can no longer be read.
static PADDING: [u8; 4096] = [0; 4096];

/// What is sent as one unit: a header, and bytes of the export behind it.
struct Unit<'header> {
    header: &'header [u8],
    offset: u64,
    len: usize,
}

impl<S> Connection<'_, WriteHalf<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    pub(super) async fn answer_read(&self, in_flight: InFlight<'_>) {
        let request = &in_flight.request;
        // An error means that the connection is broken, which is noticed elsewhere.
        let _ = if self.agreed.structured {
            self.read_in_chunks(request).await
        } else {
            self.read_simply(request).await
        };
    }

    async fn read_in_chunks(&self, request: &Request) -> Result<(), Broken> {
        let cookie = request.cookie;
        if request.len == 0 {
            return self.output.send(&encode_none(cookie)).await;
        }
        let in_one = request.flags.contains(CommandFlags::DF);
        let (mut offset, mut left) = (request.offset, request.len as usize);
        while left > 0 {
            let len = if in_one { left } else { left.min(self.piece) };
            // A chunk of several pieces may fail after it has begun, so it is not the last.
            let done = len == left && len <= self.piece;
            let header = encode_data_prefix(done, cookie, offset, len as u32);
            let sent = self.read_unit(Unit { header: &header, offset, len }).await?;
            if let Err(failed) = sent {
                if failed.begun && done {
                    // The client was told that this is all.
                    return Err(self.output.break_off());
                }
                let text = failed.error.to_string();
                return self.send_error(request, failed.error, &text, Some(failed.offset)).await;
            }
            offset += len as u64;
            left -= len;
            if left == 0 && !done {
                return self.output.send(&encode_none(cookie)).await;
            }
        }
        Ok(())
    }

    async fn read_simply(&self, request: &Request) -> Result<(), Broken> {
        let header = SimpleReply { error: None, cookie: request.cookie }.encode();
        let (offset, len) = (request.offset, request.len as usize);
        if len == 0 {
            return self.output.send(&header).await;
        }
        match self.read_unit(Unit { header: &header, offset, len }).await? {
            Ok(()) => Ok(()),
            // A reply that has begun has no other way to tell.
            Err(failed) if failed.begun => Err(self.output.break_off()),
            Err(failed) => {
                self.send_error(request, failed.error, &failed.error.to_string(), None).await
            }
        }
    }

    /// Sends a unit, in pieces. If reading fails after it has begun, it is completed by zeroes.
    async fn read_unit(&self, unit: Unit<'_>) -> Result<Result<(), Failed>, Broken> {
        let block = u64::from(self.agreed.export.block_size().minimum);
        let first = unit.len.min(self.piece);
        let _budget = self.reserve(first).await?;
        let buf = match self.read_piece(unit.offset, first).await {
            Ok(buf) => buf,
            Err(error) => return Ok(Err(Failed { error, offset: unit.offset, begun: false })),
        };
        let patience = self.shared.settings.stall_limit;
        let (mut turn, mut buf) = match self.output.turn_within(patience).await {
            Some(turn) => (turn?, Some(buf)),
            None => {
                // Another reply is stuck: no memory waits for it.
                self.shared.counters.released();
                drop(buf);
                (self.output.turn().await?, None)
            }
        };
        let mut header = unit.header;
        let mut at = 0;
        while at < unit.len {
            let offset = unit.offset + at as u64;
            // A piece that begins inside of a block ends where the one before would have ended.
            let before = (offset % block) as usize;
            let len = (unit.len - at).min(self.piece - before);
            let piece = match buf.take() {
                Some(piece) => Ok(piece),
                None => self.read_piece(offset, len).await,
            };
            let mut piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    turn.send(header).await?;
                    pad(&mut turn, unit.len - at).await?;
                    turn.end().await?;
                    return Ok(Err(Failed { error, offset, begun: true }));
                }
            };
            if !header.is_empty() {
                let data = piece.range();
                let start = data.start - header.len();
                piece.whole_mut()[start..data.start].copy_from_slice(header);
                piece.set_range(start..data.end);
            }
            match turn.send_within(&piece, patience).await? {
                Sent::All => {
                    at += len;
                    self.give_back(piece);
                }
                Sent::Stalled(sent) => {
                    // At least the whole header goes with it, since the bridge is longer.
                    let mut bridge = [0; BRIDGE];
                    let end = piece.len().min(sent + BRIDGE);
                    let bridge = &mut bridge[..end - sent];
                    bridge.copy_from_slice(&piece[sent..end]);
                    self.shared.counters.released();
                    drop(piece);
                    turn.send(bridge).await?;
                    at += end - header.len();
                }
            }
            header = &[];
        }
        turn.end().await?;
        self.shared.counters.read(unit.len as u64);
        Ok(Ok(()))
    }

    /// Reads a piece, which is what is visible of the buffer then. After a pause of the client it may begin and end anywhere;
    /// the storage is asked for whole blocks.
    async fn read_piece(&self, offset: u64, len: usize) -> Result<PooledBuf, Errno> {
        let block = self.agreed.export.block_size().minimum as usize;
        let before = (offset % block as u64) as usize;
        let blocks = (before + len).next_multiple_of(block);
        let buf = self.take(DATA_START + blocks).await?;
        let mut buf = self.fetch(buf, offset - before as u64, blocks).await?;
        buf.set_range(DATA_START + before..DATA_START + before + len);
        Ok(buf)
    }
}

/// Why a unit could not be read, and where.
struct Failed {
    error: Errno,
    offset: u64,
    /// The unit was sent all the same.
    begun: bool,
}

async fn pad<S>(turn: &mut Turn<'_, WriteHalf<S>>, mut len: usize) -> Result<(), Broken>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while len > 0 {
        let piece = len.min(PADDING.len());
        turn.send(&PADDING[..piece]).await?;
        len -= piece;
    }
    Ok(())
}
