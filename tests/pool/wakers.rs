//! Callers with wakers that count.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use alts::pool::{BufferPool, PoolError, PooledBuf, Ticket};

/// Counts how often it was woken.
#[derive(Default)]
pub(crate) struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Somebody who asks for a buffer now and then.
#[derive(Default)]
pub(crate) struct Caller {
    wakes: Arc<Counter>,
    pub(crate) ticket: Option<Ticket>,
}

type Answer = Poll<Result<PooledBuf, PoolError>>;

impl Caller {
    pub(crate) fn poll(&mut self, pool: &BufferPool, size: usize) -> Answer {
        let waker = Waker::from(Arc::clone(&self.wakes));
        pool.poll_take(&mut Context::from_waker(&waker), &mut self.ticket, size)
    }

    pub(crate) fn poll_growing(&mut self, pool: &BufferPool, size: usize) -> Answer {
        let waker = Waker::from(Arc::clone(&self.wakes));
        pool.poll_take_growing(&mut Context::from_waker(&waker), &mut self.ticket, size)
    }

    pub(crate) fn woken(&self) -> usize {
        self.wakes.0.load(Ordering::SeqCst)
    }
}
