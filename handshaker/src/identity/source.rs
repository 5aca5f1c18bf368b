//! Where identities come from.

use std::fmt;
use std::sync::Arc;

use super::error::IdentityError;
use super::snapshot::Identity;
use super::stats::IdentityStats;

/// Where handshakes get this side's identity from. Each takes one snapshot at its start.
pub trait IdentitySource: Send + Sync + fmt::Debug + 'static {
    /// The identity of this moment. Quick: it reads no files.
    fn snapshot(&self) -> Result<Arc<Identity>, IdentityError>;

    /// What an operator wants to know of it. This default says what [`snapshot`](Self::snapshot) does, and that nothing is ever
    /// renewed.
    fn stats(&self) -> IdentityStats {
        IdentityStats::of(self.snapshot().ok())
    }
}

/// An identity that never changes.
impl IdentitySource for Arc<Identity> {
    fn snapshot(&self) -> Result<Arc<Identity>, IdentityError> {
        Ok(Self::clone(self))
    }
}

impl<T: IdentitySource + ?Sized> IdentitySource for Arc<T> {
    fn snapshot(&self) -> Result<Arc<Identity>, IdentityError> {
        self.as_ref().snapshot()
    }

    fn stats(&self) -> IdentityStats {
        self.as_ref().stats()
    }
}
