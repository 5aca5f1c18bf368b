//! Listening sockets, and the connections that come in.

use std::convert::Infallible;
use std::error::Error;
use std::io;

use alts_handshaker::accept::AcceptLoop;
use alts_handshaker::accept::socket_file::{self, SocketFile};
use alts_handshaker::service::Caller;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;

use super::address::ListenAddress;
use super::arguments::SocketMode;
use super::connection::{Connection, Socket};
use super::places::Places;

/// Bound sockets.
pub(super) struct Listeners(Vec<Listener>);

struct Listener {
    address: ListenAddress,
    socket: ListeningSocket,
    _file: Option<SocketFile>,
}

enum ListeningSocket {
    Unix(AcceptLoop<UnixListener>),
    Tcp(AcceptLoop<TcpListener>),
}

/// As long as this lives, connections are accepted.
pub(super) struct Accepting(
    #[expect(dead_code, reason = "ends the tasks when dropped")] JoinSet<()>,
);

impl Listeners {
    pub(super) fn bind(
        addresses: &[ListenAddress],
        mode: SocketMode,
    ) -> Result<Self, Box<dyn Error>> {
        let bind = |address: &ListenAddress| {
            Listener::bind(address, mode)
                .map_err(|fault| format!("cannot listen on {address}: {fault}").into())
        };
        addresses.iter().map(bind).collect::<Result<_, _>>().map(Self)
    }

    /// Where they are bound to, with the ports that were chosen.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &ListenAddress> {
        self.0.iter().map(|listener| &listener.address)
    }

    pub(super) fn has_tcp(&self) -> bool {
        self.addresses().any(|address| matches!(address, ListenAddress::Tcp(_)))
    }

    pub(super) fn accept(
        self,
        places: &Places,
    ) -> (Receiver<Result<Connection, Infallible>>, Accepting) {
        let (sender, receiver) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        for listener in self.0 {
            tasks.spawn(accept(listener, places.clone(), sender.clone()));
        }
        (receiver, Accepting(tasks))
    }
}

impl Listener {
    fn bind(address: &ListenAddress, mode: SocketMode) -> io::Result<Self> {
        Ok(match address {
            ListenAddress::Unix(path) => {
                let (listener, file) = socket_file::bind(path, mode.0)?;
                let socket =
                    ListeningSocket::Unix(AcceptLoop::new(UnixListener::from_std(listener)?));
                Self { address: address.clone(), socket, _file: Some(file) }
            }
            ListenAddress::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let listener = TcpListener::from_std(listener)?;
                let address = ListenAddress::Tcp(listener.local_addr()?);
                Self {
                    address,
                    socket: ListeningSocket::Tcp(AcceptLoop::new(listener)),
                    _file: None,
                }
            }
        })
    }

    /// The next caller, whatever goes wrong with others.
    async fn next(&mut self) -> Option<(Socket, Caller)> {
        loop {
            let identified = match &mut self.socket {
                ListeningSocket::Unix(sockets) => {
                    let socket = sockets.next().await?;
                    let caller = socket.peer_cred().map(|peer| Caller::with_uid(peer.uid()));
                    caller.map(|caller| (Socket::Unix(socket), caller))
                }
                ListeningSocket::Tcp(sockets) => {
                    let socket = sockets.next().await?;
                    socket.set_nodelay(true).map(|()| (Socket::Tcp(socket), Caller::default()))
                }
            };
            match identified {
                Ok(identified) => return Some(identified),
                Err(error) => tracing::debug!(%error, "a connection ended as it was accepted"),
            }
        }
    }
}

async fn accept(
    mut listener: Listener,
    places: Places,
    connections: Sender<Result<Connection, Infallible>>,
) {
    // Which connections stay is for the places to say; none of them is kept while nobody comes.
    while let Some((socket, caller)) = listener.next().await {
        let connection = Connection::new(socket, places.take(caller).await);
        if connections.send(Ok(connection)).await.is_err() {
            return;
        }
    }
}
