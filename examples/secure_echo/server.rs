//! The server of many connections, and what they cost it.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use alts::Acceptor;
use alts::connect::AcceptLoop;
use alts::pool::{BufferPool, PoolStats};
use alts::ready::ReadyReader;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::memory::live_heap;
use crate::tls;

/// Sends back what comes, until the peer ends its direction. Holds memory only from a read to the end of the write after it.
pub(crate) async fn echo(
    stream: &mut (impl ReadyReader + AsyncWrite + Unpin),
    pool: &BufferPool,
) -> io::Result<()> {
    while let Some(received) = stream.read_on_ready(pool).await? {
        stream.write_all(&received).await?;
        drop(received);
        stream.flush().await?;
    }
    stream.shutdown().await
}

/// What idle connections cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) connections: usize,
    /// On the heap, for all connections, in bytes.
    pub(crate) heap: usize,
    pub(crate) pool: PoolStats,
}

/// How a server secures the connections that it accepts.
pub(crate) enum Secured {
    Alts(Acceptor),
    Tls(TlsAcceptor),
    Not,
}

/// An echo server on a runtime of its own, which ends when this is dropped.
pub(crate) struct Server {
    _runtime: tokio::runtime::Runtime,
    address: SocketAddr,
    pool: BufferPool,
    heap_before: usize,
}

impl Server {
    /// Listens on loopback.
    pub(crate) fn start(secured: Secured) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let pool = BufferPool::new();
        let heap_before = live_heap();
        match secured {
            Secured::Alts(acceptor) => runtime.spawn(serve_alts(listener, acceptor, pool.clone())),
            Secured::Tls(acceptor) => runtime.spawn(serve_tls(listener, acceptor)),
            Secured::Not => runtime.spawn(serve_tcp(listener, pool.clone())),
        };
        Ok(Self { _runtime: runtime, address, pool, heap_before })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until all connections are idle, and says what they cost.
    pub(crate) fn cost(&self, connections: usize) -> Result<Cost, Box<dyn Error>> {
        const PAUSE: Duration = Duration::from_millis(50);
        const QUIET_PAUSES: u32 = 4;
        const PATIENCE: u32 = 200;
        let mut last = None;
        let mut quiet = 0;
        for _ in 0..PATIENCE {
            thread::sleep(PAUSE);
            let pool = self.pool.stats();
            let now = (live_heap(), pool.in_use_buffers, pool.beyond_cap_buffers);
            quiet = if last == Some(now) { quiet + 1 } else { 0 };
            last = Some(now);
            if quiet == QUIET_PAUSES {
                let heap = now.0.saturating_sub(self.heap_before);
                return Ok(Cost { connections, heap, pool });
            }
        }
        Err("the connections do not become idle".into())
    }
}

/// All there is to a server with alts.
///
/// The loop is in the task itself, since an `async fn` of its own would keep what it is given twice, and an idle connection
/// pays for everything that its task has room for.
async fn serve_alts(listener: TcpListener, acceptor: Acceptor, pool: BufferPool) {
    let mut incoming = acceptor.incoming(listener);
    while let Some(mut stream) = incoming.next().await {
        let pool = pool.clone();
        tokio::spawn(async move {
            while let Ok(Some(received)) = stream.read_on_ready(&pool).await {
                if let Err(error) = stream.write_all(&received).await {
                    return failed("a connection", &error);
                }
            }
        });
    }
}

/// The same without alts.
async fn serve_tcp(listener: TcpListener, pool: BufferPool) {
    let mut sockets = AcceptLoop::new(listener);
    while let Some(mut tcp) = sockets.next().await {
        let pool = pool.clone();
        tokio::spawn(async move {
            while let Ok(Some(received)) = tcp.read_on_ready(&pool).await {
                if let Err(error) = tcp.write_all(&received).await {
                    return failed("a connection", &error);
                }
            }
        });
    }
}

/// The same with TLS. The handshake is boxed, so that the task keeps no room for it.
async fn serve_tls(listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let tcp = match listener.accept().await {
            Ok((tcp, _)) => tcp,
            Err(error) => return failed("accepting", &error),
        };
        let handshake = Box::pin(acceptor.accept(tcp));
        tokio::spawn(async move {
            let mut stream = match handshake.await {
                Ok(stream) => stream,
                Err(error) => return failed("a handshake", &error),
            };
            if let Err(error) = tls::echo(&mut stream).await {
                failed("a connection", &error);
            }
        });
    }
}

fn failed(what: &str, error: &dyn Error) {
    eprintln!("server: {what} failed: {error}");
}
