//! The peer's bytes until a frame is whole.

use super::frame::{Frame, Header};
use super::protocol::{FrameKind, HEADER_LEN};
use crate::alert::AlertCode;
use crate::error::Error;
use crate::foreign::ForeignProtocol;

/// What may come next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) message: FrameKind,
    /// Whether there are keys that could open a sealed alert. Alerts in plaintext are accepted as long as the handshake lasts.
    pub(super) sealed_alert: bool,
    /// Nothing has come yet: the peer may have mistaken us for something else.
    pub(super) first: bool,
}

impl Expected {
    fn admits(self, kind: FrameKind) -> bool {
        kind == self.message
            || kind == FrameKind::Alert
            || (kind == FrameKind::SealedAlert && self.sealed_alert)
    }
}

/// Holds at most one frame, and never more than twice what has arrived of it.
#[derive(Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// Set once 8 bytes have arrived and passed every check.
    header: Option<Header>,
}

impl Inbox {
    /// Moves bytes from the front of `received` until a frame is whole or nothing is left.
    pub(super) fn fill(
        &mut self,
        received: &mut &[u8],
        expected: Expected,
    ) -> Result<Option<Frame>, Error> {
        let header = match self.header {
            Some(header) => header,
            None => match self.fill_header(received, expected)? {
                Some(header) => *self.header.insert(header),
                None => return Ok(None),
            },
        };
        self.append(received, header.frame_len);
        if self.bytes.len() < header.frame_len {
            return Ok(None);
        }
        self.header = None;
        Ok(Some(Frame::new(header.kind, std::mem::take(&mut self.bytes))))
    }

    fn fill_header(
        &mut self,
        received: &mut &[u8],
        expected: Expected,
    ) -> Result<Option<Header>, Error> {
        self.append(received, HEADER_LEN);
        if expected.first
            && let Some(protocol) = ForeignProtocol::recognize(&self.bytes)
        {
            return Err(Error::Foreign(protocol));
        }
        let Some(bytes) = self.bytes.first_chunk() else {
            return Ok(None);
        };
        let header = Header::load(*bytes)?;
        if !expected.admits(header.kind) {
            return Err(Error::peer(
                AlertCode::UnexpectedMessage,
                format!("{:?} where {:?} is due", header.kind, expected.message),
            ));
        }
        Ok(Some(header))
    }

    /// Takes from `received` until `target` bytes are held.
    fn append(&mut self, received: &mut &[u8], target: usize) {
        let missing = target - self.bytes.len();
        let (taken, rest) = received.split_at(missing.min(received.len()));
        let len = self.bytes.len() + taken.len();
        if len > self.bytes.capacity() {
            // Doubling keeps the copying linear; the target keeps the last step exact.
            let capacity = len.max(2 * self.bytes.capacity()).min(target);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(taken);
        *received = rest;
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Expected =
        Expected { message: FrameKind::ServerInit, sealed_alert: false, first: true };

    fn feed(inbox: &mut Inbox, mut bytes: &[u8]) -> Result<Option<usize>, Error> {
        Ok(inbox.fill(&mut bytes, FIRST)?.map(|frame| frame.whole().len()))
    }

    #[test]
    fn a_claim_costs_the_claimer() {
        for frame_len in [32_768, 20_001] {
            let mut inbox = Inbox::default();
            let [low, high, ..] = u32::to_le_bytes(frame_len - 4);
            feed(&mut inbox, &[low, high, 0, 0, 0x42, 0, 0, 0]).unwrap();
            assert!(inbox.capacity() <= 16, "{}", inbox.capacity());
            for arrived in 9..frame_len as usize {
                assert_eq!(feed(&mut inbox, &[1]).unwrap(), None);
                assert!(inbox.capacity() <= (2 * arrived).min(frame_len as usize));
            }
            assert_eq!(feed(&mut inbox, &[1]).unwrap(), Some(frame_len as usize));
            assert_eq!(inbox.capacity(), 0);
        }
    }

    #[test]
    fn takes_one_frame_and_leaves_the_rest() {
        let mut inbox = Inbox::default();
        let mut received = &[5, 0, 0, 0, 0x42, 0, 0, 0, 0xaa, 0xbb, 0xcc][..];
        let frame = inbox.fill(&mut received, FIRST).unwrap().unwrap();
        assert_eq!(frame.body(), [0xaa]);
        assert_eq!(received, [0xbb, 0xcc]);
    }

    #[test]
    fn kinds_that_are_not_due() {
        for (kind, sealed_alert, admitted) in [
            (0x42, false, true),
            (0x4f, false, true),
            (0x4e, false, false),
            (0x4e, true, true),
            (0x41, true, false),
            (0x43, true, false),
            (0x44, true, false),
            (0x45, true, false),
        ] {
            let mut received = &[30, 0, 0, 0, kind, 0, 0, 0][..];
            let result = Inbox::default().fill(&mut received, Expected { sealed_alert, ..FIRST });
            let code = result.map(|_| ()).map_err(|error| error.alert().unwrap());
            assert_eq!(
                code,
                if admitted { Ok(()) } else { Err(AlertCode::UnexpectedMessage) },
                "{kind:#x}"
            );
        }
    }

    #[test]
    fn other_protocols() {
        let http1 = Err(Error::Foreign(ForeignProtocol::Http1));
        assert_eq!(feed(&mut Inbox::default(), b"GET / HTTP/1.1\r\n"), http1);
        // In pieces, and only at the beginning.
        let mut inbox = Inbox::default();
        assert_eq!(feed(&mut inbox, b"GE"), Ok(None));
        assert_eq!(feed(&mut inbox, b"T "), http1);
        let later = Expected { first: false, ..FIRST };
        let result = Inbox::default().fill(&mut &b"GET / HTTP/1.1\r\n"[..], later);
        assert_eq!(result.map(|_| ()).unwrap_err().alert(), Some(AlertCode::TooLarge));
    }
}
