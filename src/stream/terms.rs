//! What connections share, and who is told when one of them ends.

#[cfg(feature = "tokio")]
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::negotiated::{DEFAULT_FRAME_SIZE, Negotiated, StreamOptions};
use crate::observer::Observer;
use crate::pool::BufferPool;

/// No peer may ask for smaller records than this: their overhead would be a weapon. gRPC's minimum.
const MIN_FRAME_SIZE: u32 = 4 << 10;
/// No peer has to accept larger records: with this size the length field is within 1 MiB.
const MAX_FRAME_SIZE: u32 = crate::record::MAX_LENGTH;

/// What the connections of one acceptor or connector with one peer have in common.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) negotiated: Negotiated,
    pub(crate) pool: BufferPool,
    pub(crate) options: StreamOptions,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    /// For terms of one connection that is in halves, and has an observer.
    #[cfg(feature = "tokio")]
    pub(super) closing: Option<Closing>,
}

impl Terms {
    pub(crate) fn new(
        negotiated: Negotiated,
        pool: BufferPool,
        options: StreamOptions,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        Self {
            negotiated,
            pool,
            options,
            observer,
            #[cfg(feature = "tokio")]
            closing: None,
        }
    }

    /// The most payload of a record to send.
    #[inline]
    pub(crate) fn max_payload(&self) -> usize {
        let ours = self.options.max_frame_size.clamp(MIN_FRAME_SIZE, MAX_FRAME_SIZE);
        let frame = match self.negotiated.peer_max_frame_size {
            0 => ours.min(DEFAULT_FRAME_SIZE),
            theirs => ours.min(theirs.max(MIN_FRAME_SIZE)),
        };
        frame as usize - crate::record::OVERHEAD
    }
}

/// The terms of one connection, whose observer is told when they are dropped with it.
pub(crate) struct OwnTerms(Arc<Terms>);

impl OwnTerms {
    pub(super) fn new(terms: Arc<Terms>) -> Self {
        Self(terms)
    }

    /// For the two halves of a connection, which ends with the second of them.
    #[cfg(feature = "tokio")]
    pub(super) fn pair(mut self) -> (Self, Self) {
        let Terms { negotiated, pool, options, observer, closing } = &*self.0;
        if let (Some(observer), None) = (observer, closing) {
            self.0 = Arc::new(Terms {
                negotiated: negotiated.clone(),
                pool: pool.clone(),
                options: options.clone(),
                observer: Some(Arc::clone(observer)),
                closing: Some(Closing(Arc::clone(observer))),
            });
        }
        let other = Self(Arc::clone(&self.0));
        (self, other)
    }
}

impl Deref for OwnTerms {
    type Target = Arc<Terms>;

    #[inline]
    fn deref(&self) -> &Arc<Terms> {
        &self.0
    }
}

impl Drop for OwnTerms {
    fn drop(&mut self) {
        #[cfg(feature = "tokio")]
        if self.0.closing.is_some() {
            return;
        }
        if let Some(observer) = &self.0.observer {
            observer.closed();
        }
    }
}

/// Tells the end of one connection as it is dropped. Terms that many connections share have none.
#[cfg(feature = "tokio")]
pub(crate) struct Closing(Arc<dyn Observer>);

#[cfg(feature = "tokio")]
impl Drop for Closing {
    fn drop(&mut self) {
        self.0.closed();
    }
}

#[cfg(feature = "tokio")]
impl fmt::Debug for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closing").finish_non_exhaustive()
    }
}
