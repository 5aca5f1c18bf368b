//! Reads.

use alts::pool::PooledBuf;
use tokio::io::{AsyncRead, AsyncWrite};

use super::carrier::Half;
use super::connection::{Connection, DATA_START, InFlight};
use super::output::{Broken, Sent, Turn};
use super::passing::Passed;
use crate::wire::Errno;
use crate::wire::flags::CommandFlags;
use crate::wire::reply::{SimpleReply, encode_data_prefix, encode_none};
use crate::wire::request::Request;

/// Bytes that are kept outside of a buffer for a client that takes nothing. When it takes them, a buffer is worth having again.
pub(super) const BRIDGE: usize = 64;

/// The shortest read that a backend which may have to wait passes on, in bytes: 32 KiB. Passing on takes more calls: whether all
/// of it is there, the header, the data, and the chunk that says that nothing failed. Measured by themselves, from the page cache
/// to a Unix socket or to TCP, they take almost twice the processor time of a read into a buffer and one write at 4 KiB, as much
/// at 32 KiB, and a fifth (TCP) to a third less at 64 KiB.
const PASS_FROM: usize = 32 << 10;

/// Zeroes in place of what can no longer be read.
static PADDING: [u8; 4096] = [0; 4096];

/// What is sent as one unit: a header, and bytes of the export behind it.
#[derive(Debug)]
pub(super) struct Unit<'header> {
    pub(super) header: &'header [u8],
    pub(super) offset: u64,
    pub(super) len: usize,
    /// Whether more is said behind it. Only then it may be completed by zeroes if reading fails: an error can follow.
    pub(super) followed: bool,
}

impl<S> Connection<'_, Half<S>>
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
            // A chunk that may fail after it has begun is not the last: one of several pieces, or one that a backend passes on while it
            // may have to wait.
            let done = len == left && len <= self.piece && !self.may_fail_late(len);
            let header = encode_data_prefix(done, cookie, offset, len as u32);
            let unit = Unit { header: &header, offset, len, followed: !done };
            let sent = self.read_unit(unit).await?;
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
        match self.read_unit(Unit { header: &header, offset, len, followed: false }).await? {
            Ok(()) => Ok(()),
            // A reply that has begun has no other way to tell.
            Err(failed) if failed.begun => Err(self.output.break_off()),
            Err(failed) => {
                self.send_error(request, failed.error, &failed.error.to_string(), None).await
            }
        }
    }

    /// Whether the backend is asked to pass so many bytes on. One that never waits always is.
    fn passes_on(&self, len: usize) -> bool {
        self.passes && (len >= PASS_FROM || !self.agreed.export.capabilities().blocks)
    }

    fn may_fail_late(&self, len: usize) -> bool {
        self.passes_on(len) && self.agreed.export.capabilities().blocks
    }

    /// Sends a unit. If reading fails after it has begun, it is completed by zeroes, or the connection is broken.
    async fn read_unit(&self, unit: Unit<'_>) -> Result<Result<(), Failed>, Broken> {
        if self.passes_on(unit.len) {
            let mut turn = self.output.turn().await?;
            let (passed, rest) = self.pass(&mut turn, &unit).await?;
            match passed {
                Passed::All => {
                    self.shared.counters.read(unit.len as u64);
                    turn.end().await?;
                    return Ok(Ok(()));
                }
                Passed::Failed(error) => {
                    let begun = !rest.is_all_of(&unit);
                    let failed = Failed { error, offset: unit.offset + rest.at as u64, begun };
                    if begun {
                        complete(turn, &unit, rest.header, rest.at).await?;
                    }
                    return Ok(Err(failed));
                }
                // Beyond the budget, since those who have it may wait for this turn: one piece for a connection at most.
                Passed::Left if !rest.is_all_of(&unit) => {
                    return self.send_rest(turn, &unit, rest.header, rest.at, None).await;
                }
                Passed::Left => {}
            }
        }
        self.read_unit_by_pieces(unit).await
    }

    async fn read_unit_by_pieces(&self, unit: Unit<'_>) -> Result<Result<(), Failed>, Broken> {
        let first = unit.len.min(self.piece);
        let _budget = self.reserve(first).await?;
        let buf = match self.read_piece(unit.offset, first).await {
            Ok(buf) => buf,
            Err(error) => return Ok(Err(Failed { error, offset: unit.offset, begun: false })),
        };
        let (turn, buf) = match self.output.turn_within(self.shared.settings.stall_limit).await {
            Some(turn) => (turn?, Some(buf)),
            None => {
                // Another reply is stuck: no memory waits for it.
                self.shared.counters.released();
                drop(buf);
                (self.output.turn().await?, None)
            }
        };
        self.send_rest(turn, &unit, unit.header, 0, buf).await
    }

    /// Sends what is left of a unit, in pieces: of its header, and of its data from `at`, of which `buf` may have the first piece.
    pub(super) async fn send_rest(
        &self,
        mut turn: Turn<'_, Half<S>>,
        unit: &Unit<'_>,
        mut header: &[u8],
        mut at: usize,
        mut buf: Option<PooledBuf>,
    ) -> Result<Result<(), Failed>, Broken> {
        let block = u64::from(self.agreed.export.block_size().minimum);
        let patience = self.shared.settings.stall_limit;
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
                    complete(turn, unit, header, at).await?;
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
        self.shared.counters.read(unit.len as u64);
        turn.end().await?;
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
pub(super) struct Failed {
    error: Errno,
    offset: u64,
    /// The unit was sent all the same.
    begun: bool,
}

/// Sends zeroes for what is left of a unit of which the data cannot be read. Where no error can follow, the connection breaks
/// instead, or the client would take them for data.
async fn complete<S>(
    mut turn: Turn<'_, Half<S>>,
    unit: &Unit<'_>,
    header: &[u8],
    at: usize,
) -> Result<(), Broken>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if !unit.followed {
        // An unfinished turn breaks it, too, but this one may not have begun.
        return Err(turn.break_off());
    }
    turn.send(header).await?;
    let mut left = unit.len - at;
    while left > 0 {
        let piece = left.min(PADDING.len());
        turn.send(&PADDING[..piece]).await?;
        left -= piece;
    }
    turn.end().await
}
