//! Bytes from one side to the other, both ways, with no buffer while nothing moves.

use std::time::Duration;

use alts::pool::BufferPool;
use alts::relay::{RelayOptions, relay};
use alts::yamux::Stream;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How users' connections are forwarded. The pool is the sessions', whose buffers hold what streams received.
pub(crate) fn options(pool: &BufferPool) -> RelayOptions {
    let mut options = RelayOptions::default();
    options.pool = pool.clone();
    options
}

/// Forwards until both directions have ended, each in order. If one fails, or this is dropped, both are reset: the peer of each learns
/// that what it has is not complete.
pub(crate) async fn both_ways(socket: TcpStream, stream: Stream, options: &RelayOptions) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "small messages may be delayed");
    }
    let summary = relay(socket, stream, options).await;
    if !summary.is_clean() {
        let (there, back) = (summary.a_to_b.end, summary.b_to_a.end);
        tracing::debug!(%there, %back, "a user's connection was cut");
    }
}

/// What is on its way to users' sockets gets there, within a limit; then they are closed.
pub(crate) async fn finish(mut users: JoinSet<()>, grace: Duration) {
    let all = async { while users.join_next().await.is_some() {} };
    if timeout(grace, all).await.is_err() {
        tracing::warn!("{} users are cut", users.len());
    }
}
