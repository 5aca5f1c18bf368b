//! The Rust side of the interoperability tests: tonic over alts, on this project's HTTP/2 and on hyper's, as a server and as a
//! client that runs cases and reports on them. `../matrix.py` starts it; the programs in `../python` and `../go` do the same with grpcio and grpc-go.

mod channel;
mod client;
mod raw;
mod server;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use alts::connect::Settings;
use alts::handshaker::LocalHandshaker;
use alts::handshaker::identity::{IdentityFiles, Policy};
use alts::handshaker::resumption::{TicketCache, TicketKeys};
use alts::{Acceptor, Connector};
use alts_handshaker::RemoteHandshaker;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves until it is killed.
    Server(server::Server),
    /// Runs cases and prints a line on each.
    Client(client::Client),
}

#[derive(Debug, Args)]
struct Common {
    /// Who does the handshakes: `local`, which is this process; `google`, the service that gRPC looks for; a service's URL; or `none`,
    /// and then it is plain TCP.
    #[arg(long)]
    handshaker: Who,
    /// The directory of this side's identity, where the handshaker is `local`.
    #[arg(long, required_if_eq("handshaker", "local"))]
    identity: Option<PathBuf>,
    /// The largest record to send, in bytes.
    #[arg(long)]
    max_frame: Option<u32>,
    /// Whose HTTP/2 it is.
    #[arg(long)]
    stack: Stack,
    /// Of this process, where the handshaker is `local`.
    #[arg(skip = TicketCache::new())]
    tickets: Arc<TicketCache>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Stack {
    Alts,
    Hyper,
}

#[derive(Clone, Debug)]
enum Who {
    Local,
    Google,
    Service(String),
    Nobody,
}

impl FromStr for Who {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "local" => Self::Local,
            "google" => Self::Google,
            "none" => Self::Nobody,
            url => Self::Service(url.to_owned()),
        })
    }
}

impl Common {
    fn is_plain(&self) -> bool {
        matches!(self.handshaker, Who::Nobody)
    }

    fn is_local(&self) -> bool {
        matches!(self.handshaker, Who::Local)
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        if let Some(size) = self.max_frame {
            settings.stream.max_frame_size = size;
        }
        settings
    }

    fn files(&self) -> Result<IdentityFiles, Box<dyn Error>> {
        let directory = self.identity.as_ref().ok_or("--identity is missing")?;
        let files = IdentityFiles::builder(directory.join("chain.pem"), directory.join("key.pem"))
            .bundle("dev.local".parse()?, directory.join("bundle.pem"))
            .allow_development_domain()
            .load(SystemTime::now())?;
        Ok(files)
    }

    fn remote(&self) -> Result<RemoteHandshaker, Box<dyn Error>> {
        Ok(match &self.handshaker {
            Who::Service(url) => RemoteHandshaker::builder(url.as_str()).build()?,
            // Refuses unless the sandbox makes this machine look like one of Google's.
            _ => RemoteHandshaker::google_cloud().build()?,
        })
    }

    fn acceptor(&self, clients: Policy) -> Result<Acceptor, Box<dyn Error>> {
        Ok(match self.handshaker {
            Who::Local => {
                let keys = TicketKeys::generate(Duration::from_secs(60 * 60))?;
                let handshaker = LocalHandshaker::builder(self.files()?)
                    .client_policy(clients)
                    .ticket_keys(keys);
                Acceptor::with_settings(handshaker.build(), self.settings())
            }
            _ => Acceptor::with_settings(self.remote()?, self.settings()),
        })
    }

    fn connector(&self) -> Result<Connector, Box<dyn Error>> {
        Ok(match self.handshaker {
            Who::Local => {
                let servers = Policy::own_trust_domain();
                let handshaker = LocalHandshaker::builder(self.files()?)
                    .server_policy(servers)
                    .ticket_cache(Arc::clone(&self.tickets));
                Connector::with_settings(handshaker.build(), self.settings())
            }
            _ => Connector::with_settings(self.remote()?, self.settings()),
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let outcome = match Arguments::parse().command {
        Command::Server(server) => server.run().await,
        Command::Client(client) => Box::pin(client.run()).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    }
}
