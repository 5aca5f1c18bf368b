//! `alts connect`: what `openssl s_client` is to TLS.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use alts::connect::Settings;
use alts::handshaker::LocalHandshaker;
use alts::handshaker::cli::{AllowedPeer, IdentityArguments, PositiveDuration};
use alts::handshaker::identity::{IdentitySource, Rule};
use alts::plain::{PlainStream, TargetAddress};
use alts::{AltsStream, Connector, Error, Fault};
use clap::Args;
use tokio::io::{AsyncWriteExt, copy, split, stdin, stdout};

/// Arguments of `alts connect`.
#[derive(Debug, Args)]
#[command(after_long_help = NOTES)]
pub(crate) struct Connect {
    /// The secured server: HOST:PORT or unix:PATH.
    #[arg(value_name = "ADDRESS")]
    target: TargetAddress,
    /// Who the server has to be: `spiffe://DOMAIN/PATH`, `spiffe://DOMAIN/PATH/*`, `spiffe://DOMAIN`, or `own-trust-domain`.
    /// Can be repeated.
    #[arg(long, value_name = "RULE", required = true)]
    server: Vec<AllowedPeer>,
    /// Who the server may not be, whatever else allows it. Can be repeated.
    #[arg(long, value_name = "RULE")]
    deny: Vec<Rule>,
    /// End after the handshake, once the server has accepted this side: for scripts and health checks.
    #[arg(long)]
    probe: bool,
    /// Print nothing about the connection.
    #[arg(long, short)]
    quiet: bool,
    /// The longest that connecting may take, and the handshake.
    #[arg(long = "connect-timeout", value_name = "DURATION", default_value = "10s")]
    timeout: PositiveDuration,
    #[command(flatten)]
    identity: IdentityArguments,
}

const NOTES: &str = "\
Standard input is sent, what arrives goes to standard output, and what there is to say about the connection to
standard error.

Exit status:
  0  it worked, and the server announced the end of the stream
  1  this side's files or flags
  3  the network: no connection, or it broke
  4  the server speaks another protocol
  5  the server broke the protocol, is not who it has to be, or the stream was cut off
  6  the server refused this side
  7  a limit, a timeout for instance

Example:
  alts connect localhost:5433 --server spiffe://dev.local/server --dev \\
    --cert client/chain.pem --key client/key.pem --bundle dev.local=client/bundle.pem";

/// What went wrong, and the exit status for it.
struct Failure {
    status: u8,
    message: String,
}

const LOCAL: u8 = 1;
const NETWORK: u8 = 3;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.fault() {
            Fault::Network | Fault::Handshaker => NETWORK,
            Fault::Incompatible => 4,
            Fault::Peer => 5,
            Fault::Refused => 6,
            Fault::Limit => 7,
            _ => LOCAL,
        };
        Self { status, message: error.to_string() }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Error::from(error).into()
    }
}

impl Connect {
    pub(crate) fn run(self) -> ExitCode {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::from(LOCAL);
            }
        };
        let outcome = runtime.block_on(self.talk());
        // A thread may still read standard input.
        runtime.shutdown_background();
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure { status, message }) => {
                eprintln!("error: {message}");
                ExitCode::from(status)
            }
        }
    }

    async fn talk(self) -> Result<(), Failure> {
        let local = |message: String| Failure { status: LOCAL, message };
        let files = self.identity.load().map_err(|error| local(error.to_string()))?;
        let own = files.snapshot().map_err(|error| local(error.to_string()))?;
        self.say("this side is", own.id());
        let policy = AllowedPeer::policy(&self.server, &self.deny);
        let handshaker = LocalHandshaker::builder(files).server_policy(policy).build();
        let mut settings = Settings::default();
        settings.handshake_timeout = self.timeout.0;
        let connector = Connector::with_settings(handshaker, settings);

        let start = Instant::now();
        let socket = PlainStream::connect(&self.target, self.timeout.0)
            .await
            .map_err(|error| Failure { status: NETWORK, message: error.to_string() })?;
        self.say("connected in", format_args!("{:.1?}", start.elapsed()));
        let start = Instant::now();
        let mut stream = connector.connect(socket).await?;
        self.describe(&stream, start.elapsed());
        if self.probe {
            return probe(&mut stream).await;
        }
        exchange(stream).await
    }

    fn describe(&self, stream: &AltsStream<PlainStream>, taken: Duration) {
        let negotiated = stream.negotiated();
        self.say("the server is", negotiated.peer.name());
        if let Some(end) = negotiated.peer.not_after() {
            let left = end.duration_since(SystemTime::now()).unwrap_or_default().as_secs();
            let (hours, minutes) = (left / 3600, left / 60 % 60);
            self.say("its certificates end", format_args!("in {hours} h {minutes} min"));
        }
        self.say("handshake", format_args!("{taken:.1?}"));
        self.say("record protocol", negotiated.record_protocol);
        self.say("application protocol", &negotiated.application_protocol);
        let end = if negotiated.close_notify { "announced" } else { "not announced" };
        self.say("ends of directions", end);
    }

    fn say(&self, what: &str, value: impl std::fmt::Display) {
        if !self.quiet {
            eprintln!("{what:<22}{value}");
        }
    }
}

/// A client is done before the server has seen its certificate. Ending this side's direction makes the server answer: by the
/// end of its own, or by a refusal.
async fn probe(stream: &mut AltsStream<PlainStream>) -> Result<(), Failure> {
    use alts::ready::ReadyReader;
    stream.shutdown().await?;
    let pool = stream.pool().clone();
    // A server that speaks first has accepted this side, too.
    stream.read_on_ready(&pool).await?;
    Ok(())
}

/// Standard input there, standard output back, until the server ends its direction.
async fn exchange(stream: AltsStream<PlainStream>) -> Result<(), Failure> {
    let (mut from_server, mut to_server) = split(stream);
    let sending = async {
        copy(&mut stdin(), &mut to_server).await?;
        to_server.shutdown().await
    };
    let receiving = async {
        let mut stdout = stdout();
        copy(&mut from_server, &mut stdout).await?;
        stdout.flush().await
    };
    tokio::pin!(sending, receiving);
    tokio::select! {
        received = &mut receiving => Ok(received?),
        sent = &mut sending => {
            // A server that refused this side says why where its first record would be.
            let received = receiving.await;
            received?;
            Ok(sent?)
        }
    }
}
