//! `alts tunnel client`.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use alts::handshaker::LocalHandshaker;
use alts::handshaker::cli::{AllowedPeer, IdentityArguments};
use alts::handshaker::identity::Rule;
use alts::handshaker::resumption::TicketCache;
use alts::plain::{ListenAddress, PlainStream, TargetAddress};
use alts::relay::RelayEnd;
use alts::{AltsStream, Connector};
use clap::Args;

use crate::joined::{Common, Connection, Joined};
use crate::metrics::Secured;
use crate::serving::{Program, ServingArguments};

/// Arguments of `alts tunnel client`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Client {
    /// Where to accept plain connections: HOST:PORT on this machine, unix:PATH, or systemd:NAME. Can be repeated.
    #[arg(long, value_name = "ADDRESS", required = true, help_heading = "Addresses")]
    listen: Vec<ListenAddress>,
    /// Allow listening where other machines can connect. Anyone who connects uses this side's identity.
    #[arg(long, help_heading = "Addresses")]
    unsafe_listen: bool,
    /// The secured server: HOST:PORT or unix:PATH.
    #[arg(long, value_name = "ADDRESS", help_heading = "Addresses")]
    target: TargetAddress,

    /// Who the server has to be: `spiffe://DOMAIN/PATH`, `spiffe://DOMAIN/PATH/*`, `spiffe://DOMAIN`, or `own-trust-domain`.
    /// Can be repeated.
    #[arg(long, value_name = "RULE", required = true, help_heading = "Who the server is")]
    server: Vec<AllowedPeer>,
    /// Who the server may not be, whatever else allows it. Can be repeated.
    #[arg(long, value_name = "RULE", help_heading = "Who the server is")]
    deny: Vec<Rule>,

    /// Keep the tickets that the server gives, in memory, and resume with them: each next connection takes no signatures.
    #[arg(long, help_heading = "Resumption")]
    resume: bool,

    #[command(flatten)]
    identity: IdentityArguments,
    #[command(flatten)]
    serving: ServingArguments,
}

const EXAMPLES: &str = "\
Example:
  alts tunnel client --listen localhost:5432 --target db.example.org:5433 \\
    --cert shop/chain.pem --key shop/key.pem --bundle example.org=ca.pem \\
    --server spiffe://example.org/db";

impl Client {
    pub(crate) fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        if let Some(address) = self.listen.iter().find(|address| !address.is_local())
            && !self.unsafe_listen
        {
            return Err(format!(
                "--listen {address}: anyone who connects there uses this side's identity, so the address has to be on this machine. Use localhost:PORT or unix:PATH, or say --unsafe-listen"
            )
            .into());
        }
        let policy = AllowedPeer::policy(&self.server, &self.deny);
        let files = self.identity.load()?;
        let Self { listen, target, resume, serving, .. } = self;
        let ticket_cache = resume.then(TicketCache::new);
        let secured = Secured {
            identity: files.clone(),
            ticket_keys: None,
            ticket_cache: ticket_cache.clone(),
        };
        serving.run(&listen, Some(secured), |common, mut settings| {
            super::log_identity(&files);
            let mut handshaker = LocalHandshaker::builder(files).server_policy(policy);
            if let Some(cache) = ticket_cache {
                handshaker = handshaker.ticket_cache(cache);
                settings.handshake.target_name = Some(target.to_string());
            }
            let connector = Connector::with_settings(handshaker.build(), settings);
            Serving(Arc::new(Shared { common, connector, target }))
        })
    }
}

struct Serving(Arc<Shared>);

struct Shared {
    common: Arc<Common>,
    connector: Connector,
    target: TargetAddress,
}

impl Program for Serving {
    fn pass(
        &self,
        stream: PlainStream,
        connection: Connection,
    ) -> impl Future<Output = ()> + Send + 'static {
        // In a box that is gone when the relay begins: a quiet connection keeps room for what the block below names.
        let joining = Box::pin(join(Arc::clone(&self.0), stream, connection));
        async move {
            if let Some(joined) = joining.await {
                joined.await;
            }
        }
    }
}

/// Connects to the server, and joins both; what goes wrong is logged.
async fn join(
    shared: Arc<Shared>,
    stream: PlainStream,
    connection: Connection,
) -> Option<Box<Joined<PlainStream, AltsStream<PlainStream>>>> {
    let Some(target) = reach(&shared, &connection).await else {
        stream.abort();
        return None;
    };
    let server = Arc::clone(&target.negotiated().peer);
    Some(connection.join(stream, target, Some(server)))
}

/// Connects to the server and makes sure who it is; what goes wrong is logged.
async fn reach(shared: &Shared, connection: &Connection) -> Option<AltsStream<PlainStream>> {
    let common = &shared.common;
    let socket = common
        .dial(&shared.target)
        .await
        .map_err(|error| connection.failed("", "no_target", &error))
        .ok()?;
    // The handshake logs what goes wrong.
    shared.connector.connect(socket).await.map_err(|_| common.metrics.ended("no_handshake")).ok()
}
