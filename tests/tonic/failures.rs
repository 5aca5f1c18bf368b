//! Connections that cannot be: the status, and the reason behind it.

use std::error::Error as _;
use std::sync::Arc;
use std::task::Poll;

use alts::connect::Settings;
use alts::handshaker::identity::Policy;
use alts::handshaker::{AlertCode, Error as HandshakeError, HandshakeOptions, LocalHandshaker};
use alts::record::RecordError;
use alts::tonic::{Access, AltsConnector, Authorization, cause_of};
use alts::{Acceptor, Connector, Error, Fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use crate::echo::echo_client::EchoClient;
use crate::fixture::{BOTH, Over, Served, Talk, message, nothing_out};
use crate::support::double::Double;
use crate::support::{Parties, SERVER};

/// What a call comes to without a connection, and what connecting does.
async fn failures(served: &Served, connector: &Connector) -> (Status, tonic::transport::Error) {
    let (endpoint, alts) = served.endpoint(connector.clone());
    let mut lazy = EchoClient::new(endpoint.connect_with_connector_lazy(alts.clone()));
    let status = lazy.once(message("hello")).await.unwrap_err();
    (status, endpoint.connect_with_connector(alts).await.unwrap_err())
}

async fn assert_fails(
    served: &Served,
    connector: &Connector,
    fault: Fault,
    right: impl Fn(&Error) -> bool,
) {
    let (status, error) = failures(served, connector).await;
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let causes = [cause_of(&status).unwrap(), cause_of(&error).unwrap()];
    for cause in causes {
        assert!(right(cause), "{cause:?}");
        assert_eq!(cause.fault(), fault);
        // The message alone says it too.
        assert!(status.message().ends_with(&cause.to_string()), "{status}");
    }
}

#[tokio::test]
async fn another_server_than_expected() {
    let parties = Parties::new();
    for over in BOTH {
        let served = Served::new(&parties, over).await;
        let policy = Policy::from_rules(["spiffe://dev.local/other"]).unwrap();
        let handshaker = LocalHandshaker::builder(Arc::new(parties.client.clone()))
            .server_policy(policy)
            .build();
        let denied = |cause: &Error| matches!(cause, Error::Handshake(HandshakeError::Denied { peer, .. }) if peer == SERVER);
        assert_fails(&served, &Connector::new(handshaker), Fault::Peer, denied).await;
    }
}

#[tokio::test]
async fn a_target_identity_that_the_server_does_not_have() {
    let parties = Parties::new();
    let served = Served::new(&parties, Over::Tcp).await;
    let (endpoint, alts) = served.endpoint(parties.connector(Settings::default()));
    let mut options = HandshakeOptions::default();
    options.target_identities = vec!["spiffe://dev.local/other".into()];
    let wrong = alts.clone().options(options.clone());
    let error = endpoint.connect_with_connector(wrong).await.unwrap_err();
    let cause = cause_of(&error).unwrap();
    assert!(matches!(cause, Error::Handshake(HandshakeError::Denied { .. })), "{cause:?}");
    options.target_identities = vec![SERVER.into()];
    endpoint.connect_with_connector(alts.options(options)).await.unwrap();
}

/// The server learns who the client is after the client's handshake has ended; the refusal has to arrive all the same.
#[tokio::test]
async fn a_client_that_the_server_refuses() {
    let parties = Parties::new();
    for over in BOTH {
        let handshaker = LocalHandshaker::builder(Arc::new(parties.server.clone()))
            .client_policy(Policy::from_rules(["spiffe://dev.local/other"]).unwrap())
            .build();
        let authorization = Authorization::new(Access::authenticated());
        let served = Served::start(&Acceptor::new(handshaker), over, authorization).await;
        let connector = parties.connector(Settings::default());
        let refused = |cause: &Error| {
            let denied = AlertCode::AccessDenied;
            matches!(cause, Error::Handshake(HandshakeError::Alert { code, .. }) if *code == denied)
        };
        assert_fails(&served, &connector, Fault::Refused, refused).await;
        served.connect_as(&parties, "spiffe://dev.local/other").await.unwrap();
        nothing_out(&[&served.pool, &connector.settings().pool]).await;
    }
}

#[tokio::test]
async fn no_handshaker() {
    let parties = Parties::new();
    let served = Served::new(&parties, Over::Tcp).await;
    let gone = |cause: &Error| matches!(cause, Error::Handshake(HandshakeError::Unavailable(text)) if text == "nobody listens there");
    let nobody = || Poll::Ready(Err(HandshakeError::Unavailable("nobody listens there".into())));
    let connector = Connector::new(Double::answering(nobody));
    assert_fails(&served, &connector, Fault::Handshaker, gone).await;
}

#[tokio::test]
async fn a_server_that_does_not_speak_alts() {
    let parties = Parties::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_routes(tonic::service::Routes::default())
            .serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)),
    );
    let connector = AltsConnector::new(parties.connector(Settings::default()));
    let endpoint = Endpoint::from_shared(uri).unwrap();
    let error = endpoint.connect_with_connector(connector).await.unwrap_err();
    let cause = cause_of(&error).unwrap();
    assert_eq!(cause.fault(), Fault::Incompatible, "{cause:?}");
}

