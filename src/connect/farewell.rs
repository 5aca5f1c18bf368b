//! What a peer is told about a handshake that failed.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::Instant;

use super::drive::within;
use super::handshaking::Handshaking;
use super::socket::Socket;
use crate::ready::{Polled, into_poll};

/// Sends the alert, if there is one, within the handshake's deadline or shortly after it. Then the bytes that the peer has under way
/// are read and dropped: a socket closed over unread bytes would take the alert back.
pub(super) async fn tell<S: Socket>(handshaking: &mut Handshaking, io: &mut S, deadline: Instant) {
    const A_MOMENT: Duration = Duration::from_millis(100);
    /// What a client may have sent before it learned of its refusal: about what sockets buffer.
    const UNDER_WAY: usize = 1 << 20;
    if !handshaking.has_unsent() {
        return;
    }
    let patience = deadline.max(Instant::now() + A_MOMENT);
    let telling = poll_fn(|cx| into_poll(handshaking.send(&mut Polled { io: &mut *io, cx })));
    // The handshake has failed already, and for a better reason than anything below.
    let Ok(Ok(())) = within(patience, telling).await else { return };
    let patience = Instant::now() + A_MOMENT;
    let shut = within(patience, poll_fn(|cx| Pin::new(&mut *io).poll_shutdown(cx))).await;
    if !matches!(shut, Ok(Ok(()))) {
        return;
    }
    let mut scratch = [0; 512];
    let mut thrown_away = 0;
    while thrown_away < UNDER_WAY {
        let mut buf = ReadBuf::new(&mut scratch);
        let reading = poll_fn(|cx| Pin::new(&mut *io).poll_read(cx, &mut buf));
        match within(patience, reading).await {
            Ok(Ok(())) if !buf.filled().is_empty() => thrown_away += buf.filled().len(),
            _ => return,
        }
    }
}
