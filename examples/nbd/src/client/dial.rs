//! From a URI to a connection.

use std::future::Future;
use std::io;
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alts::connect::Socket;
use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::yamux::{self, Session};
use alts::{AltsStream, Connector};
use tokio::io::{AsyncRead, AsyncWrite};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::error::{Error, Usage};
use super::handshake::Haggling;
use super::reconnect::Redial;
use super::terms::Terms;
use super::uri::{Security, Transport, Uri};
use super::{Client, Settings};

/// A byte stream of any kind.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

type Stream = Box<dyn ByteStream>;

/// Connects to what a [`Uri`] names. Clones share the pool and the keys, and with `yamux=1` the connection, which lasts as long
/// as one of them.
#[derive(Clone, Debug)]
pub struct Dialer {
    uri: Uri,
    settings: Settings,
    alts: Option<Connector>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ClientConfig>>,
    /// What carries the streams of all clients, where the URI asks for yamux.
    session: Arc<Mutex<Option<Session>>>,
}

impl Dialer {
    /// With default settings.
    pub fn new(uri: Uri) -> Self {
        Self {
            uri,
            settings: Settings::default(),
            alts: None,
            #[cfg(feature = "tls")]
            tls: None,
            session: Arc::default(),
        }
    }

    /// How connections behave.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// How connections are secured whose URI asks for ALTS. The connector's handshaker decides which servers are accepted.
    #[must_use]
    pub fn alts(mut self, connector: Connector) -> Self {
        self.alts = Some(connector);
        // A connection of another identity is not for this one.
        self.session = Arc::default();
        self
    }

    /// How connections are secured whose URI asks for TLS and names no certificates.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// What it connects to.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Connects and opens the export.
    ///
    /// # Errors
    /// What connecting or the handshake meets.
    pub async fn connect(&self) -> Result<Client, Error> {
        let (stream, terms) = self.open().await?;
        let dialer = self.clone();
        let redial = Redial::new(move || {
            let dialer = dialer.clone();
            async move { dialer.open().await }
        });
        Ok(Client::start_again(stream, terms, self.settings.clone(), Some(redial)))
    }

    /// Connects, and begins the handshake: for questions about exports.
    ///
    /// # Errors
    /// What connecting or the handshake meets.
    pub async fn haggle(&self) -> Result<Haggling<Stream>, Error> {
        self.within(self.begin()).await
    }

    async fn open(&self) -> Result<(Stream, Terms), Error> {
        self.within(async { self.begin().await?.open(&self.uri.export).await }).await
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        timeout(self.settings.handshake_timeout, work).await.map_err(|_| Error::Timeout)?
    }

    async fn begin(&self) -> Result<Haggling<Stream>, Error> {
        if self.uri.yamux {
            return self.begin_stream().await;
        }
        let patience = self.settings.handshake_timeout;
        match &self.uri.transport {
            Transport::Tcp(host, port) => {
                let socket = tcp(host, *port, patience).await?;
                self.begin_over(socket).await
            }
            #[cfg(unix)]
            Transport::Unix(path) => {
                let socket = unix(path).await?;
                self.begin_over(socket).await
            }
            #[cfg(not(unix))]
            Transport::Unix(_) => Err(NO_UNIX.into()),
        }
    }

    /// Over a stream in the connection that all clients share. It is made if there is none, or the last one no longer works.
    async fn begin_stream(&self) -> Result<Haggling<Stream>, Error> {
        let mut shared = self.session.lock().await;
        if let Some(session) = &*shared
            && let Ok(stream) = session.open().await
            && let Ok(begun) = Haggling::begin(Box::new(stream) as Stream).await
        {
            return Ok(begun);
        }
        let session = match &self.uri.transport {
            Transport::Tcp(host, port) => {
                let socket = tcp(host, *port, self.settings.handshake_timeout).await?;
                self.begin_session(socket).await?
            }
            #[cfg(unix)]
            Transport::Unix(path) => self.begin_session(unix(path).await?).await?,
            #[cfg(not(unix))]
            Transport::Unix(_) => return Err(NO_UNIX.into()),
        };
        let fault = |error: yamux::Error| Error::io("cannot open a stream", &error.into());
        let stream = shared.insert(session).open().await.map_err(fault)?;
        Haggling::begin(Box::new(stream) as Stream).await
    }

