//! Metrics over HTTP.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use alts_handshaker::accept::AcceptLoop;
use alts_handshaker::service::{Caller, HandshakerService};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::connection::{Connection, Socket};
use super::identities::DaemonIdentities;
use super::metrics::Metrics;
use super::places::{PlaceLimits, Places};

/// Connections at a time; Prometheus needs one. One more closes the oldest, so that nobody keeps Prometheus out.
const LIMITS: PlaceLimits = PlaceLimits {
    all: 16,
    per_caller: 16,
    first_call: CONNECTION,
    idle: CONNECTION,
    call: CONNECTION,
};
/// How long a request may take to arrive, and a connection to be of use.
const REQUEST: Duration = Duration::from_secs(5);
const CONNECTION: Duration = Duration::from_secs(5 * 60);
/// What Prometheus knows the text of `OpenMetrics` by.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

#[derive(Clone)]
struct Shown {
    metrics: Arc<Metrics>,
    identities: Arc<DaemonIdentities>,
    service: HandshakerService,
}

impl Admin {
    pub(super) async fn bind(address: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let fault = |fault| format!("cannot listen on {address} for metrics: {fault}");
        let listener = TcpListener::bind(address).await.map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        Ok(Self { listener, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process ends, so that the last of a drain can still be seen.
    pub(super) fn spawn(
        self,
        metrics: Arc<Metrics>,
        identities: Arc<DaemonIdentities>,
        service: HandshakerService,
    ) {
        let shown = Shown { metrics, identities, service };
        tokio::spawn(async move {
            let places = Places::new(LIMITS, None);
            let mut sockets = AcceptLoop::new(self.listener);
            while let Some(socket) = sockets.next().await {
                let place = places.take(Caller::default()).await;
                let socket = Connection::new(Socket::Tcp(socket), place);
                let shown = shown.clone();
                tokio::spawn(async move {
                    let answer = service_fn(move |request| {
                        let response = shown.answer(&request);
                        async { Ok::<_, Infallible>(response) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(REQUEST)
                        .serve_connection(TokioIo::new(socket), answer);
                    // What a visitor does wrong is its own affair.
                    let _ = timeout(CONNECTION, connection).await;
                });
            }
        });
    }
}

impl Shown {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
        }
        match request.uri().path() {
            "/metrics" => match self.metrics.text(&self.identities) {
                Ok(text) => {
                    let mut response = Response::new(Full::from(text));
                    let openmetrics = hyper::header::HeaderValue::from_static(OPEN_METRICS);
                    response.headers_mut().insert(CONTENT_TYPE, openmetrics);
                    response
                }
                Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "cannot write the metrics\n"),
            },
            "/health" if self.service.is_draining() => {
                plain(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
            }
            "/health" => plain(StatusCode::OK, "ok\n"),
            _ => plain(StatusCode::NOT_FOUND, "/metrics or /health\n"),
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
