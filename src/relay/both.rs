//! Both directions of a relay.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::direction::Direction;
use super::end::RelayEnd;
use super::options::RelayOptions;
use super::summary::{End, Path, Summary, Way};

/// Moves bytes between `a` and `b` until both directions have ended, and carries the way they end across: see
/// [the module](super).
///
/// Relays that are given clones of one `Arc` share the options; one that is given a reference has a copy of its own, which takes about
/// 100 bytes.
///
/// Dropping the future before its end resets both connections: neither side takes what it has for the whole.
pub fn relay<A: RelayEnd, B: RelayEnd>(
    a: A,
    b: B,
    options: impl Into<Arc<RelayOptions>>,
) -> Relay<A, B> {
    Relay { ends: Some((a, b)), both: Both::new(), options: options.into() }
}

/// A relay under way: a future of its [`Summary`]. Made by [`relay`].
#[must_use = "a relay does nothing unless it is awaited"]
pub struct Relay<A: RelayEnd, B: RelayEnd> {
    ends: Option<(A, B)>,
    both: Both,
    options: Arc<RelayOptions>,
}

impl<A: RelayEnd, B: RelayEnd> Future for Relay<A, B> {
    type Output = Summary;

    /// # Panics
    /// If it is polled after it has answered.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Summary> {
        let Self { ends, both, options } = &mut *self;
        let (a, b) = ends.as_mut().expect("a relay is not polled after its end");
        let summary = std::task::ready!(both.poll(a, b, options, cx));
        if summary.is_clean() {
            *ends = None;
        } else {
            self.abort();
        }
        Poll::Ready(summary)
    }
}

impl<A: RelayEnd, B: RelayEnd> Relay<A, B> {
    fn abort(&mut self) {
        if let Some((a, b)) = self.ends.take() {
            a.abort();
            b.abort();
        }
    }
}

impl<A: RelayEnd, B: RelayEnd> Drop for Relay<A, B> {
    fn drop(&mut self) {
        self.abort();
    }
}

impl<A: RelayEnd, B: RelayEnd> fmt::Debug for Relay<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("both", &self.both).finish_non_exhaustive()
    }
}

/// As [`relay`], for connections that stay the caller's. Ends cross as they do there, except that nothing is reset: if the summary
/// is not [clean](Summary::is_clean), drop both connections.
///
/// Unlike tokio's function of this name it holds no buffers while nothing arrives. Dropping the future loses the bytes that are
/// under way.
pub async fn copy_bidirectional<A: RelayEnd, B: RelayEnd>(
    a: &mut A,
    b: &mut B,
    options: &RelayOptions,
) -> Summary {
    let mut both = Both::new();
    poll_fn(|cx| both.poll(a, b, options, cx)).await
}

/// Moves bytes one way until `from` ends, then ends the sending direction of `to`. The timeouts and the limit of `options` apply.
///
/// Dropping the future loses the bytes that are under way.
pub async fn copy<A: RelayEnd, B: RelayEnd>(
    from: &mut A,
    to: &mut B,
    options: &RelayOptions,
) -> Way {
    let mut both = Both::new();
    both.b_to_a.stop(End::Clean);
    both.one_way = true;
    poll_fn(|cx| both.poll(from, to, options, cx)).await.a_to_b
}

#[derive(Debug)]
struct Both {
    a_to_b: Direction,
    b_to_a: Direction,
    watch: Option<Box<Watch>>,
    one_way: bool,
}

/// Notices that no bytes move.
#[derive(Debug)]
struct Watch {
    sleep: Pin<Box<Sleep>>,
    /// How many had been moved when the sleep began.
    bytes: u64,
    /// For which the sleep was made.
    end: End,
}

impl Both {
    fn new() -> Self {
        Self { a_to_b: Direction::new(), b_to_a: Direction::new(), watch: None, one_way: false }
    }

    fn poll<A: RelayEnd, B: RelayEnd>(
        &mut self,
        a: &mut A,
        b: &mut B,
        options: &RelayOptions,
        cx: &mut Context<'_>,
    ) -> Poll<Summary> {
        let before = self.moved();
        let _ = self.a_to_b.poll(a, b, options, cx);
        self.react();
        let _ = self.b_to_a.poll(b, a, options, cx);
        self.react();
        if let Some(counters) = &options.counters {
            counters.add(before, self.moved());
        }
        if options.byte_limit.is_some_and(|limit| self.bytes() > limit) {
            self.stop(End::ByteLimit);
        }
        self.poll_watch(options, cx);
        match (self.a_to_b.end(), self.b_to_a.end()) {
            (Some(there), Some(back)) => Poll::Ready(self.summary(there, back)),
            _ => Poll::Pending,
        }
    }

    fn bytes(&self) -> u64 {
        let (there, back) = self.moved();
        there.saturating_add(back)
    }

    fn moved(&self) -> (u64, u64) {
        (self.a_to_b.bytes, self.b_to_a.bytes)
    }

    fn stop(&mut self, end: End) {
        self.a_to_b.stop(end);
        self.b_to_a.stop(end);
    }

    /// A side that is gone or was cut ends both directions. One that takes no more bytes may have sent some that are still to
    /// be delivered.
    fn react(&mut self) {
        let cut = |direction: &Direction| matches!(direction.end(), Some(end) if end != End::Clean && !matches!(end, End::WriteFailed(_)));
        if cut(&self.a_to_b) || cut(&self.b_to_a) {
            self.stop(End::Aborted);
        }
    }

    fn poll_watch(&mut self, options: &RelayOptions, cx: &mut Context<'_>) {
        let ending = !self.one_way && (self.a_to_b.end().is_some() || self.b_to_a.end().is_some());
        let (limit, end) = match ending {
            true => (options.close_timeout, End::CloseTimeout),
            false => (options.idle_timeout, End::IdleTimeout),
        };
        let Some(limit) = limit else {
            self.watch = None;
            return;
        };
        let bytes = self.bytes();
        if self.watch.as_ref().is_none_or(|watch| watch.end != end) {
            let sleep = Box::pin(tokio::time::sleep(limit));
            self.watch = Some(Box::new(Watch { sleep, bytes, end }));
        }
        while let Some(watch) = &mut self.watch
            && watch.sleep.as_mut().poll(cx).is_ready()
        {
            if watch.bytes == bytes {
                self.stop(end);
                return;
            }
            watch.bytes = bytes;
            watch.sleep.as_mut().reset(after(limit));
        }
    }

    fn summary(&self, there: End, back: End) -> Summary {
        let copied = self.a_to_b.copied.or(self.b_to_a.copied);
        Summary {
            a_to_b: Way { bytes: self.a_to_b.bytes, end: there },
            b_to_a: Way { bytes: self.b_to_a.bytes, end: back },
            path: copied.map_or(Path::Splice, Path::Copy),
        }
    }
}

/// In `limit`, or as far in the future as the clock goes.
fn after(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit).unwrap_or(now + Duration::from_secs(31_536_000))
}
