//! Bytes that the backend moves itself, without a buffer.

use std::future::poll_fn;
use std::io::{self, IoSlice};
#[cfg(target_os = "linux")]
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use super::ConnectionError;
use super::batch::Batching;
use super::carrier::Half;
use super::connection::{Connection, InFlight};
use super::input::Input;
use super::output::{Broken, Turn};
use super::read::Unit;
use super::tasks::Tasks;
use crate::backend::{Backend, Sink, Source};
use crate::wire::Errno;
use crate::wire::flags::CommandFlags;

/// How far the backend came with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    All,
    /// It leaves the rest to the server.
    Left,
    Failed(Errno),
}

/// What is still to be sent of a unit.
#[derive(Debug)]
pub(super) struct Rest<'header> {
    pub(super) header: &'header [u8],
    /// Bytes of the data that were sent.
    pub(super) at: usize,
}

impl Rest<'_> {
    /// Whether nothing of the unit was sent.
    pub(super) fn is_all_of(&self, unit: &Unit<'_>) -> bool {
        self.at == 0 && self.header.len() == unit.header.len()
    }
}

/// A connection that takes what the backend passes on.
struct Outgoing<'pass, 'cx, 'header, S> {
    io: &'pass mut Half<S>,
    cx: &'pass mut Context<'cx>,
    header: &'pass mut &'header [u8],
    /// It has no room now, and the task will be woken.
    full: bool,
    failed: Option<io::Error>,
}

impl<S: AsyncWrite + Unpin> Outgoing<'_, '_, '_, S> {
    /// Sends the rest of the header.
    fn poll_header(&mut self) -> Poll<io::Result<()>> {
        while !self.header.is_empty() {
            let sent = ready!(Pin::new(&mut *self.io).poll_write(self.cx, self.header))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *self.header = &self.header[sent..];
        }
        Poll::Ready(Ok(()))
    }

    /// Sends the header, and as much of the rest as goes at once. Not together: behind a header of 28 bytes the system would copy to
    /// addresses that are not aligned, which takes longer than another call.
    fn poll_send(&mut self, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.poll_header())?;
        match ready!(Pin::new(&mut *self.io).poll_write_vectored(self.cx, bytes))? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            sent => Poll::Ready(Ok(sent)),
        }
    }

    fn taken(&mut self, sent: Poll<io::Result<usize>>) -> usize {
        match sent {
            Poll::Ready(Ok(sent)) => return sent,
            Poll::Ready(Err(error)) => self.failed = Some(error),
            Poll::Pending => self.full = true,
        }
        0
    }
}

