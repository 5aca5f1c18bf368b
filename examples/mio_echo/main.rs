//! An echo server and its clients on mio event loops, without tokio: sockets that do what they can and say `WouldBlock`.
//!
//! ```text
//! cargo run --release --example mio_echo
//! ```
//!
//! shows it in one process: clients with more data than buffers, one that does not read, one that says nothing. As a server
//! by itself, for the example `echo_client`; `echo_server.rs` says how to make its identities:
//!
//! ```text
//! cargo run -p alts-handshaker --features cli -- dev-ca init
//! cargo run -p alts-handshaker --features cli -- dev-ca issue spiffe://dev.local/server
//!
//! cargo run --release --example mio_echo -- serve --dev --bundle dev.local=dev-ca/server/bundle.pem \
//!     --cert dev-ca/server/chain.pem --key dev-ca/server/key.pem
//! ```
//!
//! What an event loop has to do is in `server.rs`: advance handshakes and keep their deadlines and their number, stop
//! reading from a client that does not read, and call again those that found no buffer.

mod client;
mod demo;
#[path = "../logs.rs"]
mod logs;
mod server;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use alts::Acceptor;
use alts::handshaker::LocalHandshaker;
use alts::handshaker::cli::IdentityArguments;
use alts::handshaker::identity::IdentitySource;
use alts::handshaker::resumption::TicketKeys;
use clap::{Args, Parser, Subcommand};

use demo::DemoArguments;
use server::Server;

/// An ALTS echo server on a mio event loop.
#[derive(Debug, Parser)]
#[command(name = "mio_echo", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    demo: DemoArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be a server until interrupted. Without a command: show server and clients in one process.
    Serve(ServeArguments),
}

#[derive(Debug, Args)]
struct ServeArguments {
    /// Where to listen; port 0 is any that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Let clients that come again resume, with ticket keys from this file, which `alts ticket-keys rotate` writes.
    #[arg(long, value_name = "FILE")]
    ticket_keys: Option<PathBuf>,
    #[command(flatten)]
    identity: IdentityArguments,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let level = if arguments.command.is_some() { "info" } else { "error" };
    logs::start(level);
    let outcome = match arguments.command {
        Some(Command::Serve(arguments)) => serve(arguments),
        None => arguments.demo.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: ServeArguments) -> Result<(), Box<dyn Error>> {
    let files = arguments.identity.load()?;
    let name = files.snapshot()?.id().clone();
    let mut handshaker = LocalHandshaker::builder(Arc::new(files));
    if let Some(path) = arguments.ticket_keys {
        handshaker = handshaker.ticket_keys(TicketKeys::watch(path)?);
    }
    let mut server = Server::bind(arguments.listen, Acceptor::new(handshaker.build()))
        .map_err(|error| format!("cannot listen on {}: {error}", arguments.listen))?;
    println!("{name} listens on {}", server.address()?);
    server.run()?;
    Ok(())
}
