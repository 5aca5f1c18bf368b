//! The rules, without memory, buffers or turns. The model learns a frame when the session has taken it from the connection, and what the
//! session sends when it is offered to the connection, in the order in which that happened.

use std::collections::{BTreeMap, VecDeque};

use alts::yamux::Violation;

use super::Wrong;
use super::wire::{ACK, DATA, Event, FIN, Frame, GO_AWAY, PING, RST, SYN, Sent, WINDOW_UPDATE};

const WINDOW: u64 = 256 << 10;

/// The byte that the peer sends at an offset of a stream; the application sends its complement.
pub(super) fn byte(id: u32, offset: u64) -> u8 {
    (offset ^ offset >> 7 ^ u64::from(id) << 3).to_le_bytes()[0]
}

/// What a read comes to when nothing is left to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Open,
    /// Something is left.
    Readable,
    Ended,
    Reset(u32),
    /// By this side.
    Cut,
}

/// A stream, from the peer's SYN to its end on the wire and for the application.
#[expect(clippy::struct_excessive_bools, reason = "a model is facts, one by one")]
struct Stream {
    /// What the session has granted, of that what the connection has taken, and the bodies that were announced.
    issued: u64,
    granted_in: u64,
    received: u64,
    /// What was announced and not read by the application, and what of that has arrived.
    unread: u64,
    arrived: u64,
    fin_in: bool,
    reset_in: Option<u32>,
    cut: bool,
    /// What this side may send, has taken from the application, and has sent.
    granted: u64,
    written: u64,
    sent: u64,
    closed: bool,
    fin_out: bool,
    accepted: bool,
    /// The application has let go of it.
    dropped: bool,
}

impl Stream {
    /// Over on the wire.
    fn is_over(&self) -> bool {
        self.reset_in.is_some() || self.cut || self.fin_in && self.fin_out
    }

    /// No more of it is read.
    fn clear(&mut self) {
        (self.unread, self.arrived) = (0, 0);
    }
}

/// What the peer has put on the way for a stream since its SYN.
#[derive(Default)]
struct Sending {
    offset: u64,
    fin: bool,
}

/// A frame that the session reads.
struct Arriving {
    frame: Frame,
    /// Bytes of its header, then of its body, that have not been read.
    header: usize,
    body: usize,
    /// The body belongs to a stream.
    counts: bool,
}

#[derive(Default)]
pub(super) struct Model {
    /// By id. Ids are not used again here.
    streams: BTreeMap<u32, Stream>,
    /// RST frames that this side owes, by stream, with their codes.
    resets: BTreeMap<u32, u32>,
    pongs: VecDeque<u32>,
    sending: BTreeMap<u32, Sending>,
    arriving: VecDeque<Arriving>,
    pub(super) violation: Wrong,
    went_away: bool,
    pub(super) last_sent: Option<(u8, u32)>,
}

impl Model {
    /// The peer has not opened this one.
    pub(super) fn is_new(&self, id: u32) -> bool {
        !self.sending.contains_key(&id) && id % 2 == 1
    }

    /// What this frame does depends on whether the stream is over for the session, which may turn on its FIN being under way.
    pub(super) fn is_delicate(&self, id: u32, flags: u8) -> bool {
        self.sending.get(&id).is_some_and(|sending| sending.fin || flags & SYN != 0)
    }

    /// The peer has said that it ends the session for an error.
    pub(super) fn is_over(&self) -> bool {
        self.went_away
    }

    pub(super) fn is_over_on_wire(&self, id: u32) -> bool {
        self.streams.get(&id).is_some_and(Stream::is_over)
    }

    /// What the peer may send, as far as it knows.
    pub(super) fn credit(&self, id: u32) -> u32 {
        let granted = self.streams.get(&id).map_or(0, |stream| stream.granted_in);
        (WINDOW + granted).saturating_sub(self.offset(id)) as u32
    }

    pub(super) fn offset(&self, id: u32) -> u64 {
        self.sending.get(&id).map_or(0, |sending| sending.offset)
    }

    pub(super) fn unread(&self) -> u64 {
        self.streams.values().map(|stream| stream.unread).sum()
    }

    pub(super) fn streams(&self) -> u64 {
        self.streams.len() as u64
    }

    pub(super) fn was_reset(&self, id: u32) -> bool {
        self.streams.get(&id).is_some_and(|stream| stream.reset_in.is_some() || stream.cut)
    }

