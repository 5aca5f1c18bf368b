//! How a client is made.

use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderValue, Uri};
use tower_service::Service;

use super::Client;
use super::connection::Connection;
use super::driver::Driver;
use super::error::{BoxError, CallError};
use super::options::{Backoff, Behavior, Keepalive, Options};
use super::reconnect::Shared;
use super::transport::{Dial, TcpConnector, Transport};
use crate::http2::error::Error;
use crate::http2::limits::SETTINGS_SECONDS;
use crate::http2::settings::Config;
use crate::pool::BufferPool;

/// How long a connection may take to be made, with its handshake; what gRPC's implementations wait.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// PINGs more often than that end the connection at most servers.
const SHORTEST_KEEPALIVE: Duration = Duration::from_secs(10);
/// How long the answer to a PING may take; gRPC's default.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of a stream that the server may send ahead: a message of 1 MiB without waiting. hyper's client has 2 MiB.
const STREAM_WINDOW: u32 = 1 << 20;
/// Of all streams of a connection.
const CONNECTION_WINDOW: u32 = 4 << 20;
const USER_AGENT: &str = concat!("tonic-compatible alts/", env!("CARGO_PKG_VERSION"));

/// What a [`Client`] is to be like.
///
/// ```no_run
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use alts::http2::client::Client;
///
/// let client = Client::builder("http://[::1]:7000".parse()?)
///     .timeout(Duration::from_secs(5))
///     .user_agent("inventory/1.4")?
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// Clones share what was set before: a program with clients of many servers makes one builder and gives each client a clone with another
/// [`target`](Self::target), which takes 200 bytes less for each.
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientBuilder {
    target: Uri,
    origin: Option<Uri>,
    behavior: Arc<Behavior>,
}

