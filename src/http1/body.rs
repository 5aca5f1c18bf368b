//! The content of requests and of responses, which tell when they are over.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::activity::Activity;

/// The content of a request.
#[derive(Debug)]
pub struct Body {
    content: Incoming,
    /// Content in chunks says that it has ended by a frame that is none.
    has_ended: bool,
    activity: Arc<Activity>,
}

/// The content of a request ended before its time, or is not as HTTP has it.
#[derive(Debug)]
pub struct BodyError(hyper::Error);

impl Body {
    pub(super) fn new(content: Incoming, activity: Arc<Activity>) -> Self {
        Self { content, has_ended: false, activity }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.content).poll_frame(cx));
        self.has_ended = frame.is_none();
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError)))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if !self.has_ended && !self.content.is_end_stream() {
            self.activity.was_not_read_to_its_end();
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the content of a request could not be read")
    }
}

impl StdError for BodyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

/// An exchange that is open as long as this is there.
#[derive(Debug)]
pub(super) struct Open(Arc<Activity>);

impl Open {
    pub(super) fn new(activity: Arc<Activity>) -> Self {
        activity.begins();
        Self(activity)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.ends();
    }
}

/// The content of a response.
pub(super) struct ResponseBody<B> {
    content: Pin<Box<B>>,
    /// hyper drops the content when it has all of it.
    _open: Open,
}

impl<B> ResponseBody<B> {
    pub(super) fn new(content: B, open: Open) -> Self {
        Self { content: Box::pin(content), _open: open }
    }
}

impl<B: HttpBody> HttpBody for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.content.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
