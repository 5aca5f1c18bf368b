//! The command `alts-nbd`. One module for each subcommand, and one for each thing that they share.

#[cfg(target_os = "linux")]
mod address;
#[cfg(target_os = "linux")]
mod exports;
#[cfg(target_os = "linux")]
mod listener;
#[cfg(target_os = "linux")]
mod serve;
#[cfg(target_os = "linux")]
mod sizes;
#[cfg(all(target_os = "linux", feature = "tls"))]
mod tls;

use std::error::Error;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// Network block devices.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve files, block devices and memory.
    #[cfg(target_os = "linux")]
    Serve(Box<serve::Serve>),
}

/// The arguments. Authorities, which other programs of this workspace cannot do without, are needed only where ALTS is used.
fn command() -> clap::Command {
    Arguments::command().mut_subcommand("serve", |serve| {
        serve.mut_arg("bundle", |arg| arg.required(false).requires("cert"))
    })
}

fn main() -> ExitCode {
    let arguments = Arguments::from_arg_matches(&command().get_matches());
    let arguments = arguments.unwrap_or_else(|error| error.exit());
    let outcome: Result<ExitCode, Box<dyn Error>> = match arguments.command {
        #[cfg(target_os = "linux")]
        Command::Serve(serve) => serve.run(),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn an_identity_is_needed_for_alts_only() {
        let parse = |line: &str| command().try_get_matches_from(line.split(' '));
        let plain = "alts-nbd serve --export a=memory:1M --listen unix:/x";
        let arguments = Arguments::from_arg_matches(&parse(plain).unwrap()).unwrap();
        let Command::Serve(serve) = arguments.command;
        assert!(!serve.has_identity());
        assert!(parse("alts-nbd serve --export a=memory:1M --listen-alts unix:/x").is_err());
        assert!(parse(&format!("{plain} --cert a")).is_err());
        let secured = "alts-nbd serve --export a=memory:1M --listen-alts unix:/x --cert a --key b \
                       --bundle a.example=c --allow own-trust-domain";
        let arguments = Arguments::from_arg_matches(&parse(secured).unwrap()).unwrap();
        let Command::Serve(serve) = arguments.command;
        assert!(serve.has_identity());
    }
}