impl ClientBuilder {
    pub(super) fn new(target: Uri) -> Self {
        let behavior = Arc::new(Behavior {
            user_agent: HeaderValue::from_static(USER_AGENT),
            timeout: None,
            connect_timeout: CONNECT_TIMEOUT,
            settings_timeout: Duration::from_secs(SETTINGS_SECONDS.into()),
            keepalive: None,
            backoff: Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(120) },
            config: Config {
                stream_window: STREAM_WINDOW,
                connection_window: CONNECTION_WINDOW,
                ..Config::default()
            },
            pool: BufferPool::new(),
        });
        Self { target, origin: None, behavior }
    }

    fn behavior(&mut self) -> &mut Behavior {
        Arc::make_mut(&mut self.behavior)
    }

    /// Another server, with the same settings.
    pub fn target(mut self, target: Uri) -> Self {
        self.target = target;
        self
    }

    /// The scheme and the authority that requests name, where they differ from the target's.
    pub fn origin(mut self, origin: Uri) -> Self {
        self.origin = Some(origin);
        self
    }

    /// What goes before this crate's own words in the field `user-agent` of requests that have none.
    ///
    /// # Errors
    /// It has characters that no field may have.
    pub fn user_agent(mut self, user_agent: &str) -> Result<Self, CallError> {
        let value = HeaderValue::try_from(format!("{user_agent} {USER_AGENT}"));
        let wrong = "the user agent has characters that a header field must not have";
        self.behavior().user_agent = value.map_err(|_| Error::misuse(wrong))?;
        Ok(self)
    }

    /// How long a call may take from its beginning to the end of its response, where the request says nothing shorter in `grpc-timeout`. The
    /// server is told. There is no limit by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.behavior().timeout = Some(timeout);
        self
    }

    /// How long it may take to make a connection, its handshake included; 20 s by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.behavior().connect_timeout = timeout;
        self
    }

    /// How long a server may take to acknowledge the settings of a new connection; 20 s by default. Then the connection ends.
    pub fn settings_timeout(mut self, timeout: Duration) -> Self {
        self.behavior().settings_timeout = timeout;
        self
    }

    /// Sends a PING when nothing has come for `interval` while calls are open, and ends the connection if there is no answer within `timeout`
    /// (gRPC's implementations wait 20 s). Off by default.
    ///
    /// Servers count PINGs: those of gRPC end the connection at more than one in five minutes, unless they were told otherwise. An interval
    /// below 10 s counts as 10 s. If a server complains the interval is doubled.
    pub fn keepalive(mut self, interval: Duration, timeout: Duration) -> Self {
        let while_idle = self.behavior.keepalive.is_some_and(|keepalive| keepalive.while_idle);
        let interval = interval.max(SHORTEST_KEEPALIVE);
        self.behavior().keepalive = Some(Keepalive { interval, timeout, while_idle });
        self
    }

    /// Whether keepalive also watches over a connection without calls. Turns it on with an interval of five minutes if it is off.
    pub fn keepalive_while_idle(mut self, while_idle: bool) -> Self {
        let interval = Duration::from_secs(300);
        let off = Keepalive { interval, timeout: KEEPALIVE_TIMEOUT, while_idle };
        let before = self.behavior.keepalive.unwrap_or(off);
        self.behavior().keepalive = Some(Keepalive { while_idle, ..before });
        self
    }

    /// The first and the longest pause between attempts to connect; 1 s and 120 s by default, as in gRPC.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.behavior().backoff = Backoff { first, longest: longest.max(first) };
        self
    }

    /// How many bytes of one response the server may send before they are read; 1 MiB by default.
    pub fn stream_window(mut self, bytes: u32) -> Self {
        self.behavior().config.stream_window = bytes;
        self
    }

    /// How many bytes of all responses of a connection the server may send before they are read; 4 MiB by default. At most so much unread
    /// payload is held for a connection.
    pub fn connection_window(mut self, bytes: u32) -> Self {
        self.behavior().config.connection_window = bytes;
        self
    }

    /// The largest header list of a response, in bytes of names and values and 32 for each field; 16 KiB by default.
    pub fn max_header_list_size(mut self, bytes: u32) -> Self {
        self.behavior().config.max_header_list_size = bytes;
        self
    }

    /// The size of the table that the server's header compression may use, in bytes; 4,096 by default.
    pub fn header_table_size(mut self, bytes: u32) -> Self {
        self.behavior().config.header_table_size = bytes;
        self
    }

    /// Where reads take their memory from; a pool of the client's own by default.
    pub fn pool(mut self, pool: BufferPool) -> Self {
        self.behavior().pool = pool;
        self
    }

    fn options(self) -> Result<Arc<Options>, Error> {
        self.behavior.config.check()?;
        let origin = self.origin.unwrap_or_else(|| self.target.clone()).into_parts();
        let authority = origin.authority.ok_or_else(|| {
            Error::misuse("the target's URI has no authority: http://host:port is one; see ClientBuilder::origin")
        })?;
        let scheme = origin.scheme.unwrap_or(Scheme::HTTP);
        Ok(Options::new(self.target, scheme, authority, self.behavior))
    }

    /// Connects over TCP, in plaintext.
    ///
    /// # Errors
    /// A setting cannot be, or there is no connection. Later ones are made when there are calls.
    pub async fn connect(self) -> Result<Client, CallError> {
        self.connect_with(TcpConnector).await
    }

    /// Connects with a connector: `AltsConnector` is one, and any service is that takes a URI and gives a byte stream.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn connect_with<C, IO>(self, connector: C) -> Result<Client, CallError>
    where
        C: Service<Uri, Response = IO> + Clone + Send + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send,
        IO: Transport,
    {
        let client = self.connect_lazy_with(connector)?;
        client.connected().await?;
        Ok(client)
    }

    /// A client that connects over TCP with its first call.
    ///
    /// # Errors
    /// A setting cannot be.
    pub fn connect_lazy(self) -> Result<Client, CallError> {
        self.connect_lazy_with(TcpConnector)
    }

    /// A client that connects with its first call.
    ///
    /// # Errors
    /// A setting cannot be.
    pub fn connect_lazy_with<C, IO>(self, connector: C) -> Result<Client, CallError>
    where
        C: Service<Uri, Response = IO> + Clone + Send + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send,
        IO: Transport,
    {
        let dial: Box<dyn Dial> = Box::new(connector);
        Ok(Client::new(Shared::new(self.options()?, Some(dial))))
    }

    /// A client over a connection that is there. When it ends, calls fail: there is no other.
    ///
    /// The [`Driver`] is what reads and writes; it has to be polled, best by a task of its own.
    ///
    /// # Errors
    /// A setting cannot be.
    pub fn over(self, io: impl Transport) -> Result<(Client, Driver), CallError> {
        let options = self.options()?;
        let connection = Connection::new(Box::new(io), Arc::clone(&options));
        let shared = Shared::new(options, None);
        shared.connected(&connection);
        Ok((Client::new(shared), Driver::new(connection)))
    }
}
