//! What is held for a peer, byte by byte, and what happens when there is no more.

use std::task::{Context, Poll};

use super::*;

fn open(config: ConfigBuilder, pool: &BufferPool) -> (One, u32) {
    let mut one = One::with(Side::Server, config, pool.clone());
    one.gets(&["1 WindowUpdate SYN 0"]).unwrap();
    let slot = one.accepts().unwrap();
    one.sends();
    (one, slot)
}

#[test]
fn one_byte_frames_cost_one_byte() {
    // However large the pool's buffers are.
    for size in [32 << 10, 128 << 10] {
        let pool = BufferPool::builder().buffer_size(size).build().unwrap();
        let (mut one, slot) = open(config(), &pool);
        let bytes = bytes_of("1 Data 1").repeat(250_000);
        for part in bytes.chunks(30_000) {
            one.gets_bytes(part).unwrap();
            let held = one.core.stats().held_bytes;
            let unread = one.core.table[slot].receive.unread() as usize;
            assert!(held <= unread + (32 << 10) + 512, "{held} bytes for {unread}");
        }
        assert_eq!(one.pool.stats().in_use_bytes, one.core.stats().held_bytes);
        assert_eq!(one.reads(slot, 300_000), (250_000, Poll::Pending));
        assert_eq!(one.pool.stats().in_use_bytes, 0);
    }
}

#[test]
fn whatever_the_frames_a_window_and_a_chunk_are_held() {
    for size in [1, 7, 100, 1_000, 5_000, 20_000, 40_000, 65_536, 262_144] {
        let (mut one, slot) = open(config(), &BufferPool::new());
        let mut left = 262_144;
        let mut bytes = Vec::new();
        while left > 0 {
            let len = left.min(size);
            bytes.extend(bytes_of(&format!("1 Data {len}")));
            left -= len;
        }
        one.gets_bytes(&bytes).unwrap();
        let held = one.core.stats().held_bytes;
        assert!(held <= (256 << 10) + (32 << 10) + 512, "{held} for frames of {size}");
        assert_eq!(one.reads(slot, 1 << 20), (262_144, Poll::Pending));
    }
}

#[test]
fn nothing_is_taken_for_the_length_that_a_header_claims_or_for_what_was_read() {
    let (mut one, slot) = open(config(), &BufferPool::new());
    one.gets(&["1 Data 262144 alone"]).unwrap();
    assert_eq!(one.pool.stats().in_use_bytes, 0);
    one.gets_bytes(&[7; 100]).unwrap();
    assert_eq!(one.pool.stats().in_use_bytes, 4_608);
    assert_eq!(one.reads(slot, 1_000), (100, Poll::Pending));
    assert_eq!(one.pool.stats().in_use_bytes, 0, "idle in the middle of a body");
}

#[test]
fn a_buffer_that_is_mostly_one_streams_goes_up_as_it_is() {
    let (mut one, slot) = open(config(), &BufferPool::new());
    let mut bytes = bytes_of("1 Data 10000");
    bytes.extend(bytes_of("0 Ping 5"));
    bytes.extend(bytes_of("1 Data 10000"));
    one.gets_bytes(&bytes).unwrap();
    let chunk = one.does(|core, after| core.take_chunk(slot, Waker::noop(), after));
    let Poll::Ready(Ok(Some(chunk))) = chunk else { panic!("{chunk:?}") };
    assert_eq!((chunk.len(), chunk.range().start), (20_000, header::LEN));
    assert!(chunk.iter().all(|&byte| byte == 7));
    assert_eq!(one.core.stats().held_bytes, 0, "it is the reader's");
}

#[test]
fn a_stream_that_would_exceed_the_sessions_cap_is_reset_and_others_go_on() {
    let config = config().max_window(256 << 10).max_held(512 << 10);
    let (mut one, first) = open(config, &BufferPool::new());
    one.gets(&["3 WindowUpdate SYN 0", "5 WindowUpdate SYN 0"]).unwrap();
    let (second, third) = (one.accepts().unwrap(), one.accepts().unwrap());
    one.sends();
    one.gets(&["1 Data 200000", "3 Data 200000"]).unwrap();
    one.gets(&["5 Data 200000", "1 Data 5", "0 Ping 1"]).unwrap();
    assert!(one.core.stats().held_bytes <= 512 << 10);
    assert_eq!(one.sends(), ["5 WindowUpdate RST 0", "0 Pong 1"]);
    assert_eq!(one.reads(third, 1), (0, fails(Error::Memory)));
    assert_eq!(one.reads(second, 1 << 20).0, 200_000);
    assert_eq!(one.reads(first, 1 << 20).0, 200_005);
}

