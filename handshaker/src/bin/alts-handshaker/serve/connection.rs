//! Connections of callers, each with its place.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use alts_handshaker::service::Caller;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::Connected;

use super::metrics::Metrics;

/// How many connections there may be, in all and for one caller.
#[derive(Clone)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    per_caller: usize,
    of_caller: Arc<Mutex<HashMap<Caller, usize>>>,
    metrics: Arc<Metrics>,
}

impl Places {
    pub(super) fn new(all: usize, per_caller: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all.clamp(1, Semaphore::MAX_PERMITS))),
            per_caller: per_caller.max(1),
            of_caller: Arc::default(),
            metrics,
        }
    }

    /// Waits for a place for whoever comes next.
    pub(super) async fn next(&self) -> OwnedSemaphorePermit {
        let place = Arc::clone(&self.all).acquire_owned().await;
        place.expect("the semaphore is never closed")
    }

    /// A connection of `caller`, or `None` if it has too many.
    pub(super) fn take(
        &self,
        place: OwnedSemaphorePermit,
        caller: Caller,
        socket: Socket,
    ) -> Option<Connection> {
        let mut callers = self.of_caller.lock().unwrap_or_else(PoisonError::into_inner);
        let count = callers.entry(caller).or_default();
        if *count >= self.per_caller {
            self.metrics.connections_refused.inc();
            return None;
        }
        *count += 1;
        self.metrics.connections.inc();
        Some(Connection { socket, caller, places: self.clone(), _place: place })
    }
}

pub(super) enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

pub(super) struct Connection {
    socket: Socket,
    caller: Caller,
    places: Places,
    _place: OwnedSemaphorePermit,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.places.metrics.connections.dec();
        let mut callers = self.places.of_caller.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = callers.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                callers.remove(&self.caller);
            }
        }
    }
}

/// Handed to the service with every request.
impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller
    }
}

/// Calls a method of whichever socket it is.
macro_rules! socket {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match &mut $self.get_mut().socket {
            Socket::Unix(socket) => Pin::new(socket).$method($($argument),*),
            Socket::Tcp(socket) => Pin::new(socket).$method($($argument),*),
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        socket!(self.poll_read(cx, buf))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        socket!(self.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        socket!(self.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        socket!(self.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        socket!(self.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
