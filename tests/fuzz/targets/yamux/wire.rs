//! The connection: bytes that the peer has sent, cut into reads, and writes that are taken as far as the peer likes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use alts::pool::{BufferPool, PooledBuf, Ticket};
use alts::ready::ReadyReader;
use tokio::io::AsyncWrite;

pub(super) const DATA: u8 = 0;
pub(super) const WINDOW_UPDATE: u8 = 1;
pub(super) const PING: u8 = 2;
pub(super) const GO_AWAY: u8 = 3;
pub(super) const SYN: u8 = 1;
pub(super) const ACK: u8 = 2;
pub(super) const FIN: u8 = 4;
pub(super) const RST: u8 = 8;

#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) len: u32,
}

impl Frame {
    pub(super) fn header(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        (bytes[1], bytes[3]) = (self.kind, self.flags);
        bytes[4..8].copy_from_slice(&self.stream.to_be_bytes());
        bytes[8..].copy_from_slice(&self.len.to_be_bytes());
        bytes
    }
}

/// What was sent: a header and its body.
pub(super) struct Sent {
    pub(super) frame: Frame,
    pub(super) body: Vec<u8>,
}

/// What the session did with the connection.
pub(super) enum Event {
    /// It has read so many bytes.
    Read(usize),
    /// The connection has taken the last byte of some frames; and what credit, by stream, the session wanted to send behind them.
    Wrote { taken: Vec<Sent>, waiting: Vec<(u32, u32)> },
}

#[derive(Clone, Default)]
pub(super) struct Wire(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    inbound: VecDeque<u8>,
    /// The longest read.
    cut: usize,
    ended: bool,
    /// The begun frame.
    outbound: Vec<u8>,
    events: Vec<Event>,
    /// How many bytes more are taken; `None` is any number.
    room: Option<usize>,
    moved: u64,
}

impl Wire {
    pub(super) fn receive(&self, bytes: &[u8]) {
        self.0.borrow_mut().inbound.extend(bytes);
    }

    pub(super) fn cut(&self, cut: usize) {
        self.0.borrow_mut().cut = cut;
    }

    /// Takes so many bytes more, or any number again.
    pub(super) fn limit(&self, room: usize) {
        self.0.borrow_mut().room = (room > 50_000).then_some(room - room.min(50_000));
    }

    pub(super) fn let_all_through(&self) {
        let mut state = self.0.borrow_mut();
        (state.room, state.cut) = (None, 0);
    }

    pub(super) fn end(&self) {
        self.0.borrow_mut().ended = true;
    }

    /// Bytes moved either way.
    pub(super) fn moved(&self) -> u64 {
        self.0.borrow().moved
    }

    /// What happened since the last time.
    pub(super) fn events(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.borrow_mut().events)
    }

    /// Nothing is under way, and everything is taken.
    pub(super) fn is_clear(&self) -> bool {
        let state = self.0.borrow();
        state.inbound.is_empty() && state.room.is_none()
    }
}

impl State {
    /// The session wants to send this.
    fn offer(&mut self, offered: &[IoSlice<'_>]) -> usize {
        let begun = self.outbound.len();
        for slice in offered {
            self.outbound.extend_from_slice(slice);
        }
        let len = self.outbound.len() - begun;
        let count = self.room.map_or(len, |room| room.min(len));
        let (mut taken, mut waiting) = (Vec::new(), Vec::new());
        let (mut at, mut of_taken) = (0, 0);
        while let Some(header) = self.outbound.get(at..at + 12) {
            let word = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
            assert_eq!((header[0], header[2]), (0, 0));
            let frame = Frame { kind: header[1], flags: header[3], stream: word(4), len: word(8) };
            let len = if frame.kind == DATA { frame.len as usize } else { 0 };
            assert!(len <= 64 << 10, "{frame:?}");
            let Some(body) = self.outbound.get(at + 12..at + 12 + len) else { break };
            at += 12 + len;
            if at <= begun + count {
                taken.push(Sent { frame, body: body.to_vec() });
                of_taken = at;
            } else if frame.kind == WINDOW_UPDATE && frame.flags & RST == 0 {
                waiting.push((frame.stream, frame.len));
            }
        }
        self.outbound.truncate(begun + count);
        self.outbound.drain(..of_taken);
        self.events.push(Event::Wrote { taken, waiting });
        self.room = self.room.map(|room| room - count);
        self.moved += count as u64;
        count
    }
}

impl ReadyReader for Wire {
    fn poll_readable(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = self.0.borrow();
        match state.inbound.is_empty() && !state.ended {
            true => Poll::Pending,
            false => Poll::Ready(Ok(())),
        }
    }

    fn poll_read_on_ready(
        &mut self,
        cx: &mut Context<'_>,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        ready!(self.poll_readable(cx))?;
        let mut state = self.0.borrow_mut();
        if state.inbound.is_empty() {
            return Poll::Ready(Ok(None));
        }
        let mut buffer = ready!(pool.poll_take(cx, ticket, pool.buffer_size()))?;
        let most = if state.cut == 0 { usize::MAX } else { state.cut };
        let count = buffer.len().min(state.inbound.len()).min(most);
        for (place, byte) in buffer.iter_mut().zip(state.inbound.drain(..count)) {
            *place = byte;
        }
        buffer.truncate(count);
        state.moved += count as u64;
        state.events.push(Event::Read(count));
        Poll::Ready(Ok(Some(buffer)))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.0.borrow_mut().offer(slices) {
            0 => Poll::Pending,
            count => Poll::Ready(Ok(count)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
