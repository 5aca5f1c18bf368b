//! When a place is taken and given back, and a core.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use alts::handshaker::{HandshakeLimits, LimitOptions};
use alts::pool::BufferPool;
use alts::{Acceptor, connect::Settings};

use crate::support::double::Double;
use crate::support::wire::wires;
use crate::support::{Parties, polling, settings};

fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    polling::now(|cx| std::pin::Pin::new(future).poll(cx))
}

/// A peer that is being told why it failed keeps its place: it costs as much as others.
#[tokio::test(start_paused = true)]
async fn a_place_is_kept_until_the_peer_has_been_told() {
    let parties = Parties::new();
    let acceptor = parties.acceptor(settings(&BufferPool::new(), |_| ()));
    let limits = &acceptor.settings().limits;
    let ((wire, control), (_peer, _)) = wires(usize::MAX);
    control.inject(&[0xff; 100]);
    let mut accepting = acceptor.accept(wire);
    assert!(poll_once(&mut accepting).is_none());
    assert!(!control.intercept().is_empty(), "the alert is sent");
    assert_eq!(limits.half_open(), 1);
    // The peer does not close its end, which is waited for a short time only.
    tokio::time::advance(Duration::from_millis(99)).await;
    assert!(poll_once(&mut accepting).is_none());
    assert_eq!(limits.half_open(), 1);
    tokio::time::advance(Duration::from_millis(2)).await;
    assert!(poll_once(&mut accepting).unwrap().is_err());
    assert_eq!(limits.half_open(), 0);
}

#[tokio::test]
async fn a_core_is_free_while_a_service_is_asked() {
    let asked = Arc::<AtomicUsize>::default();
    let mut options = LimitOptions::default();
    options.crypto = 1;
    let limits = HandshakeLimits::new(options);
    let mut settings = Settings::default();
    settings.limits = limits.clone();
    let asking = Arc::clone(&asked);
    // Asks a service that never answers.
    let handshaker = Double::answering(move || {
        asking.fetch_add(1, Ordering::Relaxed);
        Poll::Pending
    });
    let acceptor = Acceptor::with_settings(handshaker, settings);
    let mut accepting = Vec::new();
    for count in 1..=3 {
        let ((wire, control), peer) = wires(usize::MAX);
        control.inject(&[0; 8]);
        let mut handshake = acceptor.accept(wire);
        assert!(poll_once(&mut handshake).is_none());
        accepting.push((handshake, peer));
        assert_eq!(asked.load(Ordering::Relaxed), count);
    }
    let mut cx = Context::from_waker(Waker::noop());
    let crypto = std::pin::pin!(limits.crypto());
    assert!(crypto.poll(&mut cx).is_ready());
}

/// The figures of both sides when all timeouts and limits have the least and the largest values.
#[tokio::test(start_paused = true)]
async fn every_setting_takes_every_value() {
    let parties = Parties::new();
    for (extreme, count) in [(Duration::ZERO, 0), (Duration::MAX, usize::MAX)] {
        let extremes = || {
            settings(&BufferPool::new(), |settings| {
                settings.handshake_timeout = extreme;
                settings.first_bytes_timeout = extreme;
                settings.unsent_limit = Some(count as u32);
                let mut options = LimitOptions::default();
                options.half_open = count;
                options.half_open_per_source = count;
                options.queue = count;
                options.silent = count;
                options.crypto = count;
                options.rate_per_source = std::num::NonZeroU32::new(count as u32);
                settings.limits = HandshakeLimits::new(options);
            })
        };
        let ((near, _), (far, _)) = wires(usize::MAX);
        let (acceptor, connector) = (parties.acceptor(extremes()), parties.connector(extremes()));
        let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
        if extreme.is_zero() {
            // Nothing can be done in no time, and this is said at once.
            for error in [near.unwrap_err(), far.unwrap_err()] {
                let text = error.to_string();
                assert!(
                    ["0ns", "overloaded", "timeout"].iter().any(|why| text.contains(why)),
                    "{text}"
                );
            }
        } else {
            near.unwrap();
            far.unwrap();
        }
    }
}
