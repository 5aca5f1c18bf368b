//! The buffer pool as its users see it: sizes, the cap and its lines, retention, sharing.

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "support/rng.rs"]
mod rng;
#[path = "pool/threads.rs"]
mod threads;
#[path = "pool/waiting.rs"]
mod waiting;
#[path = "pool/wakers.rs"]
mod wakers;

use std::thread;
use std::time::Duration;

use alts::pool::{BufferPool, PoolConfigError, PoolError, PooledBuf, Retention, Ticket};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// What each buffer has beyond its class.
const EXTRA: usize = 512;
/// A buffer of the smallest class, as it counts.
const SMALL: usize = 4 * KIB + EXTRA;

fn pool(cap: usize, retention: Retention) -> BufferPool {
    BufferPool::builder()
        .buffer_size(4 * KIB)
        .cap(cap)
        .retention(retention)
        .build()
        .expect("the cap holds a buffer")
}

fn is_shareable<T: Send + Sync + Unpin + 'static>() {}

#[test]
fn the_types_are_small_and_cross_threads() {
    is_shareable::<BufferPool>();
    is_shareable::<PooledBuf>();
    is_shareable::<Ticket>();
    // tokio rounds tasks up to a multiple of 128 bytes: one word more here once made each idle connection 128 bytes larger.
    assert_eq!(size_of::<BufferPool>(), size_of::<usize>(), "servers have one for each task");
    assert_eq!(size_of::<PooledBuf>(), 32, "tasks keep room for some");
    assert_eq!(size_of::<Option<PooledBuf>>(), size_of::<PooledBuf>());
    assert_eq!(size_of::<Option<Ticket>>(), size_of::<Ticket>());
}

#[test]
fn a_new_pool_holds_nothing() {
    let pool = BufferPool::new();
    let stats = pool.stats();
    assert_eq!(pool.buffer_size(), 32 * KIB);
    assert_eq!(stats.cap_bytes, 256 * MIB);
    assert_eq!((stats.in_use_bytes, stats.idle_bytes, stats.high_water_bytes), (0, 0, 0));
    assert_eq!((stats.hits, stats.misses), (0, 0));
}

#[test]
fn every_class_has_room_beyond_its_name_and_starts_at_a_page() {
    let pool = BufferPool::new();
    for shift in 12..=25 {
        let class = 1usize << shift;
        let least = if class == 4 * KIB { 1 } else { class / 2 + EXTRA + 1 };
        for size in [least, class, class + EXTRA] {
            let buffer = pool.take(size).unwrap();
            assert_eq!(buffer.capacity(), class.max(4 * KIB) + EXTRA);
            assert_eq!(buffer.len(), buffer.capacity(), "all of it is visible");
            assert_eq!(buffer.as_ptr().align_offset(4 * KIB), 0);
        }
    }
    assert_eq!(pool.take(0).unwrap().capacity(), SMALL);
    let error = PoolError::TooLarge { requested: 33 * MIB, largest: 32 * MIB + EXTRA };
    assert_eq!(pool.take(33 * MIB).unwrap_err(), error);
    assert_eq!(pool.take_beyond_cap(33 * MIB).unwrap_err(), error);
    assert!(pool.take(usize::MAX).is_err());
}

#[test]
fn two_records_of_the_cpp_implementation_fit_a_default_read() {
    let pool = BufferPool::new();
    assert!(pool.take(pool.buffer_size()).unwrap().capacity() >= 2 * 16_388);
}

#[test]
fn a_description_is_checked_once() {
    let built = |size, cap, retention| {
        BufferPool::builder().buffer_size(size).cap(cap).retention(retention).build().err()
    };
    let keep = Retention::default();
    for size in [0, 1, 2 * KIB, 5000, 48 * KIB, 64 * MIB, usize::MAX] {
        assert_eq!(built(size, MIB, keep), Some(PoolConfigError::BufferSize(size)));
    }
    let least = 32 * KIB + EXTRA;
    assert_eq!(
        built(32 * KIB, least - 1, keep),
        Some(PoolConfigError::CapTooSmall { cap: least - 1, least })
    );
    assert_eq!(built(32 * KIB, least, keep), None);
    assert_eq!(
        built(4 * KIB, MIB, Retention::ReleaseAfter(Duration::ZERO)),
        Some(PoolConfigError::ReleaseAfterZero)
    );
    assert_eq!(built(4 * KIB, usize::MAX, Retention::KeepUpTo(usize::MAX)), None);
}

