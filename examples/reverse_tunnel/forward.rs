//! Bytes from one side to the other, both ways, with no buffer while nothing moves.

use std::io;
use std::time::Duration;

use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::yamux::Stream;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Forwards until both directions have ended, each in order. If one fails, both are cut: the peer of each learns that what it has is not
/// complete.
pub(crate) async fn both_ways(
    socket: TcpStream,
    stream: Stream,
    pool: &BufferPool,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (mut from_socket, mut to_socket) = socket.into_split();
    let (mut from_stream, mut to_stream) = stream.into_split();
    tokio::try_join!(
        forward(&mut from_socket, &mut to_stream, pool),
        forward(&mut from_stream, &mut to_socket, pool),
    )?;
    Ok(())
}

async fn forward(
    from: &mut impl ReadyReader,
    to: &mut (impl AsyncWrite + Unpin),
    pool: &BufferPool,
) -> io::Result<()> {
    while let Some(chunk) = from.read_on_ready(pool).await? {
        to.write_all(&chunk).await?;
    }
    to.shutdown().await
}

/// What is on its way to users' sockets gets there, within a limit; then they are closed.
pub(crate) async fn finish(mut users: JoinSet<()>, grace: Duration) {
    let all = async { while users.join_next().await.is_some() {} };
    if timeout(grace, all).await.is_err() {
        tracing::warn!("{} users are cut", users.len());
    }
}
