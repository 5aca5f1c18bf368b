//! The alert that ends a failed handshake.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::Instant;

use super::deadline::within;
use super::handshaking::Handshaking;
use super::socket::Socket;
use crate::ready::{Polled, into_poll};

/// Sends the alert, if there is one, within the handshake's deadline or shortly after it. Then the bytes that the peer has under way
/// are read and dropped: a socket closed over unread bytes would take the alert back.
pub(super) async fn tell<S: Socket>(handshaking: &mut Handshaking, io: &mut S, deadline: Instant) {
    /// The time a peer gets to read the alert and to close the connection.
    const LINGER: Duration = Duration::from_millis(100);
    /// The most that is read and dropped, in bytes: about what sockets buffer.
    const MOST_DROPPED: usize = 1 << 20;
    if !handshaking.has_unsent() {
        return;
    }
    let patience = deadline.max(Instant::now() + LINGER);
    let telling = poll_fn(|cx| into_poll(handshaking.send(&mut Polled { io: &mut *io, cx })));
    // Errors from here on would hide why the handshake failed.
    let Ok(Ok(())) = within(patience, telling).await else { return };
    let patience = Instant::now() + LINGER;
    let shut = within(patience, poll_fn(|cx| Pin::new(&mut *io).poll_shutdown(cx))).await;
    if !matches!(shut, Ok(Ok(()))) {
        return;
    }
    let mut scratch = [0; 512];
    let mut dropped = 0;
    while dropped < MOST_DROPPED {
        let mut buf = ReadBuf::new(&mut scratch);
        let reading = poll_fn(|cx| Pin::new(&mut *io).poll_read(cx, &mut buf));
        match within(patience, reading).await {
            Ok(Ok(())) if !buf.filled().is_empty() => dropped += buf.filled().len(),
            _ => return,
        }
    }
}
