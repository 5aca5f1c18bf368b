//! Any handshaker will do: one that keeps the caller waiting, as a service does, and calls peers by names of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use alts::handshaker::identity::{PeerIdentity, Policy};
use alts::handshaker::{
    Error, HandshakeOptions, HandshakeResult, HandshakeSession, Handshaker, LocalHandshaker, Role,
    Step,
};
use alts::tonic::{Access, Authorization};
use alts::{Acceptor, Connector};
use tonic::Code;

use crate::echo::WhoAmIRequest;
use crate::fixture::{Over, Served, message};
use crate::support::Parties;
use crate::support::by_hand::altered;

const ACCOUNT: &str = "web@shop.example.iam";

/// Stands for a handshaker service.
#[derive(Debug)]
struct Service(LocalHandshaker);

#[derive(Debug)]
struct Session {
    inner: Box<dyn HandshakeSession>,
    asked: bool,
}

impl Handshaker for Service {
    fn start(
        &self,
        role: Role,
        options: &HandshakeOptions,
    ) -> Result<Box<dyn HandshakeSession>, Error> {
        if role == Role::Client {
            let target = options.target_name.as_deref().expect("the name of the target");
            assert!(target.starts_with("127.0.0.1:"), "{target}");
        }
        Ok(Box::new(Session { inner: self.0.start(role, options)?, asked: false }))
    }
}

impl HandshakeSession for Session {
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        received: &[u8],
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Step, Error>> {
        self.asked = !self.asked;
        if self.asked {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.inner.poll_step(cx, received, now, out).map_ok(|mut step| {
            if let Some(result) = &mut step.result {
                result.peer = Arc::new(PeerIdentity::from_service(ACCOUNT, BTreeMap::new()));
                result.local = "us@shop.example.iam".into();
            }
            step
        })
    }
}

async fn served(parties: &Parties, access: impl Into<Access>) -> Served {
    let acceptor = Acceptor::new(Service(parties.server_handshaker()));
    Served::start(&acceptor, Over::Tcp, Authorization::new(access)).await
}

#[tokio::test]
async fn names_of_another_kind() {
    let parties = Parties::new();
    let cases = [
        (Access::from(Policy::nobody()).allow_name(ACCOUNT), true),
        (Access::from(Policy::nobody()).allow_name("WEB@shop.example.iam"), false),
        (Access::from(Policy::own_trust_domain()), false),
        (Access::authenticated(), true),
    ];
    for (access, allowed) in cases {
        let served = served(&parties, access).await;
        let connector = Connector::new(Service(parties.client_handshaker()));
        let mut client = served.connect_with(connector).await.unwrap();
        let code =
            client.once(message("hello")).await.map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(code, if allowed { Code::Ok } else { Code::PermissionDenied });
    }
}

#[tokio::test]
async fn handlers_see_the_service_s_names() {
    let parties = Parties::new();
    let served = served(&parties, Access::authenticated()).await;
    let connector = Connector::new(Service(parties.client_handshaker()));
    let mut client = served.connect_with(connector).await.unwrap();
    let answer = client.who_am_i(WhoAmIRequest {}).await.unwrap().into_inner();
    assert_eq!(
        (answer.identity.as_str(), answer.server.as_str()),
        (ACCOUNT, "us@shop.example.iam")
    );
}

/// This side's name has no trust domain, the peer's has one: rules about peers hold, "own trust domain" matches nobody.
#[tokio::test]
async fn a_server_without_a_trust_domain() {
    let parties = Parties::new();
    let cases = [
        (Policy::own_trust_domain(), Code::PermissionDenied),
        (Policy::from_rules(["spiffe://dev.local"]).unwrap(), Code::Ok),
    ];
    for (policy, expected) in cases {
        let unnamed = |result: &mut HandshakeResult| result.local = "us@shop.example.iam".into();
        let acceptor = Acceptor::new(altered(parties.server_handshaker(), unnamed));
        let served = Served::start(&acceptor, Over::Tcp, Authorization::new(policy)).await;
        let (mut client, _) = served.connect(&parties).await;
        let code =
            client.once(message("hello")).await.map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(code, expected);
    }
}
