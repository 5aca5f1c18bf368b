//! `alts tunnel server`.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use alts::handshaker::LocalHandshaker;
use alts::handshaker::cli::{AllowedPeer, IdentityArguments};
use alts::handshaker::identity::Rule;
use alts::handshaker::resumption::TicketKeys;
use alts::plain::{ListenAddress, PlainStream, TargetAddress};
use alts::relay::RelayEnd;
use alts::{Acceptor, AltsStream};
use clap::{ArgGroup, Args};

use crate::forward::introduce;
use crate::joined::{Common, Connection, Joined};
use crate::metrics::Secured;
use crate::proxy_protocol::{self, ProxyProtocol};
use crate::serving::{Program, ServingArguments};

/// Arguments of `alts tunnel server`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
#[command(group = ArgGroup::new("clients").required(true).args(["allow", "allow_all"]))]
pub(crate) struct Server {
    /// Where to accept secured connections: HOST:PORT, unix:PATH, or systemd:NAME. Can be repeated.
    #[arg(long, value_name = "ADDRESS", required = true, help_heading = "Addresses")]
    listen: Vec<ListenAddress>,
    /// The server to pass them on to in plaintext: HOST:PORT on this machine, or unix:PATH.
    #[arg(long, value_name = "ADDRESS", help_heading = "Addresses")]
    target: TargetAddress,
    /// Allow a target on another machine. What is sent there can be read and changed on the way.
    #[arg(long, help_heading = "Addresses")]
    unsafe_target: bool,
    /// Send the target a PROXY protocol header first, with the client's address; v2 has its identity, too (type 0xE0).
    #[arg(long, value_enum, help_heading = "Addresses")]
    proxy_protocol: Option<ProxyProtocol>,

    /// Who may connect: `spiffe://DOMAIN/PATH`, `spiffe://DOMAIN/PATH/*`, `spiffe://DOMAIN`, or `own-trust-domain`. Can be
    /// repeated.
    #[arg(long, value_name = "RULE", help_heading = "Who may connect")]
    allow: Vec<AllowedPeer>,
    /// Who may not connect, whatever else allows it. Can be repeated.
    #[arg(long, value_name = "RULE", help_heading = "Who may connect")]
    deny: Vec<Rule>,
    /// Accept every client whose certificate an authority of a --bundle has issued.
    #[arg(long, conflicts_with = "allow", help_heading = "Who may connect")]
    allow_all: bool,

    /// Let clients that come again resume, without signatures, with ticket keys from this file, which `alts ticket-keys rotate`
    /// writes. Whoever reads it can pose as any client that may connect.
    #[arg(long, value_name = "FILE", help_heading = "Resumption")]
    ticket_keys: Option<PathBuf>,

    #[command(flatten)]
    identity: IdentityArguments,
    #[command(flatten)]
    serving: ServingArguments,
}

const EXAMPLES: &str = "\
Example:
  alts tunnel server --listen 0.0.0.0:5433 --target localhost:5432 \\
    --cert db/chain.pem --key db/key.pem --bundle example.org=ca.pem \\
    --allow 'spiffe://example.org/ns/shop/*'";

impl Server {
    pub(crate) fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        if !self.target.is_local() && !self.unsafe_target {
            return Err(format!(
                "--target {}: the target gets plaintext, so it has to be on this machine. Use localhost:PORT or unix:PATH, or say --unsafe-target",
                self.target
            )
            .into());
        }
        if self.allow_all && self.identity.trust.is_workload_api() {
            return Err("--allow-all stands for the trust domains of --bundle; with --workload-api they change, so name who is allowed with --allow".into());
        }
        let policy = if self.allow_all {
            let domains = self.identity.trust.bundle.iter();
            let allowed: Vec<_> =
                domains.map(|bundle| AllowedPeer::Rule(bundle.key.clone().into())).collect();
            AllowedPeer::policy(&allowed, &self.deny)
        } else {
            AllowedPeer::policy(&self.allow, &self.deny)
        };
        let files = self.identity.load()?;
        let ticket_keys = self.ticket_keys.map(TicketKeys::watch).transpose()?;
        let Self { listen, target, proxy_protocol, serving, .. } = self;
        let secured = Secured {
            identity: files.clone(),
            ticket_keys: ticket_keys.clone(),
            ticket_cache: None,
        };
        serving.run(&listen, Some(secured), |common, settings| {
            super::log_identity(&files);
            let mut handshaker = LocalHandshaker::builder(files).client_policy(policy);
            if let Some(keys) = ticket_keys {
                handshaker = handshaker.ticket_keys(keys);
            }
            let acceptor = Acceptor::with_settings(handshaker.build(), settings);
            Serving(Arc::new(Shared { common, acceptor, target, proxy_protocol }))
        })
    }
}

struct Serving(Arc<Shared>);

struct Shared {
    common: Arc<Common>,
    acceptor: Acceptor,
    target: TargetAddress,
    proxy_protocol: Option<ProxyProtocol>,
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

/// Makes sure who the client is, connects to the target, and joins both; what goes wrong is logged.
async fn join(
    shared: Arc<Shared>,
    stream: PlainStream,
    connection: Connection,
) -> Option<Box<Joined<AltsStream<PlainStream>, PlainStream>>> {
    let metrics = &shared.common.metrics;
    let Ok(stream) = shared.acceptor.accept(stream).await else {
        // The handshake has logged what went wrong.
        metrics.ended("no_handshake");
        return None;
    };
    let client = Arc::clone(&stream.negotiated().peer);
    match reach(&shared, &stream).await {
        Ok(target) => Some(connection.join(stream, target, Some(client))),
        Err(error) => {
            connection.failed(client.name(), "no_target", &error);
            // Without the authenticated close: the client is not to take this for an empty answer.
            stream.abort();
            None
        }
    }
}

/// Connects to the target and introduces the client, which is authorized by now.
async fn reach(shared: &Shared, client: &AltsStream<PlainStream>) -> Result<PlainStream, String> {
    let mut target = shared.common.dial(&shared.target).await?;
    if let Some(version) = shared.proxy_protocol {
        let socket = client.get_ref();
        let addresses = socket.peer_addr().zip(socket.local_addr());
        let header = proxy_protocol::header(version, addresses, Some(client.peer().name()));
        introduce(&mut target, &header).await?;
    }
    Ok(target)
}
