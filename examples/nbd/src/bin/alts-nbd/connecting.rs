//! Flags of every command that connects to a server.

use alts::Connector;
use alts::connect::Settings as AltsSettings;
use alts::handshaker::LocalHandshaker;
use alts::handshaker::cli::{AllowedPeer, PositiveDuration};
use alts::handshaker::identity::Rule;
use alts::handshaker::resumption::TicketCache;
use alts::pool::BufferPool;
use alts_nbd::client::{Dialer, Reconnect, Security, Settings, Uri};
use clap::Args;

use crate::identity::OptionalIdentity;
use crate::outcome::Failure;
use crate::sizes::Size;

/// How URIs are written, for `--help`.
pub(crate) const URI_HELP: &str = "\
URIs:
  nbd://HOST[:PORT][/EXPORT]               nbds:// for TLS, nbd+alts:// for ALTS
  nbd+unix:///[EXPORT]?socket=PATH         nbds+unix:// for TLS, nbd+alts+unix:// for ALTS
  TLS needs ?tls-certificates=DIRECTORY with ca-cert.pem in it; tls-hostname=NAME is what the certificate has to be for.
  ALTS needs --server and an identity.
  ?yamux=1 (not with TLS) has all connections carried in one, for a server with --listen-yamux or --listen-alts-yamux.
";

/// Arguments.
#[derive(Debug, Args)]
pub(crate) struct Connecting {
    /// Who the server of an nbd+alts URI has to be: `spiffe://DOMAIN/PATH`, `spiffe://DOMAIN/PATH/*`, `spiffe://DOMAIN`, or
    /// `own-trust-domain`. Can be repeated.
    #[arg(
        long,
        value_name = "RULE",
        requires = "identity_source",
        help_heading = "Servers over ALTS"
    )]
    server: Vec<AllowedPeer>,
    /// Who it may not be, whatever else allows it. Can be repeated.
    #[arg(long, value_name = "RULE", requires = "server", help_heading = "Servers over ALTS")]
    deny: Vec<Rule>,
    /// Keep the tickets that the server gives, in memory, and resume with them: each next connection takes no signatures.
    #[arg(long, requires = "server", help_heading = "Servers over ALTS")]
    resume: bool,
    #[command(flatten)]
    identity: OptionalIdentity,

    /// The longest that connecting may take, and the handshake.
    #[arg(
        long = "connect-timeout",
        value_name = "DURATION",
        default_value = "10s",
        help_heading = "Limits"
    )]
    timeout: PositiveDuration,
    /// How often to try again when a connection breaks in the middle. What was not answered is sent again.
    #[arg(long, value_name = "COUNT", default_value = "0", help_heading = "Limits")]
    reconnect: u32,
    /// The most memory that the data of all requests may have together.
    #[arg(long, value_name = "SIZE", default_value = "64M", help_heading = "Limits")]
    memory: Size,
}

impl Connecting {
    /// Settings with a pool of their own.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        let cap = usize::try_from(self.memory.0).map_err(Failure::local)?;
        let mut settings = Settings::default();
        settings.pool = BufferPool::builder()
            .buffer_size(4096)
            .cap(cap)
            .build()
            .map_err(|error| Failure::local(format!("--memory: {error}")))?;
        settings.handshake_timeout = self.timeout.0;
        if self.reconnect > 0 {
            let mut reconnect = Reconnect::default();
            reconnect.attempts = self.reconnect;
            settings.reconnect = Some(reconnect);
        }
        Ok(settings)
    }

    /// The most bytes of data.
    pub(crate) fn memory(&self) -> u64 {
        self.memory.0
    }

    /// What connects to this URI.
    pub(crate) fn dialer(&self, uri: &Uri, settings: Settings) -> Result<Dialer, Failure> {
        let dialer = Dialer::new(uri.clone()).settings(settings);
        if uri.security != Security::Alts {
            return Ok(dialer);
        }
        let identity = self.identity.given();
        let (Some(identity), false) = (identity, self.server.is_empty()) else {
            return Err(Failure::local(
                "ALTS needs --server (who the server has to be), --cert, --key and --bundle (or --workload-api)",
            ));
        };
        let files = identity.load().map_err(Failure::local)?;
        let policy = AllowedPeer::policy(&self.server, &self.deny);
        let mut handshaker = LocalHandshaker::builder(files).server_policy(policy);
        // A pool of its own: a stream holds a buffer while a reply waits for the rest of it.
        let mut settings = AltsSettings::default();
        settings.handshake_timeout = self.timeout.0;
        if self.resume {
            handshaker = handshaker.ticket_cache(TicketCache::new());
            settings.handshake.target_name = Some(uri.to_string());
        }
        Ok(dialer.alts(Connector::with_settings(handshaker.build(), settings)))
    }
}
