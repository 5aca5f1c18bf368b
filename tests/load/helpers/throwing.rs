//! Writes to a server that may stop reading.

use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// A server that takes nothing for so long has stopped reading.
pub(crate) const STOPPED: Duration = Duration::from_secs(2);

/// Writes all of `bytes`, however long it takes, unless the connection ends or the server takes none of them. Answers whether all were taken.
pub(super) async fn is_taken(mut bytes: &[u8], writer: &mut (impl AsyncWrite + Unpin)) -> bool {
    while !bytes.is_empty() {
        let Ok(Ok(count @ 1..)) = timeout(STOPPED, writer.write(bytes)).await else { return false };
        bytes = &bytes[count..];
    }
    true
}
