//! Peers that are not who they have to be, and when each side learns it. A client is done before the server has seen its
//! certificate: it learns late, from an alert in the place of the first record.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use alts::handshaker::dev_ca::DevCa;
use alts::handshaker::identity::{
    CertificateError, Identity, IdentityError, IdentitySource, Policy, TrustBundles,
};
use alts::handshaker::{self, AlertCode, LocalHandshaker};
use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::{Acceptor, AltsStream, Connector, Error, Fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{CLIENT, Parties, SERVER, assert_nothing_out, settings, tcp_sockets};
use crate::{error_of, read_until_error, two_pools};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority that was there three days ago already.
fn old_authority() -> DevCa {
    DevCa::new(SystemTime::now() - 3 * DAY).unwrap()
}

/// What `issuer` vouches for, in the hands of somebody who trusts `trusted`.
fn identity(issuer: &DevCa, id: &str, when: SystemTime, trusted: &DevCa) -> Arc<Identity> {
    let issued = issuer.issue(id, when).unwrap();
    let mut trust = TrustBundles::new();
    trust.allow_development_domain();
    // Nobody loads an identity that they do not trust themselves.
    let both = [issuer, trusted].map(DevCa::bundle_pem).concat();
    if issuer.trust_domain() == trusted.trust_domain() {
        trust.insert_pem(issuer.trust_domain(), both.as_bytes()).unwrap();
    } else {
        for ca in [issuer, trusted] {
            trust.insert_pem(ca.trust_domain(), ca.bundle_pem().as_bytes()).unwrap();
        }
    }
    let (chain, key) = (issued.chain_pem().as_bytes(), issued.key_pem().as_bytes());
    Identity::from_pem(chain, key, trust, when).unwrap()
}

fn client_of(identity: &Arc<Identity>) -> LocalHandshaker {
    LocalHandshaker::builder(Arc::new(identity.clone()))
        .server_policy(Policy::from_rules([SERVER]).unwrap())
        .build()
}

fn server_of(identity: &Arc<Identity>) -> LocalHandshaker {
    LocalHandshaker::builder(Arc::new(identity.clone())).build()
}

struct Outcome {
    client: Result<AltsStream<TcpStream>, Error>,
    server: Result<AltsStream<TcpStream>, Error>,
    pools: [BufferPool; 2],
    acceptor: Acceptor,
}

async fn connect(client: LocalHandshaker, server: LocalHandshaker) -> Outcome {
    let pools = two_pools();
    let (near, far) = tcp_sockets().await;
    let connector = Connector::with_settings(client, settings(&pools[0], |_| ()));
    let acceptor = Acceptor::with_settings(server, settings(&pools[1], |_| ()));
    let (client, server) = tokio::join!(connector.connect(near), acceptor.accept(far));
    Outcome { client, server, pools, acceptor }
}

impl Outcome {
    fn nothing_left(self) {
        let Self { client, server, pools, acceptor } = self;
        drop((client, server));
        pools.iter().for_each(assert_nothing_out);
        assert_eq!(acceptor.settings().limits.half_open(), 0);
    }
}

fn told(code: AlertCode) -> Error {
    let reason = String::new();
    Error::Handshake(handshaker::Error::Alert { code, reason, sealed: true })
}

#[track_caller]
fn assert_refused(error: &Error, code: AlertCode) {
    match error {
        Error::Handshake(handshaker::Error::Peer { code: found, .. }) => assert_eq!(*found, code),
        Error::Handshake(handshaker::Error::Denied { .. }) => {
            assert_eq!(code, AlertCode::AccessDenied);
        }
        _ => panic!("{error:?}"),
    }
    assert_eq!(error.fault(), Fault::Peer);
}

/// Peers of that name that nobody who trusts `ca` accepts, each with what it is told.
fn wrong_peers(ca: &DevCa, id: &str) -> [(&'static str, Arc<Identity>, AlertCode); 2] {
    let now = SystemTime::now();
    let namesake = identity(&old_authority(), id, now, ca);
    let other = DevCa::for_trust_domain("other.example".parse().unwrap(), now).unwrap();
    let foreign = id.replace("dev.local", "other.example");
    let foreign = identity(&other, &foreign, now, ca);
    [
        ("of another authority with the same name", namesake, AlertCode::BadCertificate),
        ("of an unknown trust domain", foreign, AlertCode::UnknownTrustDomain),
    ]
}

/// A side whose own certificate is out of date does not show it, and says so to the other side.
#[tokio::test]
async fn nobody_shows_a_certificate_that_is_out_of_date() {
    let ca = old_authority();
    let now = SystemTime::now();
    let at = |id: &str, when| identity(&ca, id, when, &ca);
    for (when, fault) in
        [(now - 2 * DAY, CertificateError::Expired), (now + 2 * DAY, CertificateError::NotYetValid)]
    {
        let own = Error::Handshake(handshaker::Error::Identity(IdentityError::Chain(fault)));
        let (reason, sealed) = (String::new(), false);
        let told = handshaker::Error::Alert { code: AlertCode::NoIdentity, reason, sealed };
        let told = Error::Handshake(told);

        let (client, server) = (client_of(&at(CLIENT, now)), server_of(&at(SERVER, when)));
        let outcome = connect(client, server).await;
        assert_eq!(outcome.server.as_ref().unwrap_err(), &own);
        assert_eq!(outcome.client.as_ref().unwrap_err(), &told);
        assert_eq!(own.fault(), Fault::Local);
        outcome.nothing_left();

        let (client, server) = (client_of(&at(CLIENT, when)), server_of(&at(SERVER, now)));
        let outcome = connect(client, server).await;
        assert_eq!(outcome.client.as_ref().unwrap_err(), &own);
        assert_eq!(outcome.server.as_ref().unwrap_err(), &told);
        outcome.nothing_left();
    }
}

/// There is none yet, as on a host that waits for its first certificate.
#[derive(Debug)]
struct NotYet;

impl IdentitySource for NotYet {
    fn snapshot(&self) -> Result<Arc<Identity>, IdentityError> {
        Err(IdentityError::Unavailable("not yet".to_owned()))
    }
}

/// The client is told, and finds no reset connection.
#[tokio::test]
async fn a_server_without_an_identity_says_so() {
    let parties = Parties::new();
    let server = LocalHandshaker::builder(NotYet).build();
    let outcome = connect(parties.client_handshaker(), server).await;
    let (code, reason) = (AlertCode::NoIdentity, String::new());
    let told = Error::Handshake(handshaker::Error::Alert { code, reason, sealed: false });
    assert_eq!(outcome.client.as_ref().unwrap_err(), &told);
    let error = outcome.server.as_ref().unwrap_err();
    assert_eq!(
        error.to_string(),
        "handshake: this side's identity cannot be used: there is no identity: not yet"
    );
    outcome.nothing_left();
}

#[tokio::test]
async fn a_client_refuses_the_server_at_once() {
    let ca = old_authority();
    let client = identity(&ca, CLIENT, SystemTime::now(), &ca);
    for (what, server, code) in wrong_peers(&ca, SERVER) {
        let outcome = connect(client_of(&client), server_of(&server)).await;
        assert_refused(outcome.client.as_ref().unwrap_err(), code);
        // The server is told under the keys that they already have.
        assert_eq!(outcome.server.as_ref().unwrap_err(), &told(code), "{what}");
        outcome.nothing_left();
    }
}

#[tokio::test]
async fn a_client_refuses_a_server_by_policy() {
    let parties = Parties::new();
    let elsewhere = "spiffe://dev.local/elsewhere";
    let policy = Policy::from_rules([elsewhere]).unwrap();
    let client =
        LocalHandshaker::builder(Arc::new(parties.client.clone())).server_policy(policy).build();
    let outcome = connect(client, parties.server_handshaker()).await;
    let error = outcome.client.as_ref().unwrap_err();
    assert_refused(error, AlertCode::AccessDenied);
    assert_eq!(std::io::Error::from(error.clone()).kind(), std::io::ErrorKind::PermissionDenied);
    assert_eq!(outcome.server.as_ref().unwrap_err(), &told(AlertCode::AccessDenied));
    outcome.nothing_left();
}

/// How a client may happen to be the first to learn.
#[derive(Clone, Copy, Debug)]
enum First {
    Read,
    ReadReady,
    WriteThenRead,
    WriteMuchThenRead,
    Readable,
    Split,
}

const FIRST: [First; 6] = [
    First::Read,
    First::ReadReady,
    First::WriteThenRead,
    First::WriteMuchThenRead,
    First::Readable,
    First::Split,
];

/// What a client's stream says when it is first used, and again.
async fn learned(mut stream: AltsStream<TcpStream>, pool: &BufferPool, first: First) -> Error {
    match first {
        First::Read => {}
        First::ReadReady => {
            let error = error_of(stream.read_on_ready(pool).await);
            assert_eq!(error_of(stream.read_on_ready(pool).await), error);
        }
        First::WriteThenRead => {
            // May fail or not: the kernel knows no more than the client does.
            let _ = stream.write_all(b"a request").await;
        }
        First::WriteMuchThenRead => {
            let mut written = 0;
            // Until the socket refuses, because the server has closed it.
            while written < 100 << 20 {
                match stream.write(&vec![0; 100_000]).await {
                    Ok(count) => written += count,
                    Err(_) => break,
                }
            }
        }
        First::Readable => {
            std::future::poll_fn(|cx| stream.poll_readable(cx)).await.unwrap();
        }
        First::Split => {
            let (mut read, mut write) = stream.into_split();
            let _ = write.write_all(b"a request").await;
            let error = error_of(read.read(&mut [0; 10]).await);
            assert_eq!(error_of(read.read(&mut [0; 10]).await), error);
            return error;
        }
    }
    let (received, error) = read_until_error(&mut stream).await;
    assert_eq!(received, b"");
    error.expect("not a clean end")
}

#[tokio::test]
async fn a_client_learns_late_that_it_was_refused() {
    let ca = old_authority();
    let server = identity(&ca, SERVER, SystemTime::now(), &ca);
    let wrong = wrong_peers(&ca, CLIENT);
    for first in FIRST {
        for (what, client, code) in &wrong {
            let code = *code;
            let mut outcome = connect(client_of(client), server_of(&server)).await;
            assert_refused(outcome.server.as_ref().unwrap_err(), code);
            let stream = std::mem::replace(&mut outcome.client, Err(Error::Stalled));
            let stream = stream.expect("the client does not know yet");
            let error = learned(stream, &outcome.pools[0], first).await;
            assert_eq!(error, told(code), "{what}, {first:?}");
            assert_eq!(error.fault(), Fault::Refused);
            let kind = std::io::Error::from(error).kind();
            assert_eq!(kind, std::io::ErrorKind::PermissionDenied);
            outcome.nothing_left();
        }
    }
}

#[tokio::test]
async fn a_client_learns_late_that_it_is_not_allowed() {
    let parties = Parties::new();
    for first in FIRST {
        let policy = Policy::from_rules(["spiffe://dev.local/somebody"]).unwrap();
        let server = LocalHandshaker::builder(Arc::new(parties.server.clone()))
            .client_policy(policy)
            .build();
        let mut outcome = connect(parties.client_handshaker(), server).await;
        assert_refused(outcome.server.as_ref().unwrap_err(), AlertCode::AccessDenied);
        let stream = std::mem::replace(&mut outcome.client, Err(Error::Stalled)).unwrap();
        let error = learned(stream, &outcome.pools[0], first).await;
        assert_eq!(error, told(AlertCode::AccessDenied), "{first:?}");
        outcome.nothing_left();
    }
}

/// Each trusts the other's authority or not, by trust domain.
#[tokio::test]
async fn strangers_of_another_trust_domain() {
    let now = SystemTime::now();
    let parties = Parties::new();
    let other = DevCa::for_trust_domain("other.example".parse().unwrap(), now).unwrap();
    // They know the authority of our side; our side does not know theirs.
    let stranger = |id: &str| identity(&other, id, now, &parties.ca);
    let client = stranger("spiffe://other.example/client");
    let mut outcome = connect(client_of(&client), parties.server_handshaker()).await;
    assert_refused(outcome.server.as_ref().unwrap_err(), AlertCode::UnknownTrustDomain);
    let stream = std::mem::replace(&mut outcome.client, Err(Error::Stalled)).unwrap();
    let error = learned(stream, &outcome.pools[0], First::WriteThenRead).await;
    assert_eq!(error, told(AlertCode::UnknownTrustDomain));
    outcome.nothing_left();

    let server = stranger("spiffe://other.example/server");
    let outcome = connect(parties.client_handshaker(), server_of(&server)).await;
    assert_refused(outcome.client.as_ref().unwrap_err(), AlertCode::UnknownTrustDomain);
    assert_eq!(outcome.server.as_ref().unwrap_err(), &told(AlertCode::UnknownTrustDomain));
    outcome.nothing_left();
}
