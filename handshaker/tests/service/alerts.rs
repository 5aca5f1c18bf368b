//! What a server that asks a service sends to a client that cannot be served.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::SystemTime;

use alts_handshaker::dev_ca::DevCa;
use alts_handshaker::identity::{Identity, IdentityError, IdentitySource, Policy};
use alts_handshaker::service::HandshakerService;
use alts_handshaker::{AlertCode, Error, LocalHandshaker, RemoteHandshaker, Role};

use crate::remote::{start, step};
use crate::support::{CART, Served, builder, identity};

/// There is no identity at this time.
#[derive(Debug)]
struct NoIdentity;

impl IdentitySource for NoIdentity {
    fn snapshot(&self) -> Result<Arc<Identity>, IdentityError> {
        Err(IdentityError::Unavailable("it was not issued yet".into()))
    }
}

/// What the client is told does not depend on who does the handshake.
#[tokio::test]
async fn a_server_that_cannot_be_served_sends_the_alert_of_a_local_one() {
    let client = LocalHandshaker::builder(identity(&DevCa::new(SystemTime::now()).unwrap(), CART))
        .server_policy(Policy::own_trust_domain())
        .build();
    let mut offer = Vec::new();
    step(&mut *start(&client, Role::Client), &[], &mut offer).await.unwrap();
    let (mut by_local, mut by_remote) = (Vec::new(), Vec::new());
    let local = LocalHandshaker::builder(NoIdentity).build();
    step(&mut *start(&local, Role::Server), &offer, &mut by_local).await.unwrap_err();
    assert_eq!(by_local[4..8], [0x4f, 0, 0, 0], "an alert");

    let served = Served::new(HandshakerService::builder().identity(NoIdentity)).await;
    let nowhere = RemoteHandshaker::builder("unix:/nonexistent/socket").build().unwrap();
    for remote in [served.remote(), nowhere] {
        let mut session = start(&remote, Role::Server);
        let (part, rest) = offer.split_at(5);
        step(&mut *session, part, &mut by_remote).await.unwrap();
        let refused = step(&mut *session, rest, &mut by_remote).await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable(_)), "{refused}");
        assert_eq!(by_remote, by_local);
        session.fail(AlertCode::Timeout, &mut by_remote);
        step(&mut *session, &[], &mut by_remote).await.unwrap_err();
        assert_eq!(by_remote, by_local, "one alert and no more");
        by_remote.clear();
        // Nothing for a peer that may speak another protocol, and nothing from a client.
        let google = [8, 0, 0, 0, 6, 0, 0, 0, 1, 2, 3, 4];
        for (role, received) in [(Role::Server, &google[..]), (Role::Client, &[])] {
            let mut session = start(&remote, role);
            step(&mut *session, received, &mut by_remote).await.unwrap_err();
            assert!(by_remote.is_empty());
        }
    }
}

/// While the service computes, and not after it has answered: then an alert would have to be sealed.
#[tokio::test]
async fn a_canceled_server_sends_an_alert_as_long_as_that_is_in_plaintext() {
    let served = Served::new(builder()).await;
    let mut offer = Vec::new();
    step(&mut *start(&served.remote(), Role::Client), &[], &mut offer).await.unwrap();
    let mut session = start(&served.remote(), Role::Server);
    let mut out = Vec::new();
    let asking = poll_fn(|cx| {
        let polled = session.poll_step(cx, &offer, SystemTime::now(), &mut out);
        Poll::Ready(polled.is_pending())
    });
    assert!(asking.await);
    session.fail(AlertCode::Timeout, &mut out);
    assert_eq!(out[4..10], [0x4f, 0, 0, 0, 0, AlertCode::Timeout.number() as u8]);

    let mut session = start(&served.remote(), Role::Server);
    out.clear();
    step(&mut *session, &offer, &mut out).await.unwrap();
    let answered = out.len();
    session.fail(AlertCode::Timeout, &mut out);
    assert_eq!(out.len(), answered);
}
