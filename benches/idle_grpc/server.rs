//! The side that is measured.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use alts::Acceptor;
use alts::connect::Settings;
use alts::handshaker::{HandshakeLimits, LimitOptions, LocalHandshaker};
use alts::pool::BufferPool;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use crate::Transport;
use crate::certificates::Pem;
use crate::echo::echo_server::{Echo, EchoServer};
use crate::echo::{Caller, Message, RepeatRequest, WhoAmIRequest};
use crate::memory::{Figures, live_heap, resident};

/// Connections that are there before counting begins, so that what only the first ones cost is not counted.
const WARM_UP: usize = 64;

/// Serves, has clients call, and counts what is left.
pub(crate) fn measure(transport: Transport, directory: &Path, connections: usize) -> Figures {
    crate::descriptors();
    let runtime = Runtime::new().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    let pool = BufferPool::new();
    runtime.spawn(serve(transport, Pem::read(directory, "server"), listener, pool.clone()));

    let mut clients = Clients::start(transport, directory, address);
    clients.connect(WARM_UP);
    let (heap, rss) = (live_heap(), resident());
    clients.connect(connections);
    let per_connection = |bytes: isize| bytes as f64 / connections as f64;
    let (idle, idle_rss) = (live_heap(), resident());
    let over_alts = matches!(transport, Transport::Alts | Transport::OwnAlts);
    let buffers = over_alts.then(|| pool.stats().in_use_buffers);
    clients.open_streams();
    // Those of the connections that were there before counting, too.
    let streams = (connections + WARM_UP) as f64;
    Figures {
        heap: per_connection(idle - heap),
        resident: per_connection(idle_rss - rss),
        stream: (live_heap() - idle) as f64 / streams,
        buffers,
    }
}

async fn serve(transport: Transport, pem: Pem, listener: TcpListener, pool: BufferPool) {
    let server = Server::builder();
    let service = EchoServer::new(Service);
    // All features of this server that take something for each connection.
    let own = || {
        let builder = alts::tonic::Server::builder().pool(pool.clone());
        let builder = builder.keepalive(Duration::from_secs(3_600), Duration::from_secs(20));
        let builder = builder.max_connection_age(Duration::from_secs(36_000));
        alts::tonic::Server::from(builder.build().expect("settings that can be"))
    };
    let served = match transport {
        Transport::OwnTcp => {
            let routes = Routes::new(service).prepare();
            own().serve(TcpListenerStream::new(listener), routes).await;
            Ok(())
        }
        Transport::OwnAlts => {
            let routes = Routes::new(service).prepare();
            own().serve(acceptor(&pem, pool.clone()).incoming(listener), routes).await;
            Ok(())
        }
        Transport::OwnClient => unreachable!("it is not the server that is measured there"),
        Transport::Tcp => {
            let incoming = TcpListenerStream::new(listener);
            let mut server = server;
            server.add_service(service).serve_with_incoming(incoming).await
        }
        Transport::Alts => {
            let incoming = acceptor(&pem, pool).incoming(listener);
            let mut server = server;
            server.add_service(service).serve_with_incoming(incoming).await
        }
        Transport::Tls => {
            let tls = ServerTlsConfig::new()
                .identity(Identity::from_pem(&pem.chain, &pem.key))
                .client_ca_root(Certificate::from_pem(&pem.bundle));
            let incoming = TcpListenerStream::new(listener);
            let mut server = server.tls_config(tls).expect("usable certificates");
            server.add_service(service).serve_with_incoming(incoming).await
        }
    };
    served.expect("the server does not end");
}

fn acceptor(pem: &Pem, pool: BufferPool) -> Acceptor {
    let mut settings = Settings::default();
    settings.pool = pool;
    // The handshakes all come from one source here.
    let mut limits = LimitOptions::default();
    limits.half_open_per_source = limits.half_open;
    settings.limits = HandshakeLimits::new(limits);
    let handshaker = LocalHandshaker::builder(Arc::new(pem.identity())).build();
    Acceptor::with_settings(handshaker, settings)
}

/// The process that keeps the other ends.
struct Clients {
    child: Child,
    orders: ChildStdin,
    reports: BufReader<ChildStdout>,
}

impl Clients {
    fn start(transport: Transport, directory: &Path, address: SocketAddr) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--clients", transport.argument()])
            .arg(directory)
            .arg(address.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the clients start");
        let orders = child.stdin.take().expect("it is piped");
        let reports = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, orders, reports }
    }

    /// Has so many more clients connect and call, and waits until the server has come to rest.
    fn connect(&mut self, connections: usize) {
        self.tell(&connections.to_string());
    }

    /// Has each client open a stream on which nothing happens.
    fn open_streams(&mut self) {
        self.tell("streams");
    }

    fn tell(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("the clients are there");
        let mut line = String::new();
        self.reports.read_line(&mut line).expect("the clients report");
        assert_eq!(line, "done\n", "the clients failed");
        let mut quiet = 0;
        let mut last = live_heap();
        while quiet < 5 {
            std::thread::sleep(Duration::from_millis(40));
            let now = live_heap();
            quiet = if now == last { quiet + 1 } else { 0 };
            last = now;
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // A child that has ended already has done so with a message.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Only the unary call and the chat are used.
pub(crate) struct Service;

#[tonic::async_trait]
impl Echo for Service {
    async fn once(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    type RepeatStream = Streaming<Message>;

    async fn repeat(
        &self,
        _: Request<RepeatRequest>,
    ) -> Result<Response<Self::RepeatStream>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn join(&self, _: Request<Streaming<Message>>) -> Result<Response<Message>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    type ChatStream = Streaming<Message>;

    async fn chat(
        &self,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Self::ChatStream>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn who_am_i(&self, _: Request<WhoAmIRequest>) -> Result<Response<Caller>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}
