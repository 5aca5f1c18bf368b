//! What `tunnel` and `relay` have in common: they accept connections, hand each to its own task, and end in order.

use std::error::Error;
use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alts::connect::{AcceptLoop, Settings};
use alts::handshaker::admin::{self, Report, Stop, notify, reload_on_hangup};
use alts::handshaker::cli::{DurationLimit, PositiveDuration};
use alts::plain::{Activation, ListenAddress, ListenOptions, PlainListener, PlainStream};
use alts::relay::RelayOptions;
use clap::Args;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::joined::{Common, Connection};
use crate::logging::LogArguments;
use crate::metrics::{Metrics, Secured};

/// Of the descriptors that a process may have, the share for connections, each of which needs two.
const CONNECTION_SHARE: (u64, u64) = (9, 10);
/// What tasks get to reset their connections when the process ends.
const RESET_TIME: Duration = Duration::from_secs(1);

/// Flags of every program that accepts connections.
#[derive(Debug, Args)]
pub(crate) struct ServingArguments {
    /// Permissions of a Unix socket that is listened on.
    #[arg(long, value_name = "OCTAL", default_value = "0660", value_parser = octal, help_heading = "Addresses")]
    socket_mode: u32,
    /// Let several processes listen on one TCP address, so that a new one can start before an old one ends.
    #[arg(long, help_heading = "Addresses")]
    reuse_port: bool,
    /// Where to answer /livez, /readyz and /metrics (Prometheus): HOST:PORT on the loopback, or unix:PATH.
    #[arg(long, visible_alias = "admin", value_name = "ADDRESS", help_heading = "Addresses")]
    status: Option<ListenAddress>,
    /// Allow --status on an address that other machines reach. Whoever reaches it can read how many connections there are and how much they carry, why handshakes fail, and
    /// the serial number and the end of this side's certificate.
    #[arg(long, visible_alias = "unsafe-admin", requires = "status", help_heading = "Addresses")]
    unsafe_status: bool,

    /// Connections at a time; more wait to be accepted [default: what the limit on open files allows].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    max_connections: Option<u32>,
    /// The longest that connecting to the target may take, and a handshake.
    #[arg(long, value_name = "DURATION", default_value = "10s", help_heading = "Limits")]
    pub(crate) connect_timeout: PositiveDuration,
    /// The longest without a byte after one side has ended its direction; 0 for no limit.
    #[arg(long, value_name = "DURATION", default_value = "60s", help_heading = "Limits")]
    close_timeout: DurationLimit,
    /// The longest without a byte in either direction; 0 for no limit.
    #[arg(long, value_name = "DURATION", default_value = "0", help_heading = "Limits")]
    idle_timeout: DurationLimit,
    /// The longest that a connection may last; 0 for no limit.
    #[arg(long, value_name = "DURATION", default_value = "0", help_heading = "Limits")]
    max_lifetime: DurationLimit,
    /// How long a TCP connection is silent before the system asks whether the peer is alive; 0 for never.
    #[arg(long, value_name = "DURATION", default_value = "60s", help_heading = "Limits")]
    tcp_keepalive: DurationLimit,
    /// The longest that open connections may go on after SIGTERM or SIGINT. A second signal ends them at once.
    #[arg(long, value_name = "DURATION", default_value = "30s", help_heading = "Limits")]
    shutdown_timeout: PositiveDuration,
    #[command(flatten)]
    log: LogArguments,
}

fn octal(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("not an octal mode such as 0660".to_owned()),
    }
}

/// What the page of metrics shows, and whether the program takes connections.
struct Status {
    metrics: Arc<Metrics>,
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

/// A program that passes connections on.
pub(crate) trait Program: Send + Sync + 'static {
    /// Passes one connection on until its end.
    fn pass(
        &self,
        stream: PlainStream,
        connection: Connection,
    ) -> impl Future<Output = ()> + Send + 'static;
}

