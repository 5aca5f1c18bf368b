//! How connections are made.

use std::sync::Arc;
use std::time::Duration;

use alts_handshaker::HandshakeOptions;

use crate::observer::Observer;
use crate::pool::BufferPool;
use crate::stream::StreamOptions;

/// How connections are made and what they use. Start from the default and change fields.
///
/// Every value of every field is accepted: a timeout of [`Duration::MAX`] never expires, one of zero expires unless the peer's
/// bytes are there already.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where buffers come from. Clones share: give one pool to everything in a process.
    pub pool: BufferPool,
    /// What a handshake offers. `close_notify` is on here, since this crate's records support it.
    pub handshake: HandshakeOptions,
    /// How streams read and write.
    pub stream: StreamOptions,
    /// Limits on unfinished handshakes with unknown peers; a connector's handshakes count too. Clones share them.
    /// Non-blocking handshakes (`start`) are the event loop's to limit.
    #[cfg(feature = "tokio")]
    pub limits: alts_handshaker::HandshakeLimits,
    /// For a whole handshake, from the socket to the stream; for connections that this crate dials, from the name on. Default 10 s: below the 20 and 30 s after which gRPC's Java and
    /// Go peers give up.
    pub handshake_timeout: Duration,
    /// For the first 8 bytes of the peer. Default 5 s.
    pub first_bytes_timeout: Duration,
    /// Whether TCP sends small segments at once (`TCP_NODELAY`), where the socket is known to be TCP. Default `true`: a record
    /// is of no use to the peer until all of it is there. Not applied by `start`.
    pub nodelay: bool,
    /// How many bytes the kernel accepts that it cannot send yet (`TCP_NOTSENT_LOWAT`), where the socket is known to be TCP
    /// and the system is Linux. `None` leaves it to the system, which accepts up to 4 MiB for one connection. Default
    /// 64 KiB: unsent bytes are then still in the processor's cache when they are sent, and a peer that does not read costs the
    /// kernel less. Bytes on their way to the peer do not count, so long distances are not slowed down. Not applied
    /// by `start`.
    pub unsent_limit: Option<u32>,
    /// Is told of handshakes, of connections that end, and of what moves: [`Counters`](crate::observer::Counters), or one of your own.
    /// Default `None`: nothing is counted. Clones share it.
    pub observer: Option<Arc<dyn Observer>>,
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
            handshake_timeout: Duration::from_secs(10),
            first_bytes_timeout: Duration::from_secs(5),
            nodelay: true,
            unsent_limit: Some(64 << 10),
            observer: None,
        }
    }
}

/// The longest timeout that is kept as a point in time, since adding more may overflow: 30 years, longer than processes run.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// `timeout` as it can be added to the present.
pub(super) fn addable(timeout: Duration) -> Duration {
    timeout.min(LONGEST_TIMEOUT)
}
