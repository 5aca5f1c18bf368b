//! Benchmarks of `alts`: what more than one of them does.
#![expect(clippy::missing_panics_doc, reason = "a benchmark that cannot go on panics")]

pub mod chart;
pub mod child;
pub mod cores;
pub mod descriptors;
pub mod grpcio;
pub mod identity;
pub mod machine;
pub mod memory;
pub mod tls;
pub mod verdicts;

use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use alts::handshaker::{
    HandshakeOptions, HandshakeResult, HandshakeSession, Handshaker, LocalHandshaker, Role,
};
use alts::record::{OVERHEAD, Opener, Sealer};

/// A whole handshake in memory, both sides, until each has expanded its key for records. A stream puts that off to its first record;
/// rustls does it in its handshake.
///
/// # Panics
/// If it fails, or the sides do not end with the same keys.
pub fn alts_handshake(client: &LocalHandshaker, server: &LocalHandshaker) {
    let resumed = alts_handshake_with(client, server, &HandshakeOptions::default());
    assert!(!resumed, "nothing was to be resumed");
}

/// As [`alts_handshake`], with options of the client's, until the client has the ticket that the server may give. Whether an earlier
/// handshake was resumed.
///
/// # Panics
/// If it fails, or the sides do not end with the same keys.
pub fn alts_handshake_with(
    client: &LocalHandshaker,
    server: &LocalHandshaker,
    options: &HandshakeOptions,
) -> bool {
    let now = SystemTime::now();
    let mut client = client.start(Role::Client, options).expect("a client");
    let mut server = server.start(Role::Server, &HandshakeOptions::default()).expect("a server");
    let step = |session: &mut Box<dyn HandshakeSession>, received: &[u8]| {
        let mut out = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        match session.poll_step(&mut cx, received, now, &mut out) {
            Poll::Ready(Ok(step)) => (out, step.result),
            other => panic!("{other:?}"),
        }
    };
    let (client_init, _) = step(&mut client, &[]);
    let (server_flight, _) = step(&mut server, &client_init);
    let (client_finished, at_client) = step(&mut client, &server_flight);
    let (ticket, at_server) = step(&mut server, &client_finished);
    let (at_client, at_server) = (at_client.expect("it is over"), at_server.expect("it is over"));
    let mut record = [0; OVERHEAD];
    let HandshakeResult { record_protocol, key_data, late_alert, resumed, .. } = at_client;
    let sealer = Sealer::new(record_protocol, key_data.as_bytes(), Role::Client);
    sealer.expect("keys").seal(&[], &mut record).expect("a record");
    let HandshakeResult { record_protocol, key_data, .. } = at_server;
    let opener = Opener::new(record_protocol, key_data.as_bytes(), Role::Server);
    opener.expect("keys").open_in_place(&mut record).expect("the same keys");
    if let Some(late) = late_alert.filter(|late| late.awaits_ticket()) {
        late.take_ticket(&ticket).expect("the ticket");
    }
    resumed.is_some()
}