    async fn begin_session<S: Socket + 'static>(&self, socket: S) -> Result<Session, Error> {
        Ok(match self.uri.security {
            Security::Alts => carry(self.secure(socket).await?),
            Security::Plain | Security::Tls => carry(socket),
        })
    }

    async fn secure<S: Socket + 'static>(&self, socket: S) -> Result<AltsStream<S>, Error> {
        let connector = self.alts.as_ref().ok_or(Usage::Missing(
            "ALTS needs this side's identity, and who the server has to be",
        ))?;
        connector.connect(socket).await.map_err(Error::Secure)
    }

    async fn begin_over<S: Socket + 'static>(&self, socket: S) -> Result<Haggling<Stream>, Error> {
        match self.uri.security {
            Security::Plain => Haggling::begin(Box::new(socket) as Stream).await,
            Security::Alts => {
                let stream = self.secure(socket).await?;
                Haggling::begin(Box::new(stream) as Stream).await
            }
            Security::Tls => self.begin_tls(Box::new(socket)).await,
        }
    }

    #[cfg(feature = "tls")]
    async fn begin_tls(&self, socket: Stream) -> Result<Haggling<Stream>, Error> {
        let config = match (&self.uri.tls_certificates, &self.tls) {
            (Some(directory), _) => super::tls::config(directory)?,
            (None, Some(config)) => Arc::clone(config),
            (None, None) => {
                return Err(Usage::Missing(
                    "TLS needs authorities: add tls-certificates=DIRECTORY, with ca-cert.pem in it",
                )
                .into());
            }
        };
        let host = match (&self.uri.tls_hostname, &self.uri.transport) {
            (Some(name), _) | (None, Transport::Tcp(name, _)) => name.clone(),
            (None, Transport::Unix(_)) => "localhost".to_owned(),
        };
        let name = rustls::pki_types::ServerName::try_from(host).map_err(|_| {
            Usage::Missing("no certificate can be for this host: add tls-hostname=")
        })?;
        let before = Haggling::begin(socket).await?.start_tls().await?;
        let connector = tokio_rustls::TlsConnector::from(config);
        let secure =
            |stream| async move { Ok(Box::new(connector.connect(name, stream).await?) as Stream) };
        before.secured(secure).await
    }

    #[cfg(not(feature = "tls"))]
    async fn begin_tls(&self, _socket: Stream) -> Result<Haggling<Stream>, Error> {
        std::future::ready(Err(Usage::Missing("this program was built without TLS").into())).await
    }
}

/// A session over this connection, which ends when all handles and all streams are gone.
fn carry<S>(io: S) -> Session
where
    S: ReadyReader + AsyncWrite + Send + Unpin + 'static,
{
    // A pool of its own: a stream holds a buffer while a reply waits for the rest of it. The windows bound what is in it.
    let (session, driver) = Session::client(io, yamux::Config::default(), BufferPool::new());
    // Its end is noticed by what uses the session.
    tokio::spawn(async {
        let _ = driver.await;
    });
    session
}

#[cfg(not(unix))]
const NO_UNIX: Usage = Usage::Missing("this system has no Unix sockets");

#[cfg(unix)]
async fn unix(path: &Path) -> Result<UnixStream, Error> {
    let fault = |error| Error::io(format_args!("cannot connect to {}", shown(path)), &error);
    UnixStream::connect(path).await.map_err(fault)
}

async fn tcp(host: &str, port: u16, patience: Duration) -> Result<tokio::net::TcpStream, Error> {
    let fault =
        |error: io::Error| Error::io(format_args!("cannot connect to {host}, port {port}"), &error);
    let socket = alts::connect::dial((host, port), patience).await.map_err(fault)?;
    // Requests and replies are small and wait for each other.
    socket.set_nodelay(true).map_err(fault)?;
    Ok(socket)
}

/// A path for people, which of an abstract socket begins with `@`.
#[cfg(unix)]
fn shown(path: &Path) -> String {
    path.display().to_string().replace('\0', "@")
}
