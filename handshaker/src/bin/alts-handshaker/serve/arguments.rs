//! What `alts-handshaker serve` can be told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use alts_handshaker::cli::{AllowedPeer, KeyedPath, PositiveDuration, TrustArguments};
use alts_handshaker::identity::{Policy, Rule};
use alts_handshaker::resumption::{TicketCache, TicketKeys};
use alts_handshaker::service::ServiceLimits;
use clap::{Args, ValueEnum};

use super::address::ListenAddress;

/// Do handshakes for programs on this machine: gRPC's ALTS in C++ (and Python, Ruby, PHP), Go and Java, and alts.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Serve {
    /// Where to listen for callers: unix:PATH, or IP:PORT on the loopback. Can be repeated.
    ///
    /// The directory of a Unix socket is created if it does not exist (mode 0750). Port 0 selects a free port; the line `ready …` on
    /// standard output names it.
    #[arg(long, value_name = "ADDRESS", required = true, help_heading = "Addresses")]
    pub(super) listen: Vec<ListenAddress>,
    /// Permissions of Unix sockets. Every process that may write to one may call.
    #[arg(long, value_name = "OCTAL", default_value = "0660", help_heading = "Addresses")]
    pub(super) socket_mode: SocketMode,
    /// Answer /livez, /readyz and /metrics (Prometheus) over HTTP: IP:PORT on the loopback.
    #[arg(long, value_name = "ADDRESS", help_heading = "Addresses")]
    pub(super) admin: Option<SocketAddr>,
    /// Allow --admin on an address that other machines reach. Whoever reaches it can read how many handshakes there are and why they
    /// fail, where certificates lie and when they expire, and which trust domains are trusted.
    #[arg(long, requires = "admin", help_heading = "Addresses")]
    pub(super) unsafe_admin: bool,

    /// Certificate chain (PEM, leaf first) for callers without an identity from --identity-for-uid.
    #[arg(long, value_name = "FILE", requires = "key", help_heading = "Identity")]
    pub(super) cert: Option<PathBuf>,
    /// Private key of the chain's leaf (PEM).
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "Identity")]
    pub(super) key: Option<PathBuf>,
    /// Identity for callers of the user UID on a Unix socket: chain.pem and key.pem, or tls.crt and tls.key, in DIR. Can be repeated.
    ///
    /// Such a user cannot use --cert. Of several identities the first is used, unless the caller names another. Other users get --cert,
    /// or are refused if it is not set.
    #[arg(
        long,
        value_name = "UID=DIR",
        required_unless_present_any = ["cert", "workload_api"],
        conflicts_with = "workload_api",
        help_heading = "Identity"
    )]
    pub(super) identity_for_uid: Vec<KeyedPath<u32>>,
    /// Trust settings.
    #[command(flatten)]
    pub(super) trust: TrustArguments,

    /// Who may be the server of a caller that is a client: `spiffe://DOMAIN/PATH`, `spiffe://DOMAIN/PATH/*`,
    /// `spiffe://DOMAIN`, or `own-trust-domain`. Can be repeated.
    ///
    /// Without a rule, callers have to name their target identities. With both, the server has to satisfy both.
    #[arg(long, value_name = "RULE", help_heading = "Who may be the peer")]
    pub(super) allow_server: Vec<AllowedPeer>,
    /// Who may not be the server, even if a rule allows it. Can be repeated.
    #[arg(
        long,
        value_name = "RULE",
        requires = "allow_server",
        help_heading = "Who may be the peer"
    )]
    pub(super) deny_server: Vec<Rule>,
    /// Who may be the client of a caller that is a server [default: own-trust-domain]. Can be repeated.
    #[arg(long, value_name = "RULE", help_heading = "Who may be the peer")]
    pub(super) allow_client: Vec<AllowedPeer>,
    /// Who may not be a client, even if a rule allows it. Can be repeated.
    #[arg(long, value_name = "RULE", help_heading = "Who may be the peer")]
    pub(super) deny_client: Vec<Rule>,

    /// Let clients that come again resume, without signatures, with ticket keys from this file, which `alts-handshaker ticket-keys rotate`
    /// writes. Callers that are servers notice nothing of it. Whoever reads the file can pose as any client that may connect.
    #[arg(long, value_name = "FILE", help_heading = "Resumption")]
    pub(super) ticket_keys: Option<PathBuf>,
    /// Whether to ask servers for tickets in the name of callers that are clients, and to resume with them.
    #[arg(long, value_enum, default_value_t, help_heading = "Resumption")]
    pub(super) tickets: Tickets,

    /// Handshakes in progress. A user gets another one only while more are free than it has, so that others find room: one user
    /// alone gets half of them.
    #[arg(long, value_name = "COUNT", default_value = "512", help_heading = "Limits")]
    max_streams: Count,
    /// Handshakes in progress for one user; callers over TCP count as one.
    #[arg(long, value_name = "COUNT", default_value = "256", help_heading = "Limits")]
    max_streams_per_caller: Count,
    /// Handshakes of one user that may wait for a place; twice as many in all. One more is refused.
    #[arg(long, value_name = "COUNT", default_value = "256", help_heading = "Limits")]
    queue: usize,
    /// Connections of callers. When there are more, the user with the most connections loses the one that was unused for longest.
    #[arg(long, value_name = "COUNT", default_value = "1024", help_heading = "Limits")]
    pub(super) max_connections: Count,
    /// Connections of one user; callers over TCP count as one. One more closes the one that has been unused for longest.
    #[arg(long, value_name = "COUNT", default_value = "512", help_heading = "Limits")]
    pub(super) max_connections_per_caller: Count,
    /// How long a new connection may stay without a call. Then it is closed.
    #[arg(long, value_name = "DURATION", default_value = "10s", help_heading = "Limits")]
    pub(super) first_call_timeout: PositiveDuration,
    /// How long a connection may stay without a call after its last one. Then it is closed; callers connect again when they need to.
    #[arg(long, value_name = "DURATION", default_value = "15m", help_heading = "Limits")]
    pub(super) connection_idle_timeout: PositiveDuration,
    /// How long a handshake may take, including the wait for a place.
    #[arg(long, value_name = "DURATION", default_value = "10s", help_heading = "Limits")]
    pub(super) handshake_timeout: PositiveDuration,
    /// How long a caller may take for its next message.
    #[arg(long, value_name = "DURATION", default_value = "5s", help_heading = "Limits")]
    idle_timeout: PositiveDuration,
    /// How long handshakes may continue after SIGTERM or SIGINT. A second signal drops them.
    #[arg(long, value_name = "DURATION", default_value = "15s", help_heading = "Limits")]
    pub(super) shutdown_timeout: PositiveDuration,

    /// What to log to standard error: off, error, warn, info, debug, trace, or directives such as
    /// `info,alts_handshaker=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(super) log: String,
}

