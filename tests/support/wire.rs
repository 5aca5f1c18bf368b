//! An in-memory socket that does what a script says: partial reads and writes, stalls, false readiness, errors. It counts the
//! calls it gets.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use alts::connect::Socket;
use alts::pool::{BufferPool, PooledBuf, Ticket};
use alts::ready::ReadyReader;
use alts::{IntoSplit, Reunite};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::rng::Rng;

/// How one end behaves.
#[derive(Debug)]
pub(crate) struct Script {
    /// The most that one write takes, in bytes; 0 takes nothing until it is changed.
    pub(crate) write_chunk: usize,
    /// The most that all writes together take from now on, in bytes.
    pub(crate) capacity_left: Option<usize>,
    /// The most that one read gives, in bytes.
    pub(crate) read_chunk: usize,
    /// With numbers, sizes vary below the chunks, and calls are sometimes pending for no reason, waking at once.
    pub(crate) moods: Option<Rng>,
    /// `poll_readable` says yes although nothing is there.
    pub(crate) false_readiness: bool,
    /// What the next read fails with.
    pub(crate) read_error: Option<io::ErrorKind>,
    /// What every write fails with from now on.
    pub(crate) write_error: Option<io::ErrorKind>,
    pub(crate) counts: Counts,
}

/// Calls that an end got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) reads: usize,
    pub(crate) pending_reads: usize,
    pub(crate) writes: usize,
    pub(crate) pending_writes: usize,
    pub(crate) flushes: usize,
    pub(crate) shutdowns: usize,
    /// Bytes that were taken.
    pub(crate) written: usize,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            write_chunk: usize::MAX,
            capacity_left: None,
            read_chunk: usize::MAX,
            moods: None,
            false_readiness: false,
            read_error: None,
            write_error: None,
            counts: Counts::default(),
        }
    }
}

/// Bytes on their way in one direction.
#[derive(Debug)]
struct Pipe {
    bytes: VecDeque<u8>,
    capacity: usize,
    ended: bool,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn new(capacity: usize) -> Arc<Mutex<Self>> {
        let bytes = VecDeque::new();
        let (ended, reader_gone) = (false, false);
        let (reader, writer) = (None, None);
        Arc::new(Mutex::new(Self { bytes, capacity, ended, reader_gone, reader, writer }))
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// One end.
#[derive(Debug)]
pub(crate) struct Wire {
    incoming: Incoming,
    outgoing: Outgoing,
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct Incoming {
    pipe: Arc<Mutex<Pipe>>,
    control: Control,
}

/// The sending half.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pipe: Arc<Mutex<Pipe>>,
    control: Control,
}

/// A test's hand on one end.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    script: Arc<Mutex<Script>>,
    incoming: Arc<Mutex<Pipe>>,
    outgoing: Arc<Mutex<Pipe>>,
}

impl Control {
    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Changes how writes behave, and wakes the waiting writer.
    pub(crate) fn set_write_chunk(&self, bytes: usize) {
        self.script().write_chunk = bytes;
        wake(&mut self.outgoing.lock().unwrap().writer);
    }

    /// Every write fails from now on.
    pub(crate) fn fail_writes(&self, error: io::ErrorKind) {
        self.script().write_error = Some(error);
        wake(&mut self.outgoing.lock().unwrap().writer);
    }

    /// The next read fails.
    pub(crate) fn fail_read(&self, error: io::ErrorKind) {
        self.script().read_error = Some(error);
        wake(&mut self.incoming.lock().unwrap().reader);
    }

    /// Counts from 0 again, and says how far it came.
    pub(crate) fn take_counts(&self) -> Counts {
        std::mem::take(&mut self.script().counts)
    }

    /// Bytes that wait to be read at this end.
    pub(crate) fn arriving(&self) -> usize {
        self.incoming.lock().unwrap().bytes.len()
    }

    /// Takes everything that this end has sent and its peer has not read.
    pub(crate) fn intercept(&self) -> Vec<u8> {
        let mut pipe = self.outgoing.lock().unwrap();
        wake(&mut pipe.writer);
        pipe.bytes.drain(..).collect()
    }

    /// Takes everything that this end has not read.
    pub(crate) fn take_arriving(&self) -> Vec<u8> {
        let mut pipe = self.incoming.lock().unwrap();
        wake(&mut pipe.writer);
        pipe.bytes.drain(..).collect()
    }

    /// Puts bytes back that were intercepted.
    pub(crate) fn reinsert(&self, bytes: &[u8]) {
        let mut pipe = self.outgoing.lock().unwrap();
        pipe.bytes.extend(bytes);
        wake(&mut pipe.reader);
    }

    /// Puts bytes where this end reads them.
    pub(crate) fn inject(&self, bytes: &[u8]) {
        let mut pipe = self.incoming.lock().unwrap();
        pipe.bytes.extend(bytes);
        wake(&mut pipe.reader);
    }

