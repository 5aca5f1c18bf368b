//! Flow control (RFC 9113, section 5.2): how much may be sent, and how much may come.

use super::frame::LARGEST_WINDOW;

/// How much this side may send. It can be below zero, after settings of the peer lowered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SendWindow(i32);

impl SendWindow {
    pub(crate) fn new(size: u32) -> Self {
        Self(size.min(LARGEST_WINDOW).cast_signed())
    }

    /// What may be sent now, in bytes.
    #[inline]
    pub(crate) fn available(self) -> usize {
        self.0.max(0).cast_unsigned() as usize
    }

    /// `count` is no more than what was available.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        self.0 -= (count as u32).cast_signed();
    }

    /// Fails if the window would exceed 2^31 - 1.
    pub(crate) fn grow(&mut self, count: u32) -> Result<(), WindowOverflow> {
        self.shift(count.into())
    }

    /// The peer's initial window changed by `difference`.
    pub(crate) fn shift(&mut self, difference: i64) -> Result<(), WindowOverflow> {
        self.0 = i32::try_from(i64::from(self.0) + difference).map_err(|_| WindowOverflow)?;
        Ok(())
    }
}

/// A window would have more than 31 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowOverflow;

/// How much the peer may send, and what it is owed: bytes that are read and not yet announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecvWindow {
    left: u32,
    owed: u32,
}

impl RecvWindow {
    pub(crate) fn new(size: u32) -> Self {
        Self { left: size, owed: 0 }
    }

    /// The peer has sent `count` bytes. `false` if it may not.
    #[inline]
    #[must_use]
    pub(crate) fn receive(&mut self, count: u32) -> bool {
        match self.left.checked_sub(count) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// `count` bytes are read.
    #[inline]
    pub(crate) fn release(&mut self, count: u32) {
        self.owed += count;
    }

    /// By how much to increment the peer's window, once that is at least half of `size`.
    #[inline]
    pub(crate) fn credit(&mut self, size: u32) -> Option<u32> {
        if self.owed == 0 || self.owed < size / 2 {
            return None;
        }
        let credit = std::mem::take(&mut self.owed);
        self.left += credit;
        Some(credit)
    }

    /// What may come.
    #[cfg(test)]
    pub(crate) fn left(self) -> u32 {
        self.left
    }

    /// All that is owed and may come: `size`, unless bytes are held unread.
    #[cfg(test)]
    pub(crate) fn total(self) -> u32 {
        self.left + self.owed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_window_can_go_below_zero_and_not_beyond_31_bits() {
        let mut window = SendWindow::new(10);
        window.consume(10);
        window.shift(-7).unwrap();
        assert_eq!(window.available(), 0);
        window.grow(8).unwrap();
        assert_eq!(window.available(), 1);
        assert_eq!(window.grow(LARGEST_WINDOW), Err(WindowOverflow));
        assert_eq!(window.available(), 1);
    }

    #[test]
    fn credit_comes_at_half_a_window() {
        let mut window = RecvWindow::new(100);
        assert!(window.receive(60));
        window.release(49);
        assert_eq!(window.credit(100), None);
        window.release(1);
        assert_eq!(window.credit(100), Some(50));
        assert!(window.receive(90));
        assert!(!window.receive(1));
        assert_eq!(window.total(), 0);
    }
}
