//! Bytes from one side to the other, both ways, with no buffer while nothing moves.

use std::io;
use std::time::Duration;

use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::yamux::Stream;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A TCP connection that is reset if it is dropped before both of its directions have ended in order. Closed in any other way, it would tell
/// its peer that what has arrived is complete.
pub(crate) struct Socket {
    reader: OwnedReadHalf,
    /// Taken out only to be dropped.
    writer: Option<OwnedWriteHalf>,
    has_ended: bool,
}

impl Socket {
    pub(crate) fn new(socket: TcpStream) -> Self {
        let (reader, writer) = socket.into_split();
        Self { reader, writer: Some(writer), has_ended: false }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let Some(writer) = self.writer.take() else { return };
        if !self.has_ended {
            if let Err(error) = writer.as_ref().set_zero_linger() {
                tracing::debug!(%error, "a connection is closed without a reset");
            }
            // Without this its direction would end in order first.
            writer.forget();
        }
    }
}

/// Forwards until both directions have ended, each in order. If one fails, or this is dropped, both are cut: the peer of each learns that
/// what it has is not complete.
pub(crate) async fn both_ways(
    mut socket: Socket,
    stream: Stream,
    pool: &BufferPool,
) -> io::Result<()> {
    let Socket { reader, writer: Some(writer), has_ended } = &mut socket else { return Ok(()) };
    writer.as_ref().set_nodelay(true)?;
    let (mut from_stream, mut to_stream) = stream.into_split();
    tokio::try_join!(
        forward(reader, &mut to_stream, pool),
        forward(&mut from_stream, writer, pool),
    )?;
    *has_ended = true;
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
