//! At the cap: who gets what, and when.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use alts::pool::{BufferPool, PoolError, PooledBuf, Retention};

use crate::wakers::Caller;
use crate::{EXTRA, KIB, MIB, SMALL, pool};

const RETENTIONS: [Retention; 2] = [Retention::NeverKeep, Retention::KeepUpTo(usize::MAX)];

fn fill(pool: &BufferPool) -> Vec<PooledBuf> {
    std::iter::from_fn(|| pool.take(1).ok()).collect()
}

#[track_caller]
fn ready(answer: Poll<Result<PooledBuf, PoolError>>) -> PooledBuf {
    match answer {
        Poll::Ready(Ok(buffer)) => buffer,
        other => panic!("no buffer but {other:?}"),
    }
}

#[test]
fn who_waits_is_served_in_order() {
    for retention in RETENTIONS {
        let pool = pool(2 * SMALL, retention);
        let mut held = fill(&pool);
        let mut callers: Vec<_> = (0..4).map(|_| Caller::default()).collect();
        for caller in &mut callers {
            assert!(caller.poll(&pool, 1).is_pending());
        }
        assert_eq!(pool.stats().waiting, 4);
        assert!(pool.has_waiters());
        for first in 0..4 {
            held.pop();
            let woken: Vec<_> = callers.iter().map(Caller::woken).collect();
            let expected: Vec<_> = (0..4).map(|at| usize::from(at <= first)).collect();
            assert_eq!(woken, expected);
            // Others who ask meanwhile take nothing away.
            assert_eq!(pool.take(1).unwrap_err(), PoolError::AtCap);
            if first < 3 {
                assert!(callers[first + 1].poll(&pool, 1).is_pending());
            }
            held.insert(0, ready(callers[first].poll(&pool, 1)));
            assert!(callers[first].ticket.is_none());
        }
        assert!(!pool.has_waiters());
        assert_eq!(pool.stats().in_use_buffers, 2);
    }
}

#[test]
fn a_small_request_does_not_pass_a_large_one() {
    let pool = pool(3 * SMALL, Retention::default());
    let mut held = fill(&pool);
    let (mut large, mut small) = (Caller::default(), Caller::default());
    assert!(large.poll(&pool, 8 * KIB).is_pending());
    assert!(small.poll(&pool, 1).is_pending());
    held.pop();
    assert_eq!((large.woken(), small.woken()), (0, 0), "room is being saved for the large one");
    assert_eq!(pool.take(1).unwrap_err(), PoolError::AtCap);
    held.pop();
    assert_eq!((large.woken(), small.woken()), (1, 0));
    held.pop();
    assert_eq!((large.woken(), small.woken()), (1, 1));
    drop((ready(large.poll(&pool, 8 * KIB)), ready(small.poll(&pool, 1))));
}

#[test]
fn giving_up_a_place_lets_those_behind_pass() {
    let pool = pool(3 * SMALL, Retention::default());
    let mut held = fill(&pool);
    let (mut large, mut small) = (Caller::default(), Caller::default());
    assert!(large.poll(&pool, 8 * KIB).is_pending());
    assert!(small.poll(&pool, 1).is_pending());
    held.pop();
    large.ticket = None;
    assert_eq!((large.woken(), small.woken()), (0, 1));
    drop(ready(small.poll(&pool, 1)));
    assert!(!pool.has_waiters());
}

#[test]
fn a_grant_that_is_not_collected_passes_on() {
    for retention in RETENTIONS {
        let pool = pool(SMALL, retention);
        let held = fill(&pool);
        let (mut first, mut second) = (Caller::default(), Caller::default());
        assert!(first.poll(&pool, 1).is_pending());
        assert!(second.poll(&pool, 1).is_pending());
        drop(held);
        assert_eq!((first.woken(), second.woken()), (1, 0));
        assert_eq!(pool.stats().in_use_buffers, 1, "promised");
        drop(first);
        assert_eq!(second.woken(), 1);
        drop(ready(second.poll(&pool, 1)));
        assert_eq!(pool.stats().in_use_buffers, 0);
        assert!(pool.take(1).is_ok());
    }
}

#[test]
fn another_size_starts_over() {
    let pool = pool(2 * SMALL, Retention::default());
    let mut held = fill(&pool);
    let (mut first, mut second) = (Caller::default(), Caller::default());
    assert!(first.poll(&pool, 1).is_pending());
    assert!(second.poll(&pool, 1).is_pending());
    assert!(first.poll(&pool, 8 * KIB).is_pending());
    assert_eq!(pool.stats().waiting, 2);
    held.pop();
    assert_eq!((first.woken(), second.woken()), (0, 1));
    let other = crate::pool(SMALL, Retention::default());
    assert!(first.poll(&other, 1).is_ready(), "a ticket is good for one pool");
    assert_eq!(pool.stats().waiting, 0);
}

#[test]
fn a_wait_that_cannot_end_is_refused() {
    let pool = pool(SMALL, Retention::default());
    let _held = fill(&pool);
    let mut caller = Caller::default();
    let error = PoolError::TooLarge { requested: 8 * KIB, largest: 4 * KIB + EXTRA };
    assert!(matches!(caller.poll(&pool, 8 * KIB), Poll::Ready(Err(e)) if e == error));
    let error = PoolError::TooLarge { requested: 33 * MIB, largest: 32 * MIB + EXTRA };
    assert!(matches!(caller.poll_growing(&pool, 33 * MIB), Poll::Ready(Err(e)) if e == error));
    assert!(caller.ticket.is_none());
}

