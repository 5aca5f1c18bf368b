//! Drives a handshake over a tokio socket: sends, receives and steps until there is a result, within limits and timeouts.

use std::future::poll_fn;
use std::net::IpAddr;
use std::task::Poll;
use std::time::SystemTime;

use alts_handshaker::{
    AlertCode, Error as Handshake, HalfOpen, HandshakeOptions, HandshakeResult, Role,
};
use tokio::time::{Instant, timeout_at};

use super::endpoint::Endpoint;
use super::farewell::tell;
use super::handshaking::Handshaking;
use super::settings::{Settings, addable};
use super::socket::Socket;
use crate::error::Error;
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
    let _place = match endpoint.role {
        Role::Server => match admit(settings, &mut io, source, first_bytes, deadline).await {
            Ok(place) => Some(place),
            Err(error) => {
                let _permit = settings.limits.refusal().ok_or_else(|| error.clone())?;
                let mut handshaking = Handshaking::start(endpoint, options)?;
                refuse(&mut handshaking, &error, &mut io, deadline).await;
                return Err(error);
            }
        },
        Role::Client => None,
    };
    let mut handshaking = Handshaking::start(endpoint, options)?;
    match drive(&mut handshaking, settings, &mut io, first_bytes, deadline).await {
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

/// Waits until the client says something, then for its turn. Until then it costs next to nothing.
async fn admit<S: Socket>(
    settings: &Settings,
    io: &mut S,
    source: Option<IpAddr>,
    first_bytes: Instant,
    deadline: Instant,
) -> Result<HalfOpen, Error> {
    let mut arrival = settings.limits.arrive(source)?;
    let spoken = poll_fn(|cx| match io.poll_readable(cx) {
        Poll::Ready(readable) => Poll::Ready(readable.map_err(Error::from)),
        Poll::Pending => arrival.poll_displaced(cx).map(|error| Err(error.into())),
    });
    within(first_bytes, spoken).await.map_err(|_| silence(settings, Role::Server))??;
    let turn = within(deadline, arrival.admitted()).await;
    Ok(turn.map_err(|_| {
        let detail = format!(
            "no place for the handshake became free in {:?}: too many are unfinished",
            settings.handshake_timeout
        );
        Error::Handshake(Handshake::Limit { code: AlertCode::Overloaded, detail: detail.into() })
    })??)
}

async fn drive<S: Socket>(
    handshaking: &mut Handshaking,
    settings: &Settings,
    io: &mut S,
    first_bytes: Instant,
    deadline: Instant,
) -> Result<(HandshakeResult, Option<PooledBuf>), Error> {
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
            into_poll(handshaking.receive(&mut Polled { io: &mut *io, cx }, &settings.pool))
        });
        match within(patience, receiving).await {
            Ok(received) => received?,
            Err(_) if silent => return Err(silence(settings, handshaking.role())),
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

/// The peer has not sent what shows that it speaks.
fn silence(settings: &Settings, role: Role) -> Error {
    let timeout = match role {
        Role::Server => settings.first_bytes_timeout.min(settings.handshake_timeout),
        Role::Client => settings.handshake_timeout,
    };
    expired(format!("the peer sent nothing, or less than a header of 8 bytes, in {timeout:?}"))
}

fn too_long(settings: &Settings) -> Error {
    expired(format!("the handshake was not finished in {:?}", settings.handshake_timeout))
}

fn expired(detail: String) -> Error {
    Error::Handshake(Handshake::Limit { code: AlertCode::Timeout, detail: detail.into() })
}

/// The deadline came first.
#[derive(Debug)]
pub(super) struct Expired;

pub(super) async fn within<T>(
    deadline: Instant,
    future: impl Future<Output = T>,
) -> Result<T, Expired> {
    timeout_at(deadline, future).await.map_err(|_| Expired)
}
