//! The connection: bytes that the peer has sent, cut into reads, and writes that are taken as far as the peer likes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
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

#[derive(Clone, Default)]
pub(super) struct Wire(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    inbound: VecDeque<u8>,
    /// The longest read.
    cut: usize,
    ended: bool,
    outbound: Vec<u8>,
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

    /// The whole frames that were sent since the last time.
    pub(super) fn sent(&self) -> Vec<Sent> {
        let outbound = &mut self.0.borrow_mut().outbound;
        let mut frames = Vec::new();
        let mut at = 0;
        while let Some(header) = outbound.get(at..at + 12) {
            let word = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
            assert_eq!((header[0], header[2]), (0, 0));
            let frame = Frame { kind: header[1], flags: header[3], stream: word(4), len: word(8) };
            let len = if frame.kind == DATA { frame.len as usize } else { 0 };
            assert!(len <= 64 << 10, "{frame:?}");
            let Some(body) = outbound.get(at + 12..at + 12 + len) else { break };
            frames.push(Sent { frame, body: body.to_vec() });
            at += 12 + len;
        }
        outbound.drain(..at);
        frames
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
        Poll::Ready(Ok(Some(buffer)))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.borrow_mut();
        let count = state.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        if count == 0 {
            return Poll::Pending;
        }
        state.room = state.room.map(|room| room - count);
        state.outbound.extend(&bytes[..count]);
        state.moved += count as u64;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