#[tokio::test]
async fn nobody_there() {
    let parties = Parties::new();
    let alts = || parties.connector(Settings::default());
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    let channel = endpoint.connect_with_connector_lazy(AltsConnector::new(alts()));
    let status = EchoClient::new(channel).once(message("hello")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let expected = format!("cannot reach 127.0.0.1:{port}: Connection refused");
    assert!(status.message().starts_with(&expected), "{status}");
    assert!(cause_of(&status).is_none());

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nothing");
    let endpoint = Endpoint::from_static("http://localhost");
    let channel = endpoint.connect_with_connector_lazy(AltsConnector::unix(alts(), &path));
    let status = EchoClient::new(channel).once(message("hello")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains(path.to_str().unwrap()), "{status}");
}

/// An IPv6 address has brackets in a URI; a Unix path can be in one; and there are other ways to a server.
#[tokio::test]
async fn uris() {
    let parties = Parties::new();
    let served = Served::new(&parties, Over::Tcp).await;
    let alts = || parties.connector(Settings::default());
    let port = served.port();

    let endpoint = Endpoint::from_shared(format!("http://localhost:{port}")).unwrap();
    endpoint.connect_with_connector(AltsConnector::new(alts())).await.unwrap();

    let endpoint = Endpoint::from_shared(format!("http://[::ffff:127.0.0.1]:{port}")).unwrap();
    endpoint.connect_with_connector(AltsConnector::new(alts())).await.unwrap();

    let dial = move |uri: tonic::transport::Uri| {
        assert_eq!(uri.host(), Some("somewhere.example"));
        tokio::net::TcpStream::connect(("127.0.0.1", port))
    };
    let endpoint = Endpoint::from_static("http://somewhere.example");
    let channel = endpoint.connect_with_connector(AltsConnector::dial(alts(), dial)).await.unwrap();
    EchoClient::new(channel).once(message("hello")).await.unwrap();

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let acceptor = parties.acceptor(Settings::default());
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(crate::echo::echo_server::EchoServer::new(crate::service::EchoService))
            .serve_with_incoming(acceptor.incoming(listener)),
    );
    let uri: tonic::transport::Uri = format!("unix://localhost{}", path.display()).parse().unwrap();
    let endpoint = Endpoint::from(uri);
    let channel = endpoint.connect_with_connector(AltsConnector::new(alts())).await.unwrap();
    EchoClient::new(channel).once(message("hello")).await.unwrap();
}

/// Whatever is between: an `io::Error` hides what is inside it from `source`.
#[tokio::test]
async fn the_cause_is_found_inside_an_io_error() {
    let parties = Parties::new();
    let dial = |_| async { Err::<tokio::net::TcpStream, _>(Error::WriteAfterShutdown.into()) };
    let connector = AltsConnector::dial(parties.connector(Settings::default()), dial);
    let endpoint = Endpoint::from_static("http://localhost");
    let error = endpoint.connect_with_connector(connector).await.unwrap_err();
    assert_eq!(cause_of(&error), Some(&Error::WriteAfterShutdown));
}

/// Somebody on the path changes a byte while a call goes on.
#[tokio::test]
async fn a_changed_record_fails_the_call() {
    let parties = Parties::new();
    let served = Served::new(&parties, Over::Tcp).await;
    let port = served.port();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let (change, mut changing) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        let far = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mut from_client, mut to_client) = near.into_split();
        let (mut from_server, mut to_server) = far.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
        let mut buf = vec![0; 64 << 10];
        loop {
            let count = from_server.read(&mut buf).await.unwrap();
            if *changing.borrow_and_update() {
                buf[count - 1] ^= 1;
            }
            if to_client.write_all(&buf[..count]).await.is_err() || count == 0 {
                return;
            }
        }
    });
    let connector = AltsConnector::new(parties.connector(Settings::default()));
    let channel = Endpoint::from_shared(uri).unwrap().connect_with_connector(connector).await;
    let mut client = EchoClient::new(channel.unwrap());
    let mut talk = Talk::begin(&mut client).await;
    talk.exchange(b"unchanged").await;
    change.send_replace(true);
    talk.say.send(message("changed")).await.unwrap();
    let status = talk.hear.message().await.unwrap_err();
    // HTTP/2's error keeps the words of ours, and tonic keeps that one.
    let mut words = Vec::new();
    let mut next = status.source();
    while let Some(error) = next {
        words.push(error.to_string());
        next = error.source();
    }
    let expected = Error::Record(RecordError::Authentication).to_string();
    assert!(words.contains(&expected), "{words:?}");
}
