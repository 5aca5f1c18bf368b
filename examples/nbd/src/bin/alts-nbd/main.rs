//! The command `alts-nbd`. One module for each subcommand, and one for each thing that they share.

#[cfg(target_os = "linux")]
mod bench;
#[cfg(target_os = "linux")]
mod connecting;
#[cfg(target_os = "linux")]
mod copy;
#[cfg(target_os = "linux")]
mod exports;
#[cfg(target_os = "linux")]
mod identity;
#[cfg(target_os = "linux")]
mod info;
#[cfg(target_os = "linux")]
mod map;
#[cfg(target_os = "linux")]
mod metrics;
#[cfg(target_os = "linux")]
mod multiplexed;
#[cfg(target_os = "linux")]
mod outcome;
#[cfg(target_os = "linux")]
mod progress;
#[cfg(target_os = "linux")]
mod serve;
#[cfg(target_os = "linux")]
mod serving;
#[cfg(target_os = "linux")]
mod sizes;
#[cfg(all(target_os = "linux", feature = "tls"))]
mod tls;
#[cfg(target_os = "linux")]
mod units;
#[cfg(target_os = "linux")]
mod workers;

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
    /// Copy between exports, files and block devices.
    #[cfg(target_os = "linux")]
    Copy(Box<copy::Copy>),
    /// Print what a server says of its exports.
    #[cfg(target_os = "linux")]
    Info(Box<info::Info>),
    /// Print which parts of an export have data.
    #[cfg(target_os = "linux")]
    Map(Box<map::Map>),
    /// Measure how fast a server answers.
    #[cfg(target_os = "linux")]
    Bench(Box<bench::Bench>),
}

/// The arguments.
#[cfg(target_os = "linux")]
fn command() -> clap::Command {
    let client = |command| {
        let help = format!("{}\n{}", connecting::URI_HELP, outcome::STATUS_HELP);
        identity::optional(command).after_help(help)
    };
    let copying = |command| {
        let help = [connecting::URI_HELP, copy::EXAMPLES, outcome::STATUS_HELP];
        identity::optional(command).after_help(help.join("\n"))
    };
    Arguments::command()
        .mut_subcommand("serve", identity::optional)
        .mut_subcommand("copy", copying)
        .mut_subcommand("info", client)
        .mut_subcommand("map", client)
        .mut_subcommand("bench", client)
}

#[cfg(not(target_os = "linux"))]
fn command() -> clap::Command {
    Arguments::command()
}

fn main() -> ExitCode {
    let arguments = Arguments::from_arg_matches(&command().get_matches());
    let arguments = arguments.unwrap_or_else(|error| error.exit());
    let outcome: Result<ExitCode, Box<dyn Error>> = match arguments.command {
        #[cfg(target_os = "linux")]
        Command::Serve(serve) => serve.run(),
        #[cfg(target_os = "linux")]
        Command::Copy(copy) => outcome::of(copy.run()),
        #[cfg(target_os = "linux")]
        Command::Info(info) => outcome::of(info.run()),
        #[cfg(target_os = "linux")]
        Command::Map(map) => outcome::of(map.run()),
        #[cfg(target_os = "linux")]
        Command::Bench(bench) => outcome::of(bench.run()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        let matches = command().try_get_matches_from(line.split_whitespace())?;
        Arguments::from_arg_matches(&matches).map(|arguments| arguments.command)
    }

    #[test]
    fn the_arguments_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn an_identity_is_needed_for_alts_only() {
        let plain = "alts-nbd serve --export a=memory:1M --listen unix:/x";
        let Command::Serve(serve) = parse(plain).unwrap() else { panic!() };
        assert!(!serve.has_identity());
        assert!(parse("alts-nbd serve --export a=memory:1M --listen-alts unix:/x").is_err());
        assert!(parse(&format!("{plain} --cert a")).is_err());
        let secured = "alts-nbd serve --export a=memory:1M --listen-alts unix:/x --cert a --key b \
                       --bundle a.example=c --allow own-trust-domain";
        let Command::Serve(serve) = parse(secured).unwrap() else { panic!() };
        assert!(serve.has_identity());
    }

    #[test]
    fn client_commands() {
        for line in [
            "alts-nbd copy nbd://h/x file",
            "alts-nbd copy --flush --progress=false file nbd+unix:///x?socket=/s",
            "alts-nbd copy nbd+alts://h/x null: --server own-trust-domain --cert a --key b --bundle a.example=c",
            "alts-nbd info nbd://h/x --json",
            "alts-nbd map nbd://h/x --totals",
            "alts-nbd info nbd+unix:///x?socket=/s&yamux=1",
            "alts-nbd bench nbd://h/x --write --block-size 64k --time 1s",
        ] {
            parse(line).unwrap();
        }
        for line in [
            "alts-nbd copy nbd://h/x",
            "alts-nbd copy null: file",
            "alts-nbd copy nbd://h:x/ file",
            "alts-nbd info disk.img",
            "alts-nbd info nbd://h/x --server own-trust-domain",
            "alts-nbd bench nbd://h/x --depth 0",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
