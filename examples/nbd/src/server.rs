//! The server.
//!
//! A [`Server`] serves connections that its caller has accepted, each as one future: [`Server::serve`] takes any byte stream, and
//! the [`Exports`] that this client sees.
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//! use alts_nbd::backend::{FileBackend, FileOptions};
//! use alts_nbd::export::{Export, Exports};
//! use alts_nbd::server::{Server, Settings};
//! use tokio::net::TcpListener;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let file = FileBackend::open(Path::new("disk.img"), FileOptions::default())?;
//! let mut exports = Exports::new();
//! exports.add(Export::new("disk", Arc::new(file))?)?;
//!
//! let server = Server::new(Settings::default());
//! let listener = TcpListener::bind("127.0.0.1:10809").await?;
//! loop {
//!     let (socket, _) = listener.accept().await?;
//!     socket.set_nodelay(true)?;
//!     let (server, exports) = (server.clone(), exports.clone());
//!     tokio::spawn(async move { server.serve(socket, exports).await });
//! }
//! # }
//! ```
//!
//! # Memory
//!
//! All data of requests pass through buffers of one pool ([`Settings::pool`]), whose cap is never exceeded; at the cap requests
//! wait in order. A connection has one buffer for each request in flight at most, and together no more than 1 MiB or one
//! piece of its export's [`Strategy`](crate::export::Strategy). No buffer waits for a client: where a client takes or sends
//! nothing for [`Settings::stall_limit`], what it was about to receive is dropped and read again when it goes on, and what it
//! has sent is stored. Nobody waits for a second buffer while holding one, so nothing deadlocks.
//!
//! Streams that take memory from a pool themselves, as [`alts::AltsStream`] does, need a pool of their own: their buffers are
//! held while a request waits for one.
//!
//! # Limits
//!
//! | | | |
//! |---|---|---|
//! | data of an option | 64 KiB are looked at, up to 1 MiB are read away | [`MAX_OPTION_DATA`](crate::negotiation::MAX_OPTION_DATA), [`MAX_SKIPPED_DATA`](crate::negotiation::MAX_SKIPPED_DATA) |
//! | queries for contexts in an option | 64 | [`MAX_QUERIES`](crate::negotiation::MAX_QUERIES) |
//! | options of a connection | 1,024 | [`MAX_OPTIONS`](crate::negotiation::MAX_OPTIONS) |
//! | data of all options of a connection | 4 MiB | [`MAX_ALL_DATA`](crate::negotiation::MAX_ALL_DATA) |
//! | time for the handshake | 10 s | [`Settings::handshake_timeout`] |
//! | requests in flight on a connection | 64, then no more are read | [`Settings::requests_in_flight`] |
//! | payload of a write | 32 MiB; above it the connection is closed | [`PORTABLE_PAYLOAD`](crate::wire::PORTABLE_PAYLOAD) |
//! | extents in a reply | 1,024 | |

mod batch;
mod carrier;
mod connection;
mod counters;
mod handshake;
mod input;
mod memory;
mod output;
mod passing;
mod read;
mod simple;
mod tasks;
mod write;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use alts::pool::BufferPool;
use alts::relay::RelayEnd;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::export::Exports;
#[cfg(feature = "tls")]
use crate::negotiation::TlsMode;
use crate::negotiation::{Agreed, Refused};
use crate::wire::Malformed;
use crate::wire::request::Command;

pub use counters::{Counters, Figures};

use carrier::Carrier;
use counters::COMMANDS;
use memory::Memory;

/// How a server behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where memory for requests comes from. By default a pool of its own, with a cap of 64 MiB.
    pub pool: BufferPool,
    /// The longest that a handshake may take; 10 s unless set.
    pub handshake_timeout: Duration,
    /// Requests of one connection that are worked on at a time; 64 unless set.
    pub requests_in_flight: usize,
    /// How long a buffer waits for a client that sends or takes nothing; 100 ms unless set.
    pub stall_limit: Duration,
    /// TLS, if clients may begin it.
    #[cfg(feature = "tls")]
    pub tls: Option<Tls>,
}

impl Default for Settings {
    fn default() -> Self {
        let pool = BufferPool::builder().cap(64 << 20).build();
        Self {
            pool: pool.unwrap_or_default(),
            handshake_timeout: Duration::from_secs(10),
            requests_in_flight: 64,
            stall_limit: Duration::from_millis(100),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// TLS for clients that begin it.
#[cfg(feature = "tls")]
#[derive(Clone)]
pub struct Tls {
    /// Accepts it.
    pub acceptor: tokio_rustls::TlsAcceptor,
    /// Whether clients must begin it.
    pub required: bool,
}

#[cfg(feature = "tls")]
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("required", &self.required).finish_non_exhaustive()
    }
}

/// Serves connections. Clones share everything.
#[derive(Clone, Debug)]
pub struct Server(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    memory: Memory,
    counters: Counters,
    draining: AtomicBool,
    connections: AtomicU64,
}

/// How a connection ended that did nothing wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The client said so.
    Disconnected,
    /// The client closed it between two requests, as many do.
    Closed,
    /// The client ended the handshake.
    Aborted,
}

