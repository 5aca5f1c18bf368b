//! The command `alts`. One module for each subcommand, and one for each thing that they share. All but `dev-ca` and `ticket-keys`
//! need Unix.

#[cfg(unix)]
mod connect;
#[cfg(unix)]
mod forward;
#[cfg(unix)]
mod joined;
#[cfg(unix)]
mod logging;
#[cfg(unix)]
mod metrics;
#[cfg(unix)]
mod proxy_protocol;
#[cfg(unix)]
mod serving;
#[cfg(unix)]
mod tunnel;

use std::error::Error;
use std::process::ExitCode;

use alts::handshaker::cli::{DevCaCommand, TicketKeysCommand};
use clap::{Parser, Subcommand};

/// Secures connections of programs that cannot do it themselves.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Secure the connections between a plain client and a plain server.
    ///
    /// One process stands before the server (`tunnel server`), one before the client (`tunnel client`). What passes between the two
    /// is encrypted, and both prove who they are.
    #[cfg(unix)]
    #[command(subcommand, arg_required_else_help = true)]
    Tunnel(Box<tunnel::Tunnel>),
    /// Pass plain connections on to another address, without securing them.
    #[cfg(unix)]
    Relay(Box<forward::Forward>),
    /// Connect to a secured server from a terminal, and show who it is.
    #[cfg(unix)]
    Connect(Box<connect::Connect>),
    /// Make certificates for development: an authority of its own, never to be trusted by anything real.
    #[command(subcommand, arg_required_else_help = true)]
    DevCa(DevCaCommand),
    /// Keep the keys with which a server, or a fleet, lets clients resume.
    #[command(subcommand, arg_required_else_help = true)]
    TicketKeys(TicketKeysCommand),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        #[cfg(unix)]
        Command::Tunnel(tunnel) => tunnel.run(),
        #[cfg(unix)]
        Command::Relay(forward) => forward.run(),
        #[cfg(unix)]
        Command::Connect(connect) => return connect.run(),
        Command::DevCa(command) => command.run().map(|()| ExitCode::SUCCESS),
        Command::TicketKeys(command) => command.run().map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error: Box<dyn Error>| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
