//! What a client may find in place of the first record, and keeps keys for until then: the alert of a server that refuses it, and
//! the ticket that the server announced.

use std::fmt;

use super::alert::SealedAlertKey;
use super::client::AwaitedTicket;
use super::frame::{Frame, Header};
use super::protocol::{FrameKind, HEADER_LEN};
use crate::alert::AlertCode;
use crate::error::Error;
use crate::session::LateAlert;

/// Freed as a whole when the first frame has come.
pub(super) struct FirstFrame {
    alert: SealedAlertKey,
    ticket: Option<AwaitedTicket>,
}

impl FirstFrame {
    pub(super) fn new(alert: SealedAlertKey, ticket: Option<AwaitedTicket>) -> Self {
        Self { alert, ticket }
    }
}

/// The length of a frame of that kind.
fn frame_len(kind: FrameKind, header: [u8; HEADER_LEN]) -> Option<usize> {
    Header::load(header).ok().filter(|header| header.kind == kind).map(|header| header.frame_len)
}

/// A whole frame of that kind, and nothing else.
fn whole(kind: FrameKind, frame: &[u8]) -> Result<Frame, Error> {
    let header = frame.first_chunk().copied();
    if header.and_then(|header| frame_len(kind, header)) != Some(frame.len()) {
        return Err(Error::decode(format!("{kind:?} with a bad header")));
    }
    Ok(Frame::new(kind, frame.to_vec()))
}

impl LateAlert for FirstFrame {
    fn frame_len(&self, header: [u8; HEADER_LEN]) -> Option<usize> {
        frame_len(FrameKind::SealedAlert, header)
    }

    fn open(&self, frame: &[u8]) -> Result<(AlertCode, String), Error> {
        self.alert.open_frame(&mut whole(FrameKind::SealedAlert, frame)?)
    }

    fn awaits_ticket(&self) -> bool {
        self.ticket.is_some()
    }

    fn ticket_len(&self, header: [u8; HEADER_LEN]) -> Option<usize> {
        self.ticket.as_ref().and_then(|_| frame_len(FrameKind::Ticket, header))
    }

    fn take_ticket(self: Box<Self>, frame: &[u8]) -> Result<(), Error> {
        match self.ticket {
            Some(ticket) => ticket.take(&mut whole(FrameKind::Ticket, frame)?),
            None => Err(Error::misuse("no ticket is awaited")),
        }
    }
}

impl fmt::Debug for FirstFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstFrame")
            .field("awaits_ticket", &self.ticket.is_some())
            .finish_non_exhaustive()
    }
}
