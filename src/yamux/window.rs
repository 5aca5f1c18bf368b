//! Credit: how many bytes of bodies one side may send on a stream, in each direction.
//!
//! Both directions of a stream start at [`INITIAL_WINDOW`], whatever the sides have configured.

use super::limits::INITIAL_WINDOW;

/// What the peer lets this side send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SendWindow(u32);

impl SendWindow {
    pub(super) fn new() -> Self {
        Self(INITIAL_WINDOW)
    }

    pub(super) fn credit(self) -> u32 {
        self.0
    }

    /// Accounts for a body of `len` bytes, which is within the credit.
    pub(super) fn spend(&mut self, len: u32) {
        debug_assert!(len <= self.0);
        self.0 = self.0.saturating_sub(len);
    }

    /// The peer granted `delta` more; `false` if the sum exceeds 2^32 - 1.
    #[must_use]
    pub(super) fn add(&mut self, delta: u32) -> bool {
        match self.0.checked_add(delta) {
            Some(credit) => {
                self.0 = credit;
                true
            }
            None => false,
        }
    }
}

/// What this side lets the peer send.
///
/// After each grant `credit + unread` is the size of the window, so what a stream can hold never exceeds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ReceiveWindow {
    /// What the peer may still send.
    credit: u32,
    /// Received and not yet consumed by the application.
    unread: u32,
    /// What is wanted: at least [`INITIAL_WINDOW`], which the protocol grants without asking.
    size: u32,
}

impl ReceiveWindow {
    pub(super) fn new(size: u32) -> Self {
        Self { credit: INITIAL_WINDOW, unread: 0, size: size.max(INITIAL_WINDOW) }
    }

    pub(super) fn credit(self) -> u32 {
        self.credit
    }

    pub(super) fn unread(self) -> u32 {
        self.unread
    }

    pub(super) fn size(self) -> u32 {
        self.size
    }

    /// The header of a body of `len` bytes arrived; `false` if that exceeds the credit. The body counts as unread from here on.
    #[must_use]
    pub(super) fn receive(&mut self, len: u32) -> bool {
        let Some(credit) = self.credit.checked_sub(len) else { return false };
        self.credit = credit;
        self.unread += len;
        true
    }

    /// The application has consumed `len` of them.
    pub(super) fn consume(&mut self, len: u32) {
        debug_assert!(len <= self.unread);
        self.unread = self.unread.saturating_sub(len);
    }

    fn missing(self) -> u32 {
        self.size.saturating_sub(self.credit).saturating_sub(self.unread)
    }

    /// Whether so much has been consumed that a grant is worth a frame: half a window.
    pub(super) fn is_due(self) -> bool {
        self.missing() >= self.size / 2
    }

    /// Grants what is missing, and says how much that is.
    pub(super) fn grant(&mut self) -> u32 {
        let delta = self.missing();
        self.credit += delta;
        delta
    }

    /// Wants `size` from now on, if that is more.
    pub(super) fn grow(&mut self, size: u32) {
        self.size = self.size.max(size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_credit_beyond_32_bits_is_refused() {
        let mut window = SendWindow::new();
        assert!(window.add(u32::MAX - INITIAL_WINDOW));
        assert_eq!(window.credit(), u32::MAX);
        assert!(!window.add(1));
        window.spend(1);
        assert!(window.add(1));
    }

    #[test]
    fn half_a_window_is_granted_when_it_was_consumed() {
        let mut window = ReceiveWindow::new(0);
        assert_eq!(window.size(), INITIAL_WINDOW);
        assert!(window.receive(200_000));
        assert!(!window.is_due(), "nothing was consumed");
        window.consume(131_071);
        assert!(!window.is_due());
        window.consume(1);
        assert!(window.is_due());
        assert_eq!(window.grant(), 131_072);
        assert_eq!(window.credit() + window.unread(), INITIAL_WINDOW);
    }

    #[test]
    fn a_body_beyond_the_credit_by_one_byte_is_refused() {
        let mut window = ReceiveWindow::new(0);
        assert!(!window.receive(INITIAL_WINDOW + 1));
        assert!(window.receive(INITIAL_WINDOW));
        assert!(!window.receive(1));
        assert!(window.receive(0));
    }

    #[test]
    fn a_larger_window_is_due_with_the_first_flag() {
        let mut window = ReceiveWindow::new(1 << 20);
        assert_eq!(window.grant(), 0xc_0000);
        assert_eq!(window.credit(), 1 << 20);
    }
}
