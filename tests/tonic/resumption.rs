//! Channels resume by themselves, whichever HTTP/2 they and their servers are on: their connectors know the server's name.

use alts::handshaker::identity::Policy;
use alts::pool::BufferPool;
use alts::tonic::{Access, Authorization, Channel, Server};
use alts::{Acceptor, Connector};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::Code;
use tonic::service::Routes;
use tower::Layer;

use crate::echo::WhoAmIRequest;
use crate::echo::echo_client::EchoClient;
use crate::echo::echo_server::EchoServer;
use crate::fixture::{BOTH, Over, Served, message};
use crate::service::EchoService;
use crate::support::tickets::Tickets;
use crate::support::{CLIENT, Parties, SERVER, settings};

fn connector(parties: &Parties, tickets: &Tickets) -> Connector {
    Connector::with_settings(tickets.client(parties), settings(&BufferPool::new(), |_| {}))
}

fn acceptor(parties: &Parties, tickets: &Tickets) -> Acceptor {
    Acceptor::with_settings(tickets.server(parties), settings(&BufferPool::new(), |_| {}))
}

#[tokio::test]
async fn channels_of_tonic_s_own() {
    for over in BOTH {
        let (parties, tickets) = (Parties::new(), Tickets::new());
        let authorization = Authorization::new(Access::authenticated());
        let served = Served::start(&acceptor(&parties, &tickets), over, authorization).await;
        for resumed in 0..3 {
            let mut client = served.connect_with(connector(&parties, &tickets)).await.unwrap();
            let caller = client.who_am_i(WhoAmIRequest {}).await.unwrap().into_inner();
            assert_eq!((&*caller.identity, &*caller.server), (CLIENT, SERVER));
            assert_eq!(tickets.resumed(), resumed, "{over:?}");
        }
    }
}

#[tokio::test]
async fn channels_of_this_crate() {
    let (parties, tickets) = (Parties::new(), Tickets::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target: http::Uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let incoming = acceptor(&parties, &tickets).incoming(listener);
    let service = Routes::new(EchoServer::new(EchoService)).prepare();
    let service = Authorization::new(Access::authenticated()).layer(service);
    let (stop, stopped) = oneshot::channel::<()>();
    let done = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        Server::new().serve_with_shutdown(incoming, service, stopped).await;
    });
    for resumed in 0..3 {
        let connector = connector(&parties, &tickets);
        let channel = Channel::connect(target.clone(), connector).await.unwrap();
        let mut client = EchoClient::new(channel);
        let caller = client.who_am_i(WhoAmIRequest {}).await.unwrap().into_inner();
        assert_eq!((&*caller.identity, &*caller.server), (CLIENT, SERVER));
        assert_eq!(tickets.resumed(), resumed);
    }
    stop.send(()).unwrap();
    done.await.unwrap();
}

/// A resumed connection is worth no more than a full one: rules about calls hold all the same, and handlers see since when the caller is
/// known.
#[tokio::test]
async fn authorization_of_resumed_connections() {
    let (parties, tickets) = (Parties::new(), Tickets::new());
    let nobody = Authorization::new(Policy::nobody()).method(
        "alts.example.Echo",
        "WhoAmI",
        Access::authenticated(),
    );
    let served = Served::start(&acceptor(&parties, &tickets), Over::Tcp, nobody).await;
    for resumed in 0..2 {
        let mut client = served.connect_with(connector(&parties, &tickets)).await.unwrap();
        let refused = client.once(message("hello")).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        client.who_am_i(WhoAmIRequest {}).await.unwrap();
        assert_eq!(tickets.resumed(), resumed);
    }
    let since: Vec<_> = (served.seen.callers().into_iter())
        .map(|caller| caller.unwrap().negotiated().resumed.is_some())
        .collect();
    assert_eq!(since, [false, true]);
}
