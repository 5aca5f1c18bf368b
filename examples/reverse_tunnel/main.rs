//! A reverse tunnel: an agent behind NAT dials out to a relay, and a client of the relay reaches a service beside the agent. One
//! secured connection for each agent, one stream in it for each user; an idle user holds no buffer anywhere.
//!
//! ```text
//!  user ──TCP──► relay ◄══ alts, yamux ══ agent ──TCP──► service
//! ```
//!
//! With identities from a development authority, whose certificates are valid for a day:
//!
//! ```text
//! cargo run -p alts-handshaker --features cli -- dev-ca init
//! cargo run -p alts-handshaker --features cli -- dev-ca issue spiffe://dev.local/relay
//! cargo run -p alts-handshaker --features cli -- dev-ca issue spiffe://dev.local/agent
//!
//! cargo run --release -p alts-examples --example reverse_tunnel -- relay --agents 127.0.0.1:7000 --users 127.0.0.1:8080 \
//!     --dev --bundle dev.local=dev-ca/relay/bundle.pem --cert dev-ca/relay/chain.pem --key dev-ca/relay/key.pem
//!
//! cargo run --release -p alts-examples --example reverse_tunnel -- agent --relay 127.0.0.1:7000 --service 127.0.0.1:22 \
//!     --name spiffe://dev.local/relay \
//!     --dev --bundle dev.local=dev-ca/agent/bundle.pem --cert dev-ca/agent/chain.pem --key dev-ca/agent/key.pem
//! ```
//!
//! Both end in order on Ctrl-C or SIGTERM: no new users, those that are there have `--grace` seconds to finish. The agent dials again when the
//! connection is lost. A user whose agent or time is gone, or for whom no agent is there, gets a TCP reset, not the end of a complete answer.

mod agent;
mod forward;
#[path = "../logs.rs"]
mod logs;
mod relay;

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use alts::handshaker::LocalHandshaker;
use alts::handshaker::cli::{AllowedPeer, IdentityArguments};
use alts::handshaker::identity::IdentitySource;
use alts::{Acceptor, Connector};
use clap::{Args, Parser, Subcommand};
use tokio::net::TcpListener;

/// Reaches a service behind NAT through a relay, over connections that an agent beside the service has made.
#[derive(Debug, Parser)]
#[command(name = "reverse_tunnel")]
struct Arguments {
    #[command(subcommand)]
    side: Side,
}

#[derive(Debug, Subcommand)]
enum Side {
    /// Takes connections of agents and of users, and gives each user a stream to an agent.
    Relay(RelayArguments),
    /// Dials the relay, and connects each user to the service.
    Agent(AgentArguments),
}

#[derive(Debug, Args)]
struct RelayArguments {
    /// Where agents connect, over alts.
    #[arg(long, value_name = "HOST:PORT")]
    agents: SocketAddr,
    /// Where users connect, over TCP. Anyone who connects to it reaches the service.
    #[arg(long, value_name = "HOST:PORT")]
    users: SocketAddr,
    /// Who may be an agent: `spiffe://DOMAIN/PATH`, `spiffe://DOMAIN/PATH/*`,
    /// `spiffe://DOMAIN`, or `own-trust-domain`. Can be repeated.
    #[arg(long, value_name = "RULE", default_value = "own-trust-domain")]
    allow: Vec<AllowedPeer>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct AgentArguments {
    /// Where the relay takes agents.
    #[arg(long, value_name = "HOST:PORT")]
    relay: String,
    /// Who may be the relay: `spiffe://DOMAIN/PATH`, `spiffe://DOMAIN/PATH/*`,
    /// `spiffe://DOMAIN`, or `own-trust-domain`. Can be repeated.
    #[arg(long, value_name = "RULE", required = true)]
    name: Vec<AllowedPeer>,
    /// The service that users reach.
    #[arg(long, value_name = "HOST:PORT")]
    service: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// How long users have to finish when this side ends.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    grace: u64,
    #[command(flatten)]
    identity: IdentityArguments,
}

#[tokio::main]
async fn main() -> ExitCode {
    logs::start("info");
    let done = match Arguments::parse().side {
        Side::Relay(arguments) => run_relay(arguments).await,
        Side::Agent(arguments) => run_agent(arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run_relay(arguments: RelayArguments) -> Result<(), Box<dyn Error>> {
    let files = arguments.common.identity.load()?;
    let name = files.snapshot()?.id().clone();
    let policy = AllowedPeer::policy(&arguments.allow, []);
    let handshaker = LocalHandshaker::builder(Arc::new(files)).client_policy(policy).build();
    let agents = listen(arguments.agents).await?;
    let users = listen(arguments.users).await?;
    println!(
        "{name} takes agents on {} and users on {}",
        agents.local_addr()?,
        users.local_addr()?
    );
    let grace = Duration::from_secs(arguments.common.grace);
    relay::run(&Acceptor::new(handshaker), agents, users, grace, asked_to_stop()).await;
    Ok(())
}

async fn run_agent(arguments: AgentArguments) -> Result<(), Box<dyn Error>> {
    let files = arguments.common.identity.load()?;
    println!("{} offers {}", files.snapshot()?.id(), arguments.service);
    let relays = AllowedPeer::policy(&arguments.name, []);
    let handshaker = LocalHandshaker::builder(Arc::new(files)).server_policy(relays).build();
    let agent = agent::Agent {
        connector: Connector::new(handshaker),
        relay: arguments.relay,
        service: arguments.service,
        grace: Duration::from_secs(arguments.common.grace),
    };
    agent.run(asked_to_stop()).await;
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// Ctrl-C, or what service managers send. If neither can be waited for, this never comes.
async fn asked_to_stop() {
    let asked = async {
        let kind = tokio::signal::unix::SignalKind::terminate();
        let mut terminate = tokio::signal::unix::signal(kind)?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok::<_, io::Error>(()),
        }
    };
    if let Err(error) = asked.await {
        tracing::warn!(%error, "signals cannot be waited for; end this process by other means");
        std::future::pending::<()>().await;
    }
}
