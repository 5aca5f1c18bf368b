//! What the server does with a connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use alts::connect::HandshakeFuture;
use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::{AltsStream, Error};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::tally::{CLOSED, GAVE_UP, Tally, name_of};

/// A first byte that asks for bytes without end. Everything else is sent back.
pub(crate) const PUSH: u8 = b'P';
/// How many at a time: more than a batch, so that it also waits between two.
pub(crate) const PUSHED: usize = 400_000;

/// Sends back what comes.
pub(crate) async fn echo(
    handshake: HandshakeFuture<TcpStream>,
    pool: BufferPool,
    tally: Arc<Tally>,
) {
    match handshake.await {
        // By reference: a future keeps room for what it is given, and once more for where it uses it.
        Ok(mut stream) => echo_stream(&mut stream, &pool, &tally).await,
        Err(error) => tally.end(name_of(&error)),
    }
}

/// As `echo`, after the handshake.
pub(crate) async fn echo_stream(
    stream: &mut AltsStream<TcpStream>,
    pool: &BufferPool,
    tally: &Tally,
) {
    Tally::add(&tally.secured);
    tally.end(match echo_all(stream, pool).await {
        Ok(()) => CLOSED,
        Err(error) => name_of(&Error::from(error)),
    });
}

async fn echo_all(stream: &mut AltsStream<TcpStream>, pool: &BufferPool) -> io::Result<()> {
    while let Some(received) = stream.read_on_ready(pool).await? {
        stream.write_all(&received).await?;
        drop(received);
        stream.flush().await?;
    }
    stream.shutdown().await?;
    while stream.read_on_ready(pool).await?.is_some() {}
    Ok(())
}

/// Sends back what comes, or bytes without end to those who ask for them, and gives up a write when the patience with it ends:
/// the timeout around writes that the documentation of `AltsStream` advises, or a scenario's word.
pub(crate) async fn guarded<F: Future<Output = ()>>(
    handshake: HandshakeFuture<TcpStream>,
    pool: BufferPool,
    tally: Arc<Tally>,
    patience: impl Fn() -> F,
) {
    let how = match handshake.await {
        Ok(mut stream) => {
            Tally::add(&tally.secured);
            match guarded_all(&mut stream, &pool, &patience).await {
                Ok(how) => how,
                Err(error) => name_of(&Error::from(error)),
            }
        }
        Err(error) => name_of(&error),
    };
    tally.end(how);
}

/// As `guarded`'s patience: a minute, which nothing here takes.
pub(crate) fn a_minute() -> impl Future<Output = ()> {
    tokio::time::sleep(Duration::from_secs(60))
}

/// What `write` came to; `None` if the patience with it ended first.
async fn unless<T>(
    patience: impl Future<Output = ()>,
    write: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        written = write => Some(written),
        () = patience => None,
    }
}

async fn guarded_all<F: Future<Output = ()>>(
    stream: &mut AltsStream<TcpStream>,
    pool: &BufferPool,
    patience: impl Fn() -> F,
) -> io::Result<&'static str> {
    while let Some(received) = stream.read_on_ready(pool).await? {
        let sent = if received[0] == PUSH {
            // What is read must not be held while something else takes long.
            drop(received);
            let chunk = vec![PUSH; PUSHED];
            loop {
                match unless(patience(), stream.write_all(&chunk)).await {
                    Some(Ok(())) => {}
                    other => break other,
                }
            }
        } else {
            let echoing = async {
                stream.write_all(&received).await?;
                stream.flush().await
            };
            unless(patience(), echoing).await
        };
        match sent {
            Some(sent) => sent?,
            None => return Ok(GAVE_UP),
        }
    }
    match unless(patience(), stream.shutdown()).await {
        Some(shut) => shut?,
        None => return Ok(GAVE_UP),
    }
    while stream.read_on_ready(pool).await?.is_some() {}
    Ok(CLOSED)
}
