//! One connection in transmission.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use alts::pool::PooledBuf;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::batch::Batching;
use super::carrier::{Carrier, Half};
use super::input::Input;
use super::output::{Broken, Output};
use super::tasks::Tasks;
use super::{ConnectionError, Ending, Shared};
use crate::backend::Backend;
use crate::export::Strategy;
use crate::negotiation::Agreed;
use crate::transmission::{Fault, check};
use crate::wire::reply::{ErrorChunk, SimpleReply};
use crate::wire::request::{Command, Request};
use crate::wire::{Errno, PORTABLE_PAYLOAD};

/// What the data in flight of one connection may have together, unless a single piece is larger.
const BUDGET: usize = 1 << 20;
/// What the budget is counted in: the smallest buffer.
const UNIT: usize = 4 << 10;
/// What a backend that never waits may do at once: more would keep other connections waiting for too long.
const INLINE: usize = 1 << 20;
/// Data begin here in a buffer for reading. Before them is room for the reply's header, and they are aligned as direct
/// transfers need them. The pool's buffers have so much room beyond a power of two.
pub(super) const DATA_START: usize = 512;
/// How long a connection waits for its client to close it, so that the last replies are not lost.
const LINGER: Duration = Duration::from_secs(2);

/// What the requests of a connection share.
#[derive(Debug)]
pub(super) struct Connection<'server, W> {
    pub(super) shared: &'server Shared,
    pub(super) id: u64,
    pub(super) agreed: Agreed,
    pub(super) output: Output<W>,
    /// The most bytes in one buffer.
    pub(super) piece: usize,
    /// The backend is asked to move bytes itself.
    pub(super) passes: bool,
    in_flight: Semaphore,
    budget: Semaphore,
    budget_units: usize,
}

/// Serves requests until the client disconnects.
pub(super) async fn transmit<S>(
    shared: &Shared,
    id: u64,
    stream: Carrier<S>,
    agreed: Agreed,
) -> Result<Ending, ConnectionError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let (reader, writer) = stream.split();
    let block = agreed.export.block_size().minimum as usize;
    let piece = agreed.export.chosen_strategy().piece(shared.memory.largest()).max(block);
    let passes = agreed.export.chosen_strategy() == Strategy::Unbuffered;
    let budget_units = BUDGET.max(piece).div_ceil(UNIT);
    let connection = Connection {
        shared,
        id,
        agreed,
        output: Output::new(writer),
        piece,
        passes,
        in_flight: Semaphore::new(shared.settings.requests_in_flight),
        budget: Semaphore::new(budget_units),
        budget_units,
    };
    let mut input = Input::new(reader);
    let tasks = Tasks::new();
    let ending = {
        let reading = pin!(connection.read_requests(&mut input, &tasks));
        tasks.run(reading, || connection.output.is_broken()).await
    };
    drop(tasks);
    let ending = ending.unwrap_or(Err(ConnectionError::Broken))?;
    connection.output.shut_down().await;
    if ending == Ending::Disconnected {
        // What the client still sends is of no interest, but closing over it would reset the connection under the last replies.
        let _ = timeout(LINGER, input.discard_all()).await;
    }
    Ok(ending)
}

/// What is to be waited for.
enum Step<'conn> {
    End(Ending),
    /// As many requests are in flight as may be.
    Full,
    /// The payload of a write.
    Write(InFlight<'conn>),
    /// The same, of a write that is refused.
    Refuse(InFlight<'conn>, Fault),
}

/// A request that is being worked on; dropping it makes room for the next.
#[derive(Debug)]
pub(super) struct InFlight<'conn> {
    pub(super) request: Request,
    shared: &'conn Shared,
    _place: SemaphorePermit<'conn>,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.shared.counters.ended();
    }
}

