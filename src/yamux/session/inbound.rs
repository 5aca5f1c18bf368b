//! Receiving: frames apart, bodies to their streams.

mod frames;

use super::marks::Marks;
use super::table::{Cut, NONE};
use super::{After, Core, Moment};
use crate::pool::{PoolError, PooledBuf};
use crate::yamux::error::Error;
use crate::yamux::header::{self, Header};
use crate::yamux::limits;

/// The body of a Data frame that has not arrived in whole.
pub(super) struct Body {
    /// Whose it is; [`NONE`]: nobody's, it is skipped.
    slot: u32,
    left: u32,
    /// The direction ends with it.
    fin: bool,
}

/// Bytes of one stream that stay in the buffer in which they were read, packed together.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    slot: u32,
    from: usize,
    to: usize,
}

/// Received bytes that nobody looks at before there is a buffer for what they begin with.
pub(in crate::yamux) struct Stalled {
    pub(in crate::yamux) rest: Rest,
    /// The buffer that is needed, in bytes.
    pub(in crate::yamux) need: usize,
}

/// Where they are.
pub(in crate::yamux) enum Rest {
    Pooled(PooledBuf),
    Copied(Vec<u8>),
}

/// What became of bytes for a stream.
enum Stored {
    All,
    /// Only so many; for the rest there is no buffer now, of so many bytes.
    NoBuffer {
        done: usize,
        need: usize,
    },
    /// The session holds too much, or no wait would help.
    TooMuch,
}

impl Core {
    /// Whether received bytes can be looked at. Otherwise answers wait to be sent first.
    pub(in crate::yamux) fn wants_input(&self) -> bool {
        self.answers.len() < limits::MAX_ANSWERS
    }

    /// The peer is not heard for a reason of this side.
    pub(in crate::yamux) fn excuse_silence(&mut self, now: Moment) {
        self.steady.heard_at = now;
    }

    /// Takes in what was read. What cannot go on for lack of a buffer comes back.
    pub(in crate::yamux) fn receive(
        &mut self,
        rest: Rest,
        now: Moment,
        after: &mut After,
    ) -> Result<Option<Stalled>, Error> {
        self.heard(now);
        let stalled = self.receive_rest(rest, now, after);
        after.buffer(self.spare.take());
        stalled
    }

    fn receive_rest(
        &mut self,
        rest: Rest,
        now: Moment,
        after: &mut After,
    ) -> Result<Option<Stalled>, Error> {
        match rest {
            Rest::Copied(mut bytes) => {
                let (at, need) = self.parse(&mut bytes, None, now, after)?;
                Ok(need.map(|need| Stalled { rest: Rest::Copied(bytes.split_off(at)), need }))
            }
            Rest::Pooled(mut buffer) => {
                let (start, len, capacity) =
                    (buffer.range().start, buffer.len(), buffer.capacity());
                let parsed = self.parse(&mut buffer, Some(capacity), now, after);
                let Some(kept) = self.kept.take() else {
                    let (at, Some(need)) = parsed? else {
                        after.drop_buffer(buffer);
                        return Ok(None);
                    };
                    buffer.advance(at);
                    return Ok(Some(Stalled { rest: Rest::Pooled(buffer), need }));
                };
                let stalled = parsed.map(|(at, need)| {
                    need.map(|need| Stalled { rest: Rest::Copied(buffer[at..len].to_vec()), need })
                });
                // What came ahead of an error is readable like what came in the read before.
                buffer.set_range(start + kept.from..start + kept.to);
                self.chunks.push(&mut self.table[kept.slot].inbox, buffer);
                stalled
            }
        }
    }

    /// Brings the buffer that [`Stalled`] asked for.
    pub(in crate::yamux) fn supply(&mut self, buffer: PooledBuf) {
        self.spare = Some(buffer);
    }

    /// No buffer came in time: the stream whose body it is ends, so that what is behind it can be read.
    pub(in crate::yamux) fn give_up_body(&mut self, after: &mut After) {
        if let Some(Body { slot, .. }) = self.body
            && slot != NONE
        {
            self.cut(slot, Cut::Memory, after);
        }
    }

    /// How far the bytes were understood, and the size of the buffer without which it does not go on. `capacity` is that of the
    /// buffer they are in, if it may be kept.
    fn parse(
        &mut self,
        bytes: &mut [u8],
        capacity: Option<usize>,
        now: Moment,
        after: &mut After,
    ) -> Result<(usize, Option<usize>), Error> {
        let mut at = 0;
        loop {
            if let Some(body) = &self.body {
                let (slot, here) = (body.slot, (bytes.len() - at).min(body.left as usize));
                let stored = match slot {
                    NONE => Stored::All,
                    slot => self.store(slot, bytes, at, here, capacity)?,
                };
                let (done, need) = match stored {
                    Stored::All => (here, None),
                    Stored::NoBuffer { done, need } => (done, Some(need)),
                    Stored::TooMuch => {
                        self.cut(slot, Cut::Memory, after);
                        (here, None)
                    }
                };
                at += done;
                self.advance_body(slot, done, after);
                if need.is_some() {
                    return Ok((at, need));
                }
                if self.body.is_some() {
                    return Ok((at, None));
                }
            }
            let had = usize::from(self.header_len);
            let count = (header::LEN - had).min(bytes.len() - at);
            self.header[had..had + count].copy_from_slice(&bytes[at..at + count]);
            at += count;
            if had + count < header::LEN {
                self.header_len = (had + count) as u8;
                return Ok((at, None));
            }
            self.header_len = 0;
            let header = Header::decode(self.header)?;
            self.on_frame(header, now, after)?;
        }
    }

