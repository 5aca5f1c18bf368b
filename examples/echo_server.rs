//! An echo server ready for production: identity from files that may change, limits, logs, and an orderly stop.
//!
//! Make an authority and two identities, which are good for 24 hours, then start the server:
//!
//! ```text
//! cargo run -p alts-handshaker --features cli -- dev-ca init
//! cargo run -p alts-handshaker --features cli -- dev-ca issue spiffe://dev.local/server
//! cargo run -p alts-handshaker --features cli -- dev-ca issue spiffe://dev.local/client
//!
//! cargo run --release --example echo_server -- --dev --bundle dev.local=dev-ca/server/bundle.pem \
//!     --cert dev-ca/server/chain.pem --key dev-ca/server/key.pem
//! ```
//!
//! It prints the address it listens on, for the example `echo_client`. Run `dev-ca issue` again while it runs: it loads
//! the new certificate within 5 seconds. `RUST_LOG=alts=debug` shows more.

mod logs;

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use alts::connect::{Listener, Settings, Socket};
use alts::handshaker::cli::{AllowedPeer, IdentityArguments};
use alts::handshaker::identity::IdentitySource;
use alts::handshaker::resumption::TicketKeys;
use alts::handshaker::{HandshakeLimits, LimitOptions, LocalHandshaker};
use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::{Acceptor, AltsStream};
use clap::Parser;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::watch;

/// Sends back what authenticated clients send.
#[derive(Debug, Parser)]
#[command(name = "echo_server")]
struct Arguments {
    /// Where to listen; port 0 is any that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Listen on a Unix socket instead. The file must not exist; it is removed at the end.
    #[arg(long, value_name = "PATH", conflicts_with = "listen")]
    unix: Option<PathBuf>,
    /// Who may be a client: `spiffe://DOMAIN/PATH`, `spiffe://DOMAIN/PATH/*`,
    /// `spiffe://DOMAIN`, or `own-trust-domain`. Can be repeated.
    #[arg(long, value_name = "RULE", default_value = "own-trust-domain")]
    allow: Vec<AllowedPeer>,
    /// Unfinished handshakes at a time from one address.
    #[arg(long, value_name = "N", default_value_t = LimitOptions::default().half_open_per_source)]
    half_open_per_source: usize,
    /// Let clients that come again resume, with ticket keys from this file, which `alts ticket-keys rotate` writes.
    #[arg(long, value_name = "FILE")]
    ticket_keys: Option<PathBuf>,
    #[command(flatten)]
    identity: IdentityArguments,
}

/// How long connections have to end when the server stops.
const GRACE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    logs::start("info");
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let files = arguments.identity.load()?;
    let name = files.snapshot()?.id().clone();

    let policy = AllowedPeer::policy(&arguments.allow, []);
    let mut handshaker = LocalHandshaker::builder(Arc::new(files)).client_policy(policy);
    if let Some(path) = arguments.ticket_keys {
        handshaker = handshaker.ticket_keys(TicketKeys::watch(path)?);
    }
    let mut limits = LimitOptions::default();
    limits.half_open_per_source = arguments.half_open_per_source;
    let mut settings = Settings::default();
    settings.limits = HandshakeLimits::new(limits);

    // Every connection has a receiver: it tells when to stop, and the sender knows when all of them are gone.
    let (stop, stopping) = watch::channel(());
    let server = Server {
        pool: settings.pool.clone(),
        acceptor: Acceptor::with_settings(handshaker.build(), settings),
        stopping,
    };
    if let Some(path) = arguments.unix {
        let listener = UnixListener::bind(&path).map_err(|error| at(path.display(), &error))?;
        let _remove = RemoveAtEnd(&path);
        println!("{name} listens on {}", path.display());
        server.serve_until_asked_to_stop(listener, |_| "unix".to_owned()).await?;
    } else {
        let address = arguments.listen;
        let listener = TcpListener::bind(address).await.map_err(|error| at(address, &error))?;
        println!("{name} listens on {}", listener.local_addr()?);
        let from = |socket: &TcpStream| {
            socket.peer_addr().map_or_else(|error| error.to_string(), |from| from.to_string())
        };
        server.serve_until_asked_to_stop(listener, from).await?;
    }

    tracing::info!("stopping; another interrupt does it at once");
    stop.send_replace(());
    drop(server);
    tokio::select! {
        () = stop.closed() => tracing::info!("all connections have ended"),
        () = tokio::time::sleep(GRACE) => tracing::warn!("giving up connections that do not end"),
        asked = tokio::signal::ctrl_c() => asked?,
    }
    Ok(())
}

