//! gRPC's own interoperability tests, with tonic's generated code over alts' HTTP/2, and over hyper's to compare: the server for
//! other implementations' clients, and a client for their servers. `../run-grpc` starts both against Ruby's, which are C-core's.
//!
//! Besides, a server and a client of plain HTTP/2, for programs that know nothing of gRPC: `../run-http2` and httpwg's cases.
//!
//! The cases are those of gRPC's `doc/interop-test-descriptions.md` that Ruby's programs have.

mod client;
mod echo;

mod plain_client;
mod plain_server;
mod proto;
mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Server(server::Server),
    Client(client::Client),
    PlainServer(plain_server::PlainServer),
    PlainClient(plain_client::PlainClient),
}

/// Whose HTTP/2 it is.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Stack {
    Alts,
    Hyper,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let outcome = match Arguments::parse().command {
        Command::Server(server) => server.run().await,
        Command::Client(client) => client.run().await,
        Command::PlainServer(server) => server.run().await,
        Command::PlainClient(client) => client.run().await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    }
}
