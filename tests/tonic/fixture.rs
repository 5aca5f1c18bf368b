//! A server on a socket of its own, channels to it, and a service that tells what becomes of its calls.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use alts::handshaker::LocalHandshaker;
use alts::handshaker::identity::Policy;
use alts::pool::BufferPool;
use alts::tonic::{Access, AltsConnectInfo, AltsConnector, Authorization, RequestExt};
use alts::{Acceptor, Connector};
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

use crate::echo::echo_client::EchoClient;
use crate::echo::echo_server::{Echo, EchoServer};
use crate::echo::{Caller, Message, RepeatRequest, WhoAmIRequest};
use crate::service::EchoService;
use crate::support::{Parties, SERVER, settings};

/// More than the largest message of these tests.
const MESSAGE_LIMIT: usize = 16 << 20;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Over {
    Tcp,
    Unix,
}

pub(crate) const BOTH: [Over; 2] = [Over::Tcp, Over::Unix];

/// A server, until it is told to stop.
pub(crate) struct Served {
    place: Place,
    pub(crate) pool: BufferPool,
    pub(crate) seen: Seen,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) done: JoinHandle<Result<(), tonic::transport::Error>>,
}

enum Place {
    Port(u16),
    Socket(PathBuf, #[expect(dead_code, reason = "goes when the server does")] TempDir),
}

impl Served {
    /// Lets everybody call whom the handshake lets in.
    pub(crate) async fn new(parties: &Parties, over: Over) -> Self {
        Self::with(parties, over, Authorization::new(Access::authenticated())).await
    }

    pub(crate) async fn with(parties: &Parties, over: Over, authorization: Authorization) -> Self {
        let pool = BufferPool::new();
        let acceptor = parties.acceptor(settings(&pool, |_| {}));
        Self::start(&acceptor, over, authorization).await
    }

    pub(crate) async fn start(
        acceptor: &Acceptor,
        over: Over,
        authorization: Authorization,
    ) -> Self {
        let seen = Seen::default();
        let service =
            EchoServer::new(Watched(seen.clone())).max_decoding_message_size(MESSAGE_LIMIT);
        let server = Server::builder().layer(authorization).add_service(service);
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let (place, done) = match over {
            Over::Tcp => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let port = listener.local_addr().unwrap().port();
                let incoming = acceptor.incoming(listener);
                let serving = server.serve_with_incoming_shutdown(incoming, stopped);
                (Place::Port(port), tokio::spawn(serving))
            }
            Over::Unix => {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("socket");
                let incoming = acceptor.incoming(UnixListener::bind(&path).unwrap());
                let serving = server.serve_with_incoming_shutdown(incoming, stopped);
                (Place::Socket(path, dir), tokio::spawn(serving))
            }
        };
        let pool = acceptor.settings().pool.clone();
        Self { place, pool, seen, stop: Some(stop), done }
    }

    pub(crate) fn port(&self) -> u16 {
        match self.place {
            Place::Port(port) => port,
            Place::Socket(..) => panic!("not a port"),
        }
    }

    /// Where the server is, and how to connect there.
    pub(crate) fn endpoint(&self, connector: Connector) -> (Endpoint, AltsConnector) {
        match &self.place {
            Place::Port(port) => {
                let uri = format!("http://127.0.0.1:{port}");
                (Endpoint::from_shared(uri).unwrap(), AltsConnector::new(connector))
            }
            Place::Socket(path, _) => {
                (Endpoint::from_static("http://localhost"), AltsConnector::unix(connector, path))
            }
        }
    }

    pub(crate) async fn connect_with(
        &self,
        connector: Connector,
    ) -> Result<EchoClient<Channel>, tonic::transport::Error> {
        let (endpoint, connector) = self.endpoint(connector);
        let channel = endpoint.connect_with_connector(connector).await?;
        Ok(EchoClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT))
    }

    /// A client with the identity that it should have, and its pool.
    pub(crate) async fn connect(&self, parties: &Parties) -> (EchoClient<Channel>, BufferPool) {
        let pool = BufferPool::new();
        let connector = parties.connector(settings(&pool, |_| {}));
        (self.connect_with(connector).await.unwrap(), pool)
    }

    /// A client with another identity of the same authority.
    pub(crate) async fn connect_as(
        &self,
        parties: &Parties,
        name: &str,
    ) -> Result<EchoClient<Channel>, tonic::transport::Error> {
        let now = SystemTime::now();
        let identity = parties.ca.issue(name, now).unwrap().identity(now).unwrap();
        let servers = Policy::from_rules([SERVER]).unwrap();
        let handshaker =
            LocalHandshaker::builder(Arc::new(identity)).server_policy(servers).build();
        self.connect_with(Connector::new(handshaker)).await
    }

    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Stops, and waits until nobody is connected any more.
    pub(crate) async fn end(mut self) {
        self.stop();
        self.done.await.unwrap().unwrap();
    }
}

