//! Sending: many records for one system call, and nothing held that the kernel took.

use std::io;

use alts_handshaker::RecordProtocol;

use super::channel::{Channel, MAX_PLAIN_RECORDS, Writing};
use super::moving::Moving;
use super::outbound::Outbound;
use super::window::LEAD_IN;
use crate::error::Error;
use crate::ready::Sink;
use crate::record::{HEADER_LEN, OVERHEAD, RecordError, seal_record};

/// Up to so many bytes, records are sealed on the stack: a 1 KiB message with room to spare. Clearing that is cheaper than a
/// turn of the pool.
const SMALL: usize = 2 << 10;
/// The most payload that is sealed at once, in bytes, whatever the options say: with its records it fits the largest buffer of
/// a pool, 32 MiB.
const MAX_WRITE_BATCH: usize = 16 << 20;

impl Channel {
    /// Seals as much of `payload` as one batch takes and hands it to the socket. The result is how much that was; bytes that
    /// the kernel refused are kept and go out first with whatever is called next.
    ///
    /// # Errors
    /// `WouldBlock` if nothing was sealed, because what waits already would be more than a batch with it.
    pub(crate) fn write(
        &mut self,
        sink: &mut impl Sink,
        payload: &[io::IoSlice<'_>],
    ) -> io::Result<usize> {
        if self.writing != Writing::Open {
            return Err(Error::WriteAfterShutdown.into());
        }
        let drained = self.drain(sink);
        let total = payload.iter().fold(0_usize, |sum, slice| sum.saturating_add(slice.len()));
        if let Err(error) = drained {
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(error);
            }
            let joined = self.join_outbound(payload, total);
            self.tidy();
            return joined?.ok_or(error);
        }
        if total == 0 {
            return Ok(0);
        }
        let wanted = total.min(self.batch());
        let written = self.seal_and_send(sink, payload, wanted);
        self.tidy();
        written
    }

    /// Hands the kernel what it refused before, as far as it takes it.
    ///
    /// # Errors
    /// `WouldBlock` if something is left.
    pub(crate) fn drain(&mut self, sink: &mut impl Sink) -> io::Result<()> {
        let Some(held) = &mut self.held else { return Ok(()) };
        let Some(outbound) = &mut held.outbound else { return Ok(()) };
        let (sent, result) = send(sink, outbound.rest());
        outbound.advance(sent);
        result?;
        held.outbound = None;
        #[cfg(feature = "tokio")]
        {
            held.writer = None;
        }
        self.tidy();
        Ok(())
    }

    /// Everything that was written is with the kernel after this.
    pub(crate) fn flush(&mut self, sink: &mut impl Sink) -> io::Result<()> {
        self.drain(sink)?;
        sink.flush()
    }

    /// Ends the sending direction: with an authenticated close, if that was agreed on, then on the socket.
    pub(crate) fn shutdown(&mut self, sink: &mut impl Sink) -> io::Result<()> {
        self.drain(sink)?;
        if self.writing == Writing::Open {
            if self.shared.negotiated.close_notify {
                self.seal_and_send(sink, &[], 0)?;
            }
            self.writing = Writing::Closing;
        }
        self.flush(sink)?;
        if self.writing == Writing::Closing {
            sink.shutdown()?;
            self.writing = Writing::Closed;
        }
        Ok(())
    }

