//! The rules, without memory, buffers or turns.

use std::collections::{BTreeMap, VecDeque};

use alts::yamux::Violation;

use super::Wrong;
use super::wire::{ACK, DATA, FIN, Frame, GO_AWAY, PING, RST, SYN, Sent, WINDOW_UPDATE};

const WINDOW: u64 = 256 << 10;

/// The byte that the peer sends at an offset of a stream; the application sends its complement.
pub(super) fn byte(id: u32, offset: u64) -> u8 {
    (offset ^ offset >> 7 ^ u64::from(id) << 3).to_le_bytes()[0]
}

/// What a read comes to when nothing is left to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Open,
    Ended,
    Reset(u32),
    /// By this side.
    Cut,
}

/// A stream, from the peer's SYN to its end on the wire and for the application.
#[expect(clippy::struct_excessive_bools, reason = "a model is facts, one by one")]
struct Stream {
    /// What the peer may still send, and what of it waits to be read.
    credit: u64,
    unread: u64,
    /// All that the peer has sent.
    offset: u64,
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
}

#[derive(Default)]
pub(super) struct Model {
    /// By id. Ids are not used again here.
    streams: BTreeMap<u32, Stream>,
    /// RST frames that this side owes, by stream, with their codes.
    resets: BTreeMap<u32, u32>,
    pongs: VecDeque<u32>,
    pub(super) violation: Wrong,
    went_away: bool,
    pub(super) last_sent: Option<(u8, u32)>,
}

impl Model {
    pub(super) fn is_new(&self, id: u32) -> bool {
        !self.streams.contains_key(&id) && id % 2 == 1
    }

    /// The peer has said that it ends the session for an error.
    pub(super) fn is_over(&self) -> bool {
        self.went_away
    }

    pub(super) fn is_over_on_wire(&self, id: u32) -> bool {
        self.streams.get(&id).is_some_and(Stream::is_over)
    }

    pub(super) fn credit(&self, id: u32) -> u32 {
        self.streams.get(&id).map_or(WINDOW, |stream| stream.credit) as u32
    }

    pub(super) fn offset(&self, id: u32) -> u64 {
        self.streams.get(&id).map_or(0, |stream| stream.offset)
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

    /// The peer sends this, with all of its body.
    pub(super) fn received(&mut self, frame: &Frame) {
        let Frame { kind, flags, stream: id, len } = *frame;
        match kind {
            PING if flags & SYN != 0 => self.pongs.push_back(len),
            GO_AWAY if len != 0 => self.went_away = true,
            DATA | WINDOW_UPDATE => self.on_stream(kind, flags, id, len),
            PING | GO_AWAY => {}
            kind => self.violation = Some(Violation::Type(kind)),
        }
    }

    fn on_stream(&mut self, kind: u8, flags: u8, id: u32, len: u32) {
        let live = self.streams.get(&id).is_some_and(|stream| !stream.is_over());
        if flags & SYN != 0 {
            if id.is_multiple_of(2) {
                self.violation = Some(Violation::SynOfThisSide { stream: id });
                return;
            }
            if live {
                self.violation = Some(Violation::SynTwice { stream: id });
                return;
            }
            if flags & RST != 0 {
                return;
            }
            self.streams.insert(
                id,
                Stream {
                    credit: WINDOW,
                    unread: 0,
                    offset: 0,
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
            return;
        }
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let bytes = if kind == DATA { u64::from(len) } else { 0 };
        if flags & RST != 0 {
            stream.reset_in = Some(if kind == DATA { 0 } else { len });
            if !stream.fin_in {
                stream.unread = 0;
            }
            return;
        }
        if kind == WINDOW_UPDATE {
            let credit = stream.granted - stream.written + u64::from(len);
            if credit > u64::from(u32::MAX) {
                self.violation = Some(Violation::CreditOverflow { stream: id });
                return;
            }
            stream.granted += u64::from(len);
        }
        if bytes > 0 && (stream.fin_in || stream.dropped) {
            stream.cut = true;
            stream.unread = 0;
            self.resets.insert(id, 0);
            return;
        }
        if bytes > stream.credit {
            let credit = stream.credit as u32;
            self.violation = Some(Violation::CreditExceeded { stream: id, len, credit });
            return;
        }
        stream.credit -= bytes;
        stream.unread += bytes;
        stream.offset += bytes;
        stream.fin_in |= flags & FIN != 0;
    }

    pub(super) fn accepted(&mut self, id: u32) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        !std::mem::replace(&mut stream.accepted, true)
    }

    pub(super) fn reads(&mut self, id: u32, count: usize) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.unread -= count as u64;
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
            stream.unread = 0;
        }
    }

    pub(super) fn fate(&self, id: u32, ended: bool) -> Fate {
        let Some(stream) = self.streams.get(&id) else { return Fate::Cut };
        match stream.reset_in {
            _ if stream.cut => Fate::Cut,
            Some(code) if !stream.fin_in => Fate::Reset(code),
            _ if stream.unread > 0 => Fate::Open,
            _ if stream.fin_in => Fate::Ended,
            _ if ended => Fate::Open,
            _ => Fate::Open,
        }
    }

    /// This side has sent that.
    pub(super) fn sent(&mut self, sent: &Sent) {
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
            stream.credit += u64::from(len);
            assert!(
                stream.credit + stream.unread <= WINDOW,
                "stream {id} has more than its window"
            );
        }
        if flags & FIN != 0 {
            assert!(stream.closed && !stream.fin_out, "FIN once");
            assert_eq!(stream.sent, stream.written, "FIN is last");
            stream.fin_out = true;
        }
    }
}
