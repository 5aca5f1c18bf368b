//! `alts tunnel`: one side secured, the other plain.

mod client;
mod server;

use std::error::Error;
use std::process::ExitCode;

use alts::handshaker::cli::WatchedIdentity;
use alts::handshaker::identity::IdentitySource;
use clap::Subcommand;

/// The two ends of a tunnel.
#[derive(Debug, Subcommand)]
pub(crate) enum Tunnel {
    /// Accept secured connections and pass them on in plaintext: stands before a server.
    Server(server::Server),
    /// Accept plain connections and pass them on secured: stands before a client.
    Client(client::Client),
}

impl Tunnel {
    pub(crate) fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        match self {
            Self::Server(server) => server.run(),
            Self::Client(client) => client.run(),
        }
    }
}

/// Says who this side is.
fn log_identity(identity: &WatchedIdentity) {
    match identity.snapshot() {
        Ok(identity) => tracing::info!(id = %identity.id(), "this side's identity"),
        Err(fault) => tracing::warn!(%fault, "handshakes fail until there is an identity"),
    }
}
