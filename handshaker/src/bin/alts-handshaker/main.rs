//! The command line of alts-handshaker. One module for each subcommand.

#[cfg(all(feature = "serve", unix))]
mod health;
#[cfg(all(feature = "serve", unix))]
mod serve;

use std::process::ExitCode;

use alts_handshaker::cli::{DevCaCommand, TicketKeysCommand};
use clap::{Parser, Subcommand};

/// Identities and handshakes for ALTS connections.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make certificates for development, with an authority that production systems must never trust.
    #[command(subcommand, arg_required_else_help = true)]
    DevCa(DevCaCommand),
    /// Keep the keys with which a server, or a fleet, lets clients resume.
    #[command(subcommand, arg_required_else_help = true)]
    TicketKeys(TicketKeysCommand),
    /// Serve gRPC's `HandshakerService` to callers on this machine.
    #[cfg(all(feature = "serve", unix))]
    Serve(Box<serve::Serve>),
    /// Ask a daemon whether it serves. The exit status is 0 if it does.
    #[cfg(all(feature = "serve", unix))]
    Health(health::Health),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::DevCa(command) => command.run(),
        Command::TicketKeys(command) => command.run(),
        #[cfg(all(feature = "serve", unix))]
        Command::Serve(serve) => serve.run(),
        #[cfg(all(feature = "serve", unix))]
        Command::Health(health) => health.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    }
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
