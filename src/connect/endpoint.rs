//! The parts shared by all connections of one acceptor or connector.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use alts_handshaker::{HandshakeResult, Handshaker, Role};

use super::observed::name_span;
use super::settings::Settings;
use crate::error::Error;
use crate::pool::PooledBuf;
use crate::stream::{AltsStream, Channel, Negotiated, Terms};

/// Secures accepted connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Acceptor(pub(super) Arc<Endpoint>);

impl Acceptor {
    /// Uses default settings.
    pub fn new(handshaker: impl Handshaker) -> Self {
        Self::with_settings(handshaker, Settings::default())
    }

    /// Uses the given settings.
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
    /// Uses default settings.
    pub fn new(handshaker: impl Handshaker) -> Self {
        Self::with_settings(handshaker, Settings::default())
    }

    /// Uses the given settings.
    pub fn with_settings(handshaker: impl Handshaker, settings: Settings) -> Self {
        Self(Endpoint::new(Role::Client, handshaker, settings))
    }

    /// The settings in use.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    #[cfg(feature = "tonic")]
    pub(crate) fn deadline(&self) -> tokio::time::Instant {
        self.0.deadline()
    }
}

/// Outcomes of handshakes that are remembered, so that connections with the same outcome share one allocation.
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

    /// When a connection that begins now has to be secured.
    #[cfg(feature = "tokio")]
    pub(super) fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + super::settings::addable(self.settings.handshake_timeout)
    }

    /// The stream of a finished handshake; `received` are the bytes that came after the handshake.
    pub(super) fn stream<S>(
        &self,
        io: S,
        mut result: HandshakeResult,
        received: Option<PooledBuf>,
    ) -> Result<AltsStream<S>, Error> {
        name_span(result.log_id);
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
                let observer = self.settings.observer.clone();
                recent.truncate(RECENT_OUTCOMES - 1);
                recent.insert(0, Arc::new(Terms::new(negotiated, pool, options, observer)));
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
