//! The server's end.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use alts::connect::Settings;
use alts::http2::server::Described;
use alts::pool::BufferPool;
use alts::ready::Probed;
use alts_benches::child::Child;
use alts_benches::descriptors;
use alts_benches::identity::Pem;
use alts_benches::memory::{at_rest, live_heap, resident};
use alts_benches::tls::Tls;
use rustls::crypto::ring;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::codegen::http::Extensions;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use crate::bare;
use crate::figures::Figures;
use crate::row::{Http2, Row, Transport};
use crate::service::routes;

/// Connections that are there before counting begins, so that what only the first ones cost is not counted.
pub(crate) const WARM_UP: usize = 64;

/// Serves, has clients call, and counts what is left. Without `streams` there are only connections, as many as a process can have. They are
/// there as long as clients and runtime are.
pub(crate) fn measure(
    row: Row,
    directory: &Path,
    host: IpAddr,
    connections: usize,
    streams: bool,
) -> (Figures, Child, Runtime) {
    descriptors::raise();
    let runtime = Runtime::new().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind((host, 0))).expect("a port");
    let address = listener.local_addr().expect("an address");
    let pool = BufferPool::new();
    runtime.spawn(serve(row, Pem::read(directory, "server"), listener, pool.clone()));

    let mut clients = start_clients(row, directory, address, !streams);
    clients.ask(&WARM_UP.to_string());
    let heap = at_rest(live_heap);
    let rss = resident(None);
    let begun = Instant::now();
    clients.ask(&connections.to_string());
    let seconds = begun.elapsed().as_secs_f64();
    let idle = at_rest(live_heap);
    let idle_rss = resident(None);
    let pooled = row.http2 != Http2::Hyper || row.transport == Transport::Alts;
    let buffers = if pooled { pool.stats().in_use_buffers as f64 } else { f64::NAN };
    let (mut small, mut default) = (f64::NAN, f64::NAN);
    if streams && row.http2 != Http2::None {
        // Those of the connections that were there before counting, too.
        let each = |bytes: isize| bytes as f64 / (connections + WARM_UP) as f64;
        clients.ask("small");
        let with_small = at_rest(live_heap);
        small = each(with_small - idle);
        clients.ask("default");
        default = each(at_rest(live_heap) - with_small);
    }
    let each = |bytes: isize| bytes as f64 / connections as f64;
    let (heap, resident) = (each(idle - heap), each(idle_rss - rss));
    (Figures { heap, resident, small, default, buffers, seconds }, clients, runtime)
}

/// The process that keeps the other ends.
pub(crate) fn start_clients(row: Row, directory: &Path, address: SocketAddr, crowd: bool) -> Child {
    let directory = directory.to_str().expect("a path in UTF-8");
    let role = if crowd { "--crowd" } else { "--clients" };
    Child::of_this_program(&[role, row.argument, directory, &address.to_string()])
}

async fn serve(row: Row, pem: Pem, listener: TcpListener, pool: BufferPool) {
    let mut settings = Settings::default();
    settings.pool = pool.clone();
    let tcp = || Server::builder();
    // All features of this server that take something for each connection.
    let own = || {
        let builder = alts::tonic::Server::builder().pool(pool.clone());
        let builder = builder.keepalive(Duration::from_secs(3_600), Duration::from_secs(20));
        let builder = builder.max_connection_age(Duration::from_secs(36_000));
        alts::tonic::Server::from(builder.build().expect("settings that can be"))
    };
    let served = match (row.http2, row.transport) {
        (Http2::None, transport) => {
            bare::serve(transport, pem, listener, pool).await;
            Ok(())
        }
        (Http2::Alts, Transport::Tcp) => {
            own().serve(TcpListenerStream::new(listener), routes().prepare()).await;
            Ok(())
        }
        (Http2::Alts, Transport::Alts) => {
            own().serve(pem.acceptor(settings).incoming(listener), routes().prepare()).await;
            Ok(())
        }
        (Http2::Alts, Transport::Tls) => {
            let (server, incoming) = (own(), over_tls(&pem, listener));
            server.http2().serve(incoming, routes().prepare(), std::future::pending()).await;
            Ok(())
        }
        (Http2::Hyper, Transport::Tcp) => {
            let incoming = TcpListenerStream::new(listener);
            tcp().add_routes(routes()).serve_with_incoming(incoming).await
        }
        (Http2::Hyper, Transport::Alts) => {
            let incoming = pem.acceptor(settings).incoming(listener);
            tcp().add_routes(routes()).serve_with_incoming(incoming).await
        }
        (Http2::Hyper, Transport::Tls) => {
            let tls = ServerTlsConfig::new()
                .identity(Identity::from_pem(&pem.chain, &pem.key))
                .client_ca_root(Certificate::from_pem(&pem.bundle));
            let incoming = TcpListenerStream::new(listener);
            let mut server = tcp().tls_config(tls).expect("usable certificates");
            server.add_routes(routes()).serve_with_incoming(incoming).await
        }
    };
    served.expect("the server does not end");
}

type OverTls = Described<Probed<TlsStream<TcpStream>>>;

/// As a user of tokio-rustls has it: a task for each handshake, and the streams that come of them.
fn over_tls(pem: &Pem, listener: TcpListener) -> impl Stream<Item = std::io::Result<OverTls>> {
    let mut server = (*Tls::new(pem, ring::default_provider()).server).clone();
    server.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(std::sync::Arc::new(server));
    let (streams, incoming) = tokio::sync::mpsc::channel(64);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.expect("a connection");
            let (acceptor, streams) = (acceptor.clone(), streams.clone());
            tokio::spawn(async move {
                let stream = acceptor.accept(socket).await.expect("a handshake");
                let stream = Described::new(Probed::new(stream), Extensions::new());
                // Nobody waits for it when the process ends.
                let _ = streams.send(Ok(stream)).await;
            });
        }
    });
    ReceiverStream::new(incoming)
}
