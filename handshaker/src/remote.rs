//! Handshakes with the help of gRPC's `HandshakerService`, on Google Cloud or beside this process.
//!
//! ```no_run
//! use alts_handshaker::RemoteHandshaker;
//!
//! // The daemon of this package, or any other service with this interface.
//! let ours = RemoteHandshaker::builder("unix:/run/alts/handshaker.sock").build()?;
//! // Google's service. `build` refuses it on any other platform.
//! let googles = RemoteHandshaker::google_cloud().build()?;
//! # Ok::<(), alts_handshaker::Error>(())
//! ```
//!
//! The service sends the keys in plaintext, and it decides who the peer is. A program that can take its place can read
//! everything: use a Unix socket, or an address that only this machine reaches.

mod answer;
mod platform;
mod session;
mod turns;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use self::session::{Call, RemoteSession};
use self::turns::Turns;
use crate::error::Error;
use crate::role::Role;
use crate::session::{HandshakeOptions, HandshakeSession, Handshaker};

/// Where gRPC's ALTS looks for its service on Google Cloud. The dot at the end of the name keeps resolvers from trying it in
/// the domains of their search lists.
const GOOGLE_CLOUD: &str = "http://metadata.google.internal.:8080";

/// Handshakes at a time in each role, gRPC's own number.
const MAX_CONCURRENT: usize = 100;

/// How long one answer may take, the wait for a turn and connecting included: as long as this package gives a whole handshake.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a handshake waits for its peer before it may lose its turn to another: several round trips over any network, and short
/// beside [`ANSWER_TIMEOUT`], which limits those that wait.
const PEER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the service may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that has handshakes in progress and is silent for this long is asked whether it is alive.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A [`Handshaker`] that asks a service for every step. Clones share one connection, which is made when it is first needed and
/// again after it broke.
///
/// It works on a tokio runtime, the one in which its first handshake is polled. A limited number of handshakes in each role have a
/// turn at the service; more wait. The service is asked only when a whole message of the peer has arrived, and a handshake that
/// waits for its peer loses its turn when others want it, and fails at once: silent peers keep no one from the service.
///
/// # Errors
///
/// A service that cannot be reached, takes too long, breaks the protocol or fails is [`Error::Unavailable`]. What the peer did
/// is reported in detail by a service of this package; others send a status only, of which `PERMISSION_DENIED` is
/// [`Error::Denied`] and all else is [`Error::Unavailable`] too, since it says nothing about the peer.
///
/// # What a service does not do
///
/// There is no authenticated close ([`HandshakeOptions::close_notify`] is ignored). The log id is derived from the keys; the two
/// sides have the same one if both use a service. It may resume, and does not say so: [`resumed`](crate::HandshakeResult::resumed) is
/// `None`. No alert is sealed, since the service keeps the keys for that. An alert in
/// plaintext goes to a client of `altsh1` whose offer cannot be answered; if the service cannot be reached, or has no identity, it
/// is `no_identity`.
#[derive(Clone)]
pub struct RemoteHandshaker(Arc<Shared>);

struct Shared {
    endpoint: Endpoint,
    /// Made inside the runtime, so not before the first handshake.
    channel: OnceLock<Channel>,
    clients: Turns<Box<Call>>,
    servers: Turns<Box<Call>>,
    max_concurrent: usize,
    peer_timeout: Duration,
    answer_timeout: Duration,
}

impl RemoteHandshaker {
    /// A handshaker that uses the service at `address`: `unix:/path/to/socket` or `http://host:port`.
    pub fn builder(address: impl Into<String>) -> RemoteHandshakerBuilder {
        RemoteHandshakerBuilder {
            address: address.into(),
            only_on_google_cloud: false,
            max_concurrent: MAX_CONCURRENT,
            peer_timeout: PEER_TIMEOUT,
            answer_timeout: ANSWER_TIMEOUT,
        }
    }

    /// A handshaker that uses the service of Google Cloud, `metadata.google.internal.:8080`.
    ///
    /// Elsewhere anybody may answer to that name. So [`build`](RemoteHandshakerBuilder::build) looks at the machine's product
    /// name, as gRPC does, and refuses unless it is Google's.
    pub fn google_cloud() -> RemoteHandshakerBuilder {
        RemoteHandshakerBuilder { only_on_google_cloud: true, ..Self::builder(GOOGLE_CLOUD) }
    }
}

impl Shared {
    fn turns(&self, role: Role) -> &Turns<Box<Call>> {
        match role {
            Role::Client => &self.clients,
            Role::Server => &self.servers,
        }
    }

