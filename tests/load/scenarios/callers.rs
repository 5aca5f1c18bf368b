//! The handshaker service and callers that begin handshakes and do not go on. They are other users than the honest caller, as the
//! service learns from its sockets.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use alts::handshaker::identity::Policy;
use alts::handshaker::service::{Caller, HandshakerService, ServiceLimits};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::server::Connected;

use super::daemon::handshake;
use crate::files;
use crate::gauges::wait_until;
use crate::helper::Helper;
use crate::row::Row;
use crate::scale::Scale;
use crate::service;
use crate::target::Target;

const HONEST: &str = "honest";
const STRANGERS: [&str; 2] = ["stranger-1", "stranger-2"];

/// A service with a socket for each caller, in the server's process.
struct Asked {
    target: Target,
    service: HandshakerService,
}

impl Asked {
    fn new(change: impl FnOnce(&mut ServiceLimits)) -> Self {
        let target = Target::start(|_, _| (), service::echo);
        let mut limits = ServiceLimits::default();
        change(&mut limits);
        let service = HandshakerService::builder()
            .identity(files::load(target.identities.path(), "server"))
            .server_policy(Policy::own_trust_domain())
            .limits(limits)
            .build()
            .expect("the limits are good");
        let _inside = target.runtime.enter();
        for (uid, name) in (1..).zip([HONEST].iter().chain(&STRANGERS)) {
            let listener = UnixListener::bind(target.identities.path().join(name));
            let incoming = UnixListenerStream::new(listener.expect("a socket"));
            let incoming = incoming.map(move |socket| Ok::<_, io::Error>(OfUser(socket?, uid)));
            let service = service.clone().into_server();
            let server = tonic::transport::Server::builder().add_service(service);
            target.runtime.spawn(async { server.serve_with_incoming(incoming).await });
        }
        Self { target, service }
    }

    fn strangers(&self, window: u32, count: u64) -> Vec<Helper> {
        let words = [window.to_string(), count.to_string()];
        let start = |name: &&str| self.target.helper("callers", &[name, &words[0], &words[1]]);
        STRANGERS.iter().map(start).collect()
    }

    /// Both sides of so many handshakes, one after the other.
    fn serve_honest(&self, row: &mut Row, count: u64) {
        let path = self.target.identities.path().join(HONEST);
        let address = format!("unix:{}", path.display());
        let mut answered = 0;
        for _ in 0..count {
            match self.target.runtime.block_on(handshake(&address)) {
                Ok(()) => answered += 1,
                Err(error) => println!("an honest caller: {error}"),
            }
        }
        row.honest(count, answered, count - answered);
    }

    fn in_flight(&self) -> u64 {
        self.service.in_flight() as u64
    }
}

/// All begin at the same time. How many handshakes they began.
fn begin(strangers: &mut [Helper]) -> u64 {
    for stranger in &mut *strangers {
        stranger.tell("begin");
    }
    strangers.iter_mut().map(|stranger| stranger.report().get("begun")).sum()
}

/// HTTP/2 with a window of 0 bytes: no answer can be sent. Places are given back at the deadline all the same.
pub(crate) fn that_never_read(row: &mut Row, scale: Scale) {
    let count = scale.of(300, 600);
    let asked = Asked::new(|limits| limits.handshake_timeout = Duration::from_secs(2));
    let mut strangers = asked.strangers(0, count);
    let begun = begin(&mut strangers);
    row.thrown(begun, 0, begun);
    row.require_count("begun", begun, 2 * count);
    // They are there still. Without an end by itself this is where the scenario stays.
    wait_until(|| asked.in_flight() == 0);
    asked.serve_honest(row, scale.of(20, 200));
    row.require_count("handshakes under way", asked.in_flight(), 0);
    drop(strangers);
}

/// As many as may have a place and wait, which keep both.
pub(crate) fn with_more_than_their_share(row: &mut Row, scale: Scale) {
    let hour = Duration::from_secs(60 * 60);
    let asked = Asked::new(|limits| (limits.handshake_timeout, limits.idle_timeout) = (hour, hour));
    let defaults = ServiceLimits::default();
    let count = (defaults.streams_per_caller + defaults.queue) as u64;
    let mut strangers = asked.strangers(1 << 16, count);
    let begun = begin(&mut strangers);
    row.thrown(begun, 0, begun);
    // Half of all places are the first's, half of the rest the second's, and the queue is as full as they may make it.
    wait_until(|| asked.in_flight() >= (defaults.streams_per_caller + defaults.queue) as u64);
    asked.serve_honest(row, scale.of(50, 500));
    let least = defaults.streams_per_caller as u64;
    row.require_at_least("handshakes of strangers under way", asked.in_flight(), least);
    drop(strangers);
    wait_until(|| asked.in_flight() == 0);
}

/// A connection of the user with this number.
struct OfUser(UnixStream, u32);

impl Connected for OfUser {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        Caller::with_uid(self.1)
    }
}

impl AsyncRead for OfUser {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for OfUser {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