#[test]
fn the_visible_range_moves_over_the_same_bytes() {
    let mut buffer = BufferPool::new().take(4 * KIB).unwrap();
    for (at, byte) in buffer.iter_mut().enumerate() {
        *byte = at as u8;
    }
    buffer.truncate(10);
    buffer.advance(3);
    assert_eq!(&buffer[..], &[3, 4, 5, 6, 7, 8, 9]);
    buffer.truncate(100);
    assert_eq!(buffer.range(), 3..10);
    assert_eq!(buffer.whole()[11], 11);
    buffer.whole_mut()[4] = 0;
    assert_eq!(buffer[1], 0);
    buffer.set_range(SMALL - 2..SMALL);
    assert_eq!(buffer.len(), 2);
    buffer.set_range(7..7);
    assert!(buffer.is_empty());
    let shown = format!("{buffer:?}");
    assert_eq!(shown, "PooledBuf { range: 7..7, capacity: 4608, .. }", "and no contents");
}

#[test]
#[should_panic(expected = "is not within a buffer of 4608 bytes")]
fn a_range_beyond_the_end_panics() {
    BufferPool::new().take(1).unwrap().set_range(0..SMALL + 1);
}

#[test]
#[should_panic(expected = "cannot advance 5 bytes of 4")]
fn advancing_past_the_visible_end_panics() {
    let mut buffer = BufferPool::new().take(1).unwrap();
    buffer.truncate(4);
    buffer.advance(5);
}

#[test]
fn a_frozen_buffer_comes_back_with_the_last_slice() {
    let pool = BufferPool::new();
    let mut buffer = pool.take(32 * KIB).unwrap();
    let before = buffer.as_ptr();
    buffer[100..105].copy_from_slice(b"hello");
    buffer.set_range(100..5_000);
    let bytes = buffer.freeze();
    assert_eq!(bytes.as_ptr(), before.wrapping_add(100), "nothing was copied");
    let (head, tail) = (bytes.slice(..2), bytes.slice(2..5));
    drop(bytes);
    drop(head);
    assert_eq!(pool.stats().in_use_buffers, 1);
    thread::spawn(move || assert_eq!(&tail[..], b"llo")).join().unwrap();
    assert_eq!((pool.stats().in_use_buffers, pool.stats().idle_buffers), (0, 1));
    assert_eq!(pool.take(32 * KIB).unwrap().as_ptr(), before);
}

/// Otherwise a program that keeps small messages runs out of buffers.
#[test]
fn what_is_far_smaller_than_its_buffer_is_copied() {
    let pool = BufferPool::new();
    let frozen = |len: usize| {
        let mut buffer = pool.take(32 * KIB).unwrap();
        let end = 100 + len;
        buffer[100..end].fill(7);
        buffer.set_range(100..end);
        let bytes = buffer.freeze();
        assert_eq!(bytes, vec![7; len]);
        bytes
    };
    let small: Vec<_> = [1, 11, 64, 4_000, 4_159].map(frozen).into();
    assert_eq!((pool.stats().in_use_buffers, pool.stats().misses), (0, 1));
    let large = [4_160, 20_000].map(frozen);
    assert_eq!(pool.stats().in_use_buffers, 2);
    drop((small, large));
    assert_eq!(pool.stats().in_use_buffers, 0);
}

/// More messages than the pool has buffers, and an 11-byte slice kept of each.
#[test]
fn kept_slices_of_small_messages_do_not_fill_the_pool() {
    let pool = pool(4 * (32 * KIB + EXTRA), Retention::default());
    let kept: Vec<_> = (0..10_000)
        .map(|_| {
            let mut message = pool.take(32 * KIB).unwrap();
            message.truncate(200);
            message.freeze().slice(5..16)
        })
        .collect();
    assert_eq!((kept.len(), pool.stats().in_use_buffers), (10_000, 0));
}

