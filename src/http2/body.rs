//! The content of a message that is being received.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::error::Error;
use super::inbox::{Inbox, Next};
use super::link::Link;

/// The content of a message that is being received, and its trailers.
///
/// One that came as a whole is just its bytes. Another is shared with its connection: reading it lets the peer send more, and dropping it
/// tells the connection that the rest is not wanted. On a client that resets the stream.
///
/// What it hands out is a slice of a pooled buffer where that keeps at most four times its size, and a copy otherwise.
#[derive(Default)]
pub struct Body(Kind);

enum Kind {
    /// All of it is here.
    Complete { first: Bytes, rest: Option<Box<Inbox>> },
    /// More may come.
    Live(Arc<Link>),
}

impl Default for Kind {
    fn default() -> Self {
        Self::Complete { first: Bytes::new(), rest: None }
    }
}

impl Body {
    /// Nothing.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A message that has come as a whole.
    pub(crate) fn complete(mut inbox: Inbox) -> Self {
        if inbox.is_exhausted() {
            return Self::empty();
        }
        let first = match inbox.next() {
            Next::Data(first) => first,
            Next::Trailers(trailers) => {
                inbox = Inbox::default();
                inbox.end(Some(Box::new(trailers)));
                Bytes::new()
            }
            Next::End | Next::Failed(_) | Next::Wait => Bytes::new(),
        };
        let rest = (!inbox.is_exhausted()).then(|| Box::new(inbox));
        Self(Kind::Complete { first, rest })
    }

    /// A message of which more may come.
    pub(crate) fn live(link: Arc<Link>) -> Self {
        Self(Kind::Live(link))
    }
}

/// A message that is here as a whole: to send, or for tests.
impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Complete { first: bytes, rest: None })
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let next = match &mut self.0 {
            Kind::Complete { first, .. } if !first.is_empty() => Next::Data(std::mem::take(first)),
            Kind::Complete { rest: None, .. } => Next::End,
            Kind::Complete { rest: Some(inbox), .. } => inbox.next(),
            Kind::Live(link) => {
                let mut inbox = link.inbox();
                let next = inbox.next();
                match &next {
                    Next::Data(data) => link.consume(inbox, data.len()),
                    Next::Wait => match &mut inbox.waker {
                        Some(waker) => waker.clone_from(cx.waker()),
                        none => *none = Some(cx.waker().clone()),
                    },
                    _ => {}
                }
                next
            }
        };
        Poll::Ready(match next {
            Next::Data(data) => Some(Ok(Frame::data(data))),
            Next::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            Next::End => None,
            Next::Failed(error) => Some(Err(error)),
            Next::Wait => return Poll::Pending,
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Complete { first, rest } => {
                first.is_empty() && rest.as_ref().is_none_or(|rest| rest.is_exhausted())
            }
            Kind::Live(link) => link.inbox().is_exhausted(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Complete { first, rest } => {
                let rest = rest.as_ref().map_or(0, |rest| rest.unread());
                SizeHint::with_exact((first.len() + rest) as u64)
            }
            Kind::Live(link) => {
                let inbox = link.inbox();
                let unread = inbox.unread() as u64;
                let mut hint = SizeHint::new();
                hint.set_lower(unread);
                if inbox.is_complete() {
                    hint.set_upper(unread);
                }
                hint
            }
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Kind::Live(link) = &self.0 {
            link.abandon();
        }
    }
}

/// Shows how much there is, not what it is.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unread, complete) = match &self.0 {
            Kind::Complete { first, rest } => {
                (first.len() + rest.as_ref().map_or(0, |rest| rest.unread()), true)
            }
            Kind::Live(link) => {
                let inbox = link.inbox();
                (inbox.unread(), inbox.is_complete())
            }
        };
        f.debug_struct("Body").field("unread", &unread).field("complete", &complete).finish()
    }
}
