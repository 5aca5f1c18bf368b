//! Many streams over a pool that has room for few buffers.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::io;
use std::pin::Pin;
use std::time::Duration;

use alts::handshaker::Role;
use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::record::Sealer;
use alts::{AltsStream, Connector, Error, Fault};
use support::by_hand;
use support::polling::{Wakes, now};
use support::rng::Rng;
use support::wire::{Control, Wire, wires};
use support::{Parties, assert_nothing_out, pattern, settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

/// Long enough that only a clock which runs ahead when nobody can go on ever gets there.
const NEVER: Duration = Duration::from_secs(60 * 60);
/// Where time passes as it does, so that a test ends when nobody can go on.
const ENOUGH: Duration = Duration::from_secs(5 * 60);
/// What a part of a record may take of the time that passes while others wait, in tests that want to see it end.
const STALL_LIMIT: Duration = Duration::from_millis(200);

/// Room for so many buffers of 32 KiB.
fn pool_of(buffers: usize) -> BufferPool {
    let size = BufferPool::capacity_for(32 << 10).unwrap();
    BufferPool::builder().cap(buffers * size).build().unwrap()
}

/// A stream that reads from `pool`, and its peer, which does not.
struct Pair {
    near: AltsStream<Wire>,
    near_control: Control,
    far: AltsStream<Wire>,
    /// Seals in the place of the peer.
    sealer: Sealer,
}

async fn pair(parties: &Parties, pool: &BufferPool, capacity: usize) -> Pair {
    pair_within(NEVER, parties, pool, capacity).await
}

/// A pair whose reader holds part of a record for no longer than `stall_limit` while others wait.
async fn pair_within(
    stall_limit: Duration,
    parties: &Parties,
    pool: &BufferPool,
    capacity: usize,
) -> Pair {
    let ((near, near_control), (far, _)) = wires(capacity);
    let reader = settings(pool, |settings| {
        settings.handshake.max_frame_size = 1 << 20;
        settings.stream.stall_limit = stall_limit;
    });
    let writer = settings(&BufferPool::new(), |settings| {
        settings.stream.max_frame_size = 1 << 20;
        settings.stream.write_batch = 4 << 20;
    });
    let (handshaker, tap) = by_hand::tapped(parties.client_handshaker());
    let connector = Connector::with_settings(handshaker, reader);
    let acceptor = parties.acceptor(writer);
    let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
    let (near, far) = (near.unwrap(), far.unwrap());
    Pair { near, near_control, far, sealer: tap.sealer(Role::Server) }
}

async fn pairs(parties: &Parties, pool: &BufferPool, capacity: usize, count: usize) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for _ in 0..count {
        pairs.push(pair(parties, pool, capacity).await);
    }
    pairs
}

impl Pair {
    /// The next record of the peer.
    fn seal(&mut self, len: usize) -> Vec<u8> {
        by_hand::seal(&mut self.sealer, &pattern(len))
    }

    fn arrive(&self, bytes: &[u8]) {
        self.near_control.inject(bytes);
    }
}

fn read(stream: &mut AltsStream<Wire>) -> Option<io::Result<Vec<u8>>> {
    let mut bytes = vec![0; 2 << 20];
    let mut buf = ReadBuf::new(&mut bytes);
    let read = now(|cx| Pin::new(stream).poll_read(cx, &mut buf))?;
    Some(read.map(|()| buf.filled().to_vec()))
}

