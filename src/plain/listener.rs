//! Listening sockets.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use alts_handshaker::accept::socket_file::{self, SocketFile};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener, lookup_host};

use super::activation::{Activated, Activation};
use super::address::{HostPort, ListenAddress};
use super::stream::PlainStream;
use crate::connect::Listener;

/// Connections that the kernel keeps until they are accepted; it takes no more than `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A listening socket, from which [`AcceptLoop`](crate::connect::AcceptLoop) and
/// [`Acceptor::incoming`](crate::Acceptor::incoming) accept.
#[derive(Debug)]
pub struct PlainListener {
    socket: ListeningSocket,
    /// The socket's file is removed with it, unless systemd made it.
    _file: Option<SocketFile>,
}

#[derive(Debug)]
enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// How sockets are opened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ListenOptions {
    /// Permission bits of a Unix socket: 0660 by default. Whoever may write to the socket can connect.
    pub socket_mode: u32,
    /// Whether several processes may listen at one TCP address, so that a new one can start before an old one ends. Off by default.
    pub reuse_port: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { socket_mode: 0o660, reuse_port: false }
    }
}

impl PlainListener {
    /// Opens all that `address` stands for: `localhost` has two addresses. Port 0 is a free port, the same for all of them.
    ///
    /// A Unix socket that no process listens at is replaced, and its directory is made if it is missing.
    ///
    /// # Errors
    /// With the address in their text. An address of a name that this machine does not have is passed over if there is another; one
    /// that is taken is an error.
    pub async fn bind(
        address: &ListenAddress,
        options: ListenOptions,
        activation: &mut Activation,
    ) -> io::Result<Vec<Self>> {
        let fault = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        };
        match address {
            ListenAddress::Tcp(host_port) => bind_tcp(host_port, options).await.map_err(fault),
            ListenAddress::Unix(path) => {
                let (listener, file) =
                    socket_file::bind(path, options.socket_mode).map_err(fault)?;
                let socket = UnixListener::from_std(listener).map_err(fault)?;
                Ok(vec![Self { socket: ListeningSocket::Unix(socket), _file: Some(file) }])
            }
            ListenAddress::Systemd(name) => {
                let sockets = activation.take(name)?;
                sockets.into_iter().map(Self::activated).collect::<Result<_, _>>().map_err(fault)
            }
        }
    }

    fn activated(socket: Activated) -> io::Result<Self> {
        let socket = match socket {
            Activated::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                ListeningSocket::Tcp(TcpListener::from_std(listener)?)
            }
            Activated::Unix(listener) => {
                listener.set_nonblocking(true)?;
                ListeningSocket::Unix(UnixListener::from_std(listener)?)
            }
        };
        Ok(Self { socket, _file: None })
    }
}

impl Listener for PlainListener {
    type Socket = PlainStream;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<PlainStream>>> {
        let accepted = match &self.socket {
            ListeningSocket::Tcp(socket) => {
                socket.poll_accept(cx).map_ok(|(stream, _address)| PlainStream::Tcp(stream))
            }
            ListeningSocket::Unix(socket) => {
                socket.poll_accept(cx).map_ok(|(stream, _address)| PlainStream::Unix(stream))
            }
        };
        accepted.map(Some)
    }
}

/// Where it listens, with the port that was chosen: as in a [`ListenAddress`].
impl fmt::Display for PlainListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            ListeningSocket::Tcp(socket) => match socket.local_addr() {
                Ok(address) => address.fmt(f),
                Err(error) => error.fmt(f),
            },
            ListeningSocket::Unix(socket) => match socket.local_addr() {
                Ok(address) => match address.as_pathname() {
                    Some(path) => write!(f, "unix:{}", path.display()),
                    None => f.write_str("unix:(unnamed)"),
                },
                Err(error) => error.fmt(f),
            },
        }
    }
}

async fn bind_tcp(address: &HostPort, options: ListenOptions) -> io::Result<Vec<PlainListener>> {
    let mut listeners = Vec::new();
    let mut port = address.port;
    let mut failed = None;
    for mut at in lookup_host((address.host.as_str(), address.port)).await? {
        // A free port is chosen once.
        at.set_port(port);
        match open_tcp(at, options) {
            Ok(socket) => {
                port = socket.local_addr()?.port();
                let socket = ListeningSocket::Tcp(socket);
                listeners.push(PlainListener { socket, _file: None });
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

fn open_tcp(at: SocketAddr, options: ListenOptions) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    #[cfg(not(any(target_os = "solaris", target_os = "illumos")))]
    socket.set_reuse_port(options.reuse_port)?;
    if at.is_ipv6() {
        socket.set_only_v6(!at.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::connect::AcceptLoop;
    use crate::plain::TargetAddress;

    const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

    async fn bind(address: &str) -> io::Result<Vec<PlainListener>> {
        let address = address.parse().unwrap();
        let mut activation = Activation::from_env();
        PlainListener::bind(&address, ListenOptions::default(), &mut activation).await
    }

    /// A byte through each.
    async fn reached(listeners: Vec<PlainListener>) {
        for listener in listeners {
            let target: TargetAddress = listener.to_string().parse().unwrap();
            let mut sockets = AcceptLoop::new(listener);
            let mut near = PlainStream::connect(&target, LIMIT).await.unwrap();
            let mut far = sockets.next().await.unwrap();
            near.write_all(b"x").await.unwrap();
            assert_eq!(far.read_u8().await.unwrap(), b'x');
        }
    }

    #[tokio::test]
    async fn all_addresses_of_a_name_have_one_port() {
        let listeners = bind("localhost:0").await.unwrap();
        let port = |listener: &PlainListener| {
            listener.to_string().rsplit_once(':').unwrap().1.parse::<u16>().unwrap()
        };
        let ports: Vec<_> = listeners.iter().map(port).collect();
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");

        let taken = format!("localhost:{}", ports[0]);
        let error = bind(&taken).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().starts_with(&format!("cannot listen on {taken}: ")), "{error}");
        reached(listeners).await;
    }

    #[tokio::test]
    async fn the_file_of_a_unix_socket_goes_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let address = format!("unix:{}", path.display());
        let listeners = bind(&address).await.unwrap();
        assert_eq!(listeners[0].to_string(), address);
        reached(listeners).await;
        assert!(!path.exists());
        let target: TargetAddress = address.parse().unwrap();
        let error = PlainStream::connect(&target, LIMIT).await.unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("cannot connect to {address}: ")),
            "{error}"
        );
    }

    #[tokio::test]
    async fn without_systemd_it_passes_nothing() {
        let error = bind("systemd:web").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("FileDescriptorName=web"), "{error}");
    }
}
