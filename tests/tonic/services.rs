//! What this crate's HTTP/2 serves and is served by: generated services without a router, axum's router, TLS, tower's balancer.

use std::sync::Arc;

use alts::http2::client::Client;
use alts::http2::server::Described;
use alts::ready::Probed;
use alts::tonic::{Channel, Server};
use http::{Extensions, Request, Uri};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tower::{Service, ServiceExt};

use crate::echo::RepeatRequest;
use crate::echo::echo_client::EchoClient;
use crate::echo::echo_server::EchoServer;
use crate::fixture::message;
use crate::service::EchoService;
use crate::support::pattern;

async fn listen() -> (TcpListenerStream, Uri) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    (TcpListenerStream::new(listener), uri.parse().unwrap())
}

async fn channel(target: Uri) -> Channel {
    Channel::from(Channel::builder(target).connect().await.unwrap())
}

/// A large message there and back, a stream each way.
async fn exchange<T>(client: &mut EchoClient<T>)
where
    T: GrpcService<tonic::body::Body>,
    T::Error: Into<StdError>,
    T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    let large = message(pattern(3 << 20));
    assert!(client.once(large.clone()).await.unwrap().into_inner() == large);
    let request = RepeatRequest { message: Some(message("again")), times: 200 };
    let answers = client.repeat(request).await.unwrap().into_inner();
    assert_eq!(answers.map(Result::unwrap).collect::<Vec<_>>().await, vec![message("again"); 200]);
    let parts = vec![message(pattern(10_000)); 50];
    let joined = client.join(tokio_stream::iter(parts)).await.unwrap().into_inner();
    assert_eq!(joined.payload, pattern(10_000).repeat(50));
}

#[tokio::test]
async fn a_generated_service_without_a_router() {
    let (incoming, target) = listen().await;
    tokio::spawn(async { Server::new().serve(incoming, EchoServer::new(EchoService)).await });
    exchange(&mut EchoClient::new(channel(target).await)).await;
}

#[tokio::test]
async fn a_router_of_axum_with_grpc_in_it() {
    let grpc = tonic::service::Routes::new(EchoServer::new(EchoService)).into_axum_router();
    let router = grpc.route("/health", axum::routing::get(|| async { "well" }));
    let (incoming, target) = listen().await;
    tokio::spawn(async { Server::new().serve(incoming, router).await });
    exchange(&mut EchoClient::new(channel(target.clone()).await)).await;

    let mut client = Client::builder(target).connect().await.unwrap();
    let health = Request::get("/health").body(http_body_util::Empty::new()).unwrap();
    let response = Service::call(&mut client, health).await.unwrap();
    assert_eq!(response.status(), http::StatusCode::OK);
    let content = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
    assert_eq!(content.to_bytes(), "well");
}

/// Certificates for a server `localhost`, and what a client needs to believe them.
fn tls() -> (TlsAcceptor, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

/// What handlers are told of a TLS connection.
#[derive(Clone, Debug, PartialEq)]
struct Session(Option<rustls::ProtocolVersion>);

#[tokio::test]
async fn behind_rustls() {
    let (acceptor, connector) = tls();
    let (incoming, target) = listen().await;
    let secured = incoming.then(move |socket| {
        let acceptor = acceptor.clone();
        async move {
            let stream = acceptor.accept(socket?).await?;
            let mut known = Extensions::new();
            known.insert(Session(stream.get_ref().1.protocol_version()));
            Ok::<_, std::io::Error>(Described::new(Probed::new(stream), known))
        }
    });
    let service = EchoServer::new(EchoService).map_request(|request: Request<_>| {
        let session = request.extensions().get::<Session>();
        assert_eq!(session, Some(&Session(Some(rustls::ProtocolVersion::TLSv1_3))));
        request
    });
    let server = alts::http2::Server::builder().build().unwrap();
    tokio::spawn(async move { server.serve(secured, service, std::future::pending()).await });

    let dial = tower::service_fn(move |target: Uri| {
        let connector = connector.clone();
        async move {
            let socket = TcpStream::connect(target.authority().unwrap().as_str()).await?;
            let name = ServerName::try_from("localhost").unwrap();
            connector.connect(name, socket).await.map(Probed::new)
        }
    });
    let client = Client::builder(target).connect_with(dial).await.unwrap();
    exchange(&mut EchoClient::new(Channel::from(client))).await;
}

#[tokio::test]
async fn towers_balancer_over_channels() {
    let mut channels = Vec::new();
    for _ in 0..3 {
        let (incoming, target) = listen().await;
        tokio::spawn(async { Server::new().serve(incoming, EchoServer::new(EchoService)).await });
        channels.push(channel(target).await);
    }
    let list = tower::discover::ServiceList::new::<Request<tonic::body::Body>>(channels);
    exchange(&mut EchoClient::new(tower::balance::p2c::Balance::new(list))).await;
}
