//! Why a ticket was not accepted.

use std::fmt;

/// Why a ticket was not accepted. The handshake went on as a full one; the peer is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refused {
    /// This side has no ticket keys.
    Disabled,
    /// The ticket is of a form that is not known here, or sealed under a key that this side does not have, or not any more.
    UnknownKey,
    /// The ticket does not open: it was changed, or is of another server's identity or realm.
    Unreadable,
    /// The ticket, a chain or a revocation list behind it has come to its end, the proof is older than this side wants, or the
    /// ticket claims to be of a time at which it cannot have been made.
    Expired,
    /// The peer's trust domain has another bundle or other revocation lists than when the peer was proved, or none any more.
    TrustChanged,
    /// The policy, or the target identities, do not allow the peer any more.
    Policy,
}

impl Refused {
    /// All of them, for counters.
    pub const ALL: [Self; 6] = [
        Self::Disabled,
        Self::UnknownKey,
        Self::Unreadable,
        Self::Expired,
        Self::TrustChanged,
        Self::Policy,
    ];

    /// A name for logs and metrics: `ticket_expired`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "ticket_disabled",
            Self::UnknownKey => "ticket_unknown_key",
            Self::Unreadable => "ticket_unreadable",
            Self::Expired => "ticket_expired",
            Self::TrustChanged => "ticket_trust_changed",
            Self::Policy => "ticket_policy",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
