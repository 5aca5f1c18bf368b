//! Many threads, little memory: everybody finishes.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use alts::pool::{BufferPool, PooledBuf, Retention};

use crate::rng::Rng;
use crate::{KIB, SMALL, pool};

const THREADS: u64 = 8;
const ROUNDS: usize = 3_000;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs `future` on this thread, which sleeps in between.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

async fn take(pool: &BufferPool, size: usize) -> PooledBuf {
    let mut ticket = None;
    poll_fn(|cx| pool.poll_take(cx, &mut ticket, size)).await.expect("it fits the cap")
}

async fn grow(pool: &BufferPool, size: usize) -> PooledBuf {
    let mut ticket = None;
    poll_fn(|cx| pool.poll_take_growing(cx, &mut ticket, size))
        .await
        .expect("it fits the largest class")
}

/// Joins the line and leaves it again, perhaps with a grant on the way.
fn change_ones_mind(pool: &BufferPool, size: usize) {
    let mut ticket = None;
    let answer = pool.poll_take(&mut Context::from_waker(Waker::noop()), &mut ticket, size);
    thread::yield_now();
    drop(ticket);
    drop(answer);
}

/// Writes a mark at both ends, gives others time to write over it, and looks for it.
fn own(buffer: &mut PooledBuf, marks: &AtomicU64) {
    let mark = marks.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let end = buffer.len() - mark.len();
    buffer[..8].copy_from_slice(&mark);
    buffer[end..].copy_from_slice(&mark);
    thread::yield_now();
    assert_eq!((&buffer[..8], &buffer[end..]), (&mark[..], &mark[..]), "somebody else wrote here");
}

fn crowd(pool: &BufferPool, work: impl Fn(&mut Rng, &AtomicU64) + Sync) {
    let marks = AtomicU64::new(1);
    thread::scope(|scope| {
        for seed in 1..=THREADS {
            let (work, marks) = (&work, &marks);
            scope.spawn(move || {
                let mut random = Rng::new(seed);
                for _ in 0..ROUNDS {
                    work(&mut random, marks);
                }
            });
        }
    });
    let stats = pool.stats();
    assert_eq!((stats.in_use_bytes, stats.in_use_buffers, stats.waiting), (0, 0, 0));
    assert_eq!((stats.overdraft_bytes, stats.beyond_cap_bytes), (0, 0));
    assert!(stats.idle_bytes <= stats.cap_bytes);
}

#[test]
fn a_crowd_shares_a_single_buffer() {
    let pool = pool(SMALL, Retention::KeepUpTo(usize::MAX));
    crowd(&pool, |_, marks| own(&mut block_on(take(&pool, 1)), marks));
    assert_eq!(pool.stats().misses, 1);
}

/// Each holds a part while it waits for more: with no overdraft, they would soon hold all parts.
#[test]
fn records_that_grow_do_not_deadlock() {
    for retention in [Retention::KeepUpTo(2 * SMALL), Retention::NeverKeep] {
        let pool = pool(3 * SMALL, retention);
        crowd(&pool, |random, marks| {
            let mut part = block_on(take(&pool, 4 * KIB));
            match random.below(4) {
                0 => change_ones_mind(&pool, 8 * KIB),
                1 => {
                    let mut whole = block_on(grow(&pool, 1 << (12 + random.below(5))));
                    own(&mut part, marks);
                    drop(part);
                    own(&mut whole, marks);
                    drop(whole.freeze());
                    return;
                }
                2 => own(&mut pool.take_beyond_cap(4 * KIB).unwrap(), marks),
                _ => {}
            }
            own(&mut part, marks);
        });
    }
}
