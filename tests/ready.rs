//! On-ready reads: nothing is taken before bytes are there, and nothing kept when there are none after all.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use alts::connect::Settings;
use alts::pool::{BufferPool, PoolStats};
use alts::ready::{Probed, ReadyReader};
use support::{Parties, pattern, tcp_sockets};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::UnixStream;

fn taken(stats: PoolStats) -> u64 {
    stats.hits + stats.misses
}

/// Reads once without waiting.
fn try_read_on_ready(
    source: &mut impl ReadyReader,
    pool: &BufferPool,
) -> Poll<io::Result<Option<Vec<u8>>>> {
    let mut cx = Context::from_waker(Waker::noop());
    source
        .poll_read_on_ready(&mut cx, pool, &mut None)
        .map_ok(|buffer| buffer.map(|bytes| bytes.to_vec()))
}

/// What every source does: no buffer while nothing comes, one when something does, none after it was dropped.
async fn takes_a_buffer_only_for_bytes<R, W>(mut reader: R, mut writer: W)
where
    R: ReadyReader,
    W: AsyncWrite + Unpin,
{
    let pool = BufferPool::new();
    assert!(try_read_on_ready(&mut reader, &pool).is_pending());
    // tokio presumes a new socket readable, and the first look finds out.
    let presumed = taken(pool.stats());
    assert!(presumed <= 1);
    for _ in 0..3 {
        assert!(try_read_on_ready(&mut reader, &pool).is_pending());
    }
    assert_eq!(taken(pool.stats()), presumed, "a buffer was taken for nothing");
    assert_eq!(pool.stats().in_use_buffers, 0);

    for message in [&b"x"[..], &pattern(1024), &pattern(20_000)] {
        writer.write_all(message).await.unwrap();
        writer.flush().await.unwrap();
        let mut received = Vec::new();
        while received.len() < message.len() {
            let buffer = reader.read_on_ready(&pool).await.unwrap().unwrap();
            assert!(!buffer.is_empty());
            assert_eq!(pool.stats().in_use_buffers, 1);
            received.extend_from_slice(&buffer);
        }
        assert!(received == message);
        assert_eq!(pool.stats().in_use_buffers, 0);
    }
    writer.shutdown().await.unwrap();
    assert!(reader.read_on_ready(&pool).await.unwrap().is_none());
    assert!(reader.read_on_ready(&pool).await.unwrap().is_none(), "the end stays the end");
    assert_eq!(pool.stats().in_use_buffers, 0);
}

#[tokio::test]
async fn tcp() {
    let (near, far) = tcp_sockets().await;
    takes_a_buffer_only_for_bytes(near, far).await;
}

#[tokio::test]
async fn halves_of_tcp() {
    let (near, far) = tcp_sockets().await;
    let ((read, _write), (_read, write)) = (near.into_split(), far.into_split());
    takes_a_buffer_only_for_bytes(read, write).await;
}

#[tokio::test]
async fn unix() {
    let (near, far) = UnixStream::pair().unwrap();
    takes_a_buffer_only_for_bytes(near, far).await;
    let (near, far) = UnixStream::pair().unwrap();
    takes_a_buffer_only_for_bytes(near.into_split().0, far).await;
}

#[tokio::test]
async fn a_source_that_cannot_say_when_it_is_readable() {
    let (near, far) = tokio::io::duplex(1 << 20);
    takes_a_buffer_only_for_bytes(Probed::new(near), far).await;
}

#[tokio::test]
async fn secured_streams_over_each_of_them() {
    let parties = Parties::new();
    let (near, far) = parties.tcp_pair(Settings::default(), Settings::default()).await;
    takes_a_buffer_only_for_bytes(near, far).await;
    let (near, far) = parties.unix_pair(Settings::default(), Settings::default()).await;
    takes_a_buffer_only_for_bytes(far, near).await;
    let (near, far) = parties.tcp_pair(Settings::default(), Settings::default()).await;
    takes_a_buffer_only_for_bytes(near.into_split().0, far).await;
}

#[tokio::test]
async fn a_secured_stream_within_a_secured_stream() {
    let parties = Parties::new();
    let (near, far) = parties.tcp_pair(Settings::default(), Settings::default()).await;
    let acceptor = parties.acceptor(Settings::default());
    let connector = parties.connector(Settings::default());
    let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
    takes_a_buffer_only_for_bytes(near.unwrap(), far.unwrap()).await;
}

#[tokio::test]
async fn any_source_can_be_secured() {
    let parties = Parties::new();
    let (near, far) = tokio::io::duplex(1 << 16);
    let acceptor = parties.acceptor(Settings::default());
    let connector = parties.connector(Settings::default());
    let (near, far) =
        tokio::join!(connector.connect(Probed::new(near)), acceptor.accept(Probed::new(far)));
    takes_a_buffer_only_for_bytes(near.unwrap(), far.unwrap()).await;
}

#[test]
fn an_opaque_source_waits_with_64_bytes() {
    assert_eq!(size_of::<Probed<()>>(), 64);
    assert_eq!(size_of::<Probed<[u64; 4]>>(), 32 + 64);
}

/// Gives the bytes in pieces, then an error.
struct Failing(Vec<Vec<u8>>);

impl AsyncRead for Failing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(piece) = self.0.first_mut() else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let count = piece.len().min(buf.remaining());
        buf.put_slice(&piece[..count]);
        piece.drain(..count);
        if piece.is_empty() {
            self.0.remove(0);
        }
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn an_opaque_source_keeps_order_and_errors() {
    for lens in [&[1][..], &[53], &[54], &[55], &[54, 1], &[54, 54, 54], &[200, 3], &[40_000]] {
        let pieces: Vec<Vec<u8>> = lens.iter().map(|&len| pattern(len)).collect();
        let expected = pieces.concat();
        let pool = BufferPool::new();
        let mut source = Probed::new(Failing(pieces.clone()));
        let mut received = Vec::new();
        let error = loop {
            match source.read_on_ready(&pool).await {
                Ok(Some(buffer)) => received.extend_from_slice(&buffer),
                Ok(None) => panic!("no end was due"),
                Err(error) => break error,
            }
        };
        assert!(received == expected, "{lens:?}");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

        let mut source = Probed::new(Failing(pieces));
        let mut received = Vec::new();
        let mut small = [0; 7];
        let error = loop {
            // Both kinds of reading, in turns.
            poll_fn(|cx| source.poll_readable(cx)).await.ok();
            match source.read(&mut small).await {
                Ok(count) => received.extend_from_slice(&small[..count]),
                Err(error) => break error,
            }
        };
        assert!(received == expected, "{lens:?}");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
