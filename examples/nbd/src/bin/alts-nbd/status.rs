//! Health and metrics over HTTP.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::listener::Listener;
use crate::metrics;
use crate::serving::Serving;

/// Connections at a time. Prometheus and a kubelet need one each.
const MAX_CONNECTIONS: usize = 16;
/// How long a request may take to arrive, and a connection may last.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);
/// What Prometheus knows the text of `OpenMetrics` by.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is shown.
pub(crate) struct Status {
    pub(crate) serving: Arc<Serving>,
    pub(crate) draining: AtomicBool,
}

impl Status {
    /// Answers until the process ends, so that the last of a drain can be seen.
    pub(crate) fn spawn(self: &Arc<Self>, mut listener: Listener) {
        let status = Arc::clone(self);
        tokio::spawn(async move {
            let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
            loop {
                let socket = listener.accept().await;
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let status = Arc::clone(&status);
                tokio::spawn(async move {
                    let _place = place;
                    let answer = service_fn(move |request| {
                        let response = status.answer(&request);
                        async { Ok::<_, Infallible>(response) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(REQUEST_TIMEOUT)
                        .serve_connection(TokioIo::new(socket), answer);
                    // A client's mistakes are its own affair.
                    let _ = timeout(CONNECTION_TIMEOUT, connection).await;
                });
            }
        });
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
        }
        match request.uri().path() {
            "/metrics" => {
                let serving = &self.serving;
                let text =
                    metrics::text(&serving.server, &serving.handshakes, serving.identity.as_ref());
                let mut response = Response::new(Full::from(text));
                let format = HeaderValue::from_static(OPEN_METRICS);
                response.headers_mut().insert(CONTENT_TYPE, format);
                response
            }
            "/readyz" if self.draining.load(Ordering::Relaxed) => {
                plain(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
            }
            "/healthz" | "/readyz" => plain(StatusCode::OK, "ok\n"),
            _ => plain(StatusCode::NOT_FOUND, "/metrics, /healthz or /readyz\n"),
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
