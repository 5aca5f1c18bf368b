//! Who may call what.

use alts::handshaker::identity::Policy;
use alts::tonic::{Access, Authorization, RequestExt};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Status};
use tower::Layer;

use crate::echo::echo_client::EchoClient;
use crate::echo::echo_server::{EchoServer, SERVICE_NAME};
use crate::echo::{RepeatRequest, WhoAmIRequest};
use crate::fixture::{BOTH, Over, Served, Talk, message};
use crate::service::EchoService;
use crate::support::{CLIENT, Parties, pattern};

fn only(rule: &str) -> Policy {
    Policy::from_rules([rule]).unwrap()
}

#[track_caller]
fn assert_denied<T>(result: Result<T, Status>) {
    let status = result.err().expect("the call was let through");
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    // Nothing about rules or names.
    assert_eq!(status.message(), "the caller is not allowed to do this");
}

#[tokio::test]
async fn rules_are_about_identities_prefixes_and_trust_domains() {
    let parties = Parties::new();
    let cases = [
        ("spiffe://dev.local/web/one", true),
        ("spiffe://dev.local/web/two", false),
        ("spiffe://dev.local/web/*", true),
        ("spiffe://dev.local/we/*", false),
        ("spiffe://dev.local", true),
        ("spiffe://dev.localhost", false),
    ];
    for (rule, allowed) in cases {
        let served = Served::with(&parties, Over::Tcp, Authorization::new(only(rule))).await;
        let mut client = served.connect_as(&parties, "spiffe://dev.local/web/one").await.unwrap();
        let result = client.once(message("hello")).await;
        if allowed {
            assert_eq!(result.unwrap().into_inner(), message("hello"), "{rule}");
        } else {
            assert_denied(result);
        }
    }
}

#[tokio::test]
async fn a_denial_wins() {
    let parties = Parties::new();
    let policy = Policy::own_trust_domain()
        .deny(CLIENT.parse::<alts::handshaker::identity::Rule>().unwrap());
    let served = Served::with(&parties, Over::Tcp, Authorization::new(policy)).await;
    assert_denied(served.connect(&parties).await.0.once(message("hello")).await);
    let mut other = served.connect_as(&parties, "spiffe://dev.local/other").await.unwrap();
    other.once(message("hello")).await.unwrap();
}

#[tokio::test]
async fn the_most_specific_rule_decides() {
    let parties = Parties::new();
    let authorization = Authorization::new(Policy::nobody())
        .service(SERVICE_NAME, only(CLIENT))
        .method(SERVICE_NAME, "WhoAmI", Access::authenticated())
        .method(SERVICE_NAME, "Repeat", Policy::nobody())
        .method("alts.example.Other", "Once", Access::authenticated());
    let served = Served::with(&parties, Over::Tcp, authorization).await;

    let (mut client, _) = served.connect(&parties).await;
    client.once(message("hello")).await.unwrap();
    client.who_am_i(WhoAmIRequest {}).await.unwrap();
    assert_denied(client.repeat(RepeatRequest::default()).await);

    let mut other = served.connect_as(&parties, "spiffe://dev.local/other").await.unwrap();
    assert_denied(other.once(message("hello")).await);
    other.who_am_i(WhoAmIRequest {}).await.unwrap();
    assert_denied(other.repeat(RepeatRequest::default()).await);
}

#[tokio::test]
async fn what_is_not_served_is_denied_all_the_same() {
    let parties = Parties::new();
    let served = Served::with(&parties, Over::Tcp, Authorization::new(Policy::nobody())).await;
    let (endpoint, connector) =
        served.endpoint(parties.connector(alts::connect::Settings::default()));
    let channel = endpoint.connect_with_connector(connector).await.unwrap();
    for path in ["/", "/x", "//", "/alts.example.Echo", "/alts.example.Echo/", "/a/b/c", "*"] {
        let mut grpc = tonic::client::Grpc::new(channel.clone());
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<WhoAmIRequest, WhoAmIRequest>::default();
        let path = path.parse().unwrap();
        assert_denied(grpc.unary(Request::new(WhoAmIRequest {}), path, codec).await);
    }
}

#[tokio::test]
async fn every_kind_of_call_is_denied_and_the_connection_lives() {
    let parties = Parties::new();
    for over in BOTH {
        let authorization = Authorization::new(Policy::nobody()).method(
            SERVICE_NAME,
            "WhoAmI",
            Access::authenticated(),
        );
        let served = Served::with(&parties, over, authorization).await;
        let (mut client, _) = served.connect(&parties).await;
        for _ in 0..20 {
            // Nobody reads what is sent here, and all of it is on its way when the answer comes.
            assert_denied(client.once(message(pattern(1 << 20))).await);
            assert_denied(client.join(tokio_stream::iter(vec![message("x"); 100])).await);
            assert_denied(client.chat(tokio_stream::pending()).await);
            assert_denied(client.repeat(RepeatRequest::default()).await);
        }
        client.who_am_i(WhoAmIRequest {}).await.unwrap();
    }
}

#[tokio::test]
async fn without_alts_nobody_may_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::builder()
        .layer(Authorization::new(Access::authenticated()))
        .add_service(EchoServer::new(EchoService))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    let channel = Channel::from_shared(uri).unwrap().connect().await.unwrap();
    assert_denied(EchoClient::new(channel).once(message("hello")).await);
}

#[tokio::test]
async fn one_service_by_itself() {
    let parties = Parties::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let acceptor = parties.acceptor(alts::connect::Settings::default());
    let service = Authorization::new(only(CLIENT)).layer(EchoServer::new(EchoService));
    let server = Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(acceptor.incoming(listener)));
    let connector =
        alts::tonic::AltsConnector::new(parties.connector(alts::connect::Settings::default()));
    let endpoint = Channel::from_shared(uri).unwrap();
    let mut client = EchoClient::new(endpoint.connect_with_connector(connector).await.unwrap());
    client.once(message("hello")).await.unwrap();
    Talk::begin(&mut client).await.exchange(b"hello").await;
}

#[tokio::test]
async fn access_is_checked_by_interceptors_too() {
    let parties = Parties::new();
    let served = Served::new(&parties, Over::Tcp).await;
    let (mut client, _) = served.connect(&parties).await;
    client.who_am_i(WhoAmIRequest {}).await.unwrap();
    let mut request = Request::new(());
    let access = Access::from(only(CLIENT));
    assert_denied(access.check(request.alts()));
    request.extensions_mut().insert(served.seen.callers()[0].clone().unwrap());
    access.check(request.alts()).unwrap();
    assert_denied(Access::from(Policy::nobody()).check(request.alts()));
}
