//! Server and clients in one process, to see what the event loop has to cope with.

use std::error::Error;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use alts::connect::Settings;
use alts::handshaker::LocalHandshaker;
use alts::handshaker::dev_ca::DevCa;
use alts::handshaker::identity::Policy;
use alts::pool::BufferPool;
use alts::{Acceptor, Connector};
use clap::Args;

use crate::client;
use crate::server::{Server, Summary};

const SERVER: &str = "spiffe://dev.local/server";
const CLIENT: &str = "spiffe://dev.local/client";

/// How long the server waits for the first bytes of a handshake. Short, so that the demonstration is.
const FIRST_BYTES: Duration = Duration::from_secs(1);

/// After so long without progress the client that does not read takes it that the server has stopped reading too.
const QUIET: Duration = Duration::from_millis(300);

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Clients at the same time.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..=200)
    )]
    clients: u16,
    /// Data that each of them has echoed, in bytes.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 4 << 20,
        value_parser = clap::value_parser!(u32).range(1..=1 << 30)
    )]
    size: u32,
    /// Buffers of 32 KiB that the server's pool gives at most.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 2,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    buffers: u16,
}

impl DemoArguments {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let (clients, size) = (usize::from(self.clients), self.size as usize);
        let now = SystemTime::now();
        let authority = DevCa::new(now)?;

        let one = BufferPool::capacity_for(32 << 10).unwrap_or_default();
        let pool = BufferPool::builder().cap(usize::from(self.buffers) * one).build()?;
        let mut settings = Settings::default();
        settings.first_bytes_timeout = FIRST_BYTES;
        settings.pool = pool.clone();
        let identity = authority.issue(SERVER, now)?.identity(now)?;
        let handshaker = LocalHandshaker::builder(Arc::new(identity)).build();
        let acceptor = Acceptor::with_settings(handshaker, settings);
        let mut server = Server::bind(([127, 0, 0, 1], 0).into(), acceptor)?;
        let (address, stopper) = (server.address()?, server.stopper()?);
        println!("{SERVER} on {address}, with {} buffers for all its clients", self.buffers);
        let serving = thread::spawn(move || server.run());

        let identity = authority.issue(CLIENT, now)?.identity(now)?;
        let policy = Policy::from_rules([SERVER])?;
        let handshaker = LocalHandshaker::builder(Arc::new(identity)).server_policy(policy).build();
        let connector = Connector::new(handshaker);
        let shown = show(&connector, address, clients, size);

        stopper.stop()?;
        let summary = serving.join().map_err(|_| "the server panicked")??;
        shown?;
        print_summary(&summary, &pool);
        Ok(())
    }
}

fn show(
    connector: &Connector,
    server: SocketAddr,
    clients: usize,
    size: usize,
) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let outcomes = client::run(connector, server, clients, size)?;
    let authenticated = outcomes.iter().filter(|outcome| outcome.authenticated_end).count();
    println!("\n{clients} clients at the same time, {size} bytes each");
    println!("  all was echoed in {:.1?}", start.elapsed());
    println!("  the server proved to be {} to each", outcomes[0].server);
    println!("  {authenticated} times it announced the end with an authenticated record");

    let size = size.max(32 << 20);
    println!("\nOne client with {size} bytes that does not read");
    let (_, stuck_at) = client::run_without_reading(connector, server, size, QUIET)?;
    println!("  after {stuck_at} bytes, most of them in the kernel, the server took no more");
    println!("  when the client read, all was echoed");

    println!("\nOne client that says nothing");
    let start = Instant::now();
    let told = say_nothing(server)?;
    println!("  the server closed the connection after {:.1?}, with {told} bytes", start.elapsed());
    Ok(())
}

/// Waits for the server to give up, and answers how many bytes it said about it.
fn say_nothing(server: SocketAddr) -> io::Result<usize> {
    let mut socket = TcpStream::connect(server)?;
    socket.set_read_timeout(Some(20 * FIRST_BYTES))?;
    let mut told = Vec::new();
    socket.read_to_end(&mut told)
}

fn print_summary(summary: &Summary, pool: &BufferPool) {
    let Summary { accepted, refused, echoed, starved } = summary;
    println!("\nThe server");
    println!("  handshakes             {accepted}, and {refused} that failed");
    println!("  bytes echoed           {echoed}");
    println!("  waits for a buffer     {starved}");
    println!("  buffers still out      {}", pool.stats().in_use_buffers);
}
