//! `alts-nbd serve`.

use std::error::Error;
use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alts::Acceptor;
use alts::connect::Settings as AltsSettings;
use alts::handshaker::LocalHandshaker;
use alts::handshaker::admin::{self, Report, Stop, notify, reload_on_hangup};
use alts::handshaker::cli::{AllowedPeer, PositiveDuration, WatchedIdentity};
use alts::handshaker::identity::{IdentitySource, Rule};
use alts::handshaker::resumption::TicketKeys;
use alts::plain::{Activation, ListenAddress, ListenOptions, PlainListener};
use alts::pool::BufferPool;
use alts_nbd::export::Exports;
use alts_nbd::server::{Server, Settings};
use clap::Args;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;

use crate::exports::{EXPORT_HELP, ExportSpec};
use crate::identity::OptionalIdentity;
use crate::metrics::Metrics;
use crate::multiplexed::Multiplexing;
use crate::serving::{Below, Secured, Serving, Visible, accept};
use crate::sizes::Size;
use crate::workers::Workers;

/// Arguments of `alts-nbd serve`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = EXPORT_HELP)]
pub(crate) struct Serve {
    /// What to serve: NAME=file:PATH or NAME=memory:SIZE, with options behind commas (see below). Can be repeated.
    #[arg(long, value_name = "EXPORT", required = true)]
    export: Vec<ExportSpec>,

    /// Where to accept connections of any NBD client: HOST:PORT on this machine, unix:PATH, or systemd:NAME. Can be repeated.
    #[arg(
        long,
        value_name = "ADDRESS",
        required_unless_present_any = ["listen_alts", "listen_yamux", "listen_alts_yamux"],
        help_heading = "Addresses"
    )]
    listen: Vec<ListenAddress>,
    /// Allow --listen without TLS, and --listen-yamux, where other machines connect. Whoever reaches it can read and write everything.
    #[arg(long, help_heading = "Addresses")]
    unsafe_listen: bool,
    /// Where to accept connections that are secured by ALTS: HOST:PORT, unix:PATH, or systemd:NAME. Can be repeated.
    #[arg(long, value_name = "ADDRESS", requires = "identity_source", help_heading = "Addresses")]
    listen_alts: Vec<ListenAddress>,
    /// As --listen, for clients that carry many NBD connections in one by yamux, with ?yamux=1 in their URIs. Never with TLS.
    #[arg(long, value_name = "ADDRESS", help_heading = "Addresses")]
    listen_yamux: Vec<ListenAddress>,
    /// As --listen-alts, for such clients.
    #[arg(long, value_name = "ADDRESS", requires = "identity_source", help_heading = "Addresses")]
    listen_alts_yamux: Vec<ListenAddress>,
    /// Permissions of a Unix socket that is listened on.
    #[arg(long, value_name = "OCTAL", default_value = "0660", value_parser = octal, help_heading = "Addresses")]
    socket_mode: u32,

    /// Where to answer /livez, /readyz and /metrics (Prometheus): HOST:PORT on this machine, or unix:PATH.
    #[arg(long, visible_alias = "admin", value_name = "ADDRESS", help_heading = "Addresses")]
    status: Option<ListenAddress>,
    /// Allow --status on an address that other machines reach. Whoever reaches it can read how many connections and requests there are, why handshakes fail, and the
    /// serial number and the end of this side's certificate.
    #[arg(long, visible_alias = "unsafe-admin", requires = "status", help_heading = "Addresses")]
    unsafe_status: bool,

    /// Who may connect to --listen-alts and --listen-alts-yamux: `spiffe://DOMAIN/PATH`, `spiffe://DOMAIN/PATH/*`, `spiffe://DOMAIN`, or
    /// `own-trust-domain`. Can be repeated.
    #[arg(long, value_name = "RULE", help_heading = "Who may connect")]
    allow: Vec<AllowedPeer>,
    /// Who may not, whatever else allows it. Can be repeated.
    #[arg(long, value_name = "RULE", help_heading = "Who may connect")]
    deny: Vec<Rule>,

    /// Let clients that come again over ALTS resume, without signatures, with ticket keys from this file, which `alts ticket-keys
    /// rotate` writes. Whoever reads it can pose as any client that may connect.
    #[arg(long, value_name = "FILE", requires = "identity_source", help_heading = "Resumption")]
    ticket_keys: Option<PathBuf>,

    #[command(flatten)]
    identity: OptionalIdentity,

    #[cfg(feature = "tls")]
    #[command(flatten)]
    tls: crate::tls::TlsArguments,

    /// The most memory that the data of all requests may have together. As much again may have arrived through yamux.
    #[arg(long, value_name = "SIZE", default_value = "64M", help_heading = "Limits")]
    memory: Size,
    /// Connections at a time; more wait to be accepted. One with yamux carries up to 16 NBD connections.
    #[arg(long, value_name = "COUNT", default_value = "1024", value_parser = clap::value_parser!(u32).range(1..=1 << 20), help_heading = "Limits")]
    max_connections: u32,
    /// Requests of one connection that are worked on at a time.
    #[arg(long, value_name = "COUNT", default_value = "64", value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "Limits")]
    requests: u32,
    /// Threads that serve connections [default: one for each processor].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Limits")]
    threads: Option<u32>,
    /// Threads that wait for files, for each of --threads.
    #[arg(long, value_name = "COUNT", default_value = "16", value_parser = clap::value_parser!(u32).range(1..=512), help_heading = "Limits")]
    file_threads: u32,
    /// The longest that a handshake may take.
    #[arg(long, value_name = "DURATION", default_value = "10s", help_heading = "Limits")]
    handshake_timeout: PositiveDuration,
    /// The longest that clients get to disconnect after SIGTERM or SIGINT. A second signal ends the program at once.
    #[arg(long, value_name = "DURATION", default_value = "10s", help_heading = "Limits")]
    shutdown_timeout: PositiveDuration,

    /// What to log on standard error: off, error, warn, info, debug, trace, or directives such as `info,alts_nbd=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info", help_heading = "Logs")]
    log: String,
}

