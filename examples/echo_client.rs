//! A client for the example `echo_server`: who answers, over what, and how fast.
//!
//! With the identities that `echo_server.rs` tells how to make:
//!
//! ```text
//! cargo run --release --example echo_client -- --connect 127.0.0.1:PORT --server spiffe://dev.local/server \
//!     --dev --bundle dev.local=dev-ca/client/bundle.pem \
//!     --cert dev-ca/client/chain.pem --key dev-ca/client/key.pem --message hello
//! ```
//!
//! It must be told who may be the server: that is what authentication is for. `--size 65536 --count 1000` instead of
//! `--message` sends larger messages and more of them.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alts::connect::{HandshakeFuture, Settings, Socket};
use alts::handshaker::LocalHandshaker;
use alts::handshaker::cli::{AllowedPeer, IdentityArguments};
use alts::handshaker::identity::IdentitySource;
use alts::handshaker::resumption::TicketCache;
use alts::{AltsStream, Connector};
use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Has a message echoed by an authenticated server.
#[derive(Debug, Parser)]
#[command(name = "echo_client")]
struct Arguments {
    /// Where the server listens.
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "unix")]
    connect: Option<String>,
    /// The Unix socket on which the server listens.
    #[arg(long, value_name = "PATH", conflicts_with = "connect")]
    unix: Option<PathBuf>,
    /// Who may be the server: `spiffe://DOMAIN/PATH`, `spiffe://DOMAIN/PATH/*`,
    /// `spiffe://DOMAIN`, or `own-trust-domain`. Can be repeated.
    #[arg(long, value_name = "RULE", required = true)]
    server: Vec<AllowedPeer>,
    /// What to send.
    #[arg(long, value_name = "TEXT", default_value = "hello", conflicts_with = "size")]
    message: String,
    /// Send this many bytes instead of a text.
    #[arg(
        long,
        value_name = "BYTES",
        value_parser = clap::value_parser!(u32).range(1..=64 << 20)
    )]
    size: Option<u32>,
    /// How often, each time after the echo of the time before.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    count: u32,
    /// How long to wait for the connection, for each echo, and for the end.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    timeout: u32,
    /// Do all of it twice, the second time over a connection that resumes, if the server gave a ticket.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    identity: IdentityArguments,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let patience = Duration::from_secs(arguments.timeout.into());
    let files = arguments.identity.load()?;
    let name = files.snapshot()?.id().clone();
    let servers = AllowedPeer::policy(&arguments.server, []);
    let mut handshaker = LocalHandshaker::builder(Arc::new(files)).server_policy(servers);
    let mut settings = Settings::default();
    settings.handshake_timeout = patience;
    if arguments.resume {
        handshaker = handshaker.ticket_cache(TicketCache::new());
        // Tickets are kept by the server's name. Dialing knows one, a Unix socket has none.
        settings.handshake.target_name =
            arguments.unix.as_ref().map(|path| format!("unix:{}", path.display()));
    }
    let connector = Connector::with_settings(handshaker.build(), settings);
    let message = match arguments.size {
        Some(size) => (0..size).map(|position| position as u8).collect(),
        None => arguments.message.into_bytes(),
    };
    println!("{:<24}{name}", "we are");
    let connections = if arguments.resume { 2 } else { 1 };
    for _ in 0..connections {
        match (&arguments.connect, &arguments.unix) {
            (Some(address), _) => {
                talk(connector.dial(address), &message, arguments.count, patience).await?;
            }
            (None, Some(path)) => {
                let socket = within(patience, UnixStream::connect(path)).await;
                let socket = socket
                    .map_err(|error| format!("cannot connect to {}: {error}", path.display()))?;
                talk(connector.connect(socket), &message, arguments.count, patience).await?;
            }
            (None, None) => return Err("neither --connect nor --unix was given".into()),
        }
    }
    Ok(())
}

async fn talk<S: Socket + 'static>(
    handshake: HandshakeFuture<S>,
    message: &[u8],
    count: u32,
    patience: Duration,
) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    // The connector has a timeout of its own for this.
    let mut stream = handshake.await?;
    let negotiated = stream.negotiated();
    println!("{:<24}{}", "the server is", negotiated.peer.name());
    println!("{:<24}{:.1?}", "connected in", start.elapsed());
    if let Some(since) = negotiated.resumed {
        let age = since.elapsed().unwrap_or_default();
        println!("{:<24}the server proved itself {age:.0?} ago, at most", "resumed");
    }
    println!("{:<24}{}", "application protocol", negotiated.application_protocol);
    println!("{:<24}{}", "record protocol", negotiated.record_protocol);

    let mut times = Vec::new();
    let mut echo = vec![0; message.len()];
    for _ in 0..count {
        let start = Instant::now();
        within(patience, round_trip(&mut stream, message, &mut echo)).await?;
        times.push(start.elapsed());
        if echo != message {
            return Err("the echo differs from what was sent".into());
        }
    }
    times.sort_unstable();
    let (least, most) = (times.first().copied(), times.last().copied());
    let (least, most) = (least.unwrap_or_default(), most.unwrap_or_default());
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    println!("{:<24}{count} of {} bytes", "echoes", message.len());
    println!("{:<24}{median:.1?} (least {least:.1?}, most {most:.1?})", "round trip, median");

    // The end of both directions. The server's may be announced too; without that, anybody on the path may have cut it.
    let more = within(patience, async {
        stream.shutdown().await?;
        stream.read(&mut [0]).await
    });
    if more.await? != 0 {
        return Err("the server sent more than it was sent".into());
    }
    let end = if stream.peer_closed_authenticated() {
        "the server announced it with an authenticated record"
    } else {
        "the server did not announce it"
    };
    println!("{:<24}{end}", "end of the stream");
    Ok(())
}

/// Writes and reads at the same time, so that a large message does not fill the buffers on its way while nobody reads.
async fn round_trip<S: Socket>(
    stream: &mut AltsStream<S>,
    message: &[u8],
    echo: &mut [u8],
) -> io::Result<()> {
    let (mut read, mut write) = split(&mut *stream);
    let writing = async {
        write.write_all(message).await?;
        write.flush().await
    };
    let Err(error) = tokio::try_join!(writing, read.read_exact(echo)) else { return Ok(()) };
    // If the server turned us away, it says why where its first record would be; the write may have failed before that was read.
    match stream.read(&mut [0]).await {
        Err(why) if alts::Error::of(&why).is_some() => Err(why),
        Ok(0) if error.kind() == io::ErrorKind::UnexpectedEof => Err(io::Error::new(
            error.kind(),
            "the server ended the stream before the echo was whole",
        )),
        _ => Err(error),
    }
}

async fn within<T>(
    patience: Duration,
    future: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    match timeout(patience, future).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer for too long")),
    }
}