const EXAMPLES: &str = "\
Examples:
  A daemon for every workload on a machine, each with its own identity:
    alts-handshaker serve --listen unix:/run/alts/handshaker.sock --admin 127.0.0.1:9464 \\
      --identity-for-uid 1001=/etc/alts/cart --identity-for-uid 1002=/etc/alts/stock \\
      --bundle example.org=/etc/alts/ca.pem --allow-server own-trust-domain

  Where gRPC's own ALTS looks for it, in a pod or a network namespace of one workload, with
  metadata.google.internal. leading to 127.0.0.1:
    alts-handshaker serve --listen 127.0.0.1:8080 --cert tls.crt --key tls.key \\
      --bundle example.org=ca.crt --allow-server 'spiffe://example.org/ns/shop/*'

  The same with what a SPIRE agent gives this process, at the address in SPIFFE_ENDPOINT_SOCKET:
    alts-handshaker serve --listen 127.0.0.1:8080 --workload-api \\
      --allow-server 'spiffe://example.org/ns/shop/*'";

impl Serve {
    pub(super) fn ticket_keys(&self) -> Result<Option<Arc<TicketKeys>>, String> {
        let keys = self.ticket_keys.as_ref().map(TicketKeys::watch).transpose();
        keys.map_err(|fault| format!("--ticket-keys {fault}"))
    }

    pub(super) fn ticket_cache(&self) -> Option<Arc<TicketCache>> {
        match self.tickets {
            Tickets::Off => None,
            Tickets::Wait => Some(TicketCache::new()),
        }
    }

    pub(super) fn service_limits(&self) -> ServiceLimits {
        let mut limits = ServiceLimits::default();
        limits.streams = self.max_streams.0;
        limits.streams_per_caller = self.max_streams_per_caller.0;
        limits.queue = self.queue;
        limits.handshake_timeout = self.handshake_timeout.0;
        limits.idle_timeout = self.idle_timeout.0;
        limits
    }

    /// `None` where callers have to say who the server is.
    pub(super) fn server_policy(&self) -> Option<Policy> {
        (!self.allow_server.is_empty())
            .then(|| AllowedPeer::policy(&self.allow_server, &self.deny_server))
    }

    pub(super) fn client_policy(&self) -> Policy {
        match &self.allow_client[..] {
            [] => AllowedPeer::policy(&[AllowedPeer::OwnTrustDomain], &self.deny_client),
            allowed => AllowedPeer::policy(allowed, &self.deny_client),
        }
    }
}

/// What is done for callers that are clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Tickets {
    /// Every handshake is a full one.
    #[default]
    Off,
    /// Keep the tickets of each user in memory. A full handshake waits for the server's ticket, which is one round trip more, since callers
    /// take nothing but records after the result; a resumed one waits for nothing.
    Wait,
}

/// Permission bits of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SocketMode(pub(super) u32);

impl FromStr for SocketMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o777 => Ok(Self(mode)),
            _ => Err("not an octal mode such as 0660".to_owned()),
        }
    }
}

/// How many there may be of something: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count(pub(super) usize);

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(count @ 1..) => Ok(Self(count)),
            _ => Err("not a whole number of at least 1".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        assert_eq!("0660".parse(), Ok(SocketMode(0o660)));
        assert!("0888".parse::<SocketMode>().is_err());
        assert!("1777".parse::<SocketMode>().is_err());
        assert_eq!(usize::MAX.to_string().parse(), Ok(Count(usize::MAX)));
        for bad in ["0", "-1", "1.5", "x", "", "99999999999999999999999"] {
            assert!(bad.parse::<Count>().is_err(), "{bad}");
        }
    }
}
