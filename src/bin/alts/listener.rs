//! Listening sockets.

use std::io;
use std::time::Duration;

use alts::handshaker::cli::socket_file::{self, SocketFile};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener, lookup_host};

use crate::activation::{Activated, Activation};
use crate::address::{HostPort, ListenAddress};
use crate::plain::PlainStream;

/// Connections that the kernel keeps until they are accepted; it takes no more than `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// When accepting fails for want of descriptors or memory the next attempt fails too, until something is given back. The first
/// and the longest pause, as in gRPC's Go server.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    /// Its file is removed with it, unless systemd made it.
    Unix {
        listener: UnixListener,
        #[expect(dead_code, reason = "held for its drop")]
        file: Option<SocketFile>,
    },
}

/// How sockets are opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListenOptions {
    /// Permission bits of a Unix socket.
    pub(crate) socket_mode: u32,
    /// Several processes may listen at one TCP address.
    pub(crate) reuse_port: bool,
}

impl Listener {
    /// Opens all that `address` stands for: `localhost` has two addresses.
    pub(crate) async fn bind(
        address: &ListenAddress,
        options: ListenOptions,
        activation: &mut Activation,
    ) -> Result<Vec<Self>, String> {
        let fault = |error: io::Error| format!("cannot listen on {address}: {error}");
        match address {
            ListenAddress::Tcp(host_port) => bind_tcp(host_port, options).await.map_err(fault),
            ListenAddress::Unix(path) => {
                let (listener, file) =
                    socket_file::bind(path, options.socket_mode).map_err(fault)?;
                let listener = UnixListener::from_std(listener).map_err(fault)?;
                Ok(vec![Self::Unix { listener, file: Some(file) }])
            }
            ListenAddress::Systemd(name) => {
                let sockets = activation.take(name)?;
                sockets.into_iter().map(Self::activated).collect::<Result<_, _>>().map_err(fault)
            }
        }
    }

    fn activated(socket: Activated) -> io::Result<Self> {
        match socket {
            Activated::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Self::Tcp)
            }
            Activated::Unix(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(|listener| Self::Unix { listener, file: None })
            }
        }
    }

    /// The next connection. What goes wrong with one connection is passed over, and what lasts is waited for.
    pub(crate) async fn accept(&self) -> PlainStream {
        let mut pause = Duration::ZERO;
        loop {
            let accepted = match self {
                Self::Tcp(listener) => listener.accept().await.map(|(io, _)| PlainStream::Tcp(io)),
                Self::Unix { listener, .. } => {
                    listener.accept().await.map(|(io, _)| PlainStream::Unix(io))
                }
            };
            match accepted {
                Ok(stream) => return stream,
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "a connection was gone before it was accepted");
                }
                Err(error) => {
                    if pause.is_zero() {
                        tracing::error!(%error, "cannot accept connections; trying again until it works");
                    }
                    pause = (2 * pause).clamp(PAUSE.0, PAUSE.1);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Where it listens, for the line on standard output.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map_or_else(|error| error.to_string(), |at| at.to_string())
            }
            Self::Unix { listener, .. } => match listener.local_addr() {
                Ok(address) => match address.as_pathname() {
                    Some(path) => format!("unix:{}", path.display()),
                    None => "unix:(unnamed)".to_owned(),
                },
                Err(error) => error.to_string(),
            },
        }
    }
}

/// Whether only the connection that could not be accepted is lost. Linux reports pending errors of the network here, too.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::HostUnreachable
            | Kind::Interrupted
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
            | Kind::TimedOut
    )
}

async fn bind_tcp(address: &HostPort, options: ListenOptions) -> io::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    let mut port = address.port;
    let mut failed = None;
    for found in lookup_host((address.host.as_str(), address.port)).await? {
        let mut at = found;
        // A free port is chosen once.
        at.set_port(port);
        let opened = (|| {
            let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            #[cfg(all(unix, not(target_os = "solaris"), not(target_os = "illumos")))]
            socket.set_reuse_port(options.reuse_port)?;
            if at.is_ipv6() {
                socket.set_only_v6(!at.ip().is_unspecified())?;
            }
            socket.set_nonblocking(true)?;
            socket.bind(&at.into())?;
            socket.listen(BACKLOG)?;
            TcpListener::from_std(socket.into())
        })();
        match opened {
            Ok(listener) => {
                port = listener.local_addr()?.port();
                listeners.push(Listener::Tcp(listener));
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
