//! A pool with less memory than streams want: everything goes on, and nothing deadlocks.

use std::time::Duration;

use alts::pool::{BufferPool, PooledBuf};
use alts::yamux::{Error, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use crate::config;
use crate::raw::{PING, Raw, SYN, data, frame};
use crate::support::{assert_nothing_out, pattern};

/// A pool of so many buffers of 32 KiB.
fn pool_of(buffers: usize) -> BufferPool {
    let buffer = BufferPool::capacity_for(32 << 10).unwrap();
    BufferPool::builder().cap(buffers * buffer).build().unwrap()
}

fn take_all(pool: &BufferPool) -> Vec<PooledBuf> {
    std::iter::from_fn(|| pool.take(1).ok()).collect()
}

#[tokio::test]
async fn pings_are_answered_while_the_pool_has_nothing() {
    let pool = pool_of(2);
    let (near, far) = UnixStream::pair().unwrap();
    let (_session, driver) = Session::server(far, config().build().unwrap(), pool.clone());
    tokio::spawn(driver);
    let held = take_all(&pool);
    let mut raw = Raw(near);
    for value in 0..100 {
        raw.send(&[frame(PING, SYN, 0, value)]).await;
        assert_eq!(raw.next().await, Some((PING, 2, 0, value)));
    }
    drop(held);
    assert_nothing_out(&pool);
}

#[tokio::test]
async fn a_body_that_waits_for_memory_arrives_when_there_is_some() {
    let pool = pool_of(2);
    let (near, far) = UnixStream::pair().unwrap();
    let config = config().memory_patience(Duration::from_secs(600)).build().unwrap();
    let (session, driver) = Session::server(far, config, pool.clone());
    tokio::spawn(driver);
    let held = take_all(&pool);
    let mut raw = Raw(near);
    raw.send(&[data(SYN, 1, 3_000), frame(PING, SYN, 0, 9)]).await;
    let mut stream = session.accept().await.unwrap().unwrap();
    assert_eq!(raw.next().await, Some((1, 2, 1, 0)), "it is accepted meanwhile");
    assert!(timeout(Duration::from_millis(100), stream.read(&mut [0])).await.is_err());
    drop(held);
    let mut received = vec![0; 3_000];
    stream.read_exact(&mut received).await.unwrap();
    assert_eq!(raw.next().await, Some((PING, 2, 0, 9)));
    assert_nothing_out(&pool);
}

#[tokio::test]
async fn a_body_that_has_waited_too_long_costs_its_stream_and_no_other() {
    let pool = pool_of(2);
    let (near, far) = UnixStream::pair().unwrap();
    let config = config().memory_patience(Duration::from_millis(50)).build().unwrap();
    let (session, driver) = Session::server(far, config, pool.clone());
    tokio::spawn(driver);
    let held = take_all(&pool);
    let mut raw = Raw(near);
    raw.send(&[data(SYN, 1, 3_000), frame(PING, SYN, 0, 9)]).await;
    let mut frames = [raw.next().await.unwrap(), raw.next().await.unwrap()];
    frames.sort_unstable();
    assert_eq!(frames, [(1, 8, 1, 0), (PING, 2, 0, 9)], "behind it there was a ping");
    drop(held);
    raw.send(&[data(SYN, 3, 3_000)]).await;
    let mut stream = session.accept().await.unwrap().unwrap();
    assert_eq!(stream.id(), 3);
    let mut received = vec![0; 3_000];
    stream.read_exact(&mut received).await.unwrap();
}

/// Echoes on many streams, both sides with the same two buffers: each side's unread bytes are what the other one lacks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn echoes_with_next_to_no_memory_end_one_way_or_the_other() {
    let pool = pool_of(3);
    let (near, far) = UnixStream::pair().unwrap();
    let config = config().memory_patience(Duration::from_millis(20)).build().unwrap();
    let (client, driver) = Session::client(near, config.clone(), pool.clone());
    tokio::spawn(driver);
    let (server, driver) = Session::server(far, config, pool.clone());
    tokio::spawn(driver);
    tokio::spawn(async move {
        while let Ok(Some(stream)) = server.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.into_split();
                if tokio::io::copy(&mut reader, &mut writer).await.is_ok() {
                    let _ = writer.shutdown().await;
                }
            });
        }
    });
    let all = pattern(500_000);
    let mut tasks = Vec::new();
    for _ in 0..16 {
        let (client, all) = (client.clone(), all.clone());
        tasks.push(tokio::spawn(async move {
            let (mut reader, mut writer) = client.open().await.unwrap().into_split();
            let sent = all.clone();
            let writing = tokio::spawn(async move {
                let written = writer.write_all(&sent).await;
                if written.is_ok() {
                    writer.close_write();
                }
            });
            let mut received = Vec::new();
            let ended = reader.read_to_end(&mut received).await;
            writing.await.unwrap();
            match ended {
                Ok(_) => {
                    assert!(received == all);
                    true
                }
                Err(error) => {
                    let why = Error::of(&error);
                    assert!(
                        matches!(
                            why,
                            Some(
                                Error::Reset { .. } | Error::Memory | Error::ResetByThisSide { .. }
                            )
                        ),
                        "{why:?}"
                    );
                    false
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    // And the session is as good as new.
    client.ping().await.unwrap();
    let mut stream = client.open().await.unwrap();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
    drop(stream);
    while pool.stats().in_use_buffers > 0 {
        sleep(Duration::from_millis(1)).await;
    }
}
