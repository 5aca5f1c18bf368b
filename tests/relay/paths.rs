//! Which way bytes go, and that all of them arrive.

use std::sync::Arc;

use alts::connect::Settings;
use alts::pool::BufferPool;
use alts::relay::{
    CopyReason, Path, PipePool, RelayCounters, RelayEnd, RelayOptions, copy, copy_bidirectional,
    relay,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::between;
use crate::support::{Parties, assert_nothing_out, pattern, tcp_sockets};

const MIB: usize = 1 << 20;

/// Sends `data` from each side at once, ends both, and checks what came.
async fn exchange(mut left: TcpStream, mut right: TcpStream, data: &[u8]) {
    async fn one(stream: &mut TcpStream, data: &[u8]) -> Vec<u8> {
        let (mut read, mut write) = stream.split();
        let mut received = Vec::new();
        let sending = async {
            write.write_all(data).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let receiving = async { read.read_to_end(&mut received).await.unwrap() };
        tokio::join!(sending, receiving);
        received
    }
    let (back, there) = tokio::join!(one(&mut left, data), one(&mut right, data));
    assert!(there == data, "what the right side received differs");
    assert!(back == data, "what the left side received differs");
}

#[tokio::test]
async fn bare_sockets_are_spliced_and_nothing_is_held_afterwards() {
    let mut options = RelayOptions::default();
    let counters = Arc::<RelayCounters>::default();
    options.counters = Some(Arc::clone(&counters));
    let between = between(&options).await;
    exchange(between.left, between.right, &pattern(5 * MIB + 3)).await;
    let summary = between.relay.await.unwrap();
    assert!(summary.is_clean(), "{summary:?}");
    assert_eq!(summary.a_to_b.bytes, 5 * MIB as u64 + 3);
    assert_eq!(summary.b_to_a.bytes, 5 * MIB as u64 + 3);
    assert_eq!(
        (counters.a_to_b(), counters.b_to_a()),
        (summary.a_to_b.bytes, summary.b_to_a.bytes)
    );
    assert_nothing_out(&options.pool);
    if cfg!(target_os = "linux") {
        assert_eq!(summary.path, Path::Splice);
        let pool = options.pool.stats();
        let all = 10 * MIB / options.pool.buffer_size();
        assert!(pool.hits + pool.misses < all as u64 / 4, "most of it was spliced: {pool:?}");
        let pipes = options.pipes.unwrap().stats();
        assert_eq!(pipes.in_use, 0, "{pipes:?}");
        assert!((1..=2).contains(&pipes.opened), "{pipes:?}");
    }
}

#[tokio::test]
async fn a_quiet_relay_holds_neither_pipe_nor_buffer() {
    let options = RelayOptions::default();
    let mut between = between(&options).await;
    let mut received = [0; 5];
    for _ in 0..100 {
        between.left.write_all(b"hello").await.unwrap();
        between.right.read_exact(&mut received).await.unwrap();
        between.right.write_all(b"olleh").await.unwrap();
        between.left.read_exact(&mut received).await.unwrap();
    }
    // The relay may still be giving the last buffer back.
    while options.pool.stats().in_use_buffers > 0 {
        tokio::task::yield_now().await;
    }
    assert_nothing_out(&options.pool);
    assert_eq!(options.pipes.unwrap().stats().opened, 0, "small messages cost less by copying");
    assert!(!between.relay.is_finished());
}

/// While others hold all that the pool may have.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn small_messages_between_bare_sockets_need_no_buffer_at_the_cap() {
    let mut options = RelayOptions::default();
    options.pool = BufferPool::builder().cap(33 << 10).build().unwrap();
    let _held = options.pool.take(32 << 10).unwrap();
    let mut between = between(&options).await;
    let mut received = [0; 5];
    for _ in 0..10 {
        between.left.write_all(b"hello").await.unwrap();
        between.right.read_exact(&mut received).await.unwrap();
    }
    let pipes = options.pipes.unwrap().stats();
    assert_eq!((pipes.opened, pipes.refused), (1, 0));
    assert_eq!(options.pool.stats().waiting, 0, "no place in the queue is kept");
}

/// A pipe has slots, not bytes: many small segments fill it early, and then the socket still has some.
#[tokio::test]
async fn small_segments_beyond_the_slots_of_a_pipe_all_arrive() {
    let mut options = RelayOptions::default();
    options.pipes = Some(PipePool::new(1, 64 << 10));
    let mut between = between(&options).await;
    let data = pattern(5_000);
    for byte in &data {
        between.left.write_all(std::slice::from_ref(byte)).await.unwrap();
    }
    let mut received = vec![0; data.len()];
    between.right.read_exact(&mut received).await.unwrap();
    assert_eq!(received, data);
}

#[tokio::test]
async fn without_pipes_bytes_are_copied() {
    for (pipes, reason) in
        [(None, CopyReason::Disabled), (Some(PipePool::new(0, MIB)), CopyReason::NoPipe)]
    {
        let mut options = RelayOptions::default();
        options.pipes = pipes;
        let between = between(&options).await;
        exchange(between.left, between.right, &pattern(3 * MIB + 1)).await;
        let summary = between.relay.await.unwrap();
        assert!(summary.is_clean(), "{summary:?}");
        let expected = if cfg!(target_os = "linux") { reason } else { CopyReason::Disabled };
        assert_eq!(summary.path, Path::Copy(expected));
        assert_nothing_out(&options.pool);
    }
}

#[tokio::test]
async fn tcp_and_unix_sockets_are_spliced_with_each_other() {
    let options = RelayOptions::default();
    let (left, a) = tcp_sockets().await;
    let (b, right) = UnixStream::pair().unwrap();
    let relay = tokio::spawn(relay(a, b, &options));
    let data = pattern(2 * MIB + 7);
    let (mut left, mut right) = (left, right);
    let sending = async {
        left.write_all(&data).await.unwrap();
        left.shutdown().await.unwrap();
        let mut answer = Vec::new();
        left.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let receiving = async {
        let mut received = Vec::new();
        right.read_to_end(&mut received).await.unwrap();
        right.write_all(b"thanks").await.unwrap();
        right.shutdown().await.unwrap();
        received
    };
    let (answer, received) = tokio::join!(sending, receiving);
    assert!(received == data);
    assert_eq!(answer, b"thanks");
    let summary = relay.await.unwrap();
    assert!(summary.is_clean(), "{summary:?}");
    assert_eq!(summary.path == Path::Splice, cfg!(target_os = "linux"));
}

#[tokio::test]
async fn a_secured_side_is_copied_through_the_pool() {
    let parties = Parties::new();
    let options = RelayOptions::default();
    let (mut client, secure) = parties.tcp_pair(Settings::default(), Settings::default()).await;
    let (plain, mut service) = tcp_sockets().await;
    assert!(secure.bare().is_none());
    let relay = tokio::spawn(relay(secure, plain, &options));
    let data = pattern(2 * MIB + 7);
    let calling = async {
        client.write_all(&data).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let serving = async {
        let mut received = Vec::new();
        service.read_to_end(&mut received).await.unwrap();
        service.write_all(&received).await.unwrap();
        service.shutdown().await.unwrap();
    };
    let (answer, ()) = tokio::join!(calling, serving);
    assert!(answer == data);
    assert!(client.peer_closed_authenticated(), "a clean end stays one");
    let summary = relay.await.unwrap();
    assert!(summary.is_clean(), "{summary:?}");
    assert_eq!(summary.path, Path::Copy(CopyReason::NotBare));
    assert_nothing_out(&options.pool);
}

/// A small answer must not wait in the secured side's batch until something else is sent.
#[tokio::test]
async fn small_messages_pass_a_secured_side_one_by_one() {
    let parties = Parties::new();
    let options = RelayOptions::default();
    let (mut client, secure) = parties.tcp_pair(Settings::default(), Settings::default()).await;
    let (plain, mut service) = tcp_sockets().await;
    let _relay = tokio::spawn(relay(secure, plain, &options));
    let mut received = [0; 64];
    for _ in 0..50 {
        client.write_all(&[1; 64]).await.unwrap();
        service.read_exact(&mut received).await.unwrap();
        service.write_all(&[2; 64]).await.unwrap();
        client.read_exact(&mut received).await.unwrap();
    }
    assert_eq!(received, [2; 64]);
}

#[tokio::test]
async fn copies_over_connections_that_stay_the_callers() {
    let options = RelayOptions::default();
    let (mut left, mut a) = tcp_sockets().await;
    let (mut b, mut right) = tcp_sockets().await;
    left.write_all(b"there").await.unwrap();
    left.shutdown().await.unwrap();
    let way = copy(&mut a, &mut b, &options).await;
    assert_eq!(way.bytes, 5);
    let mut received = String::new();
    right.read_to_string(&mut received).await.unwrap();
    assert_eq!(received, "there");
    right.write_all(b"back").await.unwrap();
    right.shutdown().await.unwrap();
    let summary = copy_bidirectional(&mut a, &mut b, &options).await;
    assert_eq!((summary.a_to_b.bytes, summary.b_to_a.bytes), (0, 4));
    let mut received = String::new();
    left.read_to_string(&mut received).await.unwrap();
    assert_eq!(received, "back");
}
