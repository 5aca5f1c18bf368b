//! Drives a handshake over a tokio socket: sends, receives and steps until there is a result, within limits and timeouts.

use std::future::poll_fn;
use std::net::IpAddr;
use std::task::Poll;
use std::time::SystemTime;

use alts_handshaker::{AlertCode, HandshakeOptions};
use tokio::time::{Instant, timeout_at};

use super::endpoint::Endpoint;
use super::farewell::tell;
use super::handshaking::Handshaking;
use super::settings::{Settings, addable};
use super::socket::Socket;
use crate::error::Error;
use crate::ready::{Polled, into_poll};
use crate::stream::AltsStream;

pub(super) async fn secure<S: Socket>(
    endpoint: &Endpoint,
    options: &HandshakeOptions,
    mut io: S,
    source: Option<IpAddr>,
    deadline: Instant,
) -> Result<AltsStream<S>, Error> {
    let settings = &endpoint.settings;
    let start = Instant::now();
    let mut handshaking = Handshaking::start(endpoint, options)?;
    // Held until the peer has been told of a failure: those who are being told count, too.
    let mut place = None;
    let outcome = async {
        if settings.nodelay {
            io.set_nodelay()?;
        }
        if let Some(bytes) = settings.unsent_limit
            && let Err(error) = io.limit_unsent(bytes)
        {
            tracing::debug!(%error, "the kernel sets no limit to unsent bytes");
        }
        place = Some(within(deadline, settings.limits.enter(source)).await??);
        loop {
            let sending =
                poll_fn(|cx| into_poll(handshaking.send(&mut Polled { io: &mut io, cx })));
            within(deadline, sending).await??;
            if let Some(finished) = handshaking.finish() {
                return Ok(finished);
            }
            let patience = if handshaking.awaits_first_bytes() {
                deadline.min(start + addable(settings.first_bytes_timeout))
            } else {
                deadline
            };
            let silent = handshaking.awaits_first_bytes();
            let receiving = poll_fn(|cx| {
                into_poll(handshaking.receive(&mut Polled { io: &mut io, cx }, &settings.pool))
            });
            let received = within(patience, receiving).await;
            received.map_err(|error| if silent { silence() } else { error })??;
            within(deadline, step(&mut handshaking, settings)).await??;
        }
    }
    .await;
    match outcome {
        Ok((result, received)) => endpoint.stream(io, result, received),
        Err(error) => {
            if let Error::Handshake(alts_handshaker::Error::Limit { code, .. }) = error {
                handshaking.fail(code);
            }
            tell(&mut handshaking, &mut io, deadline).await;
            drop(place);
            Err(error)
        }
    }
}

/// Gives the input to the session. A core is occupied only while the session computes, not while it waits for a service.
async fn step(handshaking: &mut Handshaking, settings: &Settings) -> Result<(), Error> {
    loop {
        let core = settings.limits.crypto().await;
        let polled = poll_fn(|cx| Poll::Ready(handshaking.step(cx, SystemTime::now()))).await;
        drop(core);
        match polled {
            Poll::Ready(result) => return result,
            Poll::Pending => woken().await,
        }
    }
}

/// Waits until the task is woken, by whom it may be.
async fn woken() {
    let mut waited = false;
    poll_fn(|_| match std::mem::replace(&mut waited, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

fn silence() -> Error {
    let detail = "the peer has said nothing".into();
    Error::Handshake(alts_handshaker::Error::Limit { code: AlertCode::Timeout, detail })
}

/// Runs out with the error of a deadline.
pub(super) async fn within<T>(
    deadline: Instant,
    future: impl Future<Output = T>,
) -> Result<T, Error> {
    timeout_at(deadline, future).await.map_err(|_| {
        let detail = "the handshake took too long".into();
        Error::Handshake(alts_handshaker::Error::Limit { code: AlertCode::Timeout, detail })
    })
}
