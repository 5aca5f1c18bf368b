//! One thread, one event loop, and the connections in a vector.

use std::io;
use std::net::SocketAddr;

use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use super::BACKLOG;
use crate::roles::SocketOptions;
use crate::roles::transport::{OnMio, Transport};

const LISTENER: Token = Token(usize::MAX);

/// Places for so many connections are added when there are none left. (To double them instead would make what a connection holds
/// a matter of luck.)
const PLACES: usize = 256;

pub(super) fn start<T: Transport>(transport: T, options: &SocketOptions) -> SocketAddr {
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).expect("a port");
    // mio lets 128 wait: the others would try again after a second.
    SockRef::from(&listener).listen(BACKLOG).expect("a longer queue");
    options.apply(&listener).expect("options that the system has");
    let address = listener.local_addr().expect("an address");
    let poll = Poll::new().expect("an event queue");
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).expect("registered");
    std::thread::spawn(move || serve(&transport, &listener, poll).expect("events"));
    address
}

fn serve<T: Transport>(transport: &T, listener: &TcpListener, mut poll: Poll) -> io::Result<()> {
    let mut connections: Vec<Option<T::OnMio>> = Vec::new();
    let mut events = Events::with_capacity(256);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        }
        for token in events.iter().map(Event::token) {
            if token == LISTENER {
                accept(transport, listener, &poll, &mut connections)?;
                continue;
            }
            // Events may come late, for connections that are gone.
            let Some(connection) = &mut connections[token.0] else { continue };
            match connection.go_on() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => connections[token.0] = None,
            }
        }
    }
}

fn accept<T: Transport>(
    transport: &T,
    listener: &TcpListener,
    poll: &Poll,
    connections: &mut Vec<Option<T::OnMio>>,
) -> io::Result<()> {
    loop {
        let (mut socket, _) = match listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            accepted => accepted?,
        };
        socket.set_nodelay(true)?;
        let token = Token(connections.len());
        poll.registry().register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        if connections.len() == connections.capacity() {
            connections.reserve_exact(PLACES);
        }
        connections.push(Some(transport.on_mio(socket)));
    }
}
