//! Handshakes of many sources, against the limits.

use std::pin::pin;
use std::task::Waker;

use super::*;

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Polls once.
fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut context())
}

fn enter(limits: &HandshakeLimits, source: &str) -> Poll<Result<HalfOpen, Error>> {
    poll(limits.enter(Some(source.parse().unwrap())))
}

fn admitted(entered: Poll<Result<HalfOpen, Error>>) -> HalfOpen {
    match entered {
        Poll::Ready(Ok(place)) => place,
        other => panic!("not admitted: {other:?}"),
    }
}

fn is_overloaded<T>(result: &Poll<Result<T, Error>>) -> bool {
    matches!(result, Poll::Ready(Err(Error::Limit { code: AlertCode::Overloaded, .. })))
}

fn limits(change: impl FnOnce(&mut LimitOptions)) -> HandshakeLimits {
    let mut options = LimitOptions::default();
    change(&mut options);
    HandshakeLimits::new(options)
}

#[test]
fn one_source_cannot_take_every_place() {
    let limits = limits(|options| options.half_open_per_source = 2);
    let _first = admitted(enter(&limits, "192.0.2.1"));
    let second = admitted(enter(&limits, "::ffff:192.0.2.1"));
    assert!(enter(&limits, "192.0.2.1").is_pending());
    let _other = admitted(enter(&limits, "192.0.2.2"));
    drop(second);
    let _third = admitted(enter(&limits, "192.0.2.1"));
    assert_eq!(limits.half_open(), 3);
}

#[test]
fn a_prefix_of_64_bits_is_one_source() {
    let limits = limits(|options| options.half_open_per_source = 1);
    let _one = admitted(enter(&limits, "2001:db8::1"));
    assert!(enter(&limits, "2001:db8::2:3").is_pending());
    let _other = admitted(enter(&limits, "2001:db8:0:1::1"));
}

#[test]
fn the_queue_is_bounded_and_moves_on() {
    let limits = limits(|options| {
        options.half_open = 1;
        options.queue = 1;
    });
    let first = admitted(poll(limits.enter(None)));
    let mut waiting = pin!(limits.enter(None));
    assert!(waiting.as_mut().poll(&mut context()).is_pending());
    assert!(is_overloaded(&poll(limits.enter(None))));
    drop(first);
    assert!(matches!(waiting.as_mut().poll(&mut context()), Poll::Ready(Ok(_))));
}

#[test]
fn a_silent_connection_makes_room() {
    let limits = limits(|options| options.silent = 1);
    let mut first = limits.arrive(None).unwrap();
    assert!(first.poll_displaced(&mut context()).is_pending());
    let mut second = limits.arrive(None).unwrap();
    assert!(first.poll_displaced(&mut context()).is_ready());
    assert!(second.poll_displaced(&mut context()).is_pending());
    assert_eq!(limits.waiting(), 1);
    assert!(limits.displace_silent());
    assert!(!limits.displace_silent());
    assert!(second.poll_displaced(&mut context()).is_ready());
    assert!(is_overloaded(&poll(first.admitted())));
}

#[test]
fn the_largest_and_the_smallest_settings_work() {
    for count in [0, usize::MAX] {
        let limits = limits(|options| {
            options.half_open = count;
            options.half_open_per_source = count;
            options.queue = count;
            options.silent = count;
            options.crypto = count;
        });
        let place = admitted(enter(&limits, "192.0.2.1"));
        assert_eq!(limits.half_open(), 1);
        drop(place);
        assert_eq!((limits.half_open(), limits.waiting()), (0, 0));
        assert!(poll(limits.crypto()).is_ready());
        assert!(limits.most_connections() > 0);
    }
}

/// An accept loop stops there, so one too few would turn clients away and one too many is a descriptor that nobody has asked for.
#[test]
fn the_most_connections_are_all_that_may_have_a_place_wait_or_be_refused() {
    let most = |half_open, queue, silent| {
        let limits = limits(|options| {
            (options.half_open, options.queue, options.silent) = (half_open, queue, silent);
        });
        limits.most_connections()
    };
    assert_eq!(most(3, 50, 700), 753 + REFUSALS);
    assert_eq!(most(0, 0, 1), 2 + REFUSALS, "one always has a place");
    assert_eq!(most(usize::MAX, usize::MAX, usize::MAX), usize::MAX);
}

#[test]
fn whoever_gives_up_leaves_nothing() {
    let limits = limits(|options| options.half_open_per_source = 1);
    let place = admitted(enter(&limits, "192.0.2.1"));
    let source = Some("192.0.2.1".parse().unwrap());
    // One has its place already when it gives up, one does not, one has not spoken.
    {
        let mut granted = pin!(limits.enter(source));
        assert!(granted.as_mut().poll(&mut context()).is_pending());
        let mut queued = pin!(limits.enter(source));
        assert!(queued.as_mut().poll(&mut context()).is_pending());
        let _silent = limits.arrive(source).unwrap();
        drop(place);
        assert_eq!((limits.half_open(), limits.waiting()), (1, 2));
    }
    assert_eq!((limits.half_open(), limits.waiting()), (0, 0));
}

#[test]
fn rates_are_by_source() {
    let limits = limits(|options| options.rate_per_source = NonZeroU32::new(1));
    let _one = admitted(enter(&limits, "192.0.2.1"));
    assert!(is_overloaded(&enter(&limits, "192.0.2.1")));
    let _other = admitted(enter(&limits, "192.0.2.2"));
    let _without = (admitted(poll(limits.enter(None))), admitted(poll(limits.enter(None))));
}

#[test]
fn crypto_permits_are_few() {
    let limits = limits(|options| options.crypto = 1);
    let Poll::Ready(permit) = poll(limits.crypto()) else { panic!("no permit") };
    assert!(poll(limits.crypto()).is_pending());
    drop(permit);
    assert!(poll(limits.crypto()).is_ready());
}

#[test]
fn so_many_are_told_that_they_are_refused() {
    let limits = HandshakeLimits::default();
    let mut permits: Vec<_> = (0..REFUSALS).map(|_| limits.refusal().unwrap()).collect();
    assert!(limits.refusal().is_none());
    permits.pop();
    assert!(limits.refusal().is_some());
}
