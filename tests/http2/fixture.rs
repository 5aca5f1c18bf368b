//! A server on a socket of its own, and channels of tonic to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use alts::http2::Server;
use alts::http2::server::{Handlers, ServerBuilder};
use alts::tonic::{self as grpc, AltsConnector};
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

use crate::echo::echo_client::EchoClient;
use crate::echo::echo_server::{Echo, EchoServer};
use crate::echo::{Caller, Message, RepeatRequest, WhoAmIRequest};
use crate::service::EchoService;
use crate::support::{Parties, settings};

/// More than the largest message of these tests.
pub(crate) const MESSAGE_LIMIT: usize = 16 << 20;
/// Long after anything should have happened, on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Over {
    Tcp,
    Unix,
    Alts,
}

pub(crate) const ALL: [Over; 3] = [Over::Tcp, Over::Unix, Over::Alts];
pub(crate) const EVERYWHERE: [Handlers; 3] =
    [Handlers::FirstPollHere, Handlers::InConnection, Handlers::Tasks];

/// A server, until it is told to stop.
pub(crate) struct Served {
    pub(crate) server: Server,
    pub(crate) seen: Arc<Seen>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) done: JoinHandle<()>,
    over: Over,
    address: Option<SocketAddr>,
    folder: TempDir,
    parties: Parties,
}

impl Served {
    pub(crate) async fn new(over: Over) -> Self {
        Self::with(over, |builder| builder).await
    }

    pub(crate) async fn with(
        over: Over,
        change: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Self {
        let server = change(Server::builder()).build().unwrap();
        let seen = Arc::new(Seen::default());
        let service = EchoServer::new(Watched(Arc::clone(&seen)))
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        let service = tonic::service::Routes::new(service);
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let folder = TempDir::new().unwrap();
        let parties = Parties::new();
        let mut address = None;
        let serving = grpc::Server::from(server.clone());
        let done = match over {
            Over::Tcp => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                address = Some(listener.local_addr().unwrap());
                let incoming = TcpListenerStream::new(listener);
                tokio::spawn(async move {
                    serving.serve_with_shutdown(incoming, service, stopped).await;
                })
            }
            Over::Unix => {
                let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
                let incoming = UnixListenerStream::new(listener);
                tokio::spawn(async move {
                    serving.serve_with_shutdown(incoming, service, stopped).await;
                })
            }
            Over::Alts => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                address = Some(listener.local_addr().unwrap());
                let acceptor = parties.acceptor(settings(&alts::pool::BufferPool::new(), |_| {}));
                let incoming = acceptor.incoming(listener);
                tokio::spawn(async move {
                    serving.serve_with_shutdown(incoming, service, stopped).await;
                })
            }
        };
        Self { server, seen, stop: Some(stop), done, over, address, folder, parties }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    pub(crate) async fn channel(&self) -> Channel {
        let target =
            self.address.map_or("http://localhost".to_owned(), |at| format!("http://{at}"));
        let endpoint = Endpoint::from_shared(target).unwrap();
        match self.over {
            Over::Tcp => endpoint.connect().await.unwrap(),
            Over::Unix => {
                let path = self.folder.path().join("socket");
                let connector = tower::service_fn(move |_: http::Uri| {
                    let path = path.clone();
                    async move {
                        let socket = UnixStream::connect(path).await?;
                        Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(socket))
                    }
                });
                endpoint.connect_with_connector(connector).await.unwrap()
            }
            Over::Alts => {
                let pool = alts::pool::BufferPool::new();
                let connector = self.parties.connector(settings(&pool, |_| {}));
                let connector = AltsConnector::new(connector);
                endpoint.connect_with_connector(connector).await.unwrap()
            }
        }
    }

    pub(crate) async fn client(&self) -> EchoClient<Channel> {
        EchoClient::new(self.channel().await)
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT)
    }

    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }
}

/// What became of calls.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) begun: AtomicUsize,
    pub(crate) dropped: AtomicUsize,
    /// Calls that came from an address.
    pub(crate) addressed: AtomicUsize,
}

impl Seen {
    pub(crate) async fn until(&self, count: &AtomicUsize, least: usize) {
        let reached = async {
            while count.load(Ordering::SeqCst) < least {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap();
    }
}

/// Counts handlers that begin, and those that are dropped before or after they end.
struct Guard(Arc<Seen>);

impl Guard {
    fn new(seen: &Arc<Seen>) -> Self {
        seen.begun.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(seen))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// The service of the examples. A message "wait" has `Once` wait for good; "fail" has it fail.
pub(crate) struct Watched(Arc<Seen>);

#[tonic::async_trait]
impl Echo for Watched {
    async fn once(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        let _guard = Guard::new(&self.0);
        let addressed = request.remote_addr().is_some_and(|address| address.ip().is_loopback());
        self.0.addressed.fetch_add(addressed.into(), Ordering::SeqCst);
        if request.get_ref().payload[..] == b"wait"[..] {
            std::future::pending::<()>().await;
        }
        if request.get_ref().payload[..] == b"fail"[..] {
            return Err(Status::failed_precondition("as was asked"));
        }
        if request.get_ref().payload[..] == b"nap"[..] {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
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
        let _guard = Guard::new(&self.0);
        EchoService.join(request).await
    }

    type ChatStream = <EchoService as Echo>::ChatStream;

    async fn chat(
        &self,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Self::ChatStream>, Status> {
        EchoService.chat(request).await
    }

    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Result<Response<Caller>, Status> {
        EchoService.who_am_i(request).await
    }
}
