//! `alts relay`: plain to plain.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use alts::plain::{ListenAddress, PlainStream, TargetAddress};
use alts::relay::RelayEnd;
use clap::Args;

use crate::joined::{Common, Connection, Joined};
use crate::proxy_protocol::{self, ProxyProtocol};
use crate::serving::{Program, ServingArguments};

/// Arguments of `alts relay`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Forward {
    /// Where to accept connections: HOST:PORT, unix:PATH, or systemd:NAME. Can be repeated.
    #[arg(long, value_name = "ADDRESS", required = true, help_heading = "Addresses")]
    listen: Vec<ListenAddress>,
    /// Where to pass them on to: HOST:PORT or unix:PATH.
    #[arg(long, value_name = "ADDRESS", help_heading = "Addresses")]
    target: TargetAddress,
    /// Send the target a PROXY protocol header first, with the client's address.
    #[arg(long, value_enum, help_heading = "Addresses")]
    proxy_protocol: Option<ProxyProtocol>,
    #[command(flatten)]
    serving: ServingArguments,
}

const EXAMPLES: &str = "\
Example:
  alts relay --listen localhost:8080 --target unix:/run/app.sock";

impl Forward {
    pub(crate) fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let Self { listen, target, proxy_protocol, serving } = self;
        serving.run(&listen, None, |common, _| {
            Forwarding(Arc::new(Shared { common, target, proxy_protocol }))
        })
    }
}

struct Forwarding(Arc<Shared>);

struct Shared {
    common: Arc<Common>,
    target: TargetAddress,
    proxy_protocol: Option<ProxyProtocol>,
}

impl Program for Forwarding {
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

/// Connects to the target, and joins both; what goes wrong is logged.
async fn join(
    shared: Arc<Shared>,
    stream: PlainStream,
    connection: Connection,
) -> Option<Box<Joined<PlainStream, PlainStream>>> {
    match reach(&shared, &stream).await {
        Ok(target) => Some(connection.join(stream, target, None)),
        Err(error) => {
            connection.failed("", "no_target", &error);
            stream.abort();
            None
        }
    }
}

/// Connects to the target and introduces the connection.
async fn reach(shared: &Shared, from: &PlainStream) -> Result<PlainStream, String> {
    let mut target = shared.common.dial(&shared.target).await?;
    if let Some(version) = shared.proxy_protocol {
        let addresses = from.peer_addr().zip(from.local_addr());
        introduce(&mut target, &proxy_protocol::header(version, addresses, None)).await?;
    }
    Ok(target)
}

/// Sends the header of the PROXY protocol, which fits any socket's buffer.
pub(crate) async fn introduce(target: &mut PlainStream, header: &[u8]) -> Result<(), String> {
    use tokio::io::AsyncWriteExt;
    target
        .write_all(header)
        .await
        .map_err(|error| format!("cannot send the PROXY protocol header to the target: {error}"))
}
