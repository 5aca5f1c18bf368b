//! What a service reports about its handshakes.

use std::fmt;
use std::time::Duration;

use crate::role::Role;

/// Counts handshakes, for metrics. It is called from the tasks that serve callers, so it should be quick.
pub trait Observer: Send + Sync + fmt::Debug + 'static {
    /// A caller has opened a stream.
    fn started(&self);
    /// The stream has ended; follows each [`started`](Self::started) exactly once.
    fn finished(&self, handshake: &Finished);
}

/// The end of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finished {
    /// The caller's role; `None` if it did not state it.
    pub role: Option<Role>,
    /// The reason of a failure, one of a fixed set of words: the name of a handshake error such as `decrypt_error`, or
    /// `bad_request`, `message_too_large`, `cancelled`, `idle`, `unread`, `timeout`, `overloaded`, `draining`, `no_identity`,
    /// `identity_denied`, `no_server_policy`, `peer_alert`, `foreign_protocol`.
    pub outcome: Result<(), &'static str>,
    /// The time since the stream was opened.
    pub elapsed: Duration,
}
