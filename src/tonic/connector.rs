//! The client's side: from an endpoint's URI to a secured connection.

use std::fmt;
use std::io;
#[cfg(unix)]
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use alts_handshaker::HandshakeOptions;
use http::Uri;
use hyper_util::rt::TokioIo;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};
use tower::Service;

use super::client_stream::ClientStream;
use super::error::ConnectError;
use crate::connect::{Connector, Socket, dial_until};

/// Connects tonic's channels: give it to `Endpoint::connect_with_connector` or `connect_with_connector_lazy`.
///
/// It dials the host and port of the endpoint's URI, port 80 if it has none, performs the handshake, and waits for the server's
/// first words, which show that the server has accepted this side. The URI's scheme should be `http`: to tonic, `https` means
/// TLS. The handshake is told the URI's authority as the target's name. Addresses of the host that do not answer cost little, see
/// [`dial`](crate::connect::dial). [`Settings::handshake_timeout`](crate::connect::Settings::handshake_timeout) limits all of
/// it but the wait for the first words, and `Endpoint::connect_timeout` all of it.
///
/// ```no_run
/// # async fn connect(connector: alts::Connector) -> Result<(), tonic::transport::Error> {
/// use alts::tonic::AltsConnector;
/// use tonic::transport::Endpoint;
///
/// let channel = Endpoint::from_static("http://db.example.org:7000")
///     .connect_with_connector(AltsConnector::new(connector))
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone.
#[derive(Clone)]
pub struct AltsConnector {
    connector: Connector,
    options: HandshakeOptions,
    dial: Arc<Dial>,
}

type Dial = dyn Fn(Attempt, Uri) -> Connecting + Send + Sync;
type Connecting = Pin<Box<dyn Future<Output = Result<ClientStream, ConnectError>> + Send>>;

impl AltsConnector {
    /// Dials what the URI says: TCP; or, with the scheme `unix`, the Unix socket at the URI's path, whatever its authority is.
    pub fn new(connector: Connector) -> Self {
        Self::with_dial(connector, |attempt, uri| attempt.dial(&uri))
    }

    /// Dials the Unix socket at `path`; of the URI only the authority is used, as the `:authority` of requests.
    /// Use `http://localhost`.
    ///
    /// (An endpoint for `unix:/path` tells only tonic's own connector about the path.)
    #[cfg(unix)]
    pub fn unix(connector: Connector, path: impl Into<PathBuf>) -> Self {
        let path = Arc::new(path.into());
        Self::with_dial(connector, move |attempt, _| attempt.unix(PathBuf::clone(&path)))
    }

    /// Lets `dial` make the transport for a URI: through a proxy, with socket options, in memory.
    pub fn dial<F, S>(connector: Connector, dial: impl Fn(Uri) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: Socket + 'static,
    {
        Self::with_dial(connector, move |attempt, uri| {
            let target = uri.authority().map(ToString::to_string).unwrap_or_default();
            attempt.over(target, dial(uri))
        })
    }

    /// Uses `options` for every handshake in place of the connector's settings: the identities the server may have, for instance.
    /// A `target_name` in it is kept.
    #[must_use]
    pub fn options(mut self, options: HandshakeOptions) -> Self {
        self.options = options;
        self
    }

    fn with_dial(
        connector: Connector,
        dial: impl Fn(Attempt, Uri) -> Connecting + Send + Sync + 'static,
    ) -> Self {
        let options = connector.settings().handshake.clone();
        Self { connector, options, dial: Arc::new(dial) }
    }
}

impl AltsConnector {
    /// The same for this crate's HTTP/2, which reads on ready: give it to
    /// [`ClientBuilder::connect_with`](crate::http2::client::ClientBuilder::connect_with).
    pub fn on_ready(self) -> OnReady {
        OnReady(self)
    }

    fn attempt(&self, uri: Uri) -> Connecting {
        let connector = self.connector.clone();
        let options = self.options.clone();
        let deadline = connector.deadline();
        (self.dial)(Attempt { connector, options, deadline }, uri)
    }
}

impl Service<Uri> for AltsConnector {
    type Response = TokioIo<ClientStream>;
    type Error = ConnectError;
    type Future = ForHyper;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        ForHyper(self.attempt(uri))
    }
}

/// A connection to come, for hyper.
#[doc(hidden)]
pub struct ForHyper(Connecting);

impl Future for ForHyper {
    type Output = Result<TokioIo<ClientStream>, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map_ok(TokioIo::new)
    }
}

impl fmt::Debug for ForHyper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForHyper").finish_non_exhaustive()
    }
}

/// An [`AltsConnector`] for this crate's HTTP/2.
#[derive(Clone, Debug)]
pub struct OnReady(AltsConnector);

impl Service<Uri> for OnReady {
    type Response = ClientStream;
    type Error = ConnectError;
    type Future = Connecting;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        self.0.attempt(uri)
    }
}

impl fmt::Debug for AltsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AltsConnector")
            .field("connector", &self.connector)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// One connection to make.
struct Attempt {
    connector: Connector,
    options: HandshakeOptions,
    deadline: Instant,
}

impl Attempt {
    fn dial(self, uri: &Uri) -> Connecting {
        if uri.scheme_str() == Some("unix") {
            #[cfg(unix)]
            return self.unix(uri.path().into());
            #[cfg(not(unix))]
            return self.over::<tokio::net::TcpStream>(uri.to_string(), async {
                Err(io::Error::new(io::ErrorKind::Unsupported, "there are no Unix sockets here"))
            });
        }
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
            Some("https") => 443,
            _ => 80,
        });
        let target = format!("{host}:{port}");
        // An IPv6 address has brackets in a URI only.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let deadline = self.deadline;
        self.over(target, async move { dial_until((host, port), deadline).await })
    }

    #[cfg(unix)]
    fn unix(self, path: PathBuf) -> Connecting {
        self.over(format!("unix:{}", path.display()), UnixStream::connect(path))
    }

    fn over<S: Socket + 'static>(
        mut self,
        target: String,
        dialling: impl Future<Output = io::Result<S>> + Send + 'static,
    ) -> Connecting {
        Box::pin(async move {
            let dialling = timeout_at(self.deadline, dialling).await;
            let dialled = dialling.unwrap_or_else(|_| {
                Err(io::Error::new(io::ErrorKind::TimedOut, "no connection before the timeout"))
            });
            let socket = dialled.map_err(|error| ConnectError::dial(&target, error))?;
            if self.options.target_name.is_none() {
                self.options.target_name = Some(target.clone());
            }
            let stream = self
                .connector
                .connect_until(socket, self.options, self.deadline)
                .await
                .map_err(|error| ConnectError::secure(&target, error))?;
            let pool = &self.connector.settings().pool;
            ClientStream::greeted(stream, pool)
                .await
                .map_err(|error| ConnectError::secure(&target, error.into()))
        })
    }
}
