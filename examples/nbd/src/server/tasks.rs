//! The requests in flight of one connection.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, Stream as _};

type Task<'conn> = Pin<Box<dyn Future<Output = ()> + Send + 'conn>>;

/// Work that goes on beside reading requests, in the same task of the runtime.
pub(super) struct Tasks<'conn> {
    begun: Mutex<Vec<Task<'conn>>>,
}

impl<'conn> Tasks<'conn> {
    pub(super) fn new() -> Self {
        Self { begun: Mutex::default() }
    }

    /// Begins some work. What can be done at once is done before this returns.
    pub(super) fn begin_now(
        &self,
        cx: &mut Context<'_>,
        work: impl Future<Output = ()> + Send + 'conn,
    ) {
        let mut work: Task<'conn> = Box::pin(work);
        if work.as_mut().poll(cx).is_pending() {
            self.begun.lock().unwrap_or_else(PoisonError::into_inner).push(work);
        }
    }

    /// The same where there is no context at hand.
    pub(super) async fn begin(&self, work: impl Future<Output = ()> + Send + 'conn) {
        let mut work = Some(work);
        poll_fn(|cx| {
            if let Some(work) = work.take() {
                self.begin_now(cx, work);
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Runs `reading` together with all the work it begins, until it has ended and all work is done, or `stop` says that
    /// nothing of it matters any more.
    pub(super) async fn run<T>(
        &self,
        mut reading: Pin<&mut impl Future<Output = T>>,
        stop: impl Fn() -> bool,
    ) -> Option<T> {
        let mut result = None;
        let mut running = FuturesUnordered::new();
        poll_fn(|cx| {
            loop {
                if result.is_none()
                    && let Poll::Ready(ended) = reading.as_mut().poll(cx)
                {
                    result = Some(ended);
                }
                running.extend(std::mem::take(
                    &mut *self.begun.lock().unwrap_or_else(PoisonError::into_inner),
                ));
                let next = Pin::new(&mut running).poll_next(cx);
                if stop() {
                    return Poll::Ready(None);
                }
                match next {
                    // It may have made room for another request.
                    Poll::Ready(Some(())) => {}
                    Poll::Ready(None) if result.is_some() => return Poll::Ready(result.take()),
                    Poll::Ready(None) | Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }
}

impl fmt::Debug for Tasks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").finish_non_exhaustive()
    }
}
