//! The server under load.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use alts::Acceptor;
use alts::connect::{HandshakeFuture, Settings};
use alts::handshaker::{HandshakeLimits, Handshaker, LimitOptions};
use alts::pool::BufferPool;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::gauges::{Gauges, allow_many_descriptors};
use crate::helper::Helper;
use crate::identities::{self, Identities};
use crate::tally::Tally;

/// When accepting fails because descriptors have run out, the next attempt fails too, until a connection ends.
pub(crate) const PAUSE: Duration = Duration::from_millis(200);

/// What a handshake may take where the scenario is not about time.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

pub(crate) struct Target {
    pub(crate) runtime: Runtime,
    pub(crate) address: SocketAddr,
    pub(crate) acceptor: Acceptor,
    pub(crate) tally: Arc<Tally>,
    pub(crate) identities: Identities,
}

impl Target {
    /// Listens, and serves each connection with `serve` in a task of its own. The limit for each source is that for all unless
    /// `change` says otherwise: most of the load comes from one address.
    pub(crate) fn start<F, S>(
        change: impl FnOnce(&mut Settings, &mut LimitOptions),
        serve: S,
    ) -> Self
    where
        S: Fn(HandshakeFuture<TcpStream>, BufferPool, Arc<Tally>) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let identities = Identities::new();
        let handshaker = identities::server(identities.path());
        Self::launch(identities, handshaker, change, |listener, acceptor, tally| {
            accept(listener, acceptor, tally, serve)
        })
    }

    /// With this handshaker, and this loop that accepts.
    pub(crate) fn launch<F>(
        identities: Identities,
        handshaker: impl Handshaker,
        change: impl FnOnce(&mut Settings, &mut LimitOptions),
        accepting: impl FnOnce(TcpListener, Acceptor, Arc<Tally>) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        allow_many_descriptors();
        let runtime = Runtime::new().expect("a runtime");
        let (mut settings, mut limits) = (Settings::default(), LimitOptions::default());
        limits.half_open_per_source = usize::MAX;
        // A busy machine must not make an honest handshake late; scenarios about deadlines set them.
        settings.handshake_timeout = PATIENCE;
        settings.first_bytes_timeout = PATIENCE;
        change(&mut settings, &mut limits);
        settings.limits = HandshakeLimits::new(limits);
        let acceptor = Acceptor::with_settings(handshaker, settings);
        let tally: Arc<Tally> = Arc::default();
        let listener = runtime.block_on(async { listen() }).expect("a port");
        let address = listener.local_addr().expect("an address");
        runtime.spawn(accepting(listener, acceptor.clone(), Arc::clone(&tally)));
        Self { runtime, address, acceptor, tally, identities }
    }

    pub(crate) fn pool(&self) -> &BufferPool {
        &self.acceptor.settings().pool
    }

    pub(crate) fn half_open(&self) -> usize {
        self.acceptor.settings().limits.half_open()
    }

    /// A process that connects to this server: see `helpers`.
    pub(crate) fn helper(&self, name: &str, words: &[&str]) -> Helper {
        Helper::start(name, self.identities.path(), self.address, words)
    }

    /// Fills what is filled once, so that it is not taken for a leak.
    pub(crate) fn warm_up(&self) {
        let mut visitors = self.helper("visitors", &[]);
        for concurrency in [1, 32] {
            visitors.ask(&format!("visit 64 {concurrency}"));
        }
        drop(visitors);
        crate::gauges::wait_until(|| {
            Tally::get(&self.tally.ended) == Tally::get(&self.tally.accepted)
        });
        self.tally.clear();
    }

    /// Waits until the tasks of so many connections are over. A peer learns of the end of its connection before the server has counted
    /// it.
    pub(crate) fn wait_until_ended(&self, connections: u64) {
        crate::gauges::wait_until(|| Tally::get(&self.tally.ended) >= connections);
    }

    pub(crate) fn gauges(&self) -> Gauges {
        Gauges::new(self.runtime.metrics(), self.pool(), &self.acceptor.settings().limits)
    }
}

/// What the kernel is asked to hold of bytes that a peer has not taken. Left to itself Linux makes it 4 MiB, and a thousand peers that
/// never read then fill what the system grants to all sockets of the machine together, with any transport.
pub(crate) const SEND_BUFFER: u32 = 64 << 10;

/// Every connection of a scenario may come at once.
fn listen() -> io::Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    // Accepted sockets inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    socket.listen(4_096)
}

/// Accepts forever.
pub(crate) async fn accept<F, S>(
    listener: TcpListener,
    acceptor: Acceptor,
    tally: Arc<Tally>,
    serve: S,
) where
    S: Fn(HandshakeFuture<TcpStream>, BufferPool, Arc<Tally>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        Tally::add(&tally.accept_calls);
        match listener.accept().await {
            Ok((socket, _)) => {
                Tally::add(&tally.accepted);
                let handshake = acceptor.accept(socket);
                let pool = acceptor.settings().pool.clone();
                tokio::spawn(serve(handshake, pool, Arc::clone(&tally)));
            }
            Err(_) => {
                Tally::add(&tally.accept_errors);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
