//! tonic's services and clients on this crate's own HTTP/2, both ends, over ALTS.

use std::error::Error;
use std::time::Duration;

use alts::handshaker::identity::Policy;
use alts::pool::BufferPool;
use alts::tonic::{Access, Authorization, Channel, Server, cause_of};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::StreamExt;
use tonic::service::Routes;
use tonic::{Code, Request};
use tower::Layer;

use crate::echo::echo_client::EchoClient;
use crate::echo::echo_server::EchoServer;
use crate::echo::{RepeatRequest, WhoAmIRequest};
use crate::fixture::message;
use crate::service::EchoService;
use crate::support::{CLIENT, Parties, SERVER, pattern, settings};

struct Served {
    target: http::Uri,
    stop: oneshot::Sender<()>,
    done: tokio::task::JoinHandle<()>,
    pool: BufferPool,
}

async fn serve(parties: &Parties, access: impl Into<Access>) -> Served {
    let pool = BufferPool::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let incoming = parties.acceptor(settings(&pool, |_| {})).incoming(listener);
    let service = EchoServer::new(EchoService).max_decoding_message_size(16 << 20);
    let service = Authorization::new(access).layer(Routes::new(service).prepare());
    let (stop, stopped) = oneshot::channel::<()>();
    let done = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        Server::new().serve_with_shutdown(incoming, service, stopped).await;
    });
    Served { target, stop, done, pool }
}

async fn connect(parties: &Parties, served: &Served) -> EchoClient<Channel> {
    let connector = parties.connector(settings(&BufferPool::new(), |_| {}));
    let channel = Channel::connect(served.target.clone(), connector).await.unwrap();
    EchoClient::new(channel).max_decoding_message_size(16 << 20)
}

#[tokio::test]
async fn all_kinds_of_calls_with_the_callers_identity() {
    let parties = Parties::new();
    let served = serve(&parties, Access::authenticated()).await;
    let mut client = connect(&parties, &served).await;

    let caller = client.who_am_i(WhoAmIRequest {}).await.unwrap().into_inner();
    assert_eq!((&*caller.identity, &*caller.server), (CLIENT, SERVER));
    assert!(caller.address.starts_with("127.0.0.1:"), "{caller:?}");

    for len in [0, 1, 1_000, 100_000, 5 << 20] {
        let long = crate::echo::Message { payload: pattern(len).into() };
        assert!(client.once(long.clone()).await.unwrap().into_inner() == long, "{len}");
    }
    let request = RepeatRequest { message: Some(message("again")), times: 500 };
    let answers = client.repeat(request).await.unwrap().into_inner();
    assert_eq!(answers.map(Result::unwrap).collect::<Vec<_>>().await, vec![message("again"); 500]);
    let parts = ["one", "two", "three"].map(message);
    let joined = client.join(tokio_stream::iter(parts.clone())).await.unwrap().into_inner();
    assert_eq!(joined, message("onetwothree"));
    let answers = client.chat(tokio_stream::iter(parts.clone())).await.unwrap().into_inner();
    assert_eq!(answers.map(Result::unwrap).collect::<Vec<_>>().await, parts);

    drop(client);
    served.stop.send(()).unwrap();
    served.done.await.unwrap();
    assert_eq!(served.pool.stats().in_use_buffers, 0);
}

#[tokio::test]
async fn authorization_denies_before_the_service() {
    let parties = Parties::new();
    let served = serve(&parties, Policy::from_rules(["spiffe://dev.local/other"]).unwrap()).await;
    let status = connect(&parties, &served).await.once(message("hello")).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_deadline_is_a_deadline_on_both_sides_of_the_head() {
    let parties = Parties::new();
    let served = serve(&parties, Access::authenticated()).await;
    let mut client = connect(&parties, &served).await;
    let (_messages, silent) = tokio::sync::mpsc::channel(1);
    let mut request = Request::new(tokio_stream::wrappers::ReceiverStream::new(silent));
    request.set_timeout(Duration::from_millis(30));
    // The service answers at once, and then waits for messages.
    let mut answers = match client.chat(request).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return assert_eq!(status.code(), Code::DeadlineExceeded, "{status}"),
    };
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    // The connection goes on.
    client.once(message("hello")).await.unwrap();
}

#[tokio::test]
async fn why_there_is_no_connection_is_behind_the_status() {
    let parties = Parties::new();
    let served = serve(&parties, Access::authenticated()).await;
    // A server of another authority.
    let stranger = Parties::new().connector(settings(&BufferPool::new(), |_| {}));
    let lazy = Channel::connect_lazy(served.target.clone(), stranger).unwrap();
    let status = EchoClient::new(lazy).once(message("hello")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let cause = cause_of(&status).unwrap().to_string();
    assert!(status.message().contains("no secure connection"), "{status}");
    assert!(status.message().ends_with(&cause), "{status}");
    // Programs that print an error and all its sources print it once: the status has the words of its one source.
    let mut sources = Vec::new();
    let mut next = status.source();
    while let Some(error) = next {
        sources.push(error.to_string());
        next = error.source();
    }
    assert_eq!(sources, [status.message()]);
}

#[tokio::test]
async fn after_the_servers_end_the_client_connects_anew() {
    let parties = Parties::new();
    let served = serve(&parties, Access::authenticated()).await;
    let mut client = connect(&parties, &served).await;
    client.once(message("hello")).await.unwrap();
    let address = served.target.authority().unwrap().to_string();
    served.stop.send(()).unwrap();
    served.done.await.unwrap();
    let status = client.once(message("nobody")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");

    let listener = TcpListener::bind(address).await.unwrap();
    let incoming = parties.acceptor(settings(&BufferPool::new(), |_| {})).incoming(listener);
    let routes = Routes::new(EchoServer::new(EchoService)).prepare();
    tokio::spawn(async move { Server::new().serve(incoming, routes).await });
    // Until back-off lets it.
    while let Err(status) = client.once(message("again")).await {
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
