//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use alts::handshaker::identity::Rule;
use clap::{Args, Parser, Subcommand};

use super::identity_arguments::IdentityArguments;

/// Opens idle connections over loopback, in several processes, and prints what each of them holds.
///
/// Without options it does so with 1,000 and 10,000. 100,000 take 2 GiB of memory and a minute or two. What a limit does not
/// allow is left out with a message, and the exit status says so.
#[derive(Debug, Parser)]
#[command(name = "scale", args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    /// How many connections, one table row each.
    #[arg(
        long,
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "1000,10000",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000_000)
    )]
    pub(crate) connections: Vec<usize>,
    /// Connections of one process, if not as many as its descriptors allow.
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..)
    )]
    pub(crate) per_process: Option<usize>,
    /// Print CSV instead of a table.
    #[arg(long)]
    pub(crate) csv: bool,
    /// Also write the table into this file, and CSV and a chart beside it, with the extensions `csv` and `svg`.
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Do nothing: this is no part of the quick overview.
    #[arg(long)]
    quick: bool,
    /// What Cargo says to every benchmark.
    #[arg(long, hide = true, global = true)]
    bench: bool,
    /// What Cargo was told to run, if not all benchmarks.
    #[arg(value_name = "FILTER", hide = true)]
    filter: Vec<String>,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

impl Arguments {
    /// Whether something else is meant.
    pub(crate) fn leave_this_out(&self) -> bool {
        let named = || self.filter.iter().any(|filter| "scale".contains(filter.as_str()));
        self.quick || !(self.filter.is_empty() || named())
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    Hold(Hold),
    /// Draws the chart of an earlier run from its CSV.
    Draw {
        /// What `--save` named.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Writes identities of a development authority for a server and a client, for `hold`, and the example `echo_server`.
    Identities {
        /// Gets the directories `server` and `client`.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    #[command(hide = true)]
    Server(Server),
}

/// Opens connections to any alts server and keeps them, until standard input ends.
///
/// Each line of standard input is an order. `connect N` opens N more; it says how far it is, and `done` with what there are then. `measure`
/// says what this process holds: connections, live heap, RSS, PSS.
#[derive(Debug, Args)]
pub(crate) struct Hold {
    /// Where the server listens.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) connect: SocketAddr,
    /// Who the server must be, `spiffe://domain/name` for example. May be repeated.
    #[arg(long, value_name = "RULE", required = true)]
    pub(crate) server: Vec<Rule>,
    /// Have a message of so many bytes echoed on each connection before it is left alone.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub(crate) echo: usize,
    #[command(flatten)]
    pub(crate) identity: IdentityArguments,
}

/// The side that is measured.
#[derive(Debug, Args)]
pub(crate) struct Server {
    #[arg(long)]
    pub(crate) listen: IpAddr,
    #[command(flatten)]
    pub(crate) identity: IdentityArguments,
}