#[test]
fn credit_is_withheld_while_much_is_held_and_given_later() {
    let config = config().max_window(256 << 10).max_held(600 << 10).no_keep_alive();
    let (mut one, first) = open(config, &BufferPool::new());
    one.gets(&["3 WindowUpdate SYN 0", "5 WindowUpdate SYN 0"]).unwrap();
    let (second, third) = (one.accepts().unwrap(), one.accepts().unwrap());
    one.sends();
    one.gets(&["1 Data 150000", "3 Data 150000", "5 Data 150000"]).unwrap();
    assert_eq!(one.reads(first, 150_000).0, 150_000);
    assert_eq!(one.sends(), [""; 0], "too much is held");
    one.passes(Duration::from_millis(50)).unwrap();
    assert_eq!(one.sends(), [""; 0], "still");
    assert_eq!(one.reads(second, 150_000).0, 150_000);
    one.passes(Duration::from_millis(50)).unwrap();
    let mut sent = one.sends();
    sent.sort();
    assert_eq!(sent, ["1 WindowUpdate 150000", "3 WindowUpdate 150000"]);
    assert_eq!(one.core.next_timeout(), None);
    assert_eq!(one.reads(third, 1).0, 1);
}

#[test]
fn credit_is_withheld_while_others_wait_for_the_pool() {
    let buffer = BufferPool::capacity_for(32 << 10).unwrap();
    let pool = BufferPool::builder().cap(8 * buffer).build().unwrap();
    let (mut one, slot) = open(config().max_window(256 << 10).no_keep_alive(), &pool);
    one.gets(&["1 Data 131072"]).unwrap();
    let held: Vec<_> = std::iter::from_fn(|| pool.take(1).ok()).collect();
    let mut ticket = None;
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pool.poll_take(&mut cx, &mut ticket, 256 << 10).is_pending());
    assert_eq!(one.reads(slot, 131_072).0, 131_072);
    assert_eq!(one.sends(), [""; 0]);
    drop((held, ticket));
    one.passes(Duration::from_millis(50)).unwrap();
    assert_eq!(one.sends(), ["1 WindowUpdate 131072"]);
}

/// A pool with all its buffers out, and the session that has to do without.
fn at_the_cap() -> (One, u32, Vec<crate::pool::PooledBuf>) {
    let buffer = BufferPool::capacity_for(4 << 10).unwrap();
    let pool = BufferPool::builder().buffer_size(4 << 10).cap(4 * buffer).build().unwrap();
    let (one, slot) = open(config(), &pool);
    let held = std::iter::from_fn(|| pool.take(1).ok()).collect();
    (one, slot, held)
}

fn bytes(frames: &[&str]) -> Rest {
    Rest::Copied(frames.iter().flat_map(|frame| bytes_of(frame)).collect())
}

#[test]
fn at_the_pools_cap_frames_without_a_body_are_understood() {
    let (mut one, slot, held) = at_the_cap();
    let stalled = one.gets_rest(bytes(&["0 Ping 3", "1 WindowUpdate 50", "9 Data 5"])).unwrap();
    assert!(stalled.is_none());
    assert_eq!(one.sends(), ["0 Pong 3"]);
    assert_eq!(one.core.table[slot].send.credit(), (256 << 10) + 50);
    drop(held);
}

#[test]
fn at_the_pools_cap_a_body_waits_and_what_is_behind_it_is_not_lost() {
    let (mut one, slot, mut held) = at_the_cap();
    let stalled = one.gets_rest(bytes(&["1 Data 100", "0 Ping 3", "1 Data 50"])).unwrap().unwrap();
    assert_eq!(stalled.need, 100);
    assert_eq!(one.sends(), [""; 0]);
    held.pop();
    let buffer = one.pool.take(stalled.need).unwrap();
    one.core.supply(buffer);
    assert!(one.gets_rest(stalled.rest).unwrap().is_none());
    assert_eq!(one.sends(), ["0 Pong 3"]);
    assert_eq!(one.reads(slot, 1_000), (150, Poll::Pending));
}

#[test]
fn at_the_pools_cap_a_body_that_has_waited_too_long_is_given_up_with_its_stream() {
    let (mut one, slot, held) = at_the_cap();
    let stalled = one.gets_rest(bytes(&["1 Data 100", "0 Ping 3", "1 Data 50"])).unwrap().unwrap();
    one.does(Core::give_up_body);
    assert!(one.gets_rest(stalled.rest).unwrap().is_none());
    assert_eq!(one.sends(), ["1 WindowUpdate RST 0", "0 Pong 3"]);
    assert_eq!(one.reads(slot, 1_000), (0, fails(Error::Memory)));
    drop(held);
}

#[test]
fn what_was_packed_for_a_stream_can_be_read_while_another_ones_body_waits() {
    let buffer = BufferPool::capacity_for(32 << 10).unwrap();
    let pool = BufferPool::builder().cap(buffer).build().unwrap();
    let (mut one, slot) = open(config(), &pool);
    one.gets(&["3 WindowUpdate SYN 0"]).unwrap();
    let other = one.accepts().unwrap();
    let mut buffer = pool.take(32 << 10).unwrap();
    let all = [bytes_of("1 Data 20000"), bytes_of("3 Data 100"), bytes_of("0 Ping 1")].concat();
    buffer[..all.len()].copy_from_slice(&all);
    buffer.truncate(all.len());
    let stalled = one.gets_rest(Rest::Pooled(buffer)).unwrap().unwrap();
    assert_eq!(one.reads(slot, 1 << 20).0, 20_000);
    let buffer = pool.take(stalled.need).unwrap();
    one.core.supply(buffer);
    assert!(one.gets_rest(stalled.rest).unwrap().is_none());
    assert_eq!(one.reads(other, 1 << 20).0, 100);
}
