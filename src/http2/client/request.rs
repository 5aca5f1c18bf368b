//! A request on its way: what of its body has come, and what of it can be sent once more.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, request};
use http_body::{Body, Frame};

use super::error::BoxError;

/// Any body, whatever its error is.
trait Content: Send {
    fn poll_content(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>;

    fn is_over(&self) -> bool;
}

impl<B> Content for B
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
{
    fn poll_content(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.poll_frame(cx).map_err(Into::into)
    }

    fn is_over(&self) -> bool {
        self.is_end_stream()
    }
}

/// A request before it has a stream.
pub(super) struct Request {
    pub(super) parts: Box<request::Parts>,
    pub(super) body: Start,
}

/// What a request's body begins with.
pub(super) enum Start {
    Empty,
    /// All of it.
    Whole(Bytes),
    /// More comes.
    Streaming(Box<Outgoing>),
}

impl Start {
    /// Looks at a body for the first time. Bodies of unary calls are here at once, and need nothing further.
    pub(super) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self::Empty;
        }
        let mut outgoing = Outgoing { body: Box::pin(body), next: None };
        // Without a waker for now: what is pending is polled again with that of its stream.
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        match outgoing.poll_next(cx) {
            Poll::Ready(Next::Data(data, true)) => Self::Whole(data),
            Poll::Ready(Next::End) => Self::Empty,
            Poll::Ready(next) => {
                // At most two: this one and the one after it that was looked at.
                outgoing.put_back(next);
                Self::Streaming(Box::new(outgoing))
            }
            Poll::Pending => Self::Streaming(Box::new(outgoing)),
        }
    }

    /// The body once more, as long as nothing of it is lost.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Whole(content) => Some(Self::Whole(content.clone())),
            Self::Streaming(_) => None,
        }
    }
}

/// A body that is being sent.
pub(super) struct Outgoing {
    body: Pin<Box<dyn Content>>,
    /// What was looked at ahead.
    next: Option<Ahead>,
}

enum Ahead {
    One(Next),
    /// The first came with the first look, the second with the look behind it.
    Two(Next, Next),
}

/// What comes next of a body.
pub(super) enum Next {
    /// Content, and whether it is the last.
    Data(Bytes, bool),
    Trailers(HeaderMap),
    End,
    Failed(BoxError),
}

impl Outgoing {
    /// The next content. It looks one frame ahead, so that the end travels with the last content.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let data = match std::task::ready!(self.poll_one(cx)) {
            Next::Data(data, false) => data,
            other => return Poll::Ready(other),
        };
        if self.next.is_some() {
            return Poll::Ready(Next::Data(data, false));
        }
        if self.body.is_over() {
            return Poll::Ready(Next::Data(data, true));
        }
        let last = match self.poll_one(cx) {
            Poll::Pending => false,
            Poll::Ready(Next::End) => true,
            Poll::Ready(next) => {
                self.next = Some(Ahead::One(next));
                false
            }
        };
        Poll::Ready(Next::Data(data, last))
    }

    fn put_back(&mut self, next: Next) {
        self.next = Some(match self.next.take() {
            Some(Ahead::One(after)) => Ahead::Two(next, after),
            _ => Ahead::One(next),
        });
    }

    fn poll_one(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        match self.next.take() {
            Some(Ahead::One(next)) => return Poll::Ready(next),
            Some(Ahead::Two(next, after)) => {
                self.next = Some(Ahead::One(after));
                return Poll::Ready(next);
            }
            None => {}
        }
        loop {
            let frame = match std::task::ready!(self.body.as_mut().poll_content(cx)) {
                None => return Poll::Ready(Next::End),
                Some(Err(error)) => return Poll::Ready(Next::Failed(error)),
                Some(Ok(frame)) => frame,
            };
            match frame.into_data() {
                // It says nothing, and peers count such frames.
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Poll::Ready(Next::Data(data, false)),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return Poll::Ready(Next::Trailers(trailers));
                    }
                }
            }
        }
    }
}
