//! Benchmarks of `alts`: what more than one of them does.
#![expect(clippy::missing_panics_doc, reason = "a benchmark that cannot go on panics")]

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
    let now = SystemTime::now();
    let options = HandshakeOptions::default();
    let mut client = client.start(Role::Client, &options).expect("a client");
    let mut server = server.start(Role::Server, &options).expect("a server");
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
    let (_, at_server) = step(&mut server, &client_finished);
    let key = |result: Option<HandshakeResult>| {
        let HandshakeResult { record_protocol, key_data, .. } = result.expect("it is over");
        (record_protocol, key_data)
    };
    let ((protocol, key_data), mut record) = (key(at_client), [0; OVERHEAD]);
    let sealer = Sealer::new(protocol, key_data.as_bytes(), Role::Client);
    sealer.expect("keys").seal(&[], &mut record).expect("a record");
    let (protocol, key_data) = key(at_server);
    let opener = Opener::new(protocol, key_data.as_bytes(), Role::Server);
    opener.expect("keys").open_in_place(&mut record).expect("the same keys");
}
