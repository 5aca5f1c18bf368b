//! Buffers for readers that have to bring one: each thread has a few, so that no connection keeps one while it waits. It is
//! what alts does for its readers, done here for the others: so they lose neither memory nor time without it.

use std::cell::RefCell;
use std::ops::Deref;

/// As large as the reads of alts.
const SIZE: usize = 32 << 10;

thread_local! {
    static IDLE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer that goes back to its thread when it is dropped.
pub(super) struct Lent {
    buffer: Box<[u8]>,
    pub(super) filled: usize,
}

impl Lent {
    pub(super) fn take() -> Self {
        let idle = IDLE.with_borrow_mut(Vec::pop);
        Self { buffer: idle.unwrap_or_else(|| vec![0; SIZE].into()), filled: 0 }
    }

    /// All of it, for a read.
    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.buffer
    }
}

impl Deref for Lent {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // As much memory as alts' pool keeps idle by default, for all its threads.
        const KEPT: usize = 32;
        let buffer = std::mem::take(&mut self.buffer);
        // A thread that ends has no list any more.
        let _ = IDLE.try_with(|idle| {
            let mut idle = idle.borrow_mut();
            if idle.len() < KEPT {
                idle.push(buffer);
            }
        });
    }
}
