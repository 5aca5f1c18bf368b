//! `alts-handshaker serve`.

mod address;
mod admin;
mod arguments;
mod calls;
mod connection;
mod health;
mod identities;
mod incoming;
mod metrics;
mod places;

use std::error::Error;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use alts_handshaker::admin::{Stop, notify, reload_on_hangup};
use alts_handshaker::service::HandshakerService;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tracing_subscriber::EnvFilter;

use self::address::loopback;
use self::admin::Admin;
use self::calls::Calls;
use self::health::Health;
use self::identities::DaemonIdentities;
use self::incoming::Listeners;
use self::metrics::Metrics;
use self::places::{PlaceLimits, Places};

pub(crate) use self::arguments::Serve;

/// Streams at a time on one connection; HTTP/2 makes a caller wait that wants more. grpc-go has one connection for its 100
/// handshakes as a client and its 100 as a server.
const STREAMS_PER_CONNECTION: u32 = 256;

/// What one stream may send before it is read, in bytes. Streams that wait for a place are not read.
const STREAM_WINDOW: u32 = 64 << 10;

/// The same for all streams of one connection: waiting streams must not block the messages of others.
const CONNECTION_WINDOW: u32 = STREAMS_PER_CONNECTION * STREAM_WINDOW;

/// The largest list of headers, in bytes. Those of handshakes have some hundred.
const MAX_HEADERS: u32 = 16 << 10;

/// A connection that is silent for so long is asked whether it is alive, and closed if no answer comes.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a call may take that is not a handshake.
const OTHER_CALLS: Duration = Duration::from_secs(10);

/// What the last answer of a call gets to be read, beyond the time that the call may take.
const UNREAD: Duration = Duration::from_secs(5);

/// How long the last responses have to reach their callers after all handshakes have finished.
const LAST_WORDS: Duration = Duration::from_millis(250);

impl Serve {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let filter = EnvFilter::try_new(&self.log)
            .map_err(|fault| format!("--log {:?}: {fault}", self.log))?;
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(false)
            .init();
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(self.serve())
    }

    async fn serve(self) -> Result<(), Box<dyn Error>> {
        if let Some(address) = self.admin.filter(|_| !self.unsafe_admin) {
            let why = "anybody who reaches it can read the metrics. Use 127.0.0.1:PORT or [::1]:PORT, or say --unsafe-admin";
            loopback(address, why).map_err(|fault| format!("--admin {address}: {fault}"))?;
        }
        let identities = DaemonIdentities::load(&self)?;
        let (ticket_keys, ticket_cache) = (self.ticket_keys()?, self.ticket_cache());
        let metrics =
            Arc::new(Metrics::new(&identities, ticket_keys.clone(), ticket_cache.clone()));
        let mut builder = HandshakerService::builder()
            .client_policy(self.client_policy())
            .limits(self.service_limits())
            .observer(metrics.handshakes.clone());
        if let Some(policy) = self.server_policy() {
            builder = builder.server_policy(policy);
        }
        if let Some(keys) = ticket_keys {
            builder = builder.ticket_keys(keys);
        }
        if let Some(cache) = ticket_cache {
            builder = builder.wait_for_tickets(cache);
        }
        let service = identities.give_to(builder).build()?;

        // Signals are not lost from here on: a supervisor that has read the ready line may send one.
        let mut stop = Stop::new()?;
        let files: Vec<_> =
            identities.iter().filter_map(|identity| identity.source.files()).collect();
        let reload = reload_on_hangup(files)?;
        let places = Places::new(self.place_limits(), metrics.clone());
        let listeners = Listeners::bind(&self.listen, self.socket_mode)?;
        let health = Health::new().await;
        let admin = match self.admin {
            Some(address) => Some(Admin::bind(address).await?),
            None => None,
        };
        self.warn(&listeners);
        announce(&listeners, admin.as_ref())?;
        notify::ready();

        if let Some(admin) = admin {
            admin.spawn(metrics.clone(), service.clone());
        }
        tokio::spawn(reload);

        let (incoming, accepting) = listeners.accept(&places);
        tokio::spawn(places.watch());
        let (close, closing) = tokio::sync::oneshot::channel::<()>();
        let server = Server::builder()
            .layer(Calls)
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_max_header_list_size(MAX_HEADERS)
            // Callers cancel handshakes by the hundred when they shut down.
            .http2_max_pending_accept_reset_streams(Some(STREAMS_PER_CONNECTION as usize))
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .timeout(OTHER_CALLS)
            .add_service(service.clone().into_server())
            .add_service(health.server())
            .serve_with_incoming_shutdown(ReceiverStream::new(incoming), async {
                // An error is a sender that is gone, which means the same.
                let _ = closing.await;
            });
        let mut server = tokio::spawn(server);

        tokio::select! {
            () = stop.signaled() => {}
            ended = &mut server => return Ok(ended??),
        }
        tracing::info!(in_flight = service.in_flight(), "shutting down");
        notify::stopping();
        service.drain();
        health.set_not_serving().await;
        // Another daemon may bind the addresses while this one finishes.
        drop(accepting);
        drop(close);
        let drained = async {
            tokio::select! {
                // All connections are closed.
                _ = &mut server => {}
                // Or have nothing to do but to watch this daemon's health.
                () = idle(&service) => sleep(LAST_WORDS).await,
            }
        };
        tokio::select! {
            finished = timeout(self.shutdown_timeout.0, drained) => match finished {
                Ok(()) => tracing::info!("all handshakes have finished"),
                Err(_) => tracing::warn!(
                    in_flight = service.in_flight(),
                    "handshakes that have not finished within --shutdown-timeout are dropped"
                ),
            },
            () = stop.signaled() => tracing::warn!("a second signal: handshakes in progress are dropped"),
        }
        Ok(())
    }

    fn place_limits(&self) -> PlaceLimits {
        PlaceLimits {
            all: self.max_connections.0,
            per_caller: self.max_connections_per_caller.0,
            first_call: self.first_call_timeout.0,
            idle: self.connection_idle_timeout.0,
            call: self.handshake_timeout.0.max(OTHER_CALLS) + UNREAD,
        }
    }

    /// Warns about settings that are allowed but often wrong.
    fn warn(&self, listeners: &Listeners) {
        if (self.cert.is_some() || self.trust.is_workload_api()) && listeners.has_tcp() {
            tracing::warn!(
                "every process that reaches the TCP address can use the daemon's identity: let only one workload reach it"
            );
        }
        if self.trust.dev {
            tracing::warn!("development certificates are accepted (--dev)");
        }
    }
}

/// Waits until no handshake is in progress.
async fn idle(service: &HandshakerService) {
    const LOOK_AGAIN: Duration = Duration::from_millis(20);
    while service.in_flight() > 0 {
        sleep(LOOK_AGAIN).await;
    }
}

/// Prints the line `ready` with the addresses to standard output.
fn announce(listeners: &Listeners, admin: Option<&Admin>) -> io::Result<()> {
    let mut line = String::from("ready");
    for address in listeners.addresses() {
        line = format!("{line} listen={address}");
    }
    if let Some(admin) = admin {
        line = format!("{line} admin={}", admin.address());
    }
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}
