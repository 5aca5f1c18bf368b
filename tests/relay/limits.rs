//! What ends a relay that does not end by itself, and what a stuck peer can hold.

use std::time::Duration;

use alts::pool::BufferPool;
use alts::relay::{End, RelayOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::between;

/// Far beyond what a test waits for, on a clock that only moves when nothing else can.
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn an_idle_relay_ends_when_it_was_told_to() {
    let mut options = RelayOptions::default();
    options.idle_timeout = Some(HOUR);
    let mut between = between(&options).await;
    let start = tokio::time::Instant::now();
    let error = between.left.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(start.elapsed() >= HOUR);
    assert_eq!(between.relay.await.unwrap().a_to_b.end, End::IdleTimeout);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_ends_its_direction_is_given_up() {
    let options = RelayOptions::default();
    let mut between = between(&options).await;
    between.left.shutdown().await.unwrap();
    let summary = between.relay.await.unwrap();
    assert_eq!(summary.a_to_b.end, End::Clean);
    assert_eq!(summary.b_to_a.end, End::CloseTimeout);
}

#[tokio::test]
async fn timeouts_of_any_length_are_accepted() {
    for timeout in [Duration::ZERO, Duration::MAX] {
        let mut options = RelayOptions::default();
        options.idle_timeout = Some(timeout);
        options.close_timeout = Some(timeout);
        let between = between(&options).await;
        if timeout.is_zero() {
            assert_eq!(between.relay.await.unwrap().a_to_b.end, End::IdleTimeout);
        }
    }
}

#[tokio::test]
async fn a_byte_limit_ends_both_directions() {
    let mut options = RelayOptions::default();
    options.byte_limit = Some(1000);
    let mut between = between(&options).await;
    between.left.write_all(&[7; 1000]).await.unwrap();
    let mut received = [0; 1000];
    between.right.read_exact(&mut received).await.unwrap();
    between.left.write_all(&[7]).await.unwrap();
    let summary = between.relay.await.unwrap();
    assert_eq!(summary.a_to_b.end, End::ByteLimit);
    assert_eq!(summary.b_to_a.end, End::ByteLimit);
}

/// Relays whose receivers have stopped must leave buffers for others, however many there are.
#[tokio::test]
async fn stuck_receivers_do_not_keep_the_pool_from_others() {
    const STUCK: usize = 24;
    let mut options = RelayOptions::default();
    options.pipes = None;
    // Eight buffers.
    options.pool = BufferPool::builder().cap(8 * (33 << 10)).build().unwrap();
    let full = vec![0; 64 << 10];
    let mut stuck = Vec::new();
    for _ in 0..STUCK {
        let between = between(&options).await;
        // Until the sender can write no more, the buffers on the way are full.
        loop {
            match between.left.try_write(&full) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                    if between.left.try_write(&[0; 1]).is_err() {
                        break;
                    }
                }
                Err(error) => panic!("{error}"),
            }
        }
        stuck.push(between);
    }
    let mut fine = between(&options).await;
    let mut received = [0; 5];
    for _ in 0..10 {
        fine.left.write_all(b"hello").await.unwrap();
        fine.right.read_exact(&mut received).await.unwrap();
    }
    assert_eq!(&received, b"hello");
    let in_use = options.pool.stats().in_use_buffers;
    assert!(in_use <= 5, "{in_use} of 8 buffers are held by receivers that have stopped");
}
