//! Benchmarks of `alts`: what more than one of them does.

use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use alts::handshaker::{
    HandshakeOptions, HandshakeResult, HandshakeSession, Handshaker, LocalHandshaker, Role,
};

/// A whole handshake in memory, both sides.
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
    let key = |result: Option<HandshakeResult>| result.expect("it is over").key_data;
    assert_eq!(key(at_client), key(at_server));
}
