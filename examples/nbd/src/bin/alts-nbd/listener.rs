//! Listening sockets, and connections of either kind as one type.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use alts::connect::{AcceptLoop, Socket};
use alts::handshaker::cli::socket_file::{self, SocketFile};
use alts::pool::{BufferPool, PooledBuf, Ticket};
use alts::ready::ReadyReader;
use alts::relay::{BareSocket, RelayEnd};
use listenfd::ListenFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, lookup_host};

use crate::address::ListenAddress;

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(AcceptLoop<TcpListener>),
    /// Its file is removed with it, unless systemd made it.
    Unix {
        sockets: AcceptLoop<UnixListener>,
        #[expect(dead_code, reason = "held for its drop")]
        file: Option<SocketFile>,
    },
}

/// Sockets that systemd opened (`sd_listen_fds(3)`), by the names of their units. Each can be taken once.
pub(crate) struct Activation {
    names: Vec<String>,
    sockets: ListenFd,
}

impl Activation {
    /// Looks at `LISTEN_FDS`, `LISTEN_FDNAMES` and `LISTEN_PID`.
    pub(crate) fn from_env() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.split(':').map(str::to_owned).collect();
        Self { names, sockets: ListenFd::from_env() }
    }

    fn take(&mut self, name: &str) -> Result<Vec<Listener>, String> {
        let mut taken = Vec::new();
        for index in 0..self.sockets.len() {
            if self.names.get(index).is_none_or(|found| found != name) {
                continue;
            }
            let listener = if let Ok(Some(listener)) = self.sockets.take_tcp_listener(index) {
                listener
                    .set_nonblocking(true)
                    .and_then(|()| TcpListener::from_std(listener))
                    .map(|listener| Listener::Tcp(AcceptLoop::new(listener)))
            } else if let Ok(Some(listener)) = self.sockets.take_unix_listener(index) {
                listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener)).map(
                    |listener| Listener::Unix { sockets: AcceptLoop::new(listener), file: None },
                )
            } else {
                return Err("it is not a listening stream socket, or is used twice".to_owned());
            };
            taken.push(listener.map_err(|error| error.to_string())?);
        }
        match taken.is_empty() {
            true => Err(format!(
                "systemd passed no socket of this name; the .socket unit needs FileDescriptorName={name}"
            )),
            false => Ok(taken),
        }
    }
}

impl Listener {
    /// Opens all that `address` stands for: `localhost` has two addresses.
    pub(crate) async fn bind(
        address: &ListenAddress,
        socket_mode: u32,
        activation: &mut Activation,
    ) -> Result<Vec<Self>, String> {
        let fault = |error: io::Error| format!("cannot listen on {address}: {error}");
        match address {
            ListenAddress::Tcp(host, port) => bind_tcp(host, *port).await.map_err(fault),
            ListenAddress::Unix(path) => {
                let (listener, file) = socket_file::bind(path, socket_mode).map_err(fault)?;
                let listener = UnixListener::from_std(listener).map_err(fault)?;
                Ok(vec![Self::Unix { sockets: AcceptLoop::new(listener), file: Some(file) }])
            }
            ListenAddress::Systemd(name) => {
                activation.take(name).map_err(|text| format!("systemd:{name}: {text}"))
            }
        }
    }

    /// The next connection. Errors of accepting are survived.
    pub(crate) async fn accept(&mut self) -> PlainStream {
        let accepted = match self {
            Self::Tcp(sockets) => sockets.next().await.map(|socket| {
                // Requests and replies are small and wait for each other.
                let _ = socket.set_nodelay(true);
                PlainStream::Tcp(socket)
            }),
            Self::Unix { sockets, .. } => sockets.next().await.map(PlainStream::Unix),
        };
        match accepted {
            Some(stream) => stream,
            // No listener of the operating system ever comes to an end.
            None => std::future::pending().await,
        }
    }

    /// Where it listens, for the line on standard output.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Tcp(sockets) => sockets
                .get_ref()
                .local_addr()
                .map_or_else(|error| error.to_string(), |at| at.to_string()),
            Self::Unix { sockets, .. } => match sockets.get_ref().local_addr() {
                Ok(address) => address
                    .as_pathname()
                    .map_or_else(|| "unix:".to_owned(), |path| format!("unix:{}", path.display())),
                Err(error) => error.to_string(),
            },
        }
    }
}

async fn bind_tcp(host: &str, mut port: u16) -> io::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    let mut failed = None;
    for mut at in lookup_host((host, port)).await? {
        // A free port is chosen once.
        at.set_port(port);
        match TcpListener::bind(at).await {
            Ok(listener) => {
                port = listener.local_addr()?.port();
                listeners.push(Listener::Tcp(AcceptLoop::new(listener)));
            }
            Err(error) => failed = Some(error),
        }
    }
    match (listeners.is_empty(), failed) {
        (true, failed) => Err(failed.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())),
        // One family of `localhost` may be missing on this machine; a taken port is a fault.
        (false, Some(error)) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        (false, _) => Ok(listeners),
    }
}

/// A plain connection.
#[derive(Debug)]
pub(crate) enum PlainStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Calls the same on either.
macro_rules! either {
    ($stream:expr, $io:ident => $call:expr) => {
        match $stream {
            PlainStream::Tcp($io) => $call,
            PlainStream::Unix($io) => $call,
        }
    };
}

/// A plain connection that no runtime watches.
#[derive(Debug)]
pub(crate) enum Unwatched {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Unwatched {
    /// The connection, watched by the runtime of the caller.
    pub(crate) fn watch(self) -> io::Result<PlainStream> {
        match self {
            Self::Tcp(socket) => TcpStream::from_std(socket).map(PlainStream::Tcp),
            Self::Unix(socket) => UnixStream::from_std(socket).map(PlainStream::Unix),
        }
    }
}

impl PlainStream {
    /// Leaves the runtime that has watched it.
    pub(crate) fn unwatched(self) -> io::Result<Unwatched> {
        match self {
            Self::Tcp(socket) => socket.into_std().map(Unwatched::Tcp),
            Self::Unix(socket) => socket.into_std().map(Unwatched::Unix),
        }
    }

    /// The peer, for log lines.
    pub(crate) fn peer(&self) -> String {
        match self {
            Self::Tcp(socket) => {
                socket.peer_addr().map_or_else(|_| "tcp".to_owned(), |at| at.to_string())
            }
            Self::Unix(_) => "unix".to_owned(),
        }
    }
}

impl ReadyReader for PlainStream {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_readable(cx))
    }

    fn poll_read_on_ready(
        &mut self,
        cx: &mut Context<'_>,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        either!(self, io => io.poll_read_on_ready(cx, pool, ticket))
    }
}

impl AsyncRead for PlainStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.get_mut(), io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for PlainStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), io => Pin::new(io).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, io => io.is_write_vectored())
    }
}

impl RelayEnd for PlainStream {
    fn bare(&self) -> Option<BareSocket<'_>> {
        either!(self, io => io.bare())
    }
}

impl Socket for PlainStream {
    fn source(&self) -> Option<IpAddr> {
        either!(self, io => Socket::source(io))
    }

    fn set_nodelay(&self) -> io::Result<()> {
        either!(self, io => Socket::set_nodelay(io))
    }

    fn limit_unsent(&self, bytes: u32) -> io::Result<()> {
        either!(self, io => io.limit_unsent(bytes))
    }
}
