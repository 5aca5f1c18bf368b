//! A client for the example `grpc_server`: one call of each kind.
//!
//! With the identities that `grpc_server.rs` tells how to make:
//!
//! ```text
//! cargo run --release -p alts-examples --example grpc_client --features grpc -- --connect 127.0.0.1:PORT --server spiffe://dev.local/server \
//!     --dev --bundle dev.local=dev-ca/client/bundle.pem \
//!     --cert dev-ca/client/chain.pem --key dev-ca/client/key.pem --message hello
//! ```

#[path = "grpc/echo.rs"]
mod echo;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alts::Connector;
use alts::handshaker::LocalHandshaker;
use alts::handshaker::cli::{AllowedPeer, IdentityArguments};
use alts::handshaker::identity::IdentitySource;
use alts::tonic::{AltsConnector, Channel, cause_of};
use clap::Parser;
use tonic::{Request, Status};

use echo::echo_client::EchoClient;
use echo::{Message, RepeatRequest, WhoAmIRequest};

/// Calls alts.example.Echo on an authenticated server.
#[derive(Debug, Parser)]
#[command(name = "grpc_client")]
struct Arguments {
    /// Where the server listens.
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "unix")]
    connect: Option<String>,
    /// The Unix socket on which the server listens.
    #[arg(long, value_name = "PATH", conflicts_with = "connect")]
    unix: Option<PathBuf>,
    /// Who may be the server: `spiffe://DOMAIN/PATH`, `spiffe://DOMAIN/PATH/*`,
    /// `spiffe://DOMAIN`, or `own-trust-domain`. Can be repeated.
    #[arg(long, value_name = "RULE", required = true)]
    server: Vec<AllowedPeer>,
    /// What to send.
    #[arg(long, value_name = "TEXT", default_value = "hello", conflicts_with = "size")]
    message: String,
    /// Send this many bytes instead of a text.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(..=64 << 20))]
    size: Option<u32>,
    /// How many messages a stream has.
    #[arg(long, value_name = "N", default_value_t = 3)]
    count: u32,
    /// How long connecting may take, and each call.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    timeout: u32,
    #[command(flatten)]
    identity: IdentityArguments,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = cause_of(&*error).map(|cause| format!(" ({:?})", cause.fault()));
            eprintln!("error: {}{}", message(&*error), cause.unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

/// A status's message, without the description of its code.
fn message(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => error.to_string(),
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let patience = Duration::from_secs(arguments.timeout.into());
    let files = arguments.identity.load()?;
    let name = files.snapshot()?.id().clone();
    let servers = AllowedPeer::policy(&arguments.server, []);
    let handshaker = LocalHandshaker::builder(Arc::new(files)).server_policy(servers).build();
    let connector = Connector::new(handshaker);
    println!("{:<24}{name}", "we are");

    let start = Instant::now();
    let (authority, connector) = match (arguments.connect, arguments.unix) {
        (_, Some(path)) => ("localhost".to_owned(), AltsConnector::unix(connector, path)),
        (address, None) => (address.unwrap_or_default(), AltsConnector::new(connector)),
    };
    let client = Channel::builder(format!("http://{authority}").parse()?)
        .connect_timeout(patience)
        .timeout(patience)
        .connect_with(connector.on_ready())
        .await?;
    println!("{:<24}{:.1?}", "connected in", start.elapsed());

    let limit = 65 << 20;
    let mut client = EchoClient::new(Channel::from(client)).max_decoding_message_size(limit);
    let payload = match arguments.size {
        Some(size) => (0..size).map(|position| position as u8).collect(),
        None => arguments.message.into_bytes(),
    };
    let message = Message { payload: payload.into() };
    let count = arguments.count;

    let caller = client.who_am_i(WhoAmIRequest {}).await?.into_inner();
    println!("{:<24}{}", "the server is", caller.server);
    println!("{:<24}{} {}", "it takes us for", caller.identity, caller.address);
    println!("{:<24}{}", "application protocol", caller.application_protocol);
    println!("{:<24}{}", "record protocol", caller.record_protocol);

    let start = Instant::now();
    let answer = client.once(message.clone()).await?.into_inner();
    check(answer == message)?;
    report("Once", 1, start);

    let start = Instant::now();
    let request = RepeatRequest { message: Some(message.clone()), times: count };
    let mut answers = client.repeat(request).await?.into_inner();
    let mut received = 0;
    while let Some(answer) = answers.message().await? {
        check(answer == message)?;
        received += 1;
    }
    check(received == count)?;
    report("Repeat", received, start);

    let start = Instant::now();
    let messages = vec![message.clone(); count as usize];
    let joined = client.join(tokio_stream::iter(messages.clone())).await?.into_inner();
    check(joined.payload.len() == count as usize * message.payload.len())?;
    report("Join", count, start);

    let start = Instant::now();
    let chat = Request::new(tokio_stream::iter(messages));
    let mut answers = client.chat(chat).await?.into_inner();
    let mut received = 0;
    while let Some(answer) = answers.message().await? {
        check(answer == message)?;
        received += 1;
    }
    check(received == count)?;
    report("Chat", received, start);
    Ok(())
}

fn report(method: &str, messages: u32, start: Instant) {
    println!("{method:<24}{messages} messages in {:.1?}", start.elapsed());
}

fn check(right: bool) -> Result<(), Status> {
    if right { Ok(()) } else { Err(Status::data_loss("the answer is not what was sent")) }
}
