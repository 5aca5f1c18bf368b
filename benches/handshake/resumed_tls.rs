//! rustls' resumption.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring::Ticketer;

use super::tls::Tls;

/// The server gives one ticket a handshake and holds nothing, the client resumes: as alts does.
pub(crate) fn resuming(tls: Tls) -> Tls {
    let (mut client, mut server) =
        (Arc::unwrap_or_clone(tls.client), Arc::unwrap_or_clone(tls.server));
    client.resumption = Resumption::in_memory_sessions(8);
    server.ticketer = Ticketer::new().expect("keys");
    server.send_tls13_tickets = 1;
    Tls { client: Arc::new(client), server: Arc::new(server) }
}
