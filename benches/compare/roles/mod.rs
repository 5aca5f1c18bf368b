//! What the processes do that are measured: servers and clients. Each obeys lines on its standard input and answers each with
//! one on its standard output.

mod client;
mod echo;
mod lent;
mod memory;
mod orders;
mod server;
mod socket;
pub(crate) mod transport;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use alts::pool::BufferPool;
use alts_benches::{cores, descriptors};
use clap::{Parser, ValueEnum};

pub(crate) use socket::SocketOptions;
use transport::Peer;

/// The size of a message that a server holds.
pub(crate) const HELD: usize = 32 << 10;

/// A process that is started by `compare`.
#[derive(Debug, Parser)]
pub(crate) enum Role {
    #[command(name = "serve")]
    Serve(Serve),
    #[command(name = "drive")]
    Drive(Drive),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Common {
    pub(crate) peer: Peer,
    /// Where the certificates are.
    pub(crate) certificates: PathBuf,
    /// The only core to run on.
    #[arg(long)]
    pub(crate) core: Option<usize>,
    /// The congestion control of all sockets; the system's otherwise.
    #[arg(long)]
    pub(crate) congestion: Option<String>,
}

impl Common {
    fn socket_options(&self) -> SocketOptions {
        SocketOptions {
            congestion: self.congestion.as_deref().map(Arc::from),
            unsent_limit: self.peer.unsent_limit(),
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) common: Common,
    #[arg(long)]
    pub(crate) form: Form,
    /// The most bytes that the pool has, where there is one; its own choice otherwise.
    #[arg(long)]
    pub(crate) pool_cap: Option<usize>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Drive {
    #[command(flatten)]
    pub(crate) common: Common,
    pub(crate) address: SocketAddr,
}

/// How a server is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// One thread of tokio; an `async` block for each connection does what its client asks for.
    Ordered,
    /// One thread of tokio; an `async` block for each connection sends back what comes.
    Echo,
    /// The same with tokio's usual number of threads.
    Tasks,
    /// The same, with a future written by hand for each connection.
    Futures,
    /// As `Tasks`, but messages of [`HELD`] bytes are kept whole until the server is told to answer them.
    Holding,
    /// One thread with an event loop of mio.
    Mio,
}

/// Does what the arguments say if they are those of a role. Answers whether they were.
pub(crate) fn play() -> bool {
    if !std::env::args().nth(1).is_some_and(|first| first == "serve" || first == "drive") {
        return false;
    }
    match Role::parse() {
        Role::Serve(arguments) => {
            prepare(&arguments.common);
            let mut pool = BufferPool::builder();
            if let Some(bytes) = arguments.pool_cap {
                pool = pool.cap(bytes);
            }
            arguments.common.peer.visit(
                &arguments.common.certificates,
                "server",
                pool.build().expect("a cap with room for a buffer"),
                server::Run(&arguments),
            );
        }
        Role::Drive(arguments) => {
            prepare(&arguments.common);
            arguments.common.peer.visit(
                &arguments.common.certificates,
                "client",
                BufferPool::new(),
                client::Run(&arguments),
            );
        }
    }
    true
}

fn prepare(common: &Common) {
    if let Some(core) = common.core {
        cores::pin(core);
    }
    descriptors::raise();
}
