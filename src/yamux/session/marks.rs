//! What is true of a stream, one bit each.

/// A set of marks.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Marks(u16);

impl Marks {
    /// Opened by this side, and the peer has not said a word on it.
    pub(super) const UNACKED: Self = Self(1);
    /// SYN is to be sent.
    pub(super) const SYN_DUE: Self = Self(1 << 1);
    /// ACK is to be sent.
    pub(super) const ACK_DUE: Self = Self(1 << 2);
    /// It is in the list of streams with a frame to send.
    pub(super) const DUE: Self = Self(1 << 3);
    /// It waits for room to send.
    pub(super) const BLOCKED: Self = Self(1 << 4);
    /// It has waited, and goes before newcomers.
    pub(super) const TURN: Self = Self(1 << 5);
    /// This side has ended its direction, and FIN waits for room.
    pub(super) const FIN_DUE: Self = Self(1 << 6);
    /// FIN is on its way.
    pub(super) const FIN_OUT: Self = Self(1 << 7);
    /// The peer has ended its direction.
    pub(super) const FIN_IN: Self = Self(1 << 8);
    /// It waits to be accepted.
    pub(super) const QUEUED: Self = Self(1 << 9);
    /// Nobody can read it.
    pub(super) const NO_READER: Self = Self(1 << 10);
    /// Nobody can write on it.
    pub(super) const NO_WRITER: Self = Self(1 << 11);
    /// It is over on the wire.
    pub(super) const OFF_WIRE: Self = Self(1 << 12);
    /// It was closed and dropped here, and the peer has not ended it.
    pub(super) const ORPHAN: Self = Self(1 << 13);

    pub(super) fn has(self, mark: Self) -> bool {
        self.0 & mark.0 != 0
    }

    pub(super) fn has_all(self, marks: Self) -> bool {
        self.0 & marks.0 == marks.0
    }

    #[must_use]
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn set(&mut self, mark: Self) {
        self.0 |= mark.0;
    }

    /// Clears it, and says whether it was set.
    pub(super) fn take(&mut self, mark: Self) -> bool {
        let had = self.has(mark);
        self.0 &= !mark.0;
        had
    }
}