#[test]
fn one_record_at_a_time_may_grow_beyond_the_cap() {
    let pool = pool(2 * SMALL, Retention::default());
    let held = fill(&pool);
    let [mut one, mut two, mut three, mut reader] = [(); 4].map(|()| Caller::default());
    assert!(reader.poll(&pool, 1).is_pending());
    let grown = ready(one.poll_growing(&pool, 8 * KIB));
    let stats = pool.stats();
    assert_eq!((stats.in_use_bytes, stats.overdraft_bytes), (2 * SMALL, 8 * KIB + EXTRA));

    assert!(two.poll_growing(&pool, 8 * KIB).is_pending());
    assert!(three.poll_growing(&pool, 1).is_pending());
    drop(grown);
    assert_eq!((two.woken(), three.woken(), reader.woken()), (1, 0, 0));
    let grown = ready(two.poll_growing(&pool, 8 * KIB));

    // Room under the cap serves as well, and goes to the one that grows first.
    drop(held);
    assert_eq!((three.woken(), reader.woken()), (1, 1));
    let three = ready(three.poll_growing(&pool, 1));
    let reader = ready(reader.poll(&pool, 1));
    assert_eq!(pool.stats().in_use_bytes, 2 * SMALL);
    assert_eq!(pool.stats().overdraft_bytes, 8 * KIB + EXTRA);
    drop(grown.freeze());
    assert_eq!(pool.stats().overdraft_bytes, 0);
    drop((three, reader));
}

#[test]
fn growing_goes_first_at_the_cap() {
    let pool = pool(SMALL, Retention::default());
    let held = fill(&pool);
    let (mut reader, mut growing, mut other) =
        (Caller::default(), Caller::default(), Caller::default());
    assert!(reader.poll(&pool, 1).is_pending());
    let overdraft = ready(other.poll_growing(&pool, 1));
    assert!(growing.poll_growing(&pool, 1).is_pending());
    drop(held);
    assert_eq!((growing.woken(), reader.woken()), (1, 0));
    drop(overdraft);
    assert_eq!(reader.woken(), 0, "the overdraft is not for readers");
    drop(growing);
    assert_eq!(reader.woken(), 1);
}

#[test]
fn a_record_larger_than_the_cap_holds_up_no_reader() {
    let pool = pool(SMALL, Retention::default());
    let (mut one, mut two, mut reader) = (Caller::default(), Caller::default(), Caller::default());
    let grown = ready(one.poll_growing(&pool, MIB));
    assert!(two.poll_growing(&pool, MIB).is_pending());
    let held = ready(reader.poll(&pool, 1));
    assert!(reader.poll(&pool, 1).is_pending());
    drop(held);
    assert_eq!((two.woken(), reader.woken()), (0, 1));
    drop(grown);
    assert_eq!(two.woken(), 1);
    drop(ready(two.poll_growing(&pool, MIB)));
    assert_eq!(pool.stats().overdraft_bytes, 0);
}

#[test]
fn a_granted_overdraft_passes_on_too() {
    let pool = pool(SMALL, Retention::default());
    let _held = fill(&pool);
    let (mut one, mut two, mut three) = (Caller::default(), Caller::default(), Caller::default());
    let grown = ready(one.poll_growing(&pool, 1));
    assert!(two.poll_growing(&pool, 1).is_pending());
    assert!(three.poll_growing(&pool, 1).is_pending());
    drop(grown);
    assert_eq!((two.woken(), three.woken()), (1, 0));
    drop(two);
    assert_eq!(three.woken(), 1);
    drop(three);
    assert_eq!(pool.stats().overdraft_bytes, 0);
}

/// A waker of the worst kind: it uses the pool when woken, when cloned away, and when dropped.
struct Meddler {
    pool: BufferPool,
    taken: Mutex<Vec<PooledBuf>>,
    woken: AtomicUsize,
}

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        self.taken.lock().expect("nothing panics under it").extend(self.pool.take(1));
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        let _ = self.pool.take(1);
    }
}

#[test]
fn wakers_run_and_die_outside_the_lock() {
    let pool = pool(2 * SMALL, Retention::default());
    let held = fill(&pool);
    let meddler = || {
        Arc::new(Meddler {
            pool: pool.clone(),
            taken: Mutex::default(),
            woken: AtomicUsize::new(0),
        })
    };
    let (mut ticket, mut other) = (None, None);
    for _ in 0..2 {
        // The second time, the first waker is replaced and dropped.
        let waker = Waker::from(meddler());
        assert!(pool.poll_take(&mut Context::from_waker(&waker), &mut ticket, 1).is_pending());
    }
    let waker = Waker::from(meddler());
    assert!(pool.poll_take(&mut Context::from_waker(&waker), &mut other, 1).is_pending());
    drop(waker);
    drop(other);
    let last = meddler();
    let waker = Waker::from(Arc::clone(&last));
    assert!(pool.poll_take(&mut Context::from_waker(&waker), &mut ticket, 1).is_pending());
    drop(held);
    assert_eq!(last.woken.load(Ordering::SeqCst), 1);
    let answer = pool.poll_take(&mut Context::from_waker(&waker), &mut ticket, 1);
    drop(ready(answer));
}
