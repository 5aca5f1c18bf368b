//! Connecting and accepting on tokio.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use alts_handshaker::{AlertCode, HandshakeOptions};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::endpoint::{Acceptor, Connector, Endpoint, Settings};
use super::handshaking::Handshaking;
use crate::error::{Error, Truncation};
use crate::ready::{Polled, Probed, ReadyReader, into_poll};
use crate::stream::AltsStream;

/// A transport that can be secured. What is said here is all optional.
pub trait Socket: ReadyReader + AsyncRead + AsyncWrite + Send + Unpin {
    /// Where the peer connects from, for the limits per source. `None`: not limited by source.
    fn source(&self) -> Option<IpAddr> {
        None
    }

    /// Asks for small segments to be sent at once.
    fn set_nodelay(&self) -> io::Result<()> {
        Ok(())
    }

    /// Asks the kernel to take no more than `bytes` that it cannot send yet. What fails is only an optimisation.
    fn limit_unsent(&self, bytes: u32) -> io::Result<()> {
        let _ = bytes;
        Ok(())
    }
}

impl Socket for TcpStream {
    fn source(&self) -> Option<IpAddr> {
        self.peer_addr().ok().map(|address| address.ip())
    }

    fn set_nodelay(&self) -> io::Result<()> {
        Self::set_nodelay(self, true)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn limit_unsent(&self, bytes: u32) -> io::Result<()> {
        socket2::SockRef::from(self).set_tcp_notsent_lowat(bytes)
    }
}

#[cfg(unix)]
impl Socket for UnixStream {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for Probed<S> {}

impl<S: Socket> Socket for AltsStream<S> {
    fn source(&self) -> Option<IpAddr> {
        self.get_ref().source()
    }
}

impl Acceptor {
    /// Performs the server's side of a handshake over `io`.
    ///
    /// The future is boxed, so that a task which awaits it does not keep room for it for the rest of its life. Call this before the
    /// task begins and move the future in: a task that is given the socket keeps room for that too. Dropping the future
    /// closes the socket. It needs a runtime with time enabled.
    pub fn accept<S: Socket + 'static>(&self, io: S) -> Handshake<S> {
        let source = io.source();
        self.accept_from(io, source)
    }

    /// As [`accept`](Self::accept), for a peer whose address the caller knows better: behind a proxy, say.
    pub fn accept_from<S: Socket + 'static>(&self, io: S, source: Option<IpAddr>) -> Handshake<S> {
        let endpoint = Arc::clone(&self.0);
        let options = endpoint.settings.handshake.clone();
        Handshake::begin(endpoint, options, io, source)
    }
}

impl Connector {
    /// Performs the client's side of a handshake over `io`. Who may be the server is the handshaker's policy.
    ///
    /// The client is done before the server has seen its certificate: if the server refuses it, the stream's first read says so.
    ///
    /// As with [`Acceptor::accept`], the future is boxed, and dropping it closes the socket.
    pub fn connect<S: Socket + 'static>(&self, io: S) -> Handshake<S> {
        self.connect_with(io, self.settings().handshake.clone())
    }

    /// As [`connect`](Self::connect), with options for this connection: which identities the server may have, say.
    pub fn connect_with<S: Socket + 'static>(
        &self,
        io: S,
        options: HandshakeOptions,
    ) -> Handshake<S> {
        Handshake::begin(Arc::clone(&self.0), options, io, None)
    }
}

/// A handshake under way: a future of the stream.
#[must_use = "a handshake does nothing unless it is awaited"]
pub struct Handshake<S>(Pin<Box<dyn Future<Output = Result<AltsStream<S>, Error>> + Send>>);

impl<S: Socket + 'static> Handshake<S> {
    fn begin(
        endpoint: Arc<Endpoint>,
        options: HandshakeOptions,
        io: S,
        source: Option<IpAddr>,
    ) -> Self {
        let shown = source.map(tracing::field::display);
        let span = tracing::info_span!("alts_handshake", role = ?endpoint.role, source = shown);
        Self(Box::pin(logged(endpoint, options, io, source).instrument(span)))
    }
}

impl<S> Future for Handshake<S> {
    type Output = Result<AltsStream<S>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<S> fmt::Debug for Handshake<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
    }
}

async fn logged<S: Socket>(
    endpoint: Arc<Endpoint>,
    options: HandshakeOptions,
    io: S,
    source: Option<IpAddr>,
) -> Result<AltsStream<S>, Error> {
    let result = secure(&endpoint, &options, io, source).await;
    match &result {
        Ok(stream) => {
            let negotiated = stream.negotiated();
            tracing::debug!(
                peer = negotiated.peer.name(),
                protocol = %negotiated.record_protocol,
                "handshake done",
            );
        }
        Err(error @ Error::Truncated { at: Truncation::BeforeHandshake }) => {
            tracing::debug!(%error, "no handshake");
        }
        Err(error) => tracing::info!(%error, fault = ?error.fault(), "handshake failed"),
    }
    result
}

async fn secure<S: Socket>(
    endpoint: &Endpoint,
    options: &HandshakeOptions,
    mut io: S,
    source: Option<IpAddr>,
) -> Result<AltsStream<S>, Error> {
    let settings = &endpoint.settings;
    let start = Instant::now();
    let deadline = start + settings.deadline;
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
                deadline.min(start + settings.first_bytes)
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

/// Sends the alert, if there is one, as long as it takes no patience beyond the handshake's own, or a moment after it. Then what the
/// peer has under way is awaited and thrown away: a socket closed over unread bytes would take the alert back.
async fn tell<S: Socket>(handshaking: &mut Handshaking, io: &mut S, deadline: Instant) {
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

fn silence() -> Error {
    let detail = "the peer has said nothing".into();
    Error::Handshake(alts_handshaker::Error::Limit { code: AlertCode::Timeout, detail })
}

/// Runs out with the error of a deadline.
async fn within<T>(deadline: Instant, future: impl Future<Output = T>) -> Result<T, Error> {
    timeout_at(deadline, future).await.map_err(|_| {
        let detail = "the handshake took too long".into();
        Error::Handshake(alts_handshaker::Error::Limit { code: AlertCode::Timeout, detail })
    })
}