    /// The peer puts a frame on its way, with its body.
    pub(super) fn departs(&mut self, frame: Frame) {
        let body = if frame.kind == DATA { frame.len as usize } else { 0 };
        if frame.kind <= WINDOW_UPDATE {
            if frame.flags & SYN != 0 {
                self.sending.entry(frame.stream).or_default();
            }
            if let Some(sending) = self.sending.get_mut(&frame.stream) {
                sending.offset += body as u64;
                sending.fin |= frame.flags & FIN != 0;
            }
        }
        self.arriving.push_back(Arriving { frame, header: 12, body, counts: false });
    }

    /// Something moved on the connection.
    pub(super) fn on(&mut self, event: Event) {
        match event {
            Event::Read(count) => self.read(count),
            Event::Wrote { taken, waiting } => {
                for frame in &taken {
                    self.sent(frame);
                }
                self.offered(&waiting);
            }
        }
    }

    /// The session has read so many bytes.
    fn read(&mut self, mut count: usize) {
        // What comes after the end is dropped.
        while count > 0 && self.violation.is_none() && !self.went_away {
            let mut arriving = self.arriving.pop_front().expect("what is read was sent");
            if arriving.header > 0 {
                let here = arriving.header.min(count);
                arriving.header -= here;
                count -= here;
                if arriving.header == 0 {
                    arriving.counts = self.received(&arriving.frame);
                    self.end_of_body(&arriving);
                }
            } else {
                let here = arriving.body.min(count);
                arriving.body -= here;
                count -= here;
                if let Some(stream) = self.streams.get_mut(&arriving.frame.stream)
                    && arriving.counts
                    && !stream.is_over()
                    && !stream.dropped
                {
                    stream.arrived += here as u64;
                }
                self.end_of_body(&arriving);
            }
            if arriving.header + arriving.body > 0 {
                self.arriving.push_front(arriving);
            }
        }
    }

    fn end_of_body(&mut self, arriving: &Arriving) {
        if let Some(stream) = self.streams.get_mut(&arriving.frame.stream)
            && arriving.counts
            && arriving.body == 0
            && !stream.is_over()
        {
            stream.fin_in |= arriving.frame.flags & FIN != 0;
        }
    }

    /// The session has read this header. Whether its body, or its FIN, is for a stream.
    fn received(&mut self, frame: &Frame) -> bool {
        let Frame { kind, flags, stream: id, len } = *frame;
        match kind {
            PING if flags & SYN != 0 => self.pongs.push_back(len),
            GO_AWAY if len != 0 => self.went_away = true,
            DATA | WINDOW_UPDATE => return self.on_stream(kind, flags, id, len),
            PING | GO_AWAY => {}
            kind => self.violation = Some(Violation::Type(kind)),
        }
        false
    }

    fn on_stream(&mut self, kind: u8, flags: u8, id: u32, len: u32) -> bool {
        let live = self.streams.get(&id).is_some_and(|stream| !stream.is_over());
        if flags & SYN != 0 {
            if id.is_multiple_of(2) {
                self.violation = Some(Violation::SynOfThisSide { stream: id });
                return false;
            }
            if live {
                self.violation = Some(Violation::SynTwice { stream: id });
                return false;
            }
            if flags & RST != 0 {
                return false;
            }
            self.streams.insert(
                id,
                Stream {
                    issued: 0,
                    granted_in: 0,
                    received: 0,
                    unread: 0,
                    arrived: 0,
                    fin_in: false,
                    reset_in: None,
                    cut: false,
                    granted: WINDOW,
                    written: 0,
                    sent: 0,
                    closed: false,
                    fin_out: false,
                    accepted: false,
                    dropped: false,
                },
            );
        } else if !live {
            return false;
        }
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        let bytes = if kind == DATA { u64::from(len) } else { 0 };
        if flags & RST != 0 {
            stream.reset_in = Some(if kind == DATA { 0 } else { len });
            if !stream.fin_in {
                stream.clear();
            }
            return false;
        }
        if kind == WINDOW_UPDATE {
            let credit = stream.granted - stream.written + u64::from(len);
            if credit > u64::from(u32::MAX) {
                self.violation = Some(Violation::CreditOverflow { stream: id });
                return false;
            }
            stream.granted += u64::from(len);
        }
        let credit = WINDOW + stream.issued - stream.received;
        if bytes > credit && !stream.fin_in {
            let credit = credit as u32;
            self.violation = Some(Violation::CreditExceeded { stream: id, len, credit });
            return false;
        }
        if bytes > 0 && (stream.fin_in || stream.dropped) {
            stream.cut = true;
            stream.clear();
            self.resets.insert(id, 0);
            return false;
        }
        stream.received += bytes;
        stream.unread += bytes;
        true
    }