    /// The stream that this end reads ends behind what is in it.
    pub(crate) fn end_incoming(&self) {
        let mut pipe = self.incoming.lock().unwrap();
        pipe.ended = true;
        wake(&mut pipe.reader);
    }
}

/// Two ends, with room for `capacity` bytes in each direction.
pub(crate) fn wires(capacity: usize) -> ((Wire, Control), (Wire, Control)) {
    let (there, back) = (Pipe::new(capacity), Pipe::new(capacity));
    (wire(back.clone(), there.clone()), wire(there, back))
}

fn wire(incoming: Arc<Mutex<Pipe>>, outgoing: Arc<Mutex<Pipe>>) -> (Wire, Control) {
    let script = Arc::default();
    let control = Control { script, incoming: incoming.clone(), outgoing: outgoing.clone() };
    let incoming = Incoming { pipe: incoming, control: control.clone() };
    let outgoing = Outgoing { pipe: outgoing, control: control.clone() };
    (Wire { incoming, outgoing }, control)
}

impl Script {
    /// Whether this call is pending for no reason.
    fn sulks(&mut self, cx: &Context<'_>) -> bool {
        let sulks = self.moods.as_mut().is_some_and(|rng| rng.one_in(4));
        if sulks {
            cx.waker().wake_by_ref();
        }
        sulks
    }

    fn vary(&mut self, most: usize) -> usize {
        match &mut self.moods {
            Some(rng) if most > 0 => rng.size(most),
            _ => most,
        }
    }
}

impl AsyncRead for Incoming {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        assert!(buf.remaining() > 0, "a read without room");
        let mut script = self.control.script();
        script.counts.reads += 1;
        if let Some(error) = script.read_error.take() {
            return Poll::Ready(Err(error.into()));
        }
        let mut pipe = self.pipe.lock().unwrap();
        if script.sulks(cx) {
            script.counts.pending_reads += 1;
            return Poll::Pending;
        }
        if pipe.bytes.is_empty() {
            if pipe.ended {
                return Poll::Ready(Ok(()));
            }
            script.counts.pending_reads += 1;
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let most = pipe.bytes.len().min(buf.remaining()).min(script.read_chunk);
        let count = script.vary(most);
        buf.put_slice(&pipe.bytes.make_contiguous()[..count]);
        pipe.bytes.drain(..count);
        wake(&mut pipe.writer);
        Poll::Ready(Ok(()))
    }
}

impl ReadyReader for Incoming {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let script = self.control.script();
        let mut pipe = self.pipe.lock().unwrap();
        let something = !pipe.bytes.is_empty() || pipe.ended || script.read_error.is_some();
        if something || script.false_readiness {
            return Poll::Ready(Ok(()));
        }
        pipe.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_read_on_ready(
        &mut self,
        _cx: &mut Context<'_>,
        _pool: &BufferPool,
        _place: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        unreachable!("streams read into buffers of their own choice")
    }
}

impl AsyncWrite for Outgoing {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        assert!(!buf.is_empty(), "a write of nothing");
        let mut script = self.control.script();
        script.counts.writes += 1;
        let mut pipe = self.pipe.lock().unwrap();
        if let Some(error) = script.write_error {
            return Poll::Ready(Err(error.into()));
        }
        if pipe.ended || pipe.reader_gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if script.sulks(cx) {
            script.counts.pending_writes += 1;
            return Poll::Pending;
        }
        let room = pipe.capacity.saturating_sub(pipe.bytes.len());
        let left = script.capacity_left.unwrap_or(usize::MAX);
        let most = room.min(buf.len()).min(script.write_chunk).min(left);
        if most == 0 {
            script.counts.pending_writes += 1;
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = script.vary(most);
        script.counts.written += count;
        script.capacity_left = script.capacity_left.map(|left| left - count);
        pipe.bytes.extend(&buf[..count]);
        wake(&mut pipe.reader);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.control.script().counts.flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.control.script().counts.shutdowns += 1;
        let mut pipe = self.pipe.lock().unwrap();
        pipe.ended = true;
        wake(&mut pipe.reader);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut pipe = self.pipe.lock().unwrap();
        pipe.reader_gone = true;
        wake(&mut pipe.writer);
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        let mut pipe = self.pipe.lock().unwrap();
        pipe.ended = true;
        wake(&mut pipe.reader);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.incoming).poll_read(cx, buf)
    }
}

impl ReadyReader for Wire {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.incoming.poll_readable(cx)
    }

    fn poll_read_on_ready(
        &mut self,
        cx: &mut Context<'_>,
        pool: &BufferPool,
        place: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        self.incoming.poll_read_on_ready(cx, pool, place)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.outgoing).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.outgoing).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.outgoing).poll_shutdown(cx)
    }
}

impl Socket for Wire {}

impl IntoSplit for Wire {
    type Read = Incoming;
    type Write = Outgoing;

    fn into_split(self) -> (Incoming, Outgoing) {
        (self.incoming, self.outgoing)
    }
}

impl Reunite<Outgoing> for Incoming {
    type Whole = Wire;

    fn reunite(self, outgoing: Outgoing) -> Result<Wire, (Self, Outgoing)> {
        match Arc::ptr_eq(&self.control.script, &outgoing.control.script) {
            true => Ok(Wire { incoming: self, outgoing }),
            false => Err((self, outgoing)),
        }
    }
}