/// Reads `len` bytes, with as many calls as it takes.
async fn read_exactly(stream: &mut AltsStream<Wire>, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[tokio::test(start_paused = true)]
async fn all_go_on_with_room_for_two_buffers() {
    let parties = Parties::new();
    let pool = pool_of(2);
    let data = pattern(150_000);
    for awkward in [false, true] {
        let mut readers = Vec::new();
        let mut writers = Vec::new();
        // Little room, so that much of what is read is part of a record larger than 4 KiB.
        for (number, pair) in (0..).zip(pairs(&parties, &pool, 7_000, 12).await) {
            let Pair { mut near, near_control, mut far, .. } = pair;
            if awkward {
                near_control.script().moods = Some(Rng::new(number));
            }
            let (data, pool) = (data.clone(), pool.clone());
            writers.push(tokio::spawn(async move {
                for chunk in data.chunks(10_000 + 9_000 * number as usize) {
                    far.write_all(chunk).await.unwrap();
                }
                far.shutdown().await.unwrap();
                far
            }));
            readers.push(tokio::spawn(async move {
                let mut received = Vec::new();
                if number % 2 == 0 {
                    near.read_to_end(&mut received).await.unwrap();
                } else {
                    while let Some(buf) = near.read_on_ready(&pool).await.unwrap() {
                        received.extend(&*buf);
                    }
                }
                received
            }));
        }
        for reader in readers {
            let received = timeout(NEVER, reader).await.expect("a deadlock").unwrap();
            assert!(received == data);
        }
        for writer in writers {
            timeout(NEVER, writer).await.expect("a deadlock").unwrap();
        }
        assert_nothing_out(&pool);
    }
    assert!(pool.stats().high_water_bytes > 2 * 33_280, "records grew beyond the cap");
}

/// All hold part of a large record, which is more than there is room for. As long as the rest comes, nothing is lost.
#[tokio::test(start_paused = true)]
async fn large_parts_wait_for_their_rest() {
    let parties = Parties::new();
    for (count, len, first) in [(3, 16_000, 5_000), (12, 16_000, 5_000), (6, 100_000, 40_000)] {
        let pool = pool_of(2);
        let mut rests = Vec::new();
        let mut tasks = Vec::new();
        for mut pair in pairs(&parties, &pool, usize::MAX, count).await {
            let mut record = pair.seal(len);
            let rest = record.split_off(first);
            pair.arrive(&record);
            rests.push((pair.near_control.clone(), rest));
            tasks.push(tokio::spawn(async move {
                let received = read_exactly(&mut pair.near, len).await.unwrap();
                assert!(received == pattern(len));
                pair
            }));
        }
        // Everybody has read what there was, or waits to.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(pool.stats().in_use_bytes <= pool.stats().cap_bytes);
        for (control, rest) in rests.into_iter().rev() {
            control.inject(&rest);
        }
        for task in tasks {
            timeout(NEVER, task).await.expect("a deadlock").unwrap();
        }
        assert_nothing_out(&pool);
    }
}

#[tokio::test]
async fn a_stalled_part_fails_while_others_wait_and_not_otherwise() {
    let parties = Parties::new();
    let pool = pool_of(1);
    let mut stalled = pair_within(STALL_LIMIT, &parties, &pool, usize::MAX).await;
    let mut other = pair(&parties, &pool, usize::MAX).await;
    let record = stalled.seal(16_000);
    stalled.arrive(&record[..5_000]);
    let stalling = tokio::spawn(async move {
        let mut bytes = [0; 16_000];
        let error = stalled.near.read_exact(&mut bytes).await.unwrap_err();
        let again = stalled.near.read_exact(&mut bytes).await.unwrap_err();
        assert_eq!(Error::from(again), Error::Stalled, "it repeats");
        error
    });
    // Nobody waits: it may take any time.
    tokio::time::sleep(5 * STALL_LIMIT).await;
    assert!(!stalling.is_finished());
    assert_eq!((pool.stats().in_use_buffers, pool.stats().pressed_since), (1, None));

    let message = other.seal(1_000);
    other.arrive(&message);
    let read = timeout(ENOUGH, read_exactly(&mut other.near, 1_000)).await.expect("a deadlock");
    assert!(read.unwrap() == pattern(1_000));
    let error = stalling.await.unwrap();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let error = Error::from(error);
    assert_eq!(error, Error::Stalled);
    assert_eq!(error.fault(), Fault::Limit);
    assert_nothing_out(&pool);
    assert_eq!(pool.stats().waited, 1);
}

/// That bytes arrive is not enough: a byte now and then would keep the buffer forever.
#[tokio::test]
async fn a_part_that_trickles_gives_way_to_others() {
    let parties = Parties::new();
    // Once the buffer is one under the cap, once it is the overdraft.
    for overdraft in [false, true] {
        let pool = pool_of(1);
        let mut slow = pair_within(STALL_LIMIT, &parties, &pool, usize::MAX).await;
        let mut other = pair(&parties, &pool, usize::MAX).await;
        let record = slow.seal(40_000);
        let mut arrived = if overdraft { 34_000 } else { 5_000 };
        slow.arrive(&record[..arrived]);
        let control = slow.near_control.clone();
        let slow = tokio::spawn(async move { read_exactly(&mut slow.near, 40_000).await });
        while pool.stats().in_use_bytes == 0 && pool.stats().overdraft_bytes == 0 {
            tokio::time::sleep(STALL_LIMIT / 20).await;
        }
        // The other one has begun a record, too, and needs a larger buffer for its rest.
        let message = other.seal(60_000);
        other.arrive(&message);
        let other = tokio::spawn(async move { read_exactly(&mut other.near, 60_000).await });
        let trickle = async {
            while !other.is_finished() {
                control.inject(&record[arrived..=arrived]);
                arrived += 1;
                assert!(arrived < 40_000, "the rest of the record was enough for the time");
                tokio::time::sleep(STALL_LIMIT / 20).await;
            }
        };
        timeout(ENOUGH, trickle).await.expect("one peer stops the others");
        assert!(other.await.unwrap().unwrap() == pattern(60_000));
        assert_eq!(Error::from(slow.await.unwrap().unwrap_err()), Error::Stalled);
        assert_nothing_out(&pool);
    }
}

/// Everybody holds part of a record, the rest of all but one has arrived, and that one trickles. It has room in its buffer, so
/// it does not need the overdraft for that.
#[tokio::test(start_paused = true)]
async fn a_trickle_into_the_room_there_is_hinders_nobody() {
    let parties = Parties::new();
    let eight_kib = BufferPool::capacity_for(8 << 10).unwrap();
    let pool = BufferPool::builder().cap(4 * eight_kib + 33_280).build().unwrap();
    let mut all = pairs(&parties, &pool, usize::MAX, 4).await;
    let mut rests = Vec::new();
    for pair in &mut all {
        let mut record = pair.seal(16_000);
        rests.push(record.split_off(5_000));
        pair.arrive(&record);
        assert!(read(&mut pair.near).is_none());
    }
    assert_eq!((pool.stats().in_use_bytes, pool.stats().in_use_buffers), (4 * eight_kib, 4));
    let held = pool.take(32 << 10).unwrap();
    let (mut slow, slow_rest) = (all.pop().unwrap(), rests.pop().unwrap());
    let taken = || pool.stats().hits + pool.stats().misses;
    let before = taken();
    for byte in &slow_rest[..100] {
        slow.arrive(&[*byte]);
        assert!(read(&mut slow.near).is_none());
    }
    assert_eq!((taken() - before, pool.stats().overdraft_bytes), (0, 0), "no other buffer");
    for (pair, rest) in all.iter_mut().zip(&rests) {
        pair.arrive(rest);
        let received = timeout(NEVER, read_exactly(&mut pair.near, 16_000)).await;
        assert!(received.expect("none is served").unwrap() == pattern(16_000));
    }
    drop(held);
    slow.arrive(&slow_rest[100..]);
    assert!(read_exactly(&mut slow.near, 16_000).await.unwrap() == pattern(16_000));
    assert_nothing_out(&pool);
}

/// A record that waits for memory is not to blame for the time that takes.
#[tokio::test]
async fn the_time_that_a_part_waits_for_memory_does_not_count() {
    let parties = Parties::new();
    let pool = pool_of(1);
    let mut victim = pair_within(STALL_LIMIT, &parties, &pool, usize::MAX).await;
    let record = victim.seal(60_000);
    victim.arrive(&record[..33_000]);
    assert!(read(&mut victim.near).is_none());
    // The overdraft is taken for longer than the limit, and the victim's next bytes need it.
    let mut ticket = None;
    let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(overdraft) = pool.poll_take_growing(cx, &mut ticket, 60_000) else {
        panic!("nobody had the overdraft")
    };
    victim.arrive(&record[33_000..50_000]);
    let (control, rest) = (victim.near_control.clone(), record[50_000..].to_vec());
    let reading = tokio::spawn(async move { read_exactly(&mut victim.near, 60_000).await });
    tokio::time::sleep(3 * STALL_LIMIT).await;
    assert!(!reading.is_finished());
    drop(overdraft);
    control.inject(&rest);
    let received = timeout(ENOUGH, reading).await.expect("a deadlock").unwrap();
    assert!(received.unwrap() == pattern(60_000));
    assert_nothing_out(&pool);
}

/// Nothing of it needs a runtime, let alone one with a timer.
#[test]
fn a_part_may_wait_where_there_is_no_timer() {
    let parties = Parties::new();
    let pool = pool_of(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut slow = runtime.block_on(pair_within(STALL_LIMIT, &parties, &pool, usize::MAX));
    let mut other = runtime.block_on(pair(&parties, &pool, usize::MAX));
    drop(runtime);
    let record = slow.seal(16_000);
    slow.arrive(&record[..5_000]);
    let (wakes, waker) = Wakes::new();
    let mut bytes = vec![0; 16_000];
    let mut poll = |stream: &mut AltsStream<Wire>| {
        let cx = &mut std::task::Context::from_waker(&waker);
        Pin::new(stream).poll_read(cx, &mut ReadBuf::new(&mut bytes))
    };
    assert!(poll(&mut slow.near).is_pending());
    let message = other.seal(1_000);
    other.arrive(&message);
    let (_, waiting) = Wakes::new();
    let mut bytes = vec![0; 1_000];
    let mut buf = ReadBuf::new(&mut bytes);
    let cx = &mut std::task::Context::from_waker(&waiting);
    assert!(Pin::new(&mut other.near).poll_read(cx, &mut buf).is_pending());
    let start = std::time::Instant::now();
    while wakes.count() == 0 {
        assert!(start.elapsed() < ENOUGH, "nobody is told that the time is over");
        std::thread::sleep(STALL_LIMIT / 10);
    }
    let std::task::Poll::Ready(Err(error)) = poll(&mut slow.near) else { panic!("still waiting") };
    assert_eq!(Error::from(error), Error::Stalled);
    assert!(Pin::new(&mut other.near).poll_read(cx, &mut buf).is_ready());
}

/// Every limit is used: none at all, and one that is never reached.
#[tokio::test]
async fn extreme_limits_neither_panic_nor_spin() {
    let parties = Parties::new();
    for limit in [Duration::ZERO, Duration::MAX] {
        let pool = pool_of(1);
        let mut slow = pair_within(limit, &parties, &pool, usize::MAX).await;
        let mut other = pair(&parties, &pool, usize::MAX).await;
        let record = slow.seal(16_000);
        slow.arrive(&record[..5_000]);
        assert!(read(&mut slow.near).is_none());
        let message = other.seal(1_000);
        other.arrive(&message);
        assert!(read(&mut other.near).is_none());
        slow.arrive(&record[5_000..6_000]);
        let read = read(&mut slow.near);
        match limit {
            Duration::ZERO => {
                let error = read.expect("it is over").unwrap_err();
                assert_eq!(Error::from(error), Error::Stalled);
            }
            _ => assert!(read.is_none()),
        }
    }
}

/// What has arrived of a small record is kept exactly, and not in a buffer: nothing to stall.
#[tokio::test(start_paused = true)]
async fn a_small_part_holds_no_buffer() {
    let parties = Parties::new();
    let pool = pool_of(1);
    let mut slow = pair(&parties, &pool, usize::MAX).await;
    let mut other = pair(&parties, &pool, usize::MAX).await;
    let record = slow.seal(1_000_000);
    slow.arrive(&record[..4_096]);
    assert!(read(&mut slow.near).is_none());
    assert_nothing_out(&pool);
    let message = other.seal(1_000);
    other.arrive(&message);
    assert!(read(&mut other.near).unwrap().unwrap() == pattern(1_000));
    tokio::time::sleep(100 * STALL_LIMIT).await;
    slow.arrive(&record[4_096..]);
    assert!(read_exactly(&mut slow.near, 1_000_000).await.unwrap() == pattern(1_000_000));
    assert_nothing_out(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_record_of_1_mib_is_received_with_a_cap_of_64_kib() {
    let parties = Parties::new();
    let pool = BufferPool::builder().cap(64 << 10).build().unwrap();
    let len = (1 << 20) - 20;
    for ready in [false, true] {
        let mut tasks = Vec::new();
        for mut pair in pairs(&parties, &pool, usize::MAX, 3).await {
            let record = pair.seal(len);
            assert_eq!(record[..4], (1_u32 << 20).to_le_bytes());
            // In pieces, so that several are under way at the same time.
            let pool = pool.clone();
            tasks.push(tokio::spawn(async move {
                let control = pair.near_control.clone();
                let feed = async {
                    for piece in record.chunks(50_000) {
                        control.inject(piece);
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                };
                let read = async {
                    match ready {
                        true => {
                            let buf = pair.near.read_on_ready(&pool).await.unwrap().unwrap();
                            assert!(*buf == *pattern(len));
                        }
                        false => {
                            let received = read_exactly(&mut pair.near, len).await.unwrap();
                            assert!(received == pattern(len));
                        }
                    }
                };
                tokio::join!(feed, read);
                drop(pair);
            }));
        }
        for task in tasks {
            timeout(NEVER, task).await.expect("a deadlock").unwrap();
        }
        assert_nothing_out(&pool);
    }
}

/// A pool says that the least cap is one buffer. Then one buffer has to do, however records arrive.
#[tokio::test(start_paused = true)]
async fn one_small_buffer_is_enough() {
    let parties = Parties::new();
    for buffer_size in [4 << 10, 8 << 10, 16 << 10] {
        let cap = BufferPool::capacity_for(buffer_size).unwrap();
        let pool = BufferPool::builder().buffer_size(buffer_size).cap(cap).build().unwrap();
        let mut pair = pair(&parties, &pool, usize::MAX).await;
        for len in [6_000, 20_000] {
            for first in [1, 8, 100, 2_000, 2_048, 4_000, 4_090, 4_096, 4_097, 5_000] {
                let record = pair.seal(len);
                pair.arrive(&record[..first]);
                assert!(read(&mut pair.near).is_none());
                pair.arrive(&record[first..]);
                let received = timeout(NEVER, read_exactly(&mut pair.near, len)).await;
                let received = received.expect("a deadlock");
                let received = received.unwrap_or_else(|error| {
                    panic!("{first} of {len} bytes with buffers of {buffer_size}: {error:?}")
                });
                assert!(received == pattern(len));
                assert!(read(&mut pair.near).is_none());
                assert_nothing_out(&pool);
            }
        }
    }
}

/// Readers are served in the order in which they came.
#[tokio::test(start_paused = true)]
async fn readers_wait_in_order() {
    let parties = Parties::new();
    let pool = pool_of(1);
    let mut pairs = pairs(&parties, &pool, usize::MAX, 4).await;
    for (number, pair) in pairs.iter_mut().enumerate() {
        let record = pair.seal(1_000 + number);
        pair.arrive(&record);
    }
    let held = pool.take(1).unwrap();
    let held_too = pool.take(20_000).ok();
    let rest: Vec<_> = std::iter::from_fn(|| pool.take(1).ok()).collect();
    let wakes: Vec<_> = (0..4).map(|_| Wakes::new()).collect();
    let mut bytes = vec![0; 2_000];
    let mut poll = |at: usize, pairs: &mut Vec<Pair>| {
        let mut buf = ReadBuf::new(&mut bytes);
        let cx = &mut std::task::Context::from_waker(&wakes[at].1);
        let read = Pin::new(&mut pairs[at].near).poll_read(cx, &mut buf);
        read.is_ready().then(|| buf.filled().len())
    };
    for at in 0..4 {
        assert_eq!(poll(at, &mut pairs), None);
    }
    assert_eq!(pool.stats().waiting, 4);
    drop((held, held_too, rest));
    for at in 0..4 {
        assert_eq!(wakes[at].0.count(), 1, "it is the turn of {at}");
        assert!(wakes[at + 1..].iter().all(|(wakes, _)| wakes.count() == 0));
        (at + 1..4).for_each(|later| assert_eq!(poll(later, &mut pairs), None));
        assert_eq!(poll(at, &mut pairs), Some(1_000 + at));
    }
    assert_nothing_out(&pool);
}

/// A stream that is dropped while it waits, or while a buffer is reserved for it, leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn a_dropped_stream_leaves_the_queue() {
    let parties = Parties::new();
    let pool = pool_of(1);
    let mut first = pair(&parties, &pool, usize::MAX).await;
    let mut second = pair(&parties, &pool, usize::MAX).await;
    let mut third = pair(&parties, &pool, usize::MAX).await;
    for pair in [&mut first, &mut second, &mut third] {
        let record = pair.seal(10);
        pair.arrive(&record);
    }
    let held = pool.take(32 << 10).unwrap();
    for pair in [&mut first, &mut second, &mut third] {
        assert!(read(&mut pair.near).is_none());
    }
    drop(second);
    drop(held);
    // Reserved for the first, which does not come back for it.
    assert!(read(&mut third.near).is_none());
    drop(first);
    assert!(read(&mut third.near).unwrap().unwrap() == pattern(10));
    assert_nothing_out(&pool);
}

/// A read that was given up must not stand in the way of the next one.
#[tokio::test(start_paused = true)]
async fn a_read_that_was_given_up_does_not_block_its_own_stream() {
    let parties = Parties::new();
    let pool = pool_of(1);
    let mut pair = pair(&parties, &pool, usize::MAX).await;
    let record = pair.seal(10);
    pair.arrive(&record);
    let held = pool.take(32 << 10).unwrap();
    // Waits for a buffer, and is given up.
    assert!(read(&mut pair.near).is_none());
    let next = async { pair.near.read_on_ready(&pool).await.unwrap().unwrap().to_vec() };
    let release = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        drop(held);
    };
    let (text, ()) =
        timeout(NEVER, async { tokio::join!(next, release) }).await.expect("a deadlock");
    assert!(text == pattern(10));
    assert_nothing_out(&pool);
}

/// And the other way round.
#[tokio::test(start_paused = true)]
async fn a_ready_read_that_was_given_up_holds_no_place() {
    let parties = Parties::new();
    let pool = pool_of(1);
    let mut pair = pair(&parties, &pool, usize::MAX).await;
    let record = pair.seal(10);
    pair.arrive(&record);
    let held = pool.take(32 << 10).unwrap();
    {
        let read = std::pin::pin!(pair.near.read_on_ready(&pool));
        assert!(now(|cx| read.poll(cx)).is_none());
        assert_eq!(pool.stats().waiting, 1);
    }
    assert_eq!(pool.stats().waiting, 0);
    drop(held);
    assert!(read(&mut pair.near).unwrap().unwrap() == pattern(10));
    assert_nothing_out(&pool);
}

/// Bytes that leave need no room under the cap.
#[tokio::test(start_paused = true)]
async fn writing_goes_on_at_the_cap() {
    let parties = Parties::new();
    let pool = pool_of(1);
    let Pair { mut near, near_control, mut far, .. } = pair(&parties, &pool, usize::MAX).await;
    let held = pool.take(32 << 10).unwrap();
    near.write_all(&pattern(500_000)).await.unwrap();
    assert!(read_exactly(&mut far, 500_000).await.unwrap() == pattern(500_000));
    near_control.set_write_chunk(0);
    let written = near.write(&pattern(10_000)).await.unwrap();
    assert_eq!((written, pool.stats().beyond_cap_buffers), (10_000, 1));
    drop((held, near));
    assert_nothing_out(&pool);
}

/// Handshakes do not starve behind readers that keep all buffers.
#[tokio::test(start_paused = true)]
async fn a_handshake_goes_on_at_the_cap() {
    let parties = Parties::new();
    let pool = pool_of(1);
    let held = pool.take(32 << 10).unwrap();
    let acceptor = parties.acceptor(settings(&pool, |_| ()));
    let connector = parties.connector(settings(&BufferPool::new(), |_| ()));
    let ((near, _), (far, _)) = wires(usize::MAX);
    let (client, server) = tokio::join!(connector.connect(near), acceptor.accept(far));
    drop((client.unwrap(), server.unwrap()));
    drop(held);
    assert_nothing_out(&pool);
    assert_eq!(acceptor.settings().limits.half_open(), 0);
}