    pub(super) fn accepted(&mut self, id: u32) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        !std::mem::replace(&mut stream.accepted, true)
    }

    pub(super) fn reads(&mut self, id: u32, count: usize) {
        if let Some(stream) = self.streams.get_mut(&id) {
            assert!(stream.arrived >= count as u64, "more than has arrived");
            stream.unread -= count as u64;
            stream.arrived -= count as u64;
        }
    }

    pub(super) fn writes(&mut self, id: u32, count: usize) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.written += count as u64;
            assert!(stream.written <= stream.granted, "more than the peer has granted");
        }
    }

    pub(super) fn closes(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.closed = true;
        }
    }

    pub(super) fn resets(&mut self, id: u32, code: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.is_over()
        {
            stream.cut = true;
            stream.clear();
            self.resets.insert(id, code);
        }
        self.forget(id);
    }

    pub(super) fn drops(&mut self, id: u32) {
        if self.streams.get(&id).is_some_and(|stream| !stream.closed) {
            return self.resets(id, 0);
        }
        self.forget(id);
    }

    fn forget(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.dropped = true;
            stream.clear();
        }
    }

    pub(super) fn fate(&self, id: u32) -> Fate {
        let Some(stream) = self.streams.get(&id) else { return Fate::Cut };
        match stream.reset_in {
            _ if stream.cut => Fate::Cut,
            Some(code) if !stream.fin_in => Fate::Reset(code),
            _ if stream.arrived > 0 => Fate::Readable,
            _ if stream.fin_in => Fate::Ended,
            _ => Fate::Open,
        }
    }

    /// Credit that is on its way to the connection counts for the session already.
    fn offered(&mut self, waiting: &[(u32, u32)]) {
        for (&id, stream) in &mut self.streams {
            let waiting = waiting.iter().filter(|grant| grant.0 == id);
            stream.issued =
                stream.granted_in + waiting.map(|grant| u64::from(grant.1)).sum::<u64>();
            assert!(
                stream.is_over()
                    || stream.dropped
                    || WINDOW + stream.issued - stream.received + stream.unread <= WINDOW,
                "stream {id} has more than its window"
            );
        }
    }

    /// Everything that was sent has arrived, both ways.
    pub(super) fn assert_settled(&self) {
        assert!(self.arriving.is_empty(), "the session does not read");
        assert!(self.pongs.is_empty(), "pings are not answered");
        for (id, stream) in &self.streams {
            let over_or_cut = stream.reset_in.is_some() || stream.cut;
            assert!(over_or_cut || stream.sent == stream.written, "stream {id} is not sent");
            assert!(over_or_cut || stream.fin_out == stream.closed, "the FIN of stream {id}");
            // One that was reset after both FINs were on their way has ended in order.
            let owed = self.resets.contains_key(id) && !(stream.closed && stream.fin_in);
            assert!(!owed, "the reset of stream {id}");
        }
    }

    /// This side has sent that.
    fn sent(&mut self, sent: &Sent) {
        let Frame { kind, flags, stream: id, len } = sent.frame;
        self.last_sent = Some((kind, len));
        match kind {
            PING => {
                assert_eq!(flags, ACK, "a ping that nobody asked for");
                assert_eq!(self.pongs.pop_front(), Some(len), "pongs in order");
                return;
            }
            GO_AWAY => return,
            _ => {}
        }
        if flags & RST != 0 {
            // Those that were never accepted, or whose id was used again, are reset, too.
            let code = self.resets.remove(&id).unwrap_or(0);
            assert_eq!(len, code, "the code of stream {id}");
            return;
        }
        let stream = self.streams.get_mut(&id).expect("a stream of the peer");
        if kind == DATA {
            assert!(!stream.fin_out, "data after FIN on stream {id}");
            for (i, &got) in (stream.sent..).zip(&sent.body) {
                assert_eq!(got, !byte(id, i), "stream {id} at {i}");
            }
            stream.sent += u64::from(len);
            assert!(stream.sent <= stream.written);
        } else {
            stream.granted_in += u64::from(len);
        }
        if flags & FIN != 0 {
            assert!(stream.closed && !stream.fin_out, "FIN once");
            assert_eq!(stream.sent, stream.written, "FIN is last");
            stream.fin_out = true;
        }
    }
}
