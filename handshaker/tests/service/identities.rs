//! Who the caller may be, and who the peer.

use std::time::SystemTime;

use alts_handshaker::dev_ca::DevCa;
use alts_handshaker::identity::Policy;
use alts_handshaker::proto::identity::IdentityOneof;
use alts_handshaker::proto::{Identity, StartClientHandshakeReq, StartServerHandshakeReq};
use alts_handshaker::service::{HandshakerService, HandshakerServiceBuilder};
use tonic::Code;

use crate::support::{
    CART, STOCK, Served, assert_status, builder, client, client_start, handshake, identity,
    own_uid, server, server_start, service_account,
};

fn hostname() -> Identity {
    let identity_oneof = Some(IdentityOneof::Hostname("stock.example".into()));
    Identity { identity_oneof, ..Default::default() }
}

fn targeting(targets: &[&str]) -> StartClientHandshakeReq {
    let target_identities = targets.iter().map(|name| service_account(name)).collect();
    StartClientHandshakeReq { target_identities, ..client_start() }
}

fn local(names: Vec<Identity>) -> (StartClientHandshakeReq, StartServerHandshakeReq) {
    let mut to = server_start(&[]);
    to.handshake_parameters.get_mut(&2).unwrap().local_identities.clone_from(&names);
    (StartClientHandshakeReq { local_identity: names.into_iter().next(), ..client_start() }, to)
}

#[tokio::test]
async fn target_identities_are_enforced() {
    let served = Served::new(builder()).await;
    for targets in [&[CART][..], &[STOCK, CART]] {
        handshake(&served, targeting(targets), server_start(&[])).await.unwrap();
    }
    for targets in [&[STOCK][..], &["spiffe://dev.local/car"], &["SPIFFE://DEV.LOCAL/CART"]] {
        let refused = handshake(&served, targeting(targets), server_start(&[])).await;
        assert_status(&refused.unwrap_err(), Code::PermissionDenied, "target");
    }
}

/// To drop an entry would be to drop a demand.
#[tokio::test]
async fn target_identities_that_name_nobody() {
    let served = Served::new(builder()).await;
    for odd in [hostname(), service_account(""), Identity::default()] {
        for targets in [vec![odd.clone()], vec![service_account(CART), odd]] {
            let start = StartClientHandshakeReq { target_identities: targets, ..client_start() };
            let refused = served.refusal(client(start)).await;
            assert_status(&refused, Code::Internal, "target_identities");
        }
    }
    let many = targeting(&[CART; 65]);
    assert_status(&served.refusal(client(many)).await, Code::Internal, "more than 64");
}

#[tokio::test]
async fn somebody_has_to_say_who_the_server_is() {
    let authority = DevCa::new(SystemTime::now()).unwrap();
    let service = HandshakerService::builder().identity(identity(&authority, CART));
    let served = Served::new(service).await;
    let refused = served.refusal(client(client_start())).await;
    assert_status(&refused, Code::PermissionDenied, "who may be the server");
    handshake(&served, targeting(&[CART]), server_start(&[])).await.unwrap();
}

#[tokio::test]
async fn both_the_policy_and_the_targets_have_to_agree() {
    let policy = Policy::from_rules([STOCK]).unwrap();
    let served = Served::new(builder().server_policy(policy)).await;
    for start in [client_start(), targeting(&[CART])] {
        let refused = handshake(&served, start, server_start(&[])).await.unwrap_err();
        assert_status(&refused, Code::PermissionDenied, CART);
    }
}

#[tokio::test]
async fn clients_that_are_not_welcome() {
    let served = Served::new(builder().client_policy(Policy::nobody())).await;
    let refused = handshake(&served, client_start(), server_start(&[])).await.unwrap_err();
    assert_status(&refused, Code::PermissionDenied, "no rule allows it");
}

