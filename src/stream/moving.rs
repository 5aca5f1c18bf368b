//! The state that exists only while records move, and what a thread keeps of it for the connections that moved last.
//!
//! A thread keeps the expanded keys of a few connections whatever their number, so an idle connection still owns nothing. They
//! are dropped with the connection if it is dropped on that thread; otherwise they stay until other connections have moved
//! there.

use std::cell::RefCell;

use super::window::Window;
use crate::record::{AeadProvider, KeySlot, TrafficKeys};

/// The state that exists only while records move.
#[derive(Debug)]
pub(super) struct Moving {
    /// The AES key that both directions use while they are in the same epoch; otherwise the opener's.
    key: KeySlot,
    /// The sealer's key, if the directions are in different epochs.
    seal_key: Option<Box<KeySlot>>,
    /// Received bytes.
    pub(super) window: Option<Window>,
}

/// The number of connections whose expanded keys one thread keeps, 700 bytes each: enough for a few busy ones beside
/// thousands of quiet ones. Expanding a key costs more than opening a small record.
const KEPT_PER_THREAD: usize = 8;

thread_local! {
    #[expect(clippy::vec_box, reason = "connections own boxes, and their contents must not be copied")]
    /// Without a window, the latest last. The AES key shows which connection one belongs to.
    static KEPT: RefCell<Vec<Box<Moving>>> = const { RefCell::new(Vec::new()) };
}

impl Moving {
    /// Returns what this thread has kept for the connection of `keys`, or an empty one.
    pub(super) fn resume(keys: &TrafficKeys, aead: AeadProvider) -> Box<Self> {
        Self::kept(keys).unwrap_or_else(|| {
            Box::new(Self { key: KeySlot::new(aead), seal_key: None, window: None })
        })
    }

    /// Whether nothing that was received is left.
    #[inline]
    pub(super) fn is_drained(&self) -> bool {
        self.window.as_ref().is_none_or(Window::is_empty)
    }

    /// Nothing moves any more: leaves the expanded keys to the thread, which drops those that were not used for the longest.
    pub(super) fn leave_to_thread(mut self: Box<Self>) {
        self.window = None;
        if self.key.is_empty() && self.seal_key.is_none() {
            return;
        }
        // At the end of a thread there is nothing to keep it for.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() == KEPT_PER_THREAD {
                kept.remove(0);
            }
            kept.push(self);
        });
    }

    /// Drops all that this thread has kept for the connection of `keys`, whatever epochs its directions are in.
    pub(super) fn forget(keys: &TrafficKeys) {
        let _ = KEPT.try_with(|kept| kept.borrow_mut().retain(|moving| !moving.belongs_to(keys)));
    }

    /// Takes out what the thread keeps with the AES key that was used last: the halves of a stream, and the directions of a
    /// whole one, may be in different epochs.
    fn kept(keys: &TrafficKeys) -> Option<Box<Self>> {
        KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            let position = kept.iter().rposition(|moving| moving.is_current_of(keys))?;
            Some(kept.remove(position))
        })
        .ok()
        .flatten()
    }

    fn is_current_of(&self, keys: &TrafficKeys) -> bool {
        self.key.is_current_of(keys)
            || self.seal_key.as_ref().is_some_and(|key| key.is_current_of(keys))
    }

    fn belongs_to(&self, keys: &TrafficKeys) -> bool {
        self.key.belongs_to(keys) || self.seal_key.as_ref().is_some_and(|key| key.belongs_to(keys))
    }

    /// The slot for the opener's key and the window.
    pub(super) fn opening(&mut self) -> (&mut KeySlot, &mut Option<Window>) {
        (&mut self.key, &mut self.window)
    }

    /// Runs `seal` with the slot for the key of the sealer's epoch.
    #[inline]
    pub(super) fn with_seal_key<T>(
        &mut self,
        epoch: [u8; 6],
        seal: impl FnOnce(&mut KeySlot) -> T,
    ) -> T {
        if self.key.is_free_for(epoch) {
            return seal(&mut self.key);
        }
        seal(self.seal_key.get_or_insert_with(|| Box::new(self.key.another())))
    }

    /// Drops the expanded keys.
    pub(super) fn forget_keys(&mut self) {
        self.key.clear();
        self.seal_key = None;
    }
}

