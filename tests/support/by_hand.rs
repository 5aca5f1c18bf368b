//! Handshakes and records without a stream, for tests that play the peer or the path between two.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use alts::handshaker::{
    Error, HandshakeOptions, HandshakeResult, HandshakeSession, Handshaker, RecordProtocol, Role,
    Step,
};
use alts::record::{Opener, Sealer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::double::Double;

/// What a handshake by hand came to.
pub(crate) struct Peer<S> {
    pub(crate) socket: S,
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    pub(crate) result: HandshakeResult,
    /// Bytes that came after the handshake.
    pub(crate) rest: Vec<u8>,
}

/// Calls a session that is never pending.
pub(crate) fn step(
    session: &mut dyn HandshakeSession,
    received: &[u8],
    out: &mut Vec<u8>,
) -> Result<Step, Error> {
    let cx = &mut Context::from_waker(Waker::noop());
    match session.poll_step(cx, received, SystemTime::now(), out) {
        Poll::Ready(step) => step,
        Poll::Pending => panic!("the session is pending"),
    }
}

/// Takes part in a handshake, with nothing of the transport's code.
pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    handshaker: &impl Handshaker,
    role: Role,
    options: &HandshakeOptions,
    mut socket: S,
) -> Result<Peer<S>, Error> {
    let mut session = handshaker.start(role, options)?;
    let mut received = Vec::new();
    let mut out = Vec::new();
    if role == Role::Client {
        step(&mut *session, &[], &mut out)?;
    }
    loop {
        socket.write_all(&out).await.unwrap();
        out.clear();
        assert_ne!(socket.read_buf(&mut received).await.unwrap(), 0, "the peer closed");
        let stepped = step(&mut *session, &received, &mut out);
        if stepped.is_err() {
            socket.write_all(&out).await.unwrap();
        }
        let stepped = stepped?;
        received.drain(..stepped.consumed);
        if let Some(result) = stepped.result {
            socket.write_all(&out).await.unwrap();
            let (sealer, opener) = crypters(&result, role);
            return Ok(Peer { socket, sealer, opener, result, rest: received });
        }
    }
}

/// Both directions of `role`.
pub(crate) fn crypters(result: &HandshakeResult, role: Role) -> (Sealer, Opener) {
    let (protocol, key) = (result.record_protocol, result.key_data.as_bytes());
    (Sealer::new(protocol, key, role).unwrap(), Opener::new(protocol, key, role).unwrap())
}

impl<S> Peer<S> {
    /// One record.
    pub(crate) fn seal(&mut self, plaintext: &[u8]) -> Vec<u8> {
        seal(&mut self.sealer, plaintext)
    }
}

/// One record.
pub(crate) fn seal(sealer: &mut Sealer, plaintext: &[u8]) -> Vec<u8> {
    let mut record = vec![0; plaintext.len() + 24];
    assert_eq!(sealer.seal(plaintext, &mut record), Ok(record.len()));
    record
}

/// Takes whole records off the front of `bytes`, headers included.
pub(crate) fn take_records(bytes: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while let Some(header) = bytes.first_chunk() {
        let len = 4 + u32::from_le_bytes(*header) as usize;
        if bytes.len() < len {
            break;
        }
        let rest = bytes.split_off(len);
        records.push(std::mem::replace(bytes, rest));
    }
    records
}

/// A handshaker whose results a test sees, and perhaps changes.
pub(crate) fn altered(
    inner: impl Handshaker,
    change: impl Fn(&mut HandshakeResult) + Send + Sync + 'static,
) -> Double {
    Double::around(inner, move |step| {
        let mut stepped = step();
        if let Poll::Ready(Ok(Step { result: Some(result), .. })) = &mut stepped {
            change(result);
        }
        stepped
    })
}

/// A handshaker that leaves the keys of its last handshake in the tap.
pub(crate) fn tapped(inner: impl Handshaker) -> (Double, Tap) {
    let tap = Tap::default();
    let slot = tap.clone();
    let handshaker = altered(inner, move |result| {
        let key = result.key_data.as_bytes().to_vec();
        *slot.0.lock().unwrap() = Some((result.record_protocol, key));
    });
    (handshaker, tap)
}

/// Where the keys of a handshake end up that a test listens to.
#[derive(Clone, Default)]
pub(crate) struct Tap(Arc<Mutex<Option<Keys>>>);

type Keys = (RecordProtocol, Vec<u8>);

impl Tap {
    pub(crate) fn sealer(&self, role: Role) -> Sealer {
        let slot = self.0.lock().unwrap();
        let (protocol, key) = slot.as_ref().expect("a handshake is done");
        Sealer::new(*protocol, key, role).unwrap()
    }

    pub(crate) fn opener(&self, role: Role) -> Opener {
        let slot = self.0.lock().unwrap();
        let (protocol, key) = slot.as_ref().expect("a handshake is done");
        Opener::new(*protocol, key, role).unwrap()
    }
}
