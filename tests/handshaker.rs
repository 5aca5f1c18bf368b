//! A handshaker that neither package knows makes connections all the same.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeMap;
use std::task::{Context, Poll};
use std::time::SystemTime;

use alts::handshaker::identity::PeerIdentity;
use alts::handshaker::{
    Error, HandshakeOptions, HandshakeResult, HandshakeSession, Handshaker, KeyData,
    RecordProtocol, Role, Step,
};
use alts::{Acceptor, Connector, Error as ConnectionError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Both sides were given a key, and tell each other their names. (It authenticates nobody.)
#[derive(Clone, Debug)]
struct Agreed {
    name: &'static str,
    key: Vec<u8>,
}

#[derive(Debug)]
struct Greeting {
    agreed: Agreed,
    sent: bool,
    received: Vec<u8>,
}

const NAME_LEN: usize = 8;

impl Handshaker for Agreed {
    fn start(
        &self,
        _role: Role,
        _options: &HandshakeOptions,
    ) -> Result<Box<dyn HandshakeSession>, Error> {
        Ok(Box::new(Greeting { agreed: self.clone(), sent: false, received: Vec::new() }))
    }
}

impl HandshakeSession for Greeting {
    fn poll_step(
        &mut self,
        _cx: &mut Context<'_>,
        received: &[u8],
        _now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Step, Error>> {
        if !std::mem::replace(&mut self.sent, true) {
            out.extend_from_slice(self.agreed.name.as_bytes());
        }
        let consumed = received.len().min(NAME_LEN - self.received.len());
        self.received.extend_from_slice(&received[..consumed]);
        let result = (self.received.len() == NAME_LEN).then(|| {
            let peer = std::str::from_utf8(&self.received).unwrap();
            let peer = PeerIdentity::from_service(peer, BTreeMap::new());
            let keys = KeyData::new(self.agreed.key.clone());
            let mut result = HandshakeResult::new(RecordProtocol::Aes128Gcm, keys, peer);
            self.agreed.name.clone_into(&mut result.local);
            result
        });
        Poll::Ready(Ok(Step { consumed, result }))
    }
}

#[tokio::test]
async fn streams_are_made_of_its_results() {
    let key = vec![7; RecordProtocol::Aes128Gcm.key_len()];
    let acceptor = Acceptor::new(Agreed { name: "cellar-1", key: key.clone() });
    let connector = Connector::new(Agreed { name: "attic-12", key });
    let (near, far) = UnixStream::pair().unwrap();
    let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    assert_eq!((near.peer().name(), far.peer().name()), ("cellar-1", "attic-12"));
    assert_eq!(near.negotiated().local, "attic-12");
    near.write_all(b"hello").await.unwrap();
    let mut received = [0; 5];
    far.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"hello");
}

#[tokio::test]
async fn keys_that_are_too_short_are_refused() {
    let agreed = Agreed { name: "cellar-1", key: vec![7; 15] };
    let (near, far) = UnixStream::pair().unwrap();
    let (acceptor, connector) = (Acceptor::new(agreed.clone()), Connector::new(agreed));
    let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
    for error in [near.unwrap_err(), far.unwrap_err()] {
        assert!(matches!(error, ConnectionError::Record(_)), "{error:?}");
    }
}