#[cfg(test)]
impl Moving {
    pub(super) fn kept_by_thread() -> usize {
        KEPT.with_borrow(Vec::len)
    }

    pub(super) fn has_keys(&self) -> bool {
        !self.key.is_empty() || self.seal_key.is_some()
    }
}

#[cfg(test)]
mod tests {
    use alts_handshaker::{RecordProtocol, Role};

    use super::*;
    use crate::record::{Counter, OVERHEAD, seal_record};

    fn keys(seed: u8) -> TrafficKeys {
        TrafficKeys::new(RecordProtocol::Aes128GcmRekey, &[seed; 44]).unwrap()
    }

    fn resume(keys: &TrafficKeys) -> Box<Moving> {
        Moving::resume(keys, AeadProvider::default())
    }

    fn rested(keys: &mut TrafficKeys) -> *const Moving {
        let mut moving = resume(keys);
        let mut counter = Counter::new(Role::Client);
        seal_record(keys, &mut counter, &mut moving.key, None, &mut [0; OVERHEAD]).unwrap();
        let address: *const Moving = &raw const *moving;
        moving.leave_to_thread();
        address
    }

    fn kept() -> usize {
        Moving::kept_by_thread()
    }

    #[test]
    fn a_thread_keeps_the_keys_of_those_that_moved_last() {
        let mut all: Vec<_> = (0..20).map(keys).collect();
        for keys in &mut all {
            rested(keys);
            assert!(kept() <= KEPT_PER_THREAD);
        }
        for (nth, keys) in all.iter().enumerate() {
            let resumed = resume(keys);
            assert_eq!(resumed.key.is_current_of(keys), nth >= 20 - KEPT_PER_THREAD, "{nth}");
        }
        assert_eq!(kept(), 0, "each was taken out");
    }

    #[test]
    fn an_empty_one_is_not_kept_and_a_forgotten_one_is_gone() {
        resume(&keys(1)).leave_to_thread();
        assert_eq!(kept(), 0);
        let (mut one, mut other) = (keys(1), keys(2));
        let address = rested(&mut one);
        rested(&mut other);
        assert_eq!(rested(&mut one), address, "the same again");
        assert_eq!(kept(), 2);
        Moving::forget(&one);
        assert_eq!(kept(), 1);
        assert!(resume(&one).key.is_empty());
        assert!(!resume(&other).key.is_empty());
    }

    /// Seals in the epoch of `number`, a counter's third byte, as the direction does that is there.
    fn seal(keys: &mut TrafficKeys, moving: &mut Moving, number: u8) {
        let mut bytes = [0; 12];
        bytes[2] = number;
        let mut counter = Counter::from_bytes(bytes);
        let epoch = keys.epoch_of(bytes);
        moving.with_seal_key(epoch, |slot| {
            seal_record(keys, &mut counter, slot, None, &mut [0; OVERHEAD]).unwrap();
        });
    }

    #[test]
    fn directions_in_different_epochs_are_found_and_forgotten() {
        // The opener's key is of epoch 0, the sealer's of epoch 1, which was used last.
        let mut one = keys(1);
        let mut moving = resume(&one);
        seal(&mut one, &mut moving, 0);
        seal(&mut one, &mut moving, 1);
        let address: *const Moving = &raw const *moving;
        moving.leave_to_thread();
        let moving = resume(&one);
        assert_eq!(&raw const *moving, address, "found by the sealer's key");
        moving.leave_to_thread();
        Moving::forget(&one);
        assert_eq!(kept(), 0);

        // Keys from before another thread moved the connection on.
        let mut moving = resume(&one);
        seal(&mut one, &mut moving, 2);
        moving.leave_to_thread();
        let mut elsewhere = Box::new(Moving {
            key: KeySlot::new(AeadProvider::default()),
            seal_key: None,
            window: None,
        });
        seal(&mut one, &mut elsewhere, 3);
        drop(elsewhere);
        let mut other = keys(2);
        rested(&mut other);
        Moving::forget(&one);
        assert_eq!(kept(), 1);
        assert!(!resume(&other).key.is_empty());
    }
}