    /// Seals the first `count` bytes of `payload`, no bytes as one empty record, and hands the records to the socket. What the
    /// kernel does not take is kept. The result is less than `count` only when the counter ends.
    fn seal_and_send(
        &mut self,
        sink: &mut impl Sink,
        payload: &[io::IoSlice<'_>],
        count: usize,
    ) -> io::Result<usize> {
        let wire_len = self.wire_len(count);
        if wire_len <= SMALL {
            let mut small = [0; SMALL];
            let (sealed, wire_len) = self.seal(&mut small[..wire_len], payload, count)?;
            let small = &small[..wire_len];
            let (sent, result) = send(sink, small);
            if sent < wire_len {
                self.held().outbound = Some(Outbound::exactly(&small[sent..]));
            }
            return or_kept(result, sealed);
        }
        // Outside the cap that readers share, so that a writer never waits for them, nor they for it.
        let mut batch =
            self.shared.pool.take_beyond_cap(LEAD_IN + wire_len).map_err(Error::Pool)?;
        batch.set_range(LEAD_IN..LEAD_IN + wire_len);
        let (sealed, wire_len) = self.seal(&mut batch, payload, count)?;
        batch.truncate(wire_len);
        let (sent, result) = send(sink, &batch);
        if sent < wire_len {
            batch.advance(sent);
            self.held().outbound = Some(Outbound::Pooled(batch));
        }
        or_kept(result, sealed)
    }

    /// Seals all of `payload`, which is so long, behind what waits for the kernel already, if that stays within one batch: then
    /// many small writes become one system call. `None` if it did not.
    fn join_outbound(
        &mut self,
        payload: &[io::IoSlice<'_>],
        count: usize,
    ) -> io::Result<Option<usize>> {
        if count == 0 || count > self.batch() {
            return Ok(None);
        }
        let limit = self.wire_len(self.batch());
        let wire_len = self.wire_len(count);
        let Some(mut outbound) = self.held.as_mut().and_then(|held| held.outbound.take()) else {
            return Ok(None);
        };
        let Some(room) = outbound.room_for(wire_len, limit, &self.shared.pool) else {
            self.held().outbound = Some(outbound);
            return Ok(None);
        };
        let sealed = self.seal(room, payload, count);
        outbound.shorten(wire_len - sealed.as_ref().map_or(0, |&(_, filled)| filled));
        self.held().outbound = Some(outbound);
        sealed.map(|(sealed, _)| Some(sealed))
    }

    /// The most payload that is sealed at once.
    fn batch(&self) -> usize {
        self.shared.options.write_batch.clamp(1, MAX_WRITE_BATCH)
    }

    /// How long the records of so much payload are. No payload is one empty record.
    fn wire_len(&self, payload: usize) -> usize {
        payload + payload.div_ceil(self.shared.max_payload()).max(1) * OVERHEAD
    }

    /// Seals the first `count` bytes of `payload` into `batch`, which has just the room, and says how many bytes of the payload
    /// that was and how long the records are.
    fn seal(
        &mut self,
        batch: &mut [u8],
        payload: &[io::IoSlice<'_>],
        count: usize,
    ) -> io::Result<(usize, usize)> {
        let max_payload = self.shared.max_payload();
        let mut payload = Gather { slices: payload, offset: 0 };
        let mut sealed = 0;
        let mut sealed_wire_len = 0;
        for record in batch.chunks_mut(max_payload + OVERHEAD) {
            let len = (count - sealed).min(max_payload);
            let plaintext = payload.contiguous(len);
            if plaintext.is_none() {
                payload.copy_to(&mut record[HEADER_LEN..HEADER_LEN + len]);
            }
            match self.seal_next(plaintext, record) {
                Ok(()) => {}
                Err(_) if sealed > 0 => break,
                Err(error) => return Err(Error::Record(error).into()),
            }
            sealed += len;
            sealed_wire_len += record.len();
        }
        Ok((sealed, sealed_wire_len))
    }

    /// Seals `plaintext`, or what stands in its place in `record` already.
    fn seal_next(
        &mut self,
        plaintext: Option<&[u8]>,
        record: &mut [u8],
    ) -> Result<(), RecordError> {
        let plain = self.keys.protocol() == RecordProtocol::Aes128Gcm;
        if plain && self.sealed.records() >= MAX_PLAIN_RECORDS {
            return Err(RecordError::KeyExhausted);
        }
        let epoch = self.keys.epoch_of(self.sealed.current()?);
        let aead = self.shared.options.aead;
        let moving = self.moving.get_or_insert_with(|| Moving::resume(&self.keys, aead));
        moving.with_seal_key(epoch, |slot| {
            seal_record(&mut self.keys, &mut self.sealed, slot, plaintext, record)
        })
    }
}

/// Writes until all is with the kernel or it takes no more, and says how much it took.
fn send(sink: &mut impl Sink, sealed: &[u8]) -> (usize, io::Result<()>) {
    let mut sent = 0;
    while sent < sealed.len() {
        match sink.write(&sealed[sent..]) {
            Ok(0) => return (sent, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => sent += count,
            Err(error) => return (sent, Err(error)),
        }
    }
    (sent, Ok(()))
}

/// What was kept because the kernel took no more counts as written.
fn or_kept(result: io::Result<()>, sealed: usize) -> io::Result<usize> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(sealed),
    }
}

/// Reads through slices in order.
struct Gather<'payload> {
    slices: &'payload [io::IoSlice<'payload>],
    offset: usize,
}

impl<'payload> Gather<'payload> {
    /// The next `count` bytes, if they lie in one piece. The slices have that much left.
    fn contiguous(&mut self, count: usize) -> Option<&'payload [u8]> {
        while let Some((slice, rest)) = self.slices.split_first() {
            if self.offset < slice.len() {
                let bytes = slice.get(self.offset..self.offset + count)?;
                self.offset += count;
                return Some(bytes);
            }
            self.slices = rest;
            self.offset = 0;
        }
        (count == 0).then_some(&[])
    }

    /// Fills `to`; the slices have that much left.
    fn copy_to(&mut self, mut to: &mut [u8]) {
        while !to.is_empty() {
            let Some((slice, rest)) = self.slices.split_first() else { return };
            let from = &slice[self.offset..];
            let count = from.len().min(to.len());
            let (now, later) = to.split_at_mut(count);
            now.copy_from_slice(&from[..count]);
            to = later;
            self.offset += count;
            if count == from.len() {
                self.slices = rest;
                self.offset = 0;
            }
        }
    }
}
