//! What all connections of one acceptor or connector have in common.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alts_handshaker::{HandshakeOptions, HandshakeResult, Handshaker, Role};

use crate::error::Error;
use crate::pool::{BufferPool, PooledBuf};
use crate::stream::{AltsStream, Channel, Negotiated, StreamOptions, Terms};

/// How connections are made and what they use. Start from the default and change fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where buffers come from. Clones share: give one pool to everything in a process.
    pub pool: BufferPool,
    /// What a handshake offers. `close_notify` is on here, since this crate's records support it.
    pub handshake: HandshakeOptions,
    /// How streams read and write.
    pub stream: StreamOptions,
    /// What strangers may make this side do at the same time; a connector's own handshakes count too. Clones share.
    /// Non-blocking handshakes (`start`) are the event loop's to limit.
    #[cfg(feature = "tokio")]
    pub limits: alts_handshaker::HandshakeLimits,
    /// For a whole handshake, from the socket to the stream. Default 10 s: below the 20 and 30 s after which gRPC's Java and
    /// Go peers give up.
    pub deadline: Duration,
    /// For the first 8 bytes of the peer. Default 5 s.
    pub first_bytes: Duration,
    /// Whether TCP sends small segments at once (`TCP_NODELAY`), where the socket is known to be TCP. Default `true`: a record
    /// is of no use to the peer until all of it is there. Not applied by `start`.
    pub nodelay: bool,
    /// How much the kernel takes that it cannot send yet, in bytes (`TCP_NOTSENT_LOWAT`), where the socket is known to be TCP
    /// and the system is Linux. `None` leaves it to the system, which lets up to 4 MiB pile up on one connection. Default
    /// 64 KiB: what waits is then still in the processor's cache when it is sent, and a peer that does not read costs the
    /// kernel less. What is on its way to the peer does not count, so that long distances are not slowed down. Not applied
    /// by `start`.
    pub unsent_limit: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        let mut handshake = HandshakeOptions::default();
        handshake.close_notify = true;
        Self {
            pool: BufferPool::new(),
            handshake,
            stream: StreamOptions::default(),
            #[cfg(feature = "tokio")]
            limits: alts_handshaker::HandshakeLimits::default(),
            deadline: Duration::from_secs(10),
            first_bytes: Duration::from_secs(5),
            nodelay: true,
            unsent_limit: Some(64 << 10),
        }
    }
}

/// Secures accepted connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Acceptor(pub(super) Arc<Endpoint>);

impl Acceptor {
    /// With default settings.
    pub fn new(handshaker: impl Handshaker) -> Self {
        Self::with_settings(handshaker, Settings::default())
    }

    /// With these settings.
    pub fn with_settings(handshaker: impl Handshaker, settings: Settings) -> Self {
        Self(Endpoint::new(Role::Server, handshaker, settings))
    }

    /// The settings in use.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }
}

/// Secures connections that this side opened. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connector(pub(super) Arc<Endpoint>);

impl Connector {
    /// With default settings.
    pub fn new(handshaker: impl Handshaker) -> Self {
        Self::with_settings(handshaker, Settings::default())
    }

    /// With these settings.
    pub fn with_settings(handshaker: impl Handshaker, settings: Settings) -> Self {
        Self(Endpoint::new(Role::Client, handshaker, settings))
    }

    /// The settings in use.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }
}

/// How many outcomes of handshakes are remembered, so that connections with the same outcome share it.
const RECENT_OUTCOMES: usize = 64;

pub(super) struct Endpoint {
    pub(super) role: Role,
    pub(super) handshaker: Box<dyn Handshaker>,
    pub(super) settings: Settings,
    /// The latest first.
    recent: Mutex<Vec<Arc<Terms>>>,
}

impl Endpoint {
    fn new(role: Role, handshaker: impl Handshaker, settings: Settings) -> Arc<Self> {
        let handshaker = Box::new(handshaker);
        Arc::new(Self { role, handshaker, settings, recent: Mutex::default() })
    }

    /// The stream that a finished handshake makes; `received` is what came after the handshake.
    pub(super) fn stream<S>(
        &self,
        io: S,
        mut result: HandshakeResult,
        received: Option<PooledBuf>,
    ) -> Result<AltsStream<S>, Error> {
        let terms = self.share(Negotiated::of(&result));
        let mut channel = Channel::new(self.role, &mut result, terms)?;
        if let Some(received) = received {
            channel.preload(received);
        }
        Ok(AltsStream::new(io, channel))
    }

    /// Thousands of connections with the same peer and the same parameters hold one copy of them.
    fn share(&self, negotiated: Negotiated) -> Arc<Terms> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        match recent.iter().position(|terms| terms.negotiated == negotiated) {
            Some(0) => {}
            Some(position) => recent[..=position].rotate_right(1),
            None => {
                let pool = self.settings.pool.clone();
                let options = self.settings.stream.clone();
                recent.truncate(RECENT_OUTCOMES - 1);
                recent.insert(0, Arc::new(Terms { negotiated, pool, options }));
            }
        }
        Arc::clone(&recent[0])
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("role", &self.role)
            .field("handshaker", &self.handshaker)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
