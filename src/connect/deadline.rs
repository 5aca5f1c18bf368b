//! A future, and the time at which it ends at the latest.

use tokio::time::{Instant, timeout_at};

/// The deadline came first.
#[derive(Debug)]
pub(super) struct Expired;

pub(super) async fn within<T>(
    deadline: Instant,
    future: impl Future<Output = T>,
) -> Result<T, Expired> {
    timeout_at(deadline, future).await.map_err(|_| Expired)
}
