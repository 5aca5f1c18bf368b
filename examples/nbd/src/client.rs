//! The client.
//!
//! A [`Client`] is a handle on one connection in transmission; clones share it. All of them have requests in flight at the same
//! time, and a task of their own sends and receives at once, so that a server which answers slowly is never waited for with
//! half a request sent.
//!
//! ```no_run
//! use alts_nbd::client::Dialer;
//! use alts_nbd::wire::flags::CommandFlags;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let disk = Dialer::new("nbd://localhost/disk".parse()?).connect().await?;
//! let mut sector = [0; 512];
//! disk.read_into(0, &mut sector).await?;
//! disk.write_from(512, &sector, CommandFlags::FUA).await?;
//! disk.disconnect().await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Dialer`] connects to what a [`Uri`] names. Over any other stream, [`Haggling`] is the handshake, and [`Client::start`] the
//! rest.
//!
//! # What is checked
//!
//! A server that breaks the protocol cannot have a caller take stale bytes for data: a reply has to belong to a request that was
//! sent and not answered, chunks have to lie within the request, must not overlap, and together have to cover it. The first
//! [`Violation`] ends the connection, and all requests in flight fail with it.
//!
//! # Memory
//!
//! A read takes its buffer from [`Settings::pool`] before it is sent, so that a reply never waits for memory, and no more than
//! [`Settings::requests_in_flight`] requests are in flight on one connection. A quiet connection holds no buffer. Who keeps a
//! buffer that [`Client::read`] returned and asks for another one waits for memory while holding some: with a small pool, use
//! [`Client::read_into`].
//!
//! # Cancellation
//!
//! The future of a request can be dropped at any time. The request may have been sent, and is carried out then; its reply is
//! read and forgotten.
//!
//! # Limits
//!
//! | | | |
//! |---|---|---|
//! | time for connecting, and for the handshake | 10 s | [`Settings::handshake_timeout`] |
//! | data of one reply to an option | 64 KiB | [`MAX_REPLY_DATA`] |
//! | data of all replies to one option, such as a list of exports | 4 MiB | [`MAX_REPLIES_DATA`] |
//! | requests in flight | 64, then callers wait | [`Settings::requests_in_flight`] |
//! | separate ranges of one read that have arrived out of order | one for each KiB, and 16 | |
//! | extents that are kept of one reply | 16,384; a caller asks on from where they end | [`MAX_KEPT_EXTENTS`] |
//! | an error chunk | 8 KiB | |
//! | time for the server to close after a disconnect | 2 s | |

mod check;
mod commands;
mod connection;
mod dial;
mod error;
mod handshake;
mod input;
mod receive;
mod reconnect;
mod table;
mod terms;
#[cfg(feature = "tls")]
mod tls;
mod uri;

use std::time::Duration;

use alts::pool::BufferPool;

pub use check::{MAX_KEPT_EXTENTS, Violation};
pub use commands::Client;
pub use dial::{ByteStream, Dialer};
pub use error::{Error, Refusal, Usage};
pub use handshake::{BeforeTls, Haggling, Listed, MAX_REPLIES_DATA, MAX_REPLY_DATA};
pub use reconnect::{Reconnect, Redial};
pub use terms::Terms;
pub use uri::{Security, Transport, Uri, UriError};

/// How a client behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where buffers come from. By default a pool of its own, with a cap of 64 MiB. Clones share it.
    pub pool: BufferPool,
    /// The longest that connecting may take, and the handshake; 10 s unless set.
    pub handshake_timeout: Duration,
    /// Requests of one connection that are in flight at a time; 64 unless set.
    pub requests_in_flight: usize,
    /// The most bytes that [`Client::read_into`] and [`Client::write_from`] move with one request; 256 KiB unless set. The
    /// server's maximum counts, too.
    pub request_size: usize,
    /// Whether a connection that breaks is made again; not unless set.
    pub reconnect: Option<Reconnect>,
}

impl Default for Settings {
    fn default() -> Self {
        let pool = BufferPool::builder().buffer_size(4096).cap(64 << 20).build();
        Self {
            pool: pool.unwrap_or_default(),
            handshake_timeout: Duration::from_secs(10),
            requests_in_flight: 64,
            request_size: 256 << 10,
            reconnect: None,
        }
    }
}
