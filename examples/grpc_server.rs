//! A gRPC server over ALTS: a service that tonic generated, with every kind of streaming, on HTTP/2 whose idle connections hold no
//! buffers, and rules about who may call.
//!
//! Make an authority and two identities, which are good for 24 hours, then start the server:
//!
//! ```text
//! cargo run -p alts-handshaker --features cli -- dev-ca init
//! cargo run -p alts-handshaker --features cli -- dev-ca issue spiffe://dev.local/server
//! cargo run -p alts-handshaker --features cli -- dev-ca issue spiffe://dev.local/client
//!
//! cargo run --release -p alts-examples --example grpc_server --features grpc -- --dev --bundle dev.local=dev-ca/server/bundle.pem \
//!     --cert dev-ca/server/chain.pem --key dev-ca/server/key.pem
//! ```
//!
//! It prints the address it listens on, for the example `grpc_client`. With `--allow spiffe://dev.local/friend` that client may
//! connect and not call. The service is in `grpc/echo.proto`; `grpc/generated.rs` was made from it and is kept with it, so that
//! nobody who builds this needs a generator, and a test checks that the two agree.

#[path = "grpc/echo.rs"]
mod echo;
mod logs;
#[path = "grpc/service.rs"]
mod service;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use alts::Acceptor;
use alts::handshaker::LocalHandshaker;
use alts::handshaker::cli::{AllowedPeer, IdentityArguments};
use alts::handshaker::identity::IdentitySource;
use alts::handshaker::resumption::TicketKeys;
use alts::tonic::{Access, Authorization, Server};
use clap::Parser;
use tokio::net::{TcpListener, UnixListener};
use tonic::service::Routes;
use tower::Layer;

use echo::echo_server::EchoServer;
use service::EchoService;

/// Serves alts.example.Echo to authenticated clients.
#[derive(Debug, Parser)]
#[command(name = "grpc_server")]
struct Arguments {
    /// Where to listen; port 0 is any that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Listen on a Unix socket instead. The file must not exist; it is removed at the end.
    #[arg(long, value_name = "PATH", conflicts_with = "listen")]
    unix: Option<PathBuf>,
    /// Who may call: `spiffe://DOMAIN/PATH`, `spiffe://DOMAIN/PATH/*`,
    /// `spiffe://DOMAIN`, or `own-trust-domain`. Can be repeated. `WhoAmI` is open to all clients.
    #[arg(long, value_name = "RULE", default_value = "own-trust-domain")]
    allow: Vec<AllowedPeer>,
    /// The largest message to take, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    max_message: usize,
    /// Let clients that come again resume, with ticket keys from this file, which `alts ticket-keys rotate` writes.
    #[arg(long, value_name = "FILE")]
    ticket_keys: Option<PathBuf>,
    #[command(flatten)]
    identity: IdentityArguments,
}

#[tokio::main]
async fn main() -> ExitCode {
    logs::start("info");
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let files = arguments.identity.load()?;
    let name = files.snapshot()?.id().clone();
    let mut handshaker = LocalHandshaker::builder(Arc::new(files));
    if let Some(path) = arguments.ticket_keys {
        handshaker = handshaker.ticket_keys(TicketKeys::watch(path)?);
    }
    let acceptor = Acceptor::new(handshaker.build());

    let callers = AllowedPeer::policy(&arguments.allow, []);
    let authorization =
        Authorization::new(callers).method("alts.example.Echo", "WhoAmI", Access::authenticated());
    let service = EchoServer::new(EchoService).max_decoding_message_size(arguments.max_message);
    let services = authorization.layer(Routes::new(service).prepare());
    let server = Server::new();

    if let Some(path) = arguments.unix {
        let listener = UnixListener::bind(&path)
            .map_err(|error| format!("cannot listen on {}: {error}", path.display()))?;
        println!("{name} listens on {}", path.display());
        let incoming = acceptor.incoming(listener);
        server.serve_with_shutdown(incoming, services, asked_to_stop()).await;
        std::fs::remove_file(&path)?;
    } else {
        let address = arguments.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| format!("cannot listen on {address}: {error}"))?;
        println!("{name} listens on {}", listener.local_addr()?);
        let incoming = acceptor.incoming(listener);
        server.serve_with_shutdown(incoming, services, asked_to_stop()).await;
    }
    Ok(())
}

/// Ctrl-C, or what service managers send. Calls in progress may end after that; a second Ctrl-C ends them.
async fn asked_to_stop() {
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
    tracing::info!(
        "stopping when the calls in progress have ended; another interrupt does it at once"
    );
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(1);
        }
    });
}
