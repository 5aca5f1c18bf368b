//! What an operator sees of connections: events for an [`Observer`], and [`Counters`] to ask.
//!
//! While [`Settings::observer`](crate::connect::Settings::observer) is `None` nothing is counted: a read and a write cost one comparison more, and
//! a connection is as small with an observer as without.
//!
//! ```
//! use std::sync::Arc;
//! use alts::connect::Settings;
//! use alts::observer::Counters;
//!
//! let counters = Arc::new(Counters::new());
//! let mut settings = Settings::default();
//! settings.observer = Some(counters.clone());
//! // ... an Acceptor or a Connector with these settings
//! let stats = counters.stats();
//! println!("{} open, {} bytes received", stats.open, stats.received.bytes);
//! for (reason, count) in &stats.handshakes.server.failed {
//!     println!("{count} handshakes failed: {reason}");
//! }
//! ```

mod counters;

use std::fmt;
use std::time::Duration;

use alts_handshaker::Role;
use alts_handshaker::identity::PeerIdentity;

use crate::error::Error;

pub use counters::{Counters, Stats};

/// Is told what happens to the connections of an acceptor or a connector.
///
/// It is called from the tasks that make, read and write connections, so it should be quick. Methods that are not written do nothing.
pub trait Observer: Send + Sync + fmt::Debug + 'static {
    /// A handshake has begun: a client is connected, or a server has accepted a connection, which may be silent.
    fn started(&self, role: Role) {
        let _ = role;
    }

    /// A handshake has ended; follows each [`started`](Self::started) exactly once. The log has its line by then.
    fn finished(&self, handshake: &Finished<'_>) {
        let _ = handshake;
    }

    /// A connection whose handshake had [succeeded](Outcome::Secured) is gone: the stream was dropped, or both of its halves.
    fn closed(&self) {}

    /// One read has opened records.
    fn received(&self, traffic: Traffic) {
        let _ = traffic;
    }

    /// One write has sealed records. The kernel may not have taken all of them yet.
    fn sent(&self, traffic: Traffic) {
        let _ = traffic;
    }
}

/// The end of a handshake.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Finished<'a> {
    /// This side's role.
    pub role: Role,
    /// What became of it.
    pub outcome: Outcome<'a>,
    /// The time since it [began](Observer::started); on a server that of waiting for the client's first bytes, and for a place, is
    /// in it.
    pub elapsed: Duration,
}

/// What became of a handshake.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// There is a secured connection. On a client, the server may still refuse it.
    Secured {
        /// The peer's proven identity.
        peer: &'a PeerIdentity,
    },
    /// There is none.
    Failed {
        /// Why.
        error: &'a Error,
    },
    /// The caller gave it up: its future was dropped.
    Cancelled,
}

/// Records and what was in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Records, those included that say nothing but that the connection ends. Each takes 24 bytes on the wire beside its payload.
    pub records: u64,
    /// Bytes of payload: received ones as they are read, sent ones as they are sealed.
    pub bytes: u64,
    /// How often a new key came into use, which `ALTSRP_GCM_AES128_REKEY` has every 65,536 records.
    pub rekeys: u64,
}

impl Finished<'_> {
    /// Why there is no connection, as one word of a fixed set: [`Error::reason`], or `cancelled`. `None` if there is one.
    pub fn reason(&self) -> Option<&'static str> {
        match self.outcome {
            Outcome::Secured { .. } => None,
            Outcome::Failed { error } => Some(error.reason()),
            Outcome::Cancelled => Some("cancelled"),
        }
    }
}