/// Every setting is used or refused.
#[test]
fn extreme_settings_neither_panic_nor_spin() {
    use alts::pool::PoolConfigError;
    let build = |retention, cap, buffer_size| {
        BufferPool::builder().retention(retention).cap(cap).buffer_size(buffer_size).build()
    };
    for retention in [
        Retention::KeepUpTo(0),
        Retention::KeepUpTo(usize::MAX),
        Retention::NeverKeep,
        Retention::ReleaseAfter(Duration::from_nanos(1)),
        Retention::ReleaseAfter(Duration::MAX),
    ] {
        for (cap, buffer_size) in
            [(usize::MAX, 32 << 20), (usize::MAX, 4 * KIB), (4 * KIB + EXTRA, 4 * KIB)]
        {
            let pool = build(retention, cap, buffer_size).unwrap();
            drop(pool.take(buffer_size).unwrap());
            drop(pool.take_beyond_cap(1).unwrap().freeze());
            assert_eq!(pool.stats().in_use_buffers, 0);
        }
    }
    let refused = |retention, cap, size| build(retention, cap, size).unwrap_err();
    let keep = Retention::default();
    for size in [0, 1, 4 * KIB - 1, 5_000, 64 << 20, usize::MAX] {
        assert_eq!(refused(keep, usize::MAX, size), PoolConfigError::BufferSize(size));
    }
    for cap in [0, 1, 4 * KIB + EXTRA - 1] {
        let least = 4 * KIB + EXTRA;
        assert_eq!(refused(keep, cap, 4 * KIB), PoolConfigError::CapTooSmall { cap, least });
    }
    let never = Retention::ReleaseAfter(Duration::ZERO);
    assert_eq!(refused(never, usize::MAX, 4 * KIB), PoolConfigError::ReleaseAfterZero);
}

#[test]
fn freezing_nothing_keeps_nothing() {
    let pool = BufferPool::new();
    let mut buffer = pool.take(1).unwrap();
    buffer.truncate(0);
    let bytes = buffer.freeze();
    assert!(bytes.is_empty());
    assert_eq!(pool.stats().in_use_buffers, 0);
}

#[test]
fn the_cap_holds_and_idle_buffers_make_room_under_it() {
    let pool = pool(2 * SMALL, Retention::KeepUpTo(usize::MAX));
    let (one, two) = (pool.take(1).unwrap(), pool.take(1).unwrap());
    assert_eq!(pool.take(1).unwrap_err(), PoolError::AtCap);
    drop((one, two));
    assert_eq!(pool.stats().idle_bytes, 2 * SMALL);
    let large = pool.take(8 * KIB).unwrap();
    let stats = pool.stats();
    assert_eq!((stats.in_use_bytes, stats.idle_bytes), (8 * KIB + EXTRA, 0));
    assert_eq!(stats.returned_bytes, 2 * SMALL as u64);
    drop(large);
    assert_eq!((stats.hits, stats.misses, stats.high_water_bytes), (0, 3, 2 * SMALL));
}

#[test]
fn what_the_whole_cap_cannot_hold_is_refused_at_once() {
    let pool = pool(20 * KIB, Retention::default());
    assert_eq!(
        pool.take(20 * KIB).unwrap_err(),
        PoolError::TooLarge { requested: 20 * KIB, largest: 16 * KIB + EXTRA }
    );
    assert!(pool.take(16 * KIB + EXTRA).is_ok());
}

#[test]
fn buffers_beyond_the_cap_have_their_own_account() {
    let pool = pool(SMALL, Retention::KeepUpTo(usize::MAX));
    let reader = pool.take(1).unwrap();
    let writers = [pool.take_beyond_cap(1).unwrap(), pool.take_beyond_cap(64 * KIB).unwrap()];
    let stats = pool.stats();
    assert_eq!((stats.in_use_buffers, stats.in_use_bytes), (1, SMALL));
    assert_eq!((stats.beyond_cap_buffers, stats.beyond_cap_bytes), (2, SMALL + 64 * KIB + EXTRA));
    assert_eq!(stats.high_water_bytes, 2 * SMALL + 64 * KIB + EXTRA);
    drop(writers);
    assert_eq!(pool.stats().idle_bytes, 0, "no room under the cap: back to the system");
    drop(reader);
    let writer = pool.take_beyond_cap(1).unwrap();
    assert_eq!(pool.stats().hits, 1, "it may be an idle one");
    let _reader = pool.take(1).unwrap();
    drop(writer);
    assert_eq!(pool.stats().beyond_cap_bytes, 0);
}