#[tokio::test]
async fn strangers_are_not_authenticated() {
    let served = Served::new(builder()).await;
    // Another authority of the same name.
    let strangers = Served::new(builder()).await;
    let mut at_client = served.open(client(client_start())).await.unwrap();
    let offer = at_client.answer().await.unwrap().out_frames;
    let mut at_server = strangers.open(server(server_start(&offer))).await.unwrap();
    let answer = at_server.answer().await.unwrap().out_frames;
    let refused = at_client.ask(crate::support::next(&answer)).await.unwrap_err();
    assert_status(&refused, Code::Unauthenticated, "authority");
}

fn two_users(authority: &DevCa) -> HandshakerServiceBuilder {
    let named = |name| identity(authority, name);
    HandshakerService::builder()
        .server_policy(Policy::own_trust_domain())
        .identity(named("spiffe://dev.local/anybody"))
        .identity_of_user(own_uid(), named(CART))
        .identity_of_user(own_uid(), named(STOCK))
        .identity_of_user(own_uid() + 1, named("spiffe://dev.local/somebody-else"))
}

#[tokio::test]
async fn the_caller_may_choose_among_its_own() {
    let authority = DevCa::new(SystemTime::now()).unwrap();
    let served = Served::new(two_users(&authority)).await;
    for (wish, name) in [
        (vec![], CART),
        (vec![Identity::default()], CART),
        (vec![service_account(CART)], CART),
        (vec![service_account(STOCK)], STOCK),
    ] {
        let (start, to) = local(wish);
        let (at_client, at_server) = handshake(&served, start, to).await.unwrap();
        for result in [&at_client, &at_server] {
            assert_eq!(result.local_identity, Some(service_account(name)));
            assert_eq!(result.peer_identity, Some(service_account(name)));
        }
    }
    let both = vec![service_account(STOCK), service_account(CART)];
    let (_, to) = local(both);
    let (at_client, _) = handshake(&served, client_start(), to).await.unwrap();
    assert_eq!(at_client.peer_identity, Some(service_account(STOCK)));
}

#[tokio::test]
async fn the_caller_may_not_be_somebody_else() {
    let authority = DevCa::new(SystemTime::now()).unwrap();
    let served = Served::new(two_users(&authority)).await;
    for name in ["spiffe://dev.local/somebody-else", "spiffe://dev.local/anybody", "nobody"] {
        let (start, to) = local(vec![service_account(name)]);
        assert_status(&served.refusal(client(start)).await, Code::PermissionDenied, name);
        assert_status(&served.refusal(server(to)).await, Code::PermissionDenied, name);
        // One of the caller's own does not make up for it.
        let (_, to) = local(vec![service_account(CART), service_account(name)]);
        assert_status(&served.refusal(server(to)).await, Code::PermissionDenied, name);
    }
    let (start, to) = local(vec![hostname()]);
    assert_status(&served.refusal(client(start)).await, Code::Internal, "hostname");
    assert_status(&served.refusal(server(to)).await, Code::Internal, "hostname");
}

#[tokio::test]
async fn a_user_without_an_identity() {
    let authority = DevCa::new(SystemTime::now()).unwrap();
    let others = identity(&authority, CART);
    let served = Served::new(
        HandshakerService::builder()
            .server_policy(Policy::own_trust_domain())
            .identity_of_user(own_uid() + 1, others),
    )
    .await;
    for start in [client(client_start()), server(server_start(&[]))] {
        assert_status(&served.refusal(start).await, Code::PermissionDenied, "no identity");
    }
}

#[tokio::test]
async fn tokens_are_not_ignored() {
    let served = Served::new(builder()).await;
    let start = StartClientHandshakeReq { access_token: "t".into(), ..client_start() };
    let refused = served.refusal(client(start)).await;
    assert_status(&refused, Code::PermissionDenied, "access_token");
    let mut to = server_start(&[]);
    to.handshake_parameters.get_mut(&2).unwrap().token = Some("t".into());
    assert_status(&served.refusal(server(to)).await, Code::PermissionDenied, "token");
}