    /// Has to be called inside the runtime.
    fn channel(&self) -> Channel {
        self.channel.get_or_init(|| self.endpoint.connect_lazy()).clone()
    }
}

impl Handshaker for RemoteHandshaker {
    fn start(
        &self,
        role: Role,
        options: &HandshakeOptions,
    ) -> Result<Box<dyn HandshakeSession>, Error> {
        if role == Role::Server && !options.target_identities.is_empty() {
            return Err(Error::misuse("target_identities is for clients; servers have a policy"));
        }
        Ok(Box::new(RemoteSession::new(Arc::clone(&self.0), role, options.clone())))
    }
}

impl fmt::Debug for RemoteHandshaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteHandshaker")
            .field("service", self.0.endpoint.uri())
            .finish_non_exhaustive()
    }
}

/// Configures a [`RemoteHandshaker`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RemoteHandshakerBuilder {
    address: String,
    only_on_google_cloud: bool,
    max_concurrent: usize,
    peer_timeout: Duration,
    answer_timeout: Duration,
}

impl RemoteHandshakerBuilder {
    /// Uses the address of Google Cloud's service on any platform. For tests, and for machines that hide their product name: something
    /// else must ensure that the name resolves to the right service.
    pub fn trust_any_platform(mut self) -> Self {
        self.only_on_google_cloud = false;
        self
    }

    /// Sets how many handshakes may use the service at a time in each role, at least one. Default 100, which is gRPC's own number.
    pub fn max_concurrent(mut self, handshakes: usize) -> Self {
        self.max_concurrent = handshakes;
        self
    }

    /// Sets how long a handshake may wait for its peer while others wait for a turn. Then it loses its turn and fails with
    /// [`Error::Limit`]. Default 2 s.
    pub fn silent_peer_timeout(mut self, timeout: Duration) -> Self {
        self.peer_timeout = timeout;
        self
    }

    /// Sets how long one answer of the service may take, the wait for a turn and connecting included; more than zero. Default
    /// 10 s.
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Makes the handshaker. It connects to the service when it is first used.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] when the address cannot be one, when this machine is not one of Google Cloud, or when
    /// [`max_concurrent`](Self::max_concurrent) or [`answer_timeout`](Self::answer_timeout) is zero.
    pub fn build(self) -> Result<RemoteHandshaker, Error> {
        if self.only_on_google_cloud {
            platform::check(platform::PRODUCT_NAME)?;
        }
        if self.max_concurrent == 0 || self.answer_timeout.is_zero() {
            return Err(Error::misuse(
                "max_concurrent or answer_timeout of a RemoteHandshaker is zero: no handshake could succeed",
            ));
        }
        let endpoint = endpoint(&self.address).ok_or_else(|| {
            Error::misuse(format!(
                "{:?} is not the address of a handshaker service; it has to be unix:/path or http://host:port",
                self.address
            ))
        })?;
        let turns = || Turns::new(self.max_concurrent, self.peer_timeout);
        Ok(RemoteHandshaker(Arc::new(Shared {
            endpoint: endpoint
                .connect_timeout(CONNECT_TIMEOUT)
                .http2_keep_alive_interval(KEEPALIVE)
                .keep_alive_timeout(CONNECT_TIMEOUT),
            channel: OnceLock::new(),
            clients: turns(),
            servers: turns(),
            max_concurrent: self.max_concurrent,
            peer_timeout: self.peer_timeout,
            answer_timeout: self.answer_timeout,
        })))
    }
}

fn endpoint(address: &str) -> Option<Endpoint> {
    let path = address.strip_prefix("unix:");
    let endpoint = Endpoint::from_shared(address.to_owned()).ok()?;
    let uri = endpoint.uri();
    let plain = uri.scheme_str() == Some("http") && uri.host().is_some();
    match path {
        Some(path) => path.starts_with('/').then_some(endpoint),
        None => plain.then_some(endpoint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["unix:/run/x", "unix:///run/x", "http://127.0.0.1:1", GOOGLE_CLOUD] {
            assert!(RemoteHandshaker::builder(good).build().is_ok(), "{good}");
        }
        for bad in ["", "unix:", "unix:x", "/run/x", "127.0.0.1:1", "https://127.0.0.1:1", "http:"]
        {
            let refused = RemoteHandshaker::builder(bad).build();
            assert!(matches!(refused, Err(Error::Misuse(_))), "{bad}");
        }
    }
}
