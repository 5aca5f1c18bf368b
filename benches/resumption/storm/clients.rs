//! The clients: each has a cache of its own.

use std::io::stdin;
use std::path::PathBuf;
use std::sync::Arc;

use alts::Connector;
use alts::connect::Settings;
use alts::handshaker::LocalHandshaker;
use alts::handshaker::identity::{ChainVerifier, Policy};
use alts::handshaker::resumption::TicketCache;
use alts_benches::cores;
use alts_benches::identity::{Pem, SERVER};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections that are made at a time.
const AT_A_TIME: usize = 16;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where identities are.
    #[arg(long)]
    directory: PathBuf,
    #[arg(long)]
    count: usize,
    /// Whether they ask for tickets.
    #[arg(long)]
    tickets: bool,
    #[arg(long)]
    core: usize,
}

/// Each line that it reads is a server's address, to which all of them connect. Says how many have resumed.
pub(crate) fn obey(arguments: &Arguments) {
    cores::pin(arguments.core);
    let identity = Pem::read(&arguments.directory, "client").identity();
    let verifier = Arc::new(ChainVerifier::new());
    let policy = Policy::from_rules([SERVER]).expect("a rule");
    let mut settings = Settings::default();
    // A server that was started anew has another port here, and is the same.
    settings.handshake.target_identities = vec![SERVER.to_owned()];
    let client = || {
        let mut handshaker = LocalHandshaker::builder(Arc::clone(&identity))
            .verifier(Arc::clone(&verifier))
            .server_policy(policy.clone());
        if arguments.tickets {
            handshaker = handshaker.ticket_cache(TicketCache::new());
        }
        Connector::with_settings(handshaker.build(), settings.clone())
    };
    let clients: Vec<_> = (0..arguments.count).map(|_| client()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    for address in stdin().lines() {
        let address = address.expect("an address");
        println!("{}", runtime.block_on(connect(&clients, &address)));
    }
}

async fn connect(clients: &[Connector], address: &str) -> usize {
    let (mut under_way, mut resumed) = (JoinSet::new(), 0);
    for client in clients {
        if under_way.len() == AT_A_TIME {
            resumed +=
                usize::from(under_way.join_next().await.expect("one").expect("a connection"));
        }
        under_way.spawn(ping(client.clone(), address.to_owned()));
    }
    while let Some(one) = under_way.join_next().await {
        resumed += usize::from(one.expect("a connection"));
    }
    resumed
}

/// A byte to and fro, behind which the ticket has come. Whether the handshake was a resumed one.
async fn ping(client: Connector, address: String) -> bool {
    let tcp = TcpStream::connect(address).await.expect("a connection");
    // Ports are free again at once.
    tcp.set_zero_linger().expect("a socket has a linger time");
    let mut stream = client.connect(tcp).await.expect("a handshake");
    stream.write_all(&[1]).await.expect("a byte");
    let mut byte = [0];
    stream.read_exact(&mut byte).await.expect("a byte back");
    stream.negotiated().resumed.is_some()
}