impl ServingArguments {
    /// Runs `program` on what listens at `listen` until a signal ends it.
    ///
    /// `make` is called within the runtime, before any connection is accepted, with the settings of secured connections.
    pub(crate) fn run<P: Program>(
        &self,
        listen: &[ListenAddress],
        secured: Option<Secured>,
        make: impl FnOnce(Arc<Common>, Settings) -> P,
    ) -> Result<ExitCode, Box<dyn Error>> {
        self.log.init()?;
        if let Some(status) = &self.status
            && !status.is_local()
            && !self.unsafe_status
        {
            return Err(format!(
                "--status {status}: anybody who reaches this address can read the metrics. Use localhost:PORT or unix:PATH, or say --unsafe-status"
            )
            .into());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let drained = runtime.block_on(self.serve(listen, secured, make));
        // Relays that are still under way reset their connections when their tasks are dropped.
        runtime.shutdown_timeout(RESET_TIME);
        Ok(if drained? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Answers whether all connections had ended by themselves.
    async fn serve<P: Program>(
        &self,
        listen: &[ListenAddress],
        secured: Option<Secured>,
        make: impl FnOnce(Arc<Common>, Settings) -> P,
    ) -> Result<bool, Box<dyn Error>> {
        let mut relay = RelayOptions::default();
        relay.idle_timeout = self.idle_timeout.0;
        relay.close_timeout = self.close_timeout.0;
        let mut settings = Settings::default();
        settings.pool = relay.pool.clone();
        settings.handshake_timeout = self.connect_timeout.0;
        let metrics =
            Metrics::new(&mut relay, secured.as_ref().map(|secured| (&mut settings, secured)));
        let metrics = Arc::new(metrics);
        let common = Arc::new(Common {
            relay: Arc::new(relay),
            metrics: Arc::clone(&metrics),
            connect_timeout: self.connect_timeout.0,
            keepalive: self.tcp_keepalive.0,
            max_lifetime: self.max_lifetime.0,
            quiet: self.log.quiet(),
        });
        let program = Arc::new(make(Arc::clone(&common), settings));

        // Signals from here on are not lost: a program that has read the ready line may send one.
        let mut stop = Stop::new()?;
        let reload = reload_on_hangup(secured.and_then(|secured| secured.identity.files()))?;
        let mut activation = Activation::from_env();
        let mut options = ListenOptions::default();
        options.socket_mode = self.socket_mode;
        options.reuse_port = self.reuse_port;
        let mut listeners = Vec::new();
        for address in listen {
            listeners.extend(PlainListener::bind(address, options, &mut activation).await?);
        }
        let mut ready = String::from("ready");
        for listener in &listeners {
            ready = format!("{ready} listen={listener}");
        }
        let status = Arc::new(Status { metrics, draining: AtomicBool::new(false) });
        if let Some(address) = &self.status {
            for listener in PlainListener::bind(address, options, &mut activation).await? {
                ready = format!("{ready} status={listener}");
                // Until the process ends, so that the last of a drain can be seen.
                tokio::spawn(admin::serve(listener, Arc::clone(&status)));
            }
        }
        let most = self.max_connections();
        let places = Arc::new(Semaphore::new(most as usize));
        let mut accepting = JoinSet::new();
        for listener in listeners {
            accepting.spawn(accept(
                listener,
                Arc::clone(&program),
                Arc::clone(&common),
                Arc::clone(&places),
            ));
        }
        {
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{ready}")?;
            stdout.flush()?;
        }
        notify::ready();
        tokio::spawn(reload);
        if let Some(interval) = notify::watchdog_interval() {
            tokio::spawn(async move {
                loop {
                    notify::watchdog();
                    sleep(interval).await;
                }
            });
        }

        stop.signaled().await;
        status.draining.store(true, Ordering::Relaxed);
        notify::stopping();
        accepting.shutdown().await;
        let open = most - places.available_permits() as u32;
        tracing::info!(open, "shutting down");
        let drained = async {
            // An error is a closed semaphore, and nothing closes it.
            let _ = places.acquire_many(most).await;
        };
        let drained = tokio::select! {
            finished = timeout(self.shutdown_timeout.0, drained) => finished.is_ok(),
            () = stop.signaled() => false,
        };
        if !drained {
            let open = most - places.available_permits() as u32;
            tracing::warn!(open, "connections are cut off");
        }
        Ok(drained)
    }

    /// Raises the limit on open files as far as the system allows, and answers how many connections fit.
    fn max_connections(&self) -> u32 {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(%error, "cannot raise the limit on open files");
        }
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        // A semaphore takes no more than this at once, and no machine has as many descriptors.
        let fitting = files.min(1 << 28) * CONNECTION_SHARE.0 / CONNECTION_SHARE.1 / 2;
        let fitting = fitting.max(1) as u32;
        match self.max_connections {
            None => fitting,
            Some(wanted) => {
                if wanted > fitting {
                    tracing::warn!(
                        wanted,
                        open_files = files,
                        "--max-connections is more than the limit on open files allows: accepting will fail before it is reached"
                    );
                }
                wanted.min(1 << 28)
            }
        }
    }
}

/// Accepts connections as long as there is room for them. One that was accepted waits for its place; none is kept meanwhile.
async fn accept<P: Program>(
    listener: PlainListener,
    program: Arc<P>,
    common: Arc<Common>,
    places: Arc<Semaphore>,
) {
    let mut sockets = AcceptLoop::new(listener);
    while let Some(stream) = sockets.next().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        common.tune(&stream);
        // Not within another future, which would keep room for this one twice.
        let connection = Connection::new(&common, &stream, place);
        tokio::spawn(program.pass(stream, connection));
    }
}
