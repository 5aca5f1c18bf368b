//! What is to be done when the session's lock is free: waking tasks and giving buffers back runs code of others.

use std::task::Waker;

use crate::pool::PooledBuf;

/// Few wakers and buffers without an allocation, any number with one.
#[derive(Default)]
pub(in crate::yamux) struct After {
    wake: [Option<Waker>; 4],
    wake_more: Vec<Waker>,
    /// One read of 64 KiB empties so many.
    buffers: [Option<PooledBuf>; 4],
    buffers_more: Vec<PooledBuf>,
    /// Replaced by others; dropping one may drop a task.
    wakers: Vec<Waker>,
}

impl After {
    pub(super) fn wake(&mut self, place: &mut Option<Waker>) {
        let Some(waker) = place.take() else { return };
        match self.wake.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(waker),
            None => self.wake_more.push(waker),
        }
    }

    pub(super) fn buffer(&mut self, buffer: Option<PooledBuf>) {
        if let Some(buffer) = buffer {
            self.drop_buffer(buffer);
        }
    }

    pub(super) fn drop_buffer(&mut self, buffer: PooledBuf) {
        match self.buffers.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(buffer),
            None => self.buffers_more.push(buffer),
        }
    }

    /// Notes the waiting task. The one that waited before has lost interest.
    pub(super) fn park(&mut self, place: &mut Option<Waker>, waker: &Waker) {
        if place.as_ref().is_none_or(|parked| !parked.will_wake(waker))
            && let Some(old) = place.replace(waker.clone())
        {
            self.wakers.push(old);
        }
    }

    /// Forgets the waiting task.
    pub(super) fn unpark(&mut self, place: &mut Option<Waker>) {
        self.wakers.extend(place.take());
    }

    /// Does it.
    pub(in crate::yamux) fn run(self) {
        drop((self.buffers, self.buffers_more));
        for waker in self.wake.into_iter().flatten().chain(self.wake_more) {
            waker.wake();
        }
    }
}