/// Why a connection was given up.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The handshake did not end in time.
    HandshakeTimeout,
    /// The handshake was refused without an answer.
    Refused(Refused),
    /// The client does not speak the protocol.
    Malformed(Malformed),
    /// A write of more than 32 MiB, with its length.
    PayloadTooLarge(u32),
    /// The transport failed, or ended in the middle of a message.
    Io(io::Error),
    /// A reply could not be completed: the client is gone, or the storage failed where no error can be reported.
    Broken,
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HandshakeTimeout => f.write_str("the handshake did not end in time"),
            Self::Refused(refused) => refused.fmt(f),
            Self::Malformed(fault) => write!(f, "the client does not speak NBD: {fault}"),
            Self::PayloadTooLarge(len) => write!(f, "the client writes {len} bytes at once"),
            Self::Io(error) => write!(f, "the connection failed: {error}"),
            Self::Broken => f.write_str("a reply could not be completed"),
        }
    }
}

impl std::error::Error for ConnectionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(refused) => Some(refused),
            Self::Malformed(fault) => Some(fault),
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Refused> for ConnectionError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Malformed> for ConnectionError {
    fn from(fault: Malformed) -> Self {
        Self::Malformed(fault)
    }
}

impl Server {
    /// A server without connections.
    pub fn new(settings: Settings) -> Self {
        let memory = Memory::new(settings.pool.clone());
        Self(Arc::new(Shared {
            settings,
            memory,
            counters: Counters::default(),
            draining: AtomicBool::new(false),
            connections: AtomicU64::new(0),
        }))
    }

    /// Serves one client until it disconnects. What `exports` does not contain, this client cannot tell from what does not
    /// exist. Dropping the future closes the connection.
    ///
    /// # Errors
    /// Why the connection was given up. Nothing of it concerns other connections.
    pub fn serve<S>(
        &self,
        stream: S,
        exports: Exports,
    ) -> impl Future<Output = Result<Ending, ConnectionError>> + Send
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        self.0.serve(Carrier::opaque(stream), exports)
    }

    /// As [`serve`](Self::serve), for a connection that says whether there is only a socket between this side and the client: then
    /// files of exports with [`Strategy::Unbuffered`](crate::export::Strategy::Unbuffered) are sent by the kernel.
    ///
    /// # Errors
    /// As there.
    pub fn serve_socket<S>(
        &self,
        stream: S,
        exports: Exports,
    ) -> impl Future<Output = Result<Ending, ConnectionError>> + Send
    where
        S: RelayEnd + AsyncRead + Send,
    {
        self.0.serve(Carrier::of_socket(stream, S::bare), exports)
    }

    /// From now on refuses requests, with `ESHUTDOWN`, and exports. Those in flight are completed.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// What has happened so far.
    pub fn figures(&self) -> Figures {
        self.0.counters.figures()
    }

    /// How many requests there have been, by command.
    pub fn requests(&self) -> impl Iterator<Item = (Command, u64)> {
        COMMANDS.into_iter().map(|command| (command, self.0.counters.requests_of(command)))
    }

    /// The pool of the buffers.
    pub fn pool(&self) -> &BufferPool {
        &self.0.settings.pool
    }
}

impl Shared {
    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    async fn serve<S>(
        &self,
        stream: Carrier<S>,
        exports: Exports,
    ) -> Result<Ending, ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        self.counters.connected();
        let result = self.handshake_and_transmit(stream, exports).await;
        self.counters.disconnected(&result);
        result
    }

    async fn handshake_and_transmit<S>(
        &self,
        stream: Carrier<S>,
        exports: Exports,
    ) -> Result<Ending, ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        // In a box, so that a connection in transmission does not keep room for it.
        let handshake = Box::pin(async move { self.handshake(stream, &exports).await });
        match handshake.await? {
            handshake::Outcome::Aborted => Ok(Ending::Aborted),
            // In a box, too: each async function that passes this future on would reserve its size again.
            handshake::Outcome::Plain(stream, agreed) => {
                Box::pin(self.transmit(stream, agreed)).await
            }
            #[cfg(feature = "tls")]
            handshake::Outcome::Secured(stream, agreed) => {
                Box::pin(self.transmit(Carrier::opaque(stream), agreed)).await
            }
        }
    }

    async fn transmit<S>(
        &self,
        stream: Carrier<S>,
        agreed: Agreed,
    ) -> Result<Ending, ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let id = self.connections.fetch_add(1, Ordering::Relaxed);
        let result = connection::transmit(self, id, stream, agreed).await;
        self.memory.forget(id);
        result
    }

    #[cfg(feature = "tls")]
    fn tls_mode(&self) -> TlsMode {
        match &self.settings.tls {
            None => TlsMode::Unavailable,
            Some(tls) if tls.required => TlsMode::Required,
            Some(_) => TlsMode::Offered,
        }
    }
}
