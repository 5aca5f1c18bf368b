//! Replies that are sent together: of small requests to a backend that never waits, which have arrived together.

use std::task::Context;

use alts::pool::PooledBuf;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::SemaphorePermit;

use super::carrier::Half;
use super::connection::{Connection, InFlight};
use super::output::{Broken, Sent};
use super::read::{BRIDGE, Unit};
use super::tasks::Tasks;
use crate::wire::Errno;
use crate::wire::reply::{DATA_PREFIX, SimpleReply, encode_data_prefix};
use crate::wire::request::{Command, Request};

/// The largest read whose reply is sent with others. Above it a system call costs little beside the data.
pub(super) const MAX_LEN: u32 = 16 << 10;
/// The most bytes that are sent together.
const MAX_BATCH: usize = 64 << 10;

/// The batch that is being put together, if there is one: a pointer, since a quiet connection keeps room for it.
pub(super) type Batching<'conn> = Option<Box<Batch<'conn>>>;

/// Replies, one behind the other in a buffer.
#[derive(Debug)]
pub(super) struct Batch<'conn> {
    buf: PooledBuf,
    end: usize,
    replies: Vec<Reply<'conn>>,
    data: u64,
    budget: SemaphorePermit<'conn>,
}

#[derive(Debug)]
struct Reply<'conn> {
    in_flight: InFlight<'conn>,
    /// Where it ends in the buffer.
    end: usize,
}

impl Reply<'_> {
    /// Bytes of the export in it.
    fn data(&self) -> usize {
        match self.in_flight.request.command {
            Command::Read => self.in_flight.request.len as usize,
            _ => 0,
        }
    }
}

impl Batch<'_> {
    fn has_room(&self, len: usize) -> bool {
        self.buf.capacity() - self.end >= len
    }
}