/// Calls of backends that are under way at the end get so long; nothing waits for ever for a broken disk.
const DISK_PATIENCE: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Examples:
  alts-nbd serve --listen localhost:10809 --export disk=file:disk.img
  alts-nbd serve --listen unix:/run/nbd.sock --export scratch=memory:1G
  alts-nbd serve --listen-alts 0.0.0.0:10810 --export disk=file:/dev/vg/disk,allow=spiffe://example.org/vm \\
    --cert host/chain.pem --key host/key.pem --bundle example.org=ca.pem --allow own-trust-domain
";

fn octal(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("not an octal mode such as 0660".to_owned()),
    }
}

impl Serve {
    #[cfg(test)]
    pub(crate) fn has_identity(&self) -> bool {
        self.identity.given().is_some()
    }

    pub(crate) fn run(&self) -> Result<ExitCode, Box<dyn Error>> {
        let filter = EnvFilter::try_new(&self.log)
            .map_err(|fault| format!("--log {:?}: {fault}", self.log))?;
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(false)
            .init();
        if let Some(address) = self.listen.iter().find(|address| !address.is_local())
            && !self.unsafe_listen
            && !self.insists_on_tls()
        {
            return Err(format!(
                "--listen {address}: whoever reaches this address can read and write everything. Use localhost:PORT or unix:PATH, insist on TLS, or say --unsafe-listen"
            )
            .into());
        }
        if let Some(address) = self.listen_yamux.iter().find(|address| !address.is_local())
            && !self.unsafe_listen
        {
            return Err(format!(
                "--listen-yamux {address}: whoever reaches this address can read and write everything. Use localhost:PORT or unix:PATH, use --listen-alts-yamux, or say --unsafe-listen"
            )
            .into());
        }
        if let Some(status) = self.status.as_ref().filter(|status| !status.is_local())
            && !self.unsafe_status
        {
            return Err(format!(
                "--status {status}: anybody who reaches this address can read the metrics. Use localhost:PORT or unix:PATH, or say --unsafe-status"
            )
            .into());
        }
        let threads = match self.threads {
            Some(count) => count as usize,
            None => std::thread::available_parallelism()?.get(),
        };
        let workers = Workers::start(threads, self.file_threads as usize, DISK_PATIENCE)?;
        let workers = Arc::new(workers);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let clean = runtime.block_on(self.serve(&workers));
        drop(runtime);
        if let Some(workers) = Arc::into_inner(workers) {
            workers.stop();
        }
        Ok(if clean? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    #[cfg(feature = "tls")]
    fn insists_on_tls(&self) -> bool {
        self.tls.is_required()
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "with the feature tls it is used")]
    fn insists_on_tls(&self) -> bool {
        false
    }

    fn serving(&self) -> Result<(Serving, Metrics), Box<dyn Error>> {
        let cap = usize::try_from(self.memory.0)?;
        let pool = || {
            let pool = BufferPool::builder().buffer_size(4096).cap(cap).build();
            pool.map_err(|error| format!("--memory: {error}"))
        };
        let mut settings = Settings::default();
        settings.pool = pool()?;
        settings.handshake_timeout = self.handshake_timeout.0;
        settings.requests_in_flight = self.requests as usize;
        #[cfg(feature = "tls")]
        {
            settings.tls = self.tls.load()?;
        }
        let (mut exports, mut visible) = (Exports::new(), Vec::new());
        for spec in &self.export {
            let allowed = spec.allowed();
            let export = spec.open()?;
            tracing::info!(
                name = export.name(),
                bytes = export.size(),
                read_only = export.is_read_only(),
                "export"
            );
            exports.add(export).map_err(|error| format!("--export {}: {error}", spec.name))?;
            let policy = (!allowed.is_empty()).then(|| AllowedPeer::policy(&allowed, &self.deny));
            visible.push(Visible { name: spec.name.clone(), policy });
        }
        let identity = self.identity.given().map(|identity| identity.load()).transpose()?;
        let server = Server::new(settings);
        // A pool of its own: a stream holds a buffer while a request waits for one.
        let mut alts = AltsSettings::default();
        alts.handshake_timeout = self.handshake_timeout.0;
        let ticket_keys = self.ticket_keys.as_ref().map(TicketKeys::watch).transpose()?;
        let watched = identity.as_ref().map(|identity| (&mut alts, identity, ticket_keys.clone()));
        let metrics = Metrics::new(server.clone(), watched);
        let serving = Serving {
            server,
            exports,
            visible,
            secured: self.secured(identity.clone(), ticket_keys, alts)?,
            identity,
            multiplexing: Multiplexing::new(pool()?, self.handshake_timeout.0)?,
            places: Arc::new(Semaphore::new(self.max_connections as usize)),
        };
        Ok((serving, metrics))
    }

    fn secured(
        &self,
        files: Option<WatchedIdentity>,
        ticket_keys: Option<Arc<TicketKeys>>,
        settings: AltsSettings,
    ) -> Result<Option<Secured>, Box<dyn Error>> {
        let Some(files) = files else { return Ok(None) };
        if self.allow.is_empty() {
            return Err(
                "--listen-alts and --listen-alts-yamux need --allow: who may connect".into()
            );
        }
        let snapshot = files.snapshot()?;
        tracing::info!(id = %snapshot.id(), "this side's identity");
        let domain = snapshot.id().trust_domain();
        let policy = AllowedPeer::policy(&self.allow, &self.deny);
        let mut handshaker = LocalHandshaker::builder(files).client_policy(policy);
        if let Some(keys) = ticket_keys {
            handshaker = handshaker.ticket_keys(keys);
        }
        let acceptor = Acceptor::with_settings(handshaker.build(), settings);
        Ok(Some(Secured { acceptor, domain }))
    }

    /// Answers whether all clients have disconnected by themselves.
    async fn serve(&self, workers: &Arc<Workers>) -> Result<bool, Box<dyn Error>> {
        let (serving, metrics) = self.serving()?;
        let serving = Arc::new(serving);
        // Signals from here on are not lost: a program that has read the ready line may send one.
        let mut stop = Stop::new()?;
        let reload = reload_on_hangup(serving.identity.as_ref().and_then(WatchedIdentity::files))?;
        let mut options = ListenOptions::default();
        options.socket_mode = self.socket_mode;
        let mut activation = Activation::from_env();
        let mut ready = String::from("ready");
        let mut accepting = JoinSet::new();
        for (key, addresses, alts, yamux) in [
            ("listen", &self.listen, false, false),
            ("listen-alts", &self.listen_alts, true, false),
            ("listen-yamux", &self.listen_yamux, false, true),
            ("listen-alts-yamux", &self.listen_alts_yamux, true, true),
        ] {
            for address in addresses {
                for listener in PlainListener::bind(address, options, &mut activation).await? {
                    ready = format!("{ready} {key}={listener}");
                    let (serving, workers) = (Arc::clone(&serving), Arc::clone(workers));
                    let below = Below { alts, yamux };
                    accepting.spawn(accept(listener, below, serving, workers));
                }
            }
        }
        let status = Arc::new(Status { metrics, draining: AtomicBool::new(false) });
        if let Some(address) = &self.status {
            for listener in PlainListener::bind(address, options, &mut activation).await? {
                ready = format!("{ready} status={listener}");
                // Until the process ends, so that the last of a drain can be seen.
                tokio::spawn(admin::serve(listener, Arc::clone(&status)));
            }
        }
        {
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{ready}")?;
            stdout.flush()?;
        }
        notify::ready();
        tokio::spawn(reload);

        stop.signaled().await;
        status.draining.store(true, Ordering::Relaxed);
        notify::stopping();
        serving.server.drain();
        accepting.shutdown().await;
        let open = serving.server.figures().open;
        tracing::info!(open, "shutting down");
        let most = self.max_connections;
        let drained = async {
            // An error is a closed semaphore, and nothing closes it.
            let _ = serving.places.acquire_many(most).await;
        };
        let drained = tokio::select! {
            finished = timeout(self.shutdown_timeout.0, drained) => finished.is_ok(),
            () = stop.signaled() => false,
        };
        let figures = serving.server.figures();
        tracing::info!(
            connections = figures.accepted,
            requests = figures.requests,
            errors = figures.errors,
            read = figures.read_bytes,
            written = figures.written_bytes,
            "served"
        );
        if !drained {
            tracing::warn!(open = figures.open, "connections are cut off");
        }
        Ok(drained)
    }
}

/// What the page of metrics shows, and whether the server takes new work.
struct Status {
    metrics: Metrics,
    draining: AtomicBool,
}

impl Report for Status {
    fn metrics(&self) -> Result<String, fmt::Error> {
        self.metrics.text()
    }

    fn is_ready(&self) -> bool {
        !self.draining.load(Ordering::Relaxed)
    }
}
