//! Health and metrics over HTTP/1.1.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::visitors::{LastUse, Visitors};
use crate::accept::{AcceptLoop, Listener};

/// How long a request may take to arrive, and a connection may last.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);
/// What Prometheus knows the text of `OpenMetrics` by.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a server says of itself.
pub trait Report: Send + Sync + 'static {
    /// All metrics, in the text format of [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/).
    ///
    /// # Errors
    /// They could not be written, which is the answer then (500).
    fn metrics(&self) -> Result<String, fmt::Error>;

    /// Whether the server takes new work. One that is shutting down does not.
    fn is_ready(&self) -> bool;
}

/// Answers the connections of `listener` for as long as it is polled, best in a task of its own that outlives the server's drain.
///
/// | path | answer |
/// | --- | --- |
/// | `/livez`, or `/healthz` | 200 |
/// | `/readyz`, or `/health` | 200, or 503 while [`Report::is_ready`] says no |
/// | `/metrics` | [`Report::metrics`] |
///
/// There are at most 16 connections. One more displaces the one that has been without a request for longest, so that nobody who
/// says nothing keeps Prometheus out. A request has 5 s to arrive, and a connection lasts 5 minutes at most.
pub async fn serve<L>(listener: L, report: Arc<impl Report>)
where
    L: Listener<Socket: AsyncRead + AsyncWrite + Send + Unpin + 'static>,
{
    let mut sockets = AcceptLoop::new(listener);
    let mut visitors = Visitors::default();
    while let Some(socket) = sockets.next().await {
        let report = Arc::clone(&report);
        let visit = |last_use: LastUse| async move {
            let service = service_fn(move |request| {
                last_use.note();
                let response = answer(&*report, &request);
                async { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(REQUEST_TIMEOUT)
                .serve_connection(TokioIo::new(socket), service);
            // A visitor's mistakes are its own affair.
            let _ = timeout(CONNECTION_TIMEOUT, connection).await;
        };
        visitors.admit(visit).await;
    }
}

fn answer(report: &impl Report, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
    }
    match request.uri().path() {
        "/metrics" => match report.metrics() {
            Ok(text) => {
                let mut response = Response::new(Full::from(text));
                let format = HeaderValue::from_static(OPEN_METRICS);
                response.headers_mut().insert(CONTENT_TYPE, format);
                response
            }
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "cannot write the metrics\n"),
        },
        "/readyz" | "/health" if !report.is_ready() => {
            plain(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
        }
        "/livez" | "/healthz" | "/readyz" | "/health" => plain(StatusCode::OK, "ok\n"),
        _ => plain(StatusCode::NOT_FOUND, "/metrics, /livez or /readyz\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[derive(Default)]
    struct Server {
        draining: AtomicBool,
        broken: AtomicBool,
    }

    impl Report for Server {
        fn metrics(&self) -> Result<String, fmt::Error> {
            match self.broken.load(Ordering::Relaxed) {
                true => Err(fmt::Error),
                false => Ok("# EOF\n".to_owned()),
            }
        }

        fn is_ready(&self) -> bool {
            !self.draining.load(Ordering::Relaxed)
        }
    }

    async fn start() -> (SocketAddr, Arc<Server>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, server) = (listener.local_addr().unwrap(), Arc::<Server>::default());
        tokio::spawn(serve(listener, Arc::clone(&server)));
        (address, server)
    }

    async fn asked(address: SocketAddr, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.strip_prefix("HTTP/1.1 ").unwrap().to_owned()
    }

    #[tokio::test]
    async fn pages() {
        let (address, server) = start().await;
        for path in ["/livez", "/healthz", "/readyz", "/health"] {
            assert!(asked(address, "GET", path).await.starts_with("200"), "{path}");
        }
        let metrics = asked(address, "GET", "/metrics").await;
        assert!(metrics.contains("application/openmetrics-text") && metrics.ends_with("# EOF\n"));
        assert!(asked(address, "GET", "/").await.starts_with("404"));
        assert!(asked(address, "POST", "/metrics").await.starts_with("405"));

        server.draining.store(true, Ordering::Relaxed);
        server.broken.store(true, Ordering::Relaxed);
        for (path, status) in
            [("/livez", "200"), ("/healthz", "200"), ("/readyz", "503"), ("/health", "503")]
        {
            assert!(asked(address, "GET", path).await.starts_with(status), "{path}");
        }
        assert!(asked(address, "GET", "/metrics").await.starts_with("500"));
    }
}
