//! Resumption: the next handshake with a peer that was proved a while ago, without signatures.
//!
//! A server seals what a full handshake proved into a *ticket* under [`TicketKeys`] and holds nothing itself; the client keeps ticket
//! and secret in a [`TicketCache`]. Both are values that a program makes and shares on purpose. Without them nothing is resumed.
//!
//! A ticket is accepted only where a full handshake with the same certificates would succeed now; one function decides that, on both
//! sides. Where it does not hold, the connection goes on as a full handshake, and [`Refused`] says why.

mod cache;
mod decision;
mod error;
mod key_file;
mod key_set;
mod keys;
mod peers;
mod refused;
mod rotate;
mod scope;
mod state;
mod stats;
#[cfg(test)]
mod tests;
mod ticket;

pub use cache::TicketCache;
pub use error::TicketKeysError;
pub use keys::TicketKeys;
pub use refused::Refused;
pub use rotate::{Rotated, rotate_key_file};
pub use stats::TicketStats;

pub(crate) use cache::{CacheKey, Offer};
pub(crate) use decision::{Accepted, Side};
pub(crate) use scope::{MAX_REALM, Scope};
pub(crate) use state::{Psk, TicketState};
pub(crate) use ticket::Issued;

use std::time::Duration;

/// For how long a full handshake may be resumed unless told otherwise.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// The most that can be told otherwise: a day without a proof.
pub const MAX_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// A ticket with less time left is not worth its bytes.
pub(crate) const MIN_LIFETIME: u64 = 60;

/// Checks how long a full handshake may be resumed, and answers in seconds.
fn max_age_seconds(max_age: Duration) -> Result<u64, TicketKeysError> {
    let seconds = max_age.as_secs();
    if seconds < MIN_LIFETIME || max_age > MAX_MAX_AGE {
        return Err(TicketKeysError::MaxAge(max_age));
    }
    Ok(seconds)
}
