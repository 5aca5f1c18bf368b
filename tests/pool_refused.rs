//! The system refuses memory: a refusal counts as the cap. Alone in its process, whose address
//! space it limits.
#![cfg(target_os = "linux")] // Elsewhere RLIMIT_AS is not enforced, or not there.

use std::fs;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use alts::pool::{BufferPool, PoolError, Retention};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

const MIB: usize = 1 << 20;
/// Leaves room for one of the largest buffers, and for the heap; not for two.
const ROOM: usize = 48 * MIB;

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Limits the address space to what is mapped now and `ROOM`.
fn limit_address_space() {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split_whitespace().next().and_then(|pages| pages.parse::<usize>().ok());
    let mapped = pages.expect("a number of pages") * 4096;
    let (_, hard) = getrlimit(Resource::RLIMIT_AS).expect("the limit can be read");
    setrlimit(Resource::RLIMIT_AS, (mapped + ROOM) as u64, hard).expect("it can be lowered");
}

#[test]
fn a_refused_mapping_counts_as_the_cap() {
    const LARGE: usize = 32 * MIB;
    let pool = BufferPool::builder()
        .cap(usize::MAX)
        .retention(Retention::KeepUpTo(usize::MAX))
        .build()
        .expect("the cap holds a buffer");
    let counts = [(); 3].map(|()| Arc::new(Count(AtomicUsize::new(0))));
    let wakers = counts.clone().map(Waker::from);
    let woken = || counts.clone().map(|count| count.0.load(Ordering::SeqCst));
    let ask = |who: usize, ticket: &mut _, size| {
        pool.poll_take(&mut Context::from_waker(&wakers[who]), ticket, size)
    };
    limit_address_space();

    // Idle memory is given up before anything is refused.
    drop([(); 3].map(|()| pool.take(8 * MIB).expect("there is room")));
    assert_eq!(pool.stats().idle_buffers, 3);
    let held = pool.take(LARGE).expect("the idle buffers make room");
    assert_eq!(pool.stats().idle_buffers, 0);

    // Those who do not wait are told, and the books stay right.
    assert!(matches!(pool.take(LARGE), Err(PoolError::Map(_))));
    assert!(matches!(pool.take_beyond_cap(LARGE), Err(PoolError::Map(_))));
    let stats = pool.stats();
    assert_eq!((stats.in_use_buffers, stats.beyond_cap_bytes), (1, 0));

    // Waiters wait while a buffer is out, also one of another size.
    let (mut first, mut second, mut third) = (None, None, None);
    assert!(ask(0, &mut first, LARGE).is_pending());
    assert!(ask(1, &mut second, 16 * MIB).is_pending());
    assert!(ask(2, &mut third, LARGE).is_pending());
    assert!(ask(0, &mut first, LARGE).is_pending());
    assert_eq!((woken(), pool.stats().waiting), ([0; 3], 3), "and nobody spins");
    drop(held);
    assert_eq!(woken()[0], 1);
    let Poll::Ready(Ok(held)) = ask(0, &mut first, LARGE) else { panic!("it came back") };

    // One that is refused again steps back to its old place, and not behind the others.
    assert!(ask(1, &mut second, 16 * MIB).is_pending());
    assert!(ask(2, &mut third, LARGE).is_pending());
    let seen = woken();
    assert_eq!(pool.stats().waiting, 2);
    drop(held);
    assert!(woken()[1] > seen[1]);
    let Poll::Ready(Ok(other)) = ask(1, &mut second, 16 * MIB) else { panic!("in order") };
    assert!(woken()[2] > seen[2], "where one had luck, the next may try");
    assert!(ask(2, &mut third, LARGE).is_pending());
    drop(other);
    let Poll::Ready(Ok(last)) = ask(2, &mut third, LARGE) else { panic!("and the last") };
    drop(last);

    // One that gives up its turn to try leaves it to the next.
    pool.trim();
    let held = pool.take(LARGE).expect("there is room");
    assert!(ask(0, &mut first, 16 * MIB).is_pending());
    assert!(ask(1, &mut second, 16 * MIB).is_pending());
    let seen = woken();
    drop(held);
    assert!(woken()[0] > seen[0] && woken()[1] == seen[1], "one tries at a time");
    first = None;
    assert!(woken()[1] > seen[1]);
    let Poll::Ready(Ok(last)) = ask(1, &mut second, 16 * MIB) else { panic!("its turn") };
    drop(last);

    // With nothing out whose return could help, waiting would be forever: all are told, in turn.
    pool.trim();
    let blocker = pool.take_beyond_cap(16 * MIB).expect("there is room");
    assert!(ask(0, &mut first, LARGE).is_pending());
    assert!(ask(1, &mut second, LARGE).is_pending());
    let ballast = vec![0u8; 24 * MIB];
    let seen = woken();
    drop(blocker);
    assert!(woken()[0] > seen[0]);
    assert!(matches!(ask(0, &mut first, LARGE), Poll::Ready(Err(PoolError::Map(_)))));
    assert!(woken()[1] > seen[1], "its failure is the other's turn");
    assert!(matches!(ask(1, &mut second, LARGE), Poll::Ready(Err(PoolError::Map(_)))));
    assert!(first.is_none() && second.is_none() && !pool.has_waiters());
    drop(ballast);
    assert!(pool.take(LARGE).is_ok());
    assert_eq!(pool.stats().in_use_bytes, 0);
    pool.trim();

    // Without room for a thread's stack, nobody could release idle buffers later: they go at once.
    let timed = BufferPool::builder()
        .retention(Retention::ReleaseAfter(Duration::from_millis(1)))
        .build()
        .expect("the cap holds a buffer");
    let buffer = timed.take(1).expect("there is room");
    let ballast: Vec<_> = iter::from_fn(|| pool.take_beyond_cap(MIB / 2).ok()).collect();
    drop(buffer);
    let stats = timed.stats();
    assert_eq!((stats.idle_buffers, stats.returned_bytes), (0, 4608));
    drop(ballast);
    pool.trim();
    // And once a thread can be started again, it is.
    drop(timed.take(1));
    while timed.stats().idle_buffers > 0 {
        thread::yield_now();
    }
    assert_eq!(timed.stats().returned_bytes, 2 * 4608);
}