/// What a [`Watched`] service was asked.
#[derive(Clone, Debug)]
pub(crate) struct Seen(Arc<Notes>);

#[derive(Debug)]
struct Notes {
    chats: watch::Sender<usize>,
    callers: Mutex<Vec<Option<AltsConnectInfo>>>,
}

impl Default for Seen {
    fn default() -> Self {
        let (chats, _) = watch::channel(0);
        Self(Arc::new(Notes { chats, callers: Mutex::default() }))
    }
}

impl Seen {
    /// Waits until this many chats are going on.
    pub(crate) async fn chats(&self, count: usize) {
        self.0.chats.subscribe().wait_for(|chats| *chats == count).await.unwrap();
    }

    /// Who has asked `WhoAmI`.
    pub(crate) fn callers(&self) -> Vec<Option<AltsConnectInfo>> {
        self.0.callers.lock().unwrap().clone()
    }
}

/// The examples' service, with notes about its calls.
struct Watched(Seen);

/// One chat, counted while it lasts.
pub(crate) struct Chat {
    messages: Streaming<Message>,
    seen: Seen,
}

impl tokio_stream::Stream for Chat {
    type Item = Result<Message, Status>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::pin::Pin::new(&mut self.messages).poll_next(cx)
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        self.seen.0.chats.send_modify(|chats| *chats -= 1);
    }
}

#[tonic::async_trait]
impl Echo for Watched {
    async fn once(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        EchoService.once(request).await
    }

    type RepeatStream = <EchoService as Echo>::RepeatStream;

    async fn repeat(
        &self,
        request: Request<RepeatRequest>,
    ) -> Result<Response<Self::RepeatStream>, Status> {
        EchoService.repeat(request).await
    }

    async fn join(
        &self,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Message>, Status> {
        EchoService.join(request).await
    }

    type ChatStream = Chat;

    async fn chat(&self, request: Request<Streaming<Message>>) -> Result<Response<Chat>, Status> {
        self.0.0.chats.send_modify(|chats| *chats += 1);
        Ok(Response::new(Chat { messages: request.into_inner(), seen: self.0.clone() }))
    }

    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Result<Response<Caller>, Status> {
        let caller = request.alts().cloned();
        let address = caller.as_ref().and_then(AltsConnectInfo::remote_addr);
        assert_eq!(request.remote_addr(), address, "tonic's own method knows it, too");
        self.0.0.callers.lock().unwrap().push(caller);
        EchoService.who_am_i(request).await
    }
}

pub(crate) fn message(payload: impl Into<Vec<u8>>) -> Message {
    Message { payload: payload.into().into() }
}

/// A chat in which both directions are open.
pub(crate) struct Talk {
    pub(crate) say: tokio::sync::mpsc::Sender<Message>,
    pub(crate) hear: Streaming<Message>,
}

impl Talk {
    pub(crate) async fn begin(client: &mut EchoClient<Channel>) -> Self {
        let (say, said) = tokio::sync::mpsc::channel(1);
        let said = tokio_stream::wrappers::ReceiverStream::new(said);
        let hear = client.chat(said).await.unwrap().into_inner();
        Self { say, hear }
    }

    pub(crate) async fn exchange(&mut self, payload: &[u8]) {
        self.say.send(message(payload)).await.unwrap();
        let answer = self.hear.next().await.unwrap().unwrap();
        assert_eq!(answer.payload, payload);
    }
}

/// Waits until nobody holds or waits for a buffer of these pools.
pub(crate) async fn nothing_out(pools: &[&BufferPool]) {
    let busy = |pool: &&BufferPool| {
        let stats = pool.stats();
        stats.in_use_buffers + stats.beyond_cap_buffers + stats.waiting > 0
    };
    while pools.iter().any(busy) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
