//! The statuses of calls that fail, on this crate's HTTP/2 and on hyper's, from the same servers.

use std::time::Duration;

use alts::tonic::ChannelBody;
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;

use crate::echo::echo_client::EchoClient;
use crate::echo::echo_server::EchoServer;
use crate::echo::{Message, RepeatRequest};
use crate::fixture::message;
use crate::service::EchoService;

/// What servers take in these tests, in bytes; clients take twice as much.
const LIMIT: usize = 1_000;

type Client = EchoClient<BoxCloneSyncService<Request<Body>, Response<Body>, Status>>;

/// A client on this crate's HTTP/2, and one on hyper's.
fn clients(address: std::net::SocketAddr) -> [Client; 2] {
    let uri: http::Uri = format!("http://{address}").parse().unwrap();
    let ours = alts::tonic::Channel::builder(uri.clone());
    let ours = alts::tonic::Channel::from(ours.connect_lazy().unwrap());
    let ours = ServiceBuilder::new()
        .map_response(|response: Response<ChannelBody>| response.map(Body::new))
        .service(ours);
    let hyper = ServiceBuilder::new()
        .map_err(|error: tonic::transport::Error| Status::from_error(error.into()))
        .service(tonic::transport::Endpoint::from(uri).connect_lazy());
    [BoxCloneSyncService::new(ours), BoxCloneSyncService::new(hyper)]
        .map(|channel| EchoClient::new(channel).max_decoding_message_size(2 * LIMIT))
}

/// A client and a server on this crate's HTTP/2, and both on hyper's.
async fn pairs(routes: Routes) -> [Client; 2] {
    let [ours, hypers] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0"));
    let (ours, hypers) = (ours.await.unwrap(), hypers.await.unwrap());
    let addresses = [ours.local_addr().unwrap(), hypers.local_addr().unwrap()];
    let services = routes.clone().prepare();
    let ours = TcpListenerStream::new(ours);
    tokio::spawn(async move { alts::tonic::Server::new().serve(ours, services).await });
    let hyper = tonic::transport::Server::builder().add_routes(routes);
    tokio::spawn(hyper.serve_with_incoming(TcpListenerStream::new(hypers)));
    let [[ours, _], [_, hyper]] = addresses.map(clients);
    [ours, hyper]
}

fn echo() -> Routes {
    Routes::new(EchoServer::new(EchoService).max_decoding_message_size(LIMIT))
}

/// A server that does as it likes with the first request of each connection.
async fn server<F>(mut answer: impl FnMut(Call) -> F + Send + 'static) -> [Client; 2]
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let mut connection = h2::server::handshake(socket).await.unwrap();
            let Some(Ok((_, respond))) = connection.accept().await else { continue };
            tokio::spawn(answer(Call { connection, respond }));
        }
    });
    clients(address)
}

struct Call {
    connection: h2::server::Connection<tokio::net::TcpStream, bytes::Bytes>,
    respond: h2::server::SendResponse<bytes::Bytes>,
}

impl Call {
    /// Answers all calls with a reset.
    async fn reset(mut self, reason: h2::Reason) {
        self.respond.send_reset(reason);
        while let Some(Ok((_, mut respond))) = self.connection.accept().await {
            respond.send_reset(reason);
        }
    }

    /// Answers with a head, and no more.
    fn head(&mut self) -> h2::SendStream<bytes::Bytes> {
        let response = Response::builder().header("content-type", "application/grpc");
        self.respond.send_response(response.body(()).unwrap(), false).unwrap()
    }
}

async fn code(mut client: Client) -> Code {
    let call = client.once(message("hello"));
    let ended = tokio::time::timeout(Duration::from_secs(20), call).await;
    ended.expect("the call ends").expect_err("it fails").code()
}

/// Of both stacks, this crate's first.
async fn codes(clients: [Client; 2]) -> [Code; 2] {
    let [ours, hyper] = clients;
    [code(ours).await, code(hyper).await]
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(codes(clients(address)).await, [Code::Unavailable; 2]);
}