impl<S> Connection<'_, Half<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    async fn read_requests<'conn>(
        &'conn self,
        input: &mut Input<Half<S>>,
        tasks: &Tasks<'conn>,
    ) -> Result<Ending, ConnectionError> {
        let mut batching: Batching<'conn> = None;
        loop {
            match poll_fn(|cx| self.poll_requests(cx, input, tasks, &mut batching)).await? {
                Step::End(ending) => return Ok(ending),
                Step::Full => {
                    let _place = self.in_flight.acquire().await;
                }
                // In boxes, so that a quiet connection does not keep room for them.
                Step::Write(in_flight) if self.stores_as_it_arrives() => {
                    let receiving = self.receive_passing(input, tasks, in_flight, &mut batching);
                    Box::pin(receiving).await?;
                }
                Step::Write(in_flight) => {
                    Box::pin(self.receive_write(input, tasks, in_flight)).await?;
                }
                Step::Refuse(in_flight, fault) => {
                    Box::pin(self.refuse_write(input, tasks, in_flight, fault)).await?;
                }
            }
        }
    }

    /// Begins to answer requests as they arrive, until something has to be waited for but the next request. While it waits for that,
    /// no reply is held back.
    fn poll_requests<'conn>(
        &'conn self,
        cx: &mut Context<'_>,
        input: &mut Input<Half<S>>,
        tasks: &Tasks<'conn>,
        batching: &mut Batching<'conn>,
    ) -> Poll<Result<Step<'conn>, ConnectionError>> {
        loop {
            let step = match self.next_step(cx, input, tasks, batching) {
                Poll::Ready(Ok(None)) => continue,
                Poll::Ready(Ok(Some(step))) => Poll::Ready(Ok(step)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            };
            if !matches!(step, Poll::Ready(Ok(Step::Write(_)))) || !self.stores_as_it_arrives() {
                self.flush(cx, batching, tasks);
            }
            return step;
        }
    }

    /// Begins to answer the next request, unless there is more to do.
    fn next_step<'conn>(
        &'conn self,
        cx: &mut Context<'_>,
        input: &mut Input<Half<S>>,
        tasks: &Tasks<'conn>,
        batching: &mut Batching<'conn>,
    ) -> Poll<Result<Option<Step<'conn>>, ConnectionError>> {
        let bytes = loop {
            if let Some(bytes) = input.next_request() {
                break bytes;
            }
            if ready!(input.poll_more(cx))? == 0 {
                return Poll::Ready(match input.is_between_requests() {
                    true => Ok(Some(Step::End(Ending::Closed))),
                    false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                });
            }
        };
        let request = Request::decode(&bytes)?;
        if request.command == Command::Disconnect {
            return Poll::Ready(Ok(Some(Step::End(Ending::Disconnected))));
        }
        if request.payload_len() > PORTABLE_PAYLOAD {
            return Poll::Ready(Err(ConnectionError::PayloadTooLarge(request.len)));
        }
        let Ok(place) = self.in_flight.try_acquire() else {
            input.put_back_request();
            return Poll::Ready(Ok(Some(Step::Full)));
        };
        self.shared.counters.begun(request.command);
        let in_flight = InFlight { request, shared: self.shared, _place: place };
        let checked = match self.shared.is_draining() {
            true => Err(Fault { error: Errno::Shutdown, text: "the server is shutting down" }),
            false => check(&request, &self.agreed),
        };
        let batched = match request.command {
            Command::Read => self.is_for_batch(&request),
            Command::Write => self.stores_as_it_arrives(),
            _ => false,
        };
        if checked.is_err() || !batched {
            // Replies that can come in the order of requests do.
            self.flush(cx, batching, tasks);
        }
        match (request.command, checked) {
            (Command::Write, Ok(())) => return Poll::Ready(Ok(Some(Step::Write(in_flight)))),
            (Command::Write, Err(fault)) => {
                return Poll::Ready(Ok(Some(Step::Refuse(in_flight, fault))));
            }
            (_, Err(fault)) => tasks.begin_now(cx, self.refuse(in_flight, fault)),
            (Command::Read, Ok(())) if batched => {
                self.batch_read(cx, batching, tasks, in_flight, input.requests());
            }
            (Command::Read, Ok(())) => tasks.begin_now(cx, self.answer_read(in_flight)),
            (_, Ok(())) => tasks.begin_now(cx, self.answer_simple(in_flight)),
        }
        Poll::Ready(Ok(None))
    }

    /// Answers a write by an error, and reads its payload away.
    async fn refuse_write<'conn>(
        &'conn self,
        input: &mut Input<Half<S>>,
        tasks: &Tasks<'conn>,
        in_flight: InFlight<'conn>,
        fault: Fault,
    ) -> Result<(), ConnectionError> {
        input.discard(in_flight.request.payload_len().into()).await?;
        tasks.begin(self.refuse(in_flight, fault)).await;
        Ok(())
    }

    /// Whether the backend is asked to store payloads without a buffer.
    fn stores_as_it_arrives(&self) -> bool {
        let export = &self.agreed.export;
        self.passes && !export.capabilities().blocks && export.block_size().minimum == 1
    }

    async fn refuse(&self, in_flight: InFlight<'_>, fault: Fault) {
        // An error means that the connection is broken, which is noticed elsewhere.
        let _ = self.send_error(&in_flight.request, fault.error, fault.text, None).await;
    }

    /// Answers a request by an error.
    pub(super) async fn send_error(
        &self,
        request: &Request,
        error: Errno,
        text: &str,
        offset: Option<u64>,
    ) -> Result<(), Broken> {
        self.shared.counters.failed(error);
        let cookie = request.cookie;
        if self.agreed.structured {
            let chunk = ErrorChunk { error, message: text, offset };
            self.output.send(&chunk.encode(cookie)).await
        } else {
            self.output.send(&SimpleReply { error: Some(error), cookie }.encode()).await
        }
    }

    /// Answers a request without data by success, or by the error.
    pub(super) async fn send_result(
        &self,
        request: &Request,
        result: Result<(), Errno>,
    ) -> Result<(), Broken> {
        match result {
            Ok(()) => {
                let reply = SimpleReply { error: None, cookie: request.cookie };
                self.output.send(&reply.encode()).await
            }
            Err(error) => self.send_error(request, error, &error.to_string(), None).await,
        }
    }

    /// Waits until so many bytes may be in flight.
    pub(super) async fn reserve(&self, bytes: usize) -> Result<SemaphorePermit<'_>, Broken> {
        let units = bytes.div_ceil(UNIT).clamp(1, self.budget_units);
        self.budget.acquire_many(units as u32).await.map_err(|_| Broken)
    }

    /// The same, if nobody has to wait for it.
    pub(super) fn try_reserve(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        let units = bytes.div_ceil(UNIT).clamp(1, self.budget_units);
        self.budget.try_acquire_many(units as u32).ok()
    }

    /// The buffer that this connection has kept, if it is large enough.
    fn kept(&self, size: usize) -> Option<PooledBuf> {
        match self.agreed.export.chosen_strategy() {
            Strategy::HoldLargest { .. } => self.shared.memory.kept_by(self.id, size),
            _ => None,
        }
    }

    /// Takes a buffer of at least `size` bytes, if nobody has to wait for it.
    pub(super) fn take_now(&self, size: usize) -> Option<PooledBuf> {
        self.kept(size).or_else(|| self.shared.memory.take_now(size).ok())
    }

    /// Takes a buffer of at least `size` bytes.
    pub(super) async fn take(&self, size: usize) -> Result<PooledBuf, Errno> {
        if let Some(buf) = self.kept(size) {
            return Ok(buf);
        }
        self.shared.memory.take(size).await.map_err(|error| {
            tracing::warn!(%error, "no memory for a request");
            Errno::NoMem
        })
    }

    /// Gives a buffer back, or keeps it.
    pub(super) fn give_back(&self, buf: PooledBuf) {
        if let Strategy::HoldLargest { most } = self.agreed.export.chosen_strategy() {
            self.shared.memory.keep(self.id, buf, most);
        }
    }

    /// Has the backend do something, where it is allowed to wait if it does. `bytes` tells how much it has to move.
    pub(super) async fn run<T, F>(&self, bytes: usize, call: F) -> Result<T, Errno>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Backend) -> io::Result<T> + Send + 'static,
    {
        let backend = self.agreed.export.backend();
        let result = if !self.agreed.export.capabilities().blocks && bytes <= INLINE {
            call(&**backend)
        } else {
            let backend = Arc::clone(backend);
            // A panic of the backend counts as its failure.
            let called = tokio::task::spawn_blocking(move || call(&*backend)).await;
            called.unwrap_or_else(|error| Err(io::Error::other(error)))
        };
        result.map_err(|error| self.failed(&error))
    }

    /// Reads into the data part of `buf`.
    pub(super) async fn fetch(
        &self,
        mut buf: PooledBuf,
        offset: u64,
        len: usize,
    ) -> Result<PooledBuf, Errno> {
        let data = DATA_START..DATA_START + len;
        if self.agreed.export.capabilities().blocks && len <= INLINE {
            let backend = self.agreed.export.backend();
            match backend.read_now(offset, &mut buf.whole_mut()[data.clone()]) {
                Some(Ok(())) => return Ok(buf),
                Some(Err(error)) => return Err(self.failed(&error)),
                None => {}
            }
        }
        self.run(len, move |backend| {
            backend.read(offset, &mut buf.whole_mut()[data])?;
            Ok(buf)
        })
        .await
    }

    /// What the client is told of an error of the backend.
    pub(super) fn failed(&self, error: &io::Error) -> Errno {
        let reported = match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Errno::NoSpc,
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Errno::Perm,
            io::ErrorKind::OutOfMemory => Errno::NoMem,
            io::ErrorKind::InvalidInput => Errno::Inval,
            io::ErrorKind::Unsupported => return Errno::NotSup,
            _ => Errno::Io,
        };
        tracing::warn!(export = self.agreed.export.name(), %error, "the storage failed");
        reported
    }
}

/// Counts what is still to be done of a request that was split.
#[derive(Debug)]
pub(super) struct Outstanding(AtomicUsize);

impl Outstanding {
    /// One part, the reader's own.
    pub(super) fn new() -> Self {
        Self(AtomicUsize::new(1))
    }

    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// A part is done; says whether it was the last.
    pub(super) fn done(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }
}