impl<S> Connection<'_, Half<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    /// Whether the reply to this read, which was checked, may be sent with others.
    pub(super) fn is_for_batch(&self, request: &Request) -> bool {
        let export = &self.agreed.export;
        (1..=MAX_LEN).contains(&request.len) && !export.capabilities().blocks
    }

    /// Reads now, and adds the reply to the batch. `waiting` is how many requests have arrived behind this one. Where there is no
    /// memory at once, the request is answered like any other.
    pub(super) fn batch_read<'conn>(
        &'conn self,
        cx: &mut Context<'_>,
        batching: &mut Batching<'conn>,
        tasks: &Tasks<'conn>,
        in_flight: InFlight<'conn>,
        waiting: usize,
    ) {
        let Request { cookie, offset, len, .. } = in_flight.request;
        let mut header = [0; DATA_PREFIX];
        let header_len = if self.agreed.structured {
            header = encode_data_prefix(true, cookie, offset, len);
            DATA_PREFIX
        } else {
            let simple = SimpleReply { error: None, cookie }.encode();
            header[..simple.len()].copy_from_slice(&simple);
            simple.len()
        };
        let reply_len = header_len + len as usize;
        if !self.make_room(cx, batching, tasks, reply_len, waiting) {
            tasks.begin_now(cx, self.answer_read(in_flight));
            return;
        }
        let Some(batch) = batching else { return };
        let place = &mut batch.buf.whole_mut()[batch.end..batch.end + reply_len];
        place[..header_len].copy_from_slice(&header[..header_len]);
        match self.agreed.export.backend().read(offset, &mut place[header_len..]) {
            Ok(()) => {
                batch.end += reply_len;
                batch.data += u64::from(len);
                batch.replies.push(Reply { in_flight, end: batch.end });
            }
            Err(error) => {
                let error = self.failed(&error);
                self.flush(cx, batching, tasks);
                tasks.begin_now(cx, self.answer_failed_read(in_flight, error));
            }
        }
    }

    /// Adds the reply to a write to the batch.
    pub(super) fn batch_success<'conn>(
        &'conn self,
        cx: &mut Context<'_>,
        batching: &mut Batching<'conn>,
        tasks: &Tasks<'conn>,
        in_flight: InFlight<'conn>,
    ) {
        if !self.make_room(cx, batching, tasks, SimpleReply::LEN, 0) {
            tasks.begin_now(cx, self.answer_change(in_flight, Ok(())));
            return;
        }
        let Some(batch) = batching else { return };
        let reply = SimpleReply { error: None, cookie: in_flight.request.cookie }.encode();
        batch.buf.whole_mut()[batch.end..batch.end + reply.len()].copy_from_slice(&reply);
        batch.end += reply.len();
        batch.replies.push(Reply { in_flight, end: batch.end });
    }

    /// Makes a batch that has room for so much, if the memory for it is there. One that is full is sent.
    fn make_room<'conn>(
        &'conn self,
        cx: &mut Context<'_>,
        batching: &mut Batching<'conn>,
        tasks: &Tasks<'conn>,
        len: usize,
        waiting: usize,
    ) -> bool {
        if batching.as_ref().is_some_and(|batch| !batch.has_room(len)) {
            self.flush(cx, batching, tasks);
        }
        if batching.is_none() {
            let size = (len * (waiting + 1)).clamp(len, MAX_BATCH.max(len));
            let Some(budget) = self.try_reserve(size) else { return false };
            let Some(buf) = self.take_now(size) else { return false };
            let replies = Vec::with_capacity(waiting + 1);
            *batching = Some(Box::new(Batch { buf, end: 0, replies, data: 0, budget }));
        }
        true
    }

    /// Sends what is in the batch, or begins to.
    pub(super) fn flush<'conn>(
        &'conn self,
        cx: &mut Context<'_>,
        batching: &mut Batching<'conn>,
        tasks: &Tasks<'conn>,
    ) {
        if let Some(batch) = batching.take() {
            tasks.begin_now(cx, self.answer_batch(batch));
        }
    }

    async fn answer_batch<'conn>(&'conn self, batch: Box<Batch<'conn>>) {
        // An error means that the connection is broken, which is noticed elsewhere.
        let _ = self.send_batch(batch).await;
    }

    async fn send_batch<'conn>(&'conn self, batch: Box<Batch<'conn>>) -> Result<(), Broken> {
        let Batch { mut buf, end, replies, data, budget } = *batch;
        buf.set_range(0..end);
        let patience = self.shared.settings.stall_limit;
        let mut left = replies.into_iter();
        if let Some(turn) = self.output.turn_within(patience).await {
            let mut turn = turn?;
            match turn.send_within(&buf, patience).await? {
                Sent::All => {
                    self.shared.counters.read(data);
                    self.give_back(buf);
                    return turn.end().await;
                }
                Sent::Stalled(sent) => {
                    let mut begins = 0;
                    while let Some(reply) = left.as_slice().first()
                        && reply.end <= sent
                    {
                        begins = reply.end;
                        self.shared.counters.read(reply.data() as u64);
                        left.next();
                    }
                    if begins == sent {
                        turn.end().await?;
                    } else if let Some(reply) = left.next() {
                        // At least the whole header goes with it, since the bridge is longer.
                        let mut bridge = [0; BRIDGE];
                        let end = reply.end.min(sent + BRIDGE);
                        let bridge = &mut bridge[..end - sent];
                        bridge.copy_from_slice(&buf[sent..end]);
                        self.shared.counters.released();
                        drop(buf);
                        drop(budget);
                        turn.send(bridge).await?;
                        let len = reply.data();
                        let offset = reply.in_flight.request.offset;
                        let unit = Unit { header: &[], offset, len, followed: false };
                        let at = len - (reply.end - end).min(len);
                        if self.send_rest(turn, &unit, &[], at, None).await?.is_err() {
                            // The client was told that this is all.
                            return Err(self.output.break_off());
                        }
                        return self.answer_all(left).await;
                    }
                }
            }
        }
        self.shared.counters.released();
        drop(buf);
        drop(budget);
        self.answer_all(left).await
    }

    /// Answers again what the client has not taken.
    async fn answer_all<'conn>(
        &'conn self,
        replies: impl Iterator<Item = Reply<'conn>> + Send,
    ) -> Result<(), Broken> {
        for Reply { in_flight, .. } in replies {
            match in_flight.request.command {
                Command::Read => self.answer_read(in_flight).await,
                _ => self.answer_change(in_flight, Ok(())).await,
            }
        }
        Ok(())
    }

    async fn answer_failed_read(&self, in_flight: InFlight<'_>, error: Errno) {
        let request = &in_flight.request;
        // An error means that the connection is broken, which is noticed elsewhere.
        let _ = self.send_error(request, error, &error.to_string(), Some(request.offset)).await;
    }

    /// Answers a write.
    pub(super) async fn answer_change(&self, in_flight: InFlight<'_>, result: Result<(), Errno>) {
        // An error means that the connection is broken, which is noticed elsewhere.
        let _ = self.send_result(&in_flight.request, result).await;
    }
}