fn at(place: impl std::fmt::Display, error: &io::Error) -> String {
    format!("cannot listen on {place}: {error}")
}

struct RemoveAtEnd<'path>(&'path Path);

impl Drop for RemoveAtEnd<'_> {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(self.0) {
            tracing::warn!(%error, path = %self.0.display(), "the socket file stays");
        }
    }
}

struct Server {
    acceptor: Acceptor,
    pool: BufferPool,
    stopping: watch::Receiver<()>,
}

impl Server {
    /// Accepts and serves. Neither a connection that fails nor an error of accepting ends this.
    async fn serve_until_asked_to_stop<L>(
        &self,
        listener: L,
        from: impl Fn(&L::Socket) -> String,
    ) -> io::Result<()>
    where
        L: Listener<Socket: Socket + 'static>,
    {
        let mut asked = std::pin::pin!(asked_to_stop());
        let mut incoming = self.acceptor.incoming(listener);
        loop {
            let stream = tokio::select! {
                biased;
                asked = &mut asked => return asked,
                Some(stream) = incoming.next() => stream,
            };
            let from = from(stream.get_ref());
            self.spawn(stream, from);
        }
    }

    fn spawn<S: Socket + 'static>(&self, mut stream: AltsStream<S>, from: String) {
        // An idle connection pays for everything that its task has room for, so each thing below has one place and is lent from
        // there.
        let from = from.into_boxed_str();
        let (pool, mut stopping) = (self.pool.clone(), self.stopping.clone());
        tokio::spawn(async move {
            let stop = std::pin::pin!(stopping.changed());
            tracing::info!(from, peer = stream.peer().name(), "connected");
            match echo(&mut stream, &pool, stop).await {
                Ok(bytes) => tracing::info!(from, peer = stream.peer().name(), bytes, "closed"),
                Err(error) => {
                    let peer = stream.peer().name();
                    tracing::warn!(from, peer, "{error}");
                }
            }
        });
    }
}

/// The output of `future`, or `None` if `stop` completes first. `stop` must not be polled after that.
fn or_stop<F: Future + Unpin>(
    mut stop: Pin<&mut impl Future>,
    mut future: F,
) -> impl Future<Output = Option<F::Output>> {
    poll_fn(move |cx| match stop.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => Pin::new(&mut future).poll(cx).map(Some),
    })
}

/// Ctrl-C, or what service managers send.
async fn asked_to_stop() -> io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// Sends back what comes, until the client has ended its direction or the server stops. Answers how many bytes that was.
#[expect(clippy::manual_async_fn, reason = "an async fn has its arguments twice")]
fn echo<S: Socket>(
    stream: &mut AltsStream<S>,
    pool: &BufferPool,
    mut stop: Pin<&mut impl Future>,
) -> impl Future<Output = io::Result<u64>> {
    async move {
        let mut bytes = 0;
        loop {
            let received = or_stop(stop.as_mut(), stream.read_on_ready(pool)).await;
            let Some(received) = received.transpose()?.flatten() else { break };
            bytes += received.len() as u64;
            stream.write_all(&received).await?;
            // Back into the pool before waiting for anything.
            drop(received);
            stream.flush().await?;
        }
        stream.shutdown().await?;
        // Closing a socket with unread bytes resets it, and the peer may lose what was sent last: read to the end.
        while stream.read_on_ready(pool).await?.is_some() {}
        Ok(bytes)
    }
}