#[tokio::test]
async fn nobody_implements_it() {
    assert_eq!(codes(pairs(Routes::default()).await).await, [Code::Unimplemented; 2]);
}

#[tokio::test]
async fn messages_beyond_the_limit() {
    for mut client in pairs(echo()).await {
        let long = client.once(message(vec![0; LIMIT + 1])).await.unwrap_err();
        assert_eq!(long.code(), Code::OutOfRange, "{long}");
        let parts = vec![message(vec![0; LIMIT - 10]); 3];
        let long = client.join(tokio_stream::iter(parts)).await.unwrap_err();
        assert_eq!(long.code(), Code::OutOfRange, "{long}");
        // The connection goes on.
        client.once(message("hello")).await.unwrap();
    }
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream() {
    for mut client in pairs(echo()).await {
        let no_message = RepeatRequest { message: None, times: 3 };
        let status = client.repeat(no_message).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert_eq!(status.message(), "there is no message");
        let (say, said) = tokio::sync::mpsc::channel::<Message>(1);
        let mut hear = client.chat(ReceiverStream::new(said)).await.unwrap().into_inner();
        say.send(message("hello")).await.unwrap();
        assert_eq!(hear.message().await.unwrap(), Some(message("hello")));
        say.send(message(vec![0; LIMIT + 1])).await.unwrap();
        assert_eq!(hear.message().await.unwrap_err().code(), Code::OutOfRange);
    }
}

/// tonic's own deadline covers only the head, and is told as a cancellation.
#[tokio::test]
async fn deadlines() {
    for (mut client, expected) in
        pairs(echo()).await.into_iter().zip([Code::DeadlineExceeded, Code::Cancelled])
    {
        let (_say, said) = tokio::sync::mpsc::channel::<Message>(1);
        let mut request = tonic::Request::new(ReceiverStream::new(said));
        request.set_timeout(Duration::from_millis(50));
        let status = client.join(request).await.unwrap_err();
        assert_eq!(status.code(), expected, "{status}");
        client.once(message("hello")).await.unwrap();
    }
}

#[tokio::test]
async fn resets() {
    for (reason, expected) in [
        (h2::Reason::REFUSED_STREAM, Code::Unavailable),
        (h2::Reason::CANCEL, Code::Cancelled),
        (h2::Reason::ENHANCE_YOUR_CALM, Code::ResourceExhausted),
        (h2::Reason::INADEQUATE_SECURITY, Code::PermissionDenied),
        (h2::Reason::INTERNAL_ERROR, Code::Internal),
        (h2::Reason::PROTOCOL_ERROR, Code::Internal),
        (h2::Reason::FLOW_CONTROL_ERROR, Code::Internal),
    ] {
        let clients = server(move |call| call.reset(reason)).await;
        assert_eq!(codes(clients).await, [expected; 2], "{reason:?}");
    }
}

/// Calls that were open fail as those of a connection that is gone; tonic on hyper says UNKNOWN.
#[tokio::test]
async fn the_server_goes_away_over_a_fault() {
    let goes = |mut call: Call| async move {
        call.connection.abrupt_shutdown(h2::Reason::INTERNAL_ERROR);
        while call.connection.accept().await.is_some() {}
    };
    let [ours, _] = codes(server(goes).await).await;
    assert_eq!(ours, Code::Unavailable);
}

/// The connection is closed without GOAWAY, before the response's head or after it.
#[tokio::test]
async fn the_server_is_gone() {
    let before = server(|call| async { drop(call) }).await;
    let [ours, _] = codes(before).await;
    assert_eq!(ours, Code::Unavailable);

    let after = |mut call: Call| async move {
        let stream = call.head();
        // Until the client closes its side the head can leave.
        let leave = async { while call.connection.accept().await.is_some() {} };
        drop(tokio::time::timeout(Duration::from_millis(50), leave).await);
        drop((call, stream));
    };
    let [ours, _] = codes(server(after).await).await;
    assert_eq!(ours, Code::Unavailable);
}