#[test]
fn keep_up_to_unmaps_the_class_unused_for_longest() {
    let pool = pool(MIB, Retention::KeepUpTo(3 * SMALL));
    let small: Vec<_> = (0..4).map(|_| pool.take(1).unwrap()).collect();
    drop(small);
    let stats = pool.stats();
    assert_eq!((stats.idle_buffers, stats.returned_bytes), (3, SMALL as u64));
    drop(pool.take(8 * KIB).unwrap());
    let stats = pool.stats();
    assert_eq!((stats.idle_buffers, stats.idle_bytes), (2, SMALL + 8 * KIB + EXTRA));
    drop(pool.take(16 * KIB).unwrap());
    assert_eq!(pool.stats().idle_buffers, 2, "larger than the limit: it evicts nobody");
    assert_eq!(pool.trim(), SMALL + 8 * KIB + EXTRA);
    assert_eq!((pool.stats().idle_buffers, pool.trim()), (0, 0));
}

#[test]
fn what_was_asked_for_last_is_kept() {
    let pool = pool(MIB, Retention::KeepUpTo(SMALL + 24 * KIB + 2 * EXTRA));
    for size in [4 * KIB, 8 * KIB, 16 * KIB, 4 * KIB] {
        drop(pool.take(size).unwrap());
    }
    assert_eq!((pool.stats().idle_buffers, pool.stats().hits), (3, 1));
    drop((pool.take(4 * KIB).unwrap(), pool.take(4 * KIB).unwrap()));
    assert_eq!(pool.stats().idle_buffers, 3, "8 KiB had to go for a second one of 4 KiB");
    drop((pool.take(16 * KIB).unwrap(), pool.take(4 * KIB).unwrap()));
    assert_eq!(pool.stats().hits, 4);
    drop(pool.take(8 * KIB).unwrap());
    assert_eq!(pool.stats().hits, 4);
}

#[test]
fn never_keep_keeps_nothing() {
    let pool = pool(MIB, Retention::NeverKeep);
    drop(pool.take(1).unwrap());
    drop(pool.take_beyond_cap(1).unwrap());
    let stats = pool.stats();
    assert_eq!((stats.idle_buffers, stats.hits, stats.misses), (0, 0, 2));
    assert_eq!(stats.returned_bytes, 2 * SMALL as u64);
}

#[test]
fn release_after_unmaps_what_stays_idle() {
    let pool = pool(MIB, Retention::ReleaseAfter(Duration::from_millis(4)));
    for round in 1..=3 {
        drop((pool.take(1).unwrap(), pool.take(8 * KIB).unwrap()));
        while pool.stats().idle_buffers > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let returned = pool.stats().returned_bytes;
        assert!(returned >= round * (SMALL + 8 * KIB + EXTRA) as u64);
    }
}

#[test]
fn release_after_leaves_what_is_young() {
    let pool = pool(MIB, Retention::ReleaseAfter(Duration::from_secs(24 * 60 * 60)));
    drop(pool.take(1).unwrap());
    assert_eq!(pool.stats().idle_buffers, 1);
    drop(pool.take(1).unwrap());
    assert_eq!(pool.stats().hits, 1);
    assert_eq!(pool.trim(), SMALL);
}

#[test]
fn buffers_outlive_their_pool() {
    let pool = BufferPool::new();
    let clone = pool.clone();
    let mut buffer = pool.take(1).unwrap();
    drop(pool);
    let mut other = clone.take(1).unwrap();
    drop(clone);
    buffer[0] = 1;
    other[0] = 2;
    assert_eq!((buffer[0], other[0]), (1, 2));
    drop(buffer);
    assert_eq!(other.freeze()[0], 2);
}
