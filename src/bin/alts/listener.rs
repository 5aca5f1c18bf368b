//! Listening sockets.

use std::io;

use alts::connect::AcceptLoop;
use alts::handshaker::cli::socket_file::{self, SocketFile};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener, lookup_host};

use crate::activation::{Activated, Activation};
use crate::address::{HostPort, ListenAddress};
use crate::plain::PlainStream;

/// Connections that the kernel keeps until they are accepted; it takes no more than `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

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
                Ok(vec![Self::Unix { sockets: AcceptLoop::new(listener), file: Some(file) }])
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
                TcpListener::from_std(listener).map(|listener| Self::Tcp(AcceptLoop::new(listener)))
            }
            Activated::Unix(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener)
                    .map(|listener| Self::Unix { sockets: AcceptLoop::new(listener), file: None })
            }
        }
    }

    /// The next connection. Errors of accepting are survived.
    pub(crate) async fn accept(&mut self) -> PlainStream {
        let accepted = match self {
            Self::Tcp(sockets) => sockets.next().await.map(PlainStream::Tcp),
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
                Ok(address) => match address.as_pathname() {
                    Some(path) => format!("unix:{}", path.display()),
                    None => "unix:(unnamed)".to_owned(),
                },
                Err(error) => error.to_string(),
            },
        }
    }
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