    /// Bytes of the body were stored or skipped.
    fn advance_body(&mut self, slot: u32, count: usize, after: &mut After) {
        let Some(body) = &mut self.body else { return };
        body.left -= count as u32;
        let (skipped, fin, over) = (body.slot == NONE, body.fin, body.left == 0);
        if over {
            self.body = None;
        }
        if skipped || slot == NONE {
            return;
        }
        if count > 0 {
            self.steady.counts.received += count as u64;
            self.steady.counts.empty_frames = 0;
            after.wake(&mut self.table[slot].reader);
        }
        if over && fin {
            self.fin_in(slot, after);
        }
    }

    /// Keeps `count` bytes from `at` for a stream: behind what is packed already, at the end of its last chunk, in the buffer they
    /// were read into if they are a good part of it, or in a chunk of their own.
    fn store(
        &mut self,
        slot: u32,
        bytes: &mut [u8],
        at: usize,
        count: usize,
        capacity: Option<usize>,
    ) -> Result<Stored, Error> {
        if let Some(kept) = &mut self.kept
            && kept.slot == slot
        {
            bytes.copy_within(at..at + count, kept.to);
            kept.to += count;
            return Ok(Stored::All);
        }
        let stream = &mut self.table[slot];
        if stream.marks.has(Marks::NO_READER) && !stream.marks.has(Marks::QUEUED) {
            // Nobody reads it. It was paid for, and no credit is given for it.
            return Ok(Stored::All);
        }
        // Not what the header claims counts, but what is here.
        let claimed = self.body.as_ref().map_or(0, |body| body.left);
        let buffered = stream.receive.unread().saturating_sub(claimed) as usize;
        let mut done = self.chunks.append(stream.inbox, &bytes[at..at + count]);
        while done < count {
            let rest = &bytes[at + done..at + count];
            let stay = self.kept.is_none() && capacity.is_some_and(|size| rest.len() * 4 >= size);
            let size = match capacity {
                Some(capacity) if stay => capacity,
                _ => rest
                    .len()
                    .max(buffered.min(limits::MAX_CHUNK))
                    .min(self.steady.pool.buffer_size()),
            };
            if self.chunks.held() + size > self.steady.config.max_held {
                return Ok(Stored::TooMuch);
            }
            if stay {
                self.kept = Some(Kept { slot, from: at + done, to: at + count });
                return Ok(Stored::All);
            }
            let mut chunk = match self.spare.take().map_or_else(|| self.steady.pool.take(size), Ok)
            {
                Ok(chunk) => chunk,
                Err(PoolError::AtCap) => return Ok(Stored::NoBuffer { done, need: size }),
                Err(PoolError::TooLarge { .. }) => return Ok(Stored::TooMuch),
                Err(error) => return Err(Error::Pool(error)),
            };
            let here = rest.len().min(chunk.capacity());
            chunk.whole_mut()[..here].copy_from_slice(&rest[..here]);
            chunk.set_range(0..here);
            self.chunks.push(&mut stream.inbox, chunk);
            done += here;
        }
        Ok(Stored::All)
    }

    /// A stream is over: no bytes are kept for it.
    pub(super) fn stop_storing(&mut self, slot: u32) {
        if let Some(body) = &mut self.body
            && body.slot == slot
        {
            body.slot = NONE;
        }
        if self.kept.is_some_and(|kept| kept.slot == slot) {
            self.kept = None;
        }
    }

    /// The connection has failed: reset by a peer, perhaps, that closed it over unread bytes. Where nothing was open nothing is lost.
    pub(in crate::yamux) fn connection_failed(
        &mut self,
        error: Error,
        after: &mut After,
    ) -> Result<(), Error> {
        if self.header_len == 0 && self.body.is_none() && self.table.on_wire() == self.orphans {
            self.end(Error::GoAway { code: 0 }, after);
            return Ok(());
        }
        self.end(error.clone(), after);
        Err(error)
    }

    /// The connection has ended. Whether that was to be expected.
    pub(in crate::yamux) fn end_of_connection(&mut self, after: &mut After) -> Result<(), Error> {
        let mid_frame = self.header_len > 0 || self.body.is_some();
        let error = match mid_frame {
            true => Error::Truncated,
            false => Error::Lost,
        };
        // Streams that this side has closed and the peer has not no longer matter.
        let clean = !mid_frame && self.table.on_wire() == self.orphans;
        self.end(if clean { Error::GoAway { code: 0 } } else { error.clone() }, after);
        match clean {
            true => Ok(()),
            false => Err(error),
        }
    }
}