impl<S: AsyncWrite + Unpin> Sink for Outgoing<'_, '_, '_, S> {
    fn send(&mut self, bytes: &[IoSlice<'_>]) -> usize {
        if bytes.iter().all(|slice| slice.is_empty()) || self.full || self.failed.is_some() {
            return 0;
        }
        let sent = self.poll_send(bytes);
        self.taken(sent)
    }

    #[cfg(target_os = "linux")]
    fn send_file(
        &mut self,
        file: BorrowedFd<'_>,
        offset: u64,
        len: usize,
    ) -> Option<io::Result<usize>> {
        use io::ErrorKind;

        if !self.io.is_bare() {
            return None;
        }
        let header = self.poll_header();
        self.taken(header.map_ok(|()| 0));
        if self.full || self.failed.is_some() {
            return Some(Ok(0));
        }
        match self.io.poll_send_file(self.cx, file, offset, len)? {
            Poll::Ready(Ok(0)) => Some(Err(ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Err(error)) => match error.kind() {
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::NotConnected => {
                    Some(Ok(self.taken(Poll::Ready(Err(error)))))
                }
                // This file or this socket does not do it. Whatever else it is, reading in the ordinary way will tell.
                _ => None,
            },
            sent => Some(Ok(self.taken(sent))),
        }
    }

    #[cfg(all(unix, not(target_os = "linux")))]
    fn send_file(
        &mut self,
        _file: std::os::fd::BorrowedFd<'_>,
        _offset: u64,
        _len: usize,
    ) -> Option<io::Result<usize>> {
        None
    }
}

/// A connection that has what the backend stores.
struct Arriving<'pass, 'cx, R> {
    input: &'pass mut Input<R>,
    cx: &'pass mut Context<'cx>,
    received: usize,
    /// Nothing more has arrived, and the task will be woken.
    empty: bool,
    failed: Option<io::Error>,
}

impl<R: AsyncRead + Unpin> Source for Arriving<'_, '_, R> {
    fn receive(&mut self, buf: &mut [u8]) -> usize {
        if self.empty || self.failed.is_some() {
            return 0;
        }
        match self.input.poll_receive(self.cx, buf) {
            Poll::Ready(Ok(received)) => {
                self.received += received;
                return received;
            }
            Poll::Ready(Err(error)) => self.failed = Some(error),
            Poll::Pending => self.empty = true,
        }
        0
    }
}

/// What a backend has stored of a payload.
#[derive(Debug)]
enum Stored {
    /// So many bytes, and there may be more.
    Some(usize),
    /// It has failed after so many bytes of the payload.
    Failed(usize, Errno),
    /// It leaves that to the server.
    Left,
}

impl<S> Connection<'_, Half<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    /// Has the backend send a unit, or a part of it.
    pub(super) async fn pass<'header>(
        &self,
        turn: &mut Turn<'_, Half<S>>,
        unit: &Unit<'header>,
    ) -> Result<(Passed, Rest<'header>), Broken> {
        let backend = self.agreed.export.backend();
        let mut rest = Rest { header: unit.header, at: 0 };
        let passed = poll_fn(|cx| {
            while rest.at < unit.len {
                let mut outgoing = Outgoing {
                    io: turn.io_mut(),
                    cx,
                    header: &mut rest.header,
                    full: false,
                    failed: None,
                };
                let (offset, left) = (unit.offset + rest.at as u64, unit.len - rest.at);
                let passed = backend.read_to(offset, left, &mut outgoing);
                let (full, failed) = (outgoing.full, outgoing.failed);
                if let Some(Ok(sent)) = passed {
                    rest.at += sent.min(left);
                }
                turn.begun_if(!rest.is_all_of(unit));
                if let Some(error) = failed {
                    return Poll::Ready(turn.checked(Err(error)));
                }
                match passed {
                    Some(Err(error)) => {
                        return Poll::Ready(Ok(Passed::Failed(self.failed(&error))));
                    }
                    _ if full => return Poll::Pending,
                    None | Some(Ok(0)) => return Poll::Ready(Ok(Passed::Left)),
                    Some(Ok(_)) => {}
                }
            }
            Poll::Ready(Ok(Passed::All))
        });
        let passed = passed.await?;
        Ok((passed, rest))
    }

    /// Has the backend store a payload as it arrives.
    pub(super) async fn receive_passing<'conn>(
        &'conn self,
        input: &mut Input<Half<S>>,
        tasks: &Tasks<'conn>,
        in_flight: InFlight<'conn>,
        batching: &mut Batching<'conn>,
    ) -> Result<(), ConnectionError> {
        let request = in_flight.request;
        let (mut offset, mut left) = (request.offset, request.len as usize);
        while left > 0 {
            let stored = poll_fn(|cx| {
                let stored = self.poll_store(cx, input, offset, left);
                if !matches!(stored, Poll::Ready(Ok(Stored::Some(_)))) {
                    // The client may wait for these replies before it sends on.
                    self.flush(cx, batching, tasks);
                }
                stored
            });
            match stored.await? {
                Stored::Some(len) => {
                    self.shared.counters.written(len as u64);
                    offset += len as u64;
                    left -= len;
                }
                Stored::Left if left == request.len as usize => {
                    return Box::pin(self.receive_write(input, tasks, in_flight)).await;
                }
                Stored::Left => return Err(ConnectionError::Broken),
                Stored::Failed(len, error) => {
                    input.discard((left - len) as u64).await?;
                    tasks.begin(self.answer_change(in_flight, Err(error))).await;
                    return Ok(());
                }
            }
        }
        if request.flags.contains(CommandFlags::FUA)
            && let Err(error) = self.run(0, Backend::flush).await
        {
            tasks.begin(self.answer_change(in_flight, Err(error))).await;
            return Ok(());
        }
        let mut in_flight = Some(in_flight);
        poll_fn(|cx| {
            if let Some(in_flight) = in_flight.take() {
                self.batch_success(cx, batching, tasks, in_flight);
            }
            Poll::Ready(())
        })
        .await;
        Ok(())
    }

    fn poll_store(
        &self,
        cx: &mut Context<'_>,
        input: &mut Input<Half<S>>,
        offset: u64,
        len: usize,
    ) -> Poll<io::Result<Stored>> {
        let backend = self.agreed.export.backend();
        let mut arriving = Arriving { input, cx, received: 0, empty: false, failed: None };
        let stored = backend.write_from(offset, len, &mut arriving);
        let Arriving { received, empty, failed, .. } = arriving;
        if let Some(error) = failed {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(match stored {
            None if received == 0 => Stored::Left,
            Some(Ok(stored)) if stored == received && received > 0 => Stored::Some(stored),
            Some(Ok(0)) if received == 0 && empty => return Poll::Pending,
            Some(Err(error)) => Stored::Failed(received, self.failed(&error)),
            // It has received something and does not say that it has stored it.
            _ => Stored::Failed(received, Errno::Io),
        }))
    }
}
