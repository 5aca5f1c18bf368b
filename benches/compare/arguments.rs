//! The command line.

use std::path::PathBuf;

use clap::Parser;
use tokio::net::TcpSocket;

use crate::roles::SocketOptions;
use crate::roles::transport::Peer;
use crate::scenarios::Scenario;

/// Compares alts with other transports over loopback TCP, each in processes of its own: memory of idle connections, throughput,
/// latency, handshakes.
#[derive(Debug, Parser)]
#[command(name = "compare")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag on the command line")]
pub(crate) struct Arguments {
    /// Fewer connections, bytes and rounds: the whole picture in under a minute, less exactly.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these scenarios.
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',')]
    only: Vec<Scenario>,
    /// Only these peers. What is relative to others is left out then.
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    peer: Vec<Peer>,
    /// How often each figure is taken.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Connections whose memory is measured.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: Option<u32>,
    /// The congestion control of all sockets, of all peers; the system's unless given.
    #[arg(long, value_name = "NAME", value_parser = congestion)]
    pub(crate) congestion: Option<String>,
    /// Write the figures, the table of targets and the charts.
    #[arg(long)]
    pub(crate) save: bool,
    /// Where they are written.
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    pub(crate) out: PathBuf,
    /// Measure nothing; draw the charts from the figures that are there.
    #[arg(long, conflicts_with_all = ["quick", "save", "only", "peer", "congestion"])]
    pub(crate) draw: bool,
    /// Only scenarios with this in their names.
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        let chosen = |scenario: &Scenario| {
            (self.only.is_empty() || self.only.contains(scenario))
                && (self.filter.is_empty()
                    || self.filter.iter().any(|filter| scenario.name().contains(filter.as_str())))
        };
        Scenario::ALL.iter().copied().filter(chosen).collect()
    }

    pub(crate) fn peers(&self) -> Vec<Peer> {
        let chosen = |peer: &Peer| self.peer.is_empty() || self.peer.contains(peer);
        Peer::all().iter().copied().filter(chosen).collect()
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds.map_or(if self.quick { 3 } else { 7 }, usize::from)
    }
}

/// Whether the system has it, and allows it.
fn congestion(name: &str) -> Result<String, String> {
    let options = SocketOptions { congestion: Some(name.into()), unsent_limit: None };
    let socket = TcpSocket::new_v4().map_err(|error| error.to_string())?;
    options.apply(&socket).map_err(|error| {
        format!("{error}; /proc/sys/net/ipv4/tcp_available_congestion_control has the names")
    })?;
    Ok(name.to_owned())
}
