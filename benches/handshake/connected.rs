//! A pair of rustls' usual connections, in memory.

use rustls::{ClientConnection, Connection, ServerConnection};

use super::tls::{Tls, server_name};

/// Client and server with the handshake done.
pub(crate) fn connected(tls: &Tls) -> (Connection, Connection) {
    let client = ClientConnection::new(tls.client.clone(), server_name()).expect("a client");
    let server = ServerConnection::new(tls.server.clone()).expect("a server");
    let (mut client, mut server) = (Connection::from(client), Connection::from(server));
    let mut flight = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        transfer(&mut client, &mut server, &mut flight);
        transfer(&mut server, &mut client, &mut flight);
    }
    for side in [&mut client, &mut server] {
        assert!(side.peer_certificates().is_some(), "a side has no certificate");
        // A record of 128 KiB does not exist here; eight of 16 KiB are written at once instead.
        side.set_buffer_limit(None);
    }
    (client, server)
}

/// Hands over what `from` has to say. `flight` is a buffer to use.
pub(crate) fn transfer(from: &mut Connection, to: &mut Connection, flight: &mut Vec<u8>) {
    flight.clear();
    while from.wants_write() {
        from.write_tls(flight).expect("memory takes all");
    }
    let mut rest = flight.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).expect("memory gives all");
        to.process_new_packets().expect("a good peer");
    }
}
