//! Drives a handshake over a tokio socket: sends, receives and steps until there is a result, within limits and timeouts.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use alts_handshaker::{Error as Handshake, HalfOpen, HandshakeOptions, HandshakeResult, Role};
use tokio::io::ReadBuf;
use tokio::time::Instant;

use super::deadline::within;
use super::endpoint::Endpoint;
use super::failure::{no_place, silence, too_long};
use super::farewell::tell;
use super::handshaking::Handshaking;
use super::settings::{Settings, addable};
use super::socket::Socket;
use crate::error::{Error, Truncation};
use crate::pool::PooledBuf;
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
    tune(&io, settings);
    // When the peer has to have shown that it speaks. A server may let a client queue as long as the handshake may take, so a
    // client waits for its first word as long.
    let first_bytes = match endpoint.role {
        Role::Server => deadline.min(Instant::now() + addable(settings.first_bytes_timeout)),
        Role::Client => deadline,
    };
    // Held until the peer has been told of a failure: peers that are being told count, too.
    let (_place, first) = match endpoint.role {
        Role::Server => match admit(settings, &mut io, source, first_bytes, deadline).await {
            Ok((place, first)) => (Some(place), Some(first)),
            Err(error) => {
                if let Error::Handshake(Handshake::Limit { .. }) = error
                    && let Some(_permit) = settings.limits.refusal()
                {
                    let mut handshaking = Handshaking::start(endpoint, options)?;
                    refuse(&mut handshaking, &error, &mut io, deadline).await;
                }
                return Err(error);
            }
        },
        Role::Client => (None, None),
    };
    let mut handshaking = Handshaking::start(endpoint, options)?;
    if let Some(first) = first {
        handshaking.preload(first);
    }
    match drive(&mut handshaking, endpoint, &mut io, first_bytes, deadline).await {
        Ok((result, received)) => endpoint.stream(io, result, received),
        Err(error) => {
            refuse(&mut handshaking, &error, &mut io, deadline).await;
            Err(error)
        }
    }
}

/// Socket options, which are only optimizations.
fn tune(io: &impl Socket, settings: &Settings) {
    if settings.nodelay
        && let Err(error) = io.set_nodelay()
    {
        tracing::debug!(%error, "small segments may be delayed");
    }
    if let Some(bytes) = settings.unsent_limit
        && let Err(error) = io.limit_unsent(bytes)
    {
        tracing::debug!(%error, "the kernel sets no limit to unsent bytes");
    }
}

/// Waits until the client says something, then for its turn. Until then it costs next to nothing. What it said comes with the
/// place: to be readable is not enough, since a readiness may be false, and the end of a stream is readable, too.
async fn admit<S: Socket>(
    settings: &Settings,
    io: &mut S,
    source: Option<IpAddr>,
    first_bytes: Instant,
    deadline: Instant,
) -> Result<(HalfOpen, Box<[u8]>), Error> {
    let mut arrival = settings.limits.arrive(source)?;
    let spoken = poll_fn(|cx| match poll_first(io, cx) {
        Poll::Ready(first) => Poll::Ready(first),
        Poll::Pending => arrival.poll_displaced(cx).map(|error| Err(error.into())),
    });
    let spoken = within(first_bytes, spoken).await;
    let first = spoken.map_err(|_| silence(settings, Role::Server))??;
    let turn = within(deadline, arrival.admitted()).await;
    let place = turn.map_err(|_| no_place(settings))??;
    Ok((place, first))
}

/// The client's first bytes, in an allocation of their size.
fn poll_first<S: Socket>(io: &mut S, cx: &mut Context<'_>) -> Poll<Result<Box<[u8]>, Error>> {
    /// Enough for a first message of this package, some 150 bytes.
    const FIRST_READ: usize = 512;
    let left = || Error::Truncated { at: Truncation::BeforeHandshake };
    ready!(io.poll_readable(cx))?;
    let mut scratch = [0; FIRST_READ];
    let mut buf = ReadBuf::new(&mut scratch);
    Poll::Ready(match ready!(Pin::new(io).poll_read(cx, &mut buf)) {
        Ok(()) if buf.filled().is_empty() => Err(left()),
        Ok(()) => Ok(buf.filled().into()),
        // Checks of a port may end this way, too.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(left()),
        Err(error) => Err(error.into()),
    })
}

async fn drive<S: Socket>(
    handshaking: &mut Handshaking,
    endpoint: &Endpoint,
    io: &mut S,
    first_bytes: Instant,
    deadline: Instant,
) -> Result<(HandshakeResult, Option<PooledBuf>), Error> {
    let Endpoint { role, ref settings, .. } = *endpoint;
    let late = |_| too_long(settings);
    loop {
        let sending = poll_fn(|cx| into_poll(handshaking.send(&mut Polled { io: &mut *io, cx })));
        within(deadline, sending).await.map_err(late)??;
        if let Some(finished) = handshaking.finish() {
            return Ok(finished);
        }
        let silent = handshaking.awaits_first_bytes();
        let patience = if silent { first_bytes } else { deadline };
        let receiving = poll_fn(|cx| {
            let source = &mut Polled { io: &mut *io, cx };
            match into_poll(handshaking.receive(source, &settings.pool)) {
                Poll::Ready(received) => Poll::Ready(received.map_err(Error::from)),
                Poll::Pending => handshaking.poll_ended(cx).map(Err),
            }
        });
        match within(patience, receiving).await {
            Ok(received) => received?,
            Err(_) if silent => return Err(silence(settings, role)),
            Err(_) => return Err(too_long(settings)),
        }
        within(deadline, step(handshaking, settings)).await.map_err(late)??;
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

/// Waits until the task is woken, for whatever reason.
async fn woken() {
    let mut waited = false;
    poll_fn(|_| match std::mem::replace(&mut waited, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// Sends the alert that belongs to `error`, if there is one.
async fn refuse<S: Socket>(
    handshaking: &mut Handshaking,
    error: &Error,
    io: &mut S,
    deadline: Instant,
) {
    if let Error::Handshake(Handshake::Limit { code, .. }) = error {
        handshaking.fail(*code);
    }
    tell(handshaking, io, deadline).await;
}
