//! One channel over several servers.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::transport::channel::ResponseFuture;
use tonic::transport::{Channel, Endpoint, Error};
use tower::Service;

use super::connector::AltsConnector;

/// How long an endpoint is avoided after it could not be connected to: the first time, and at most. Each failure doubles it.
const AVOIDED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A channel over several endpoints, as `Channel::balance_list` makes one of tonic's own connections: calls go to each in turn.
///
/// Each endpoint has one connection, which is made when a call first needs it. An endpoint that is being connected to, or that could not
/// be connected to in the last seconds (1 s, doubling up to 30 s), gets no calls while there are others. The call that finds
/// an endpoint unreachable fails with `UNAVAILABLE`.
///
/// ```no_run
/// # fn make(connector: alts::Connector) {
/// use alts::tonic::{AltsConnector, BalancedChannel};
/// use tonic::transport::Endpoint;
///
/// let endpoints = ["http://db-1.example.org:7000", "http://db-2.example.org:7000"];
/// let channel = BalancedChannel::new(endpoints.map(Endpoint::from_static), &AltsConnector::new(connector));
/// // For a generated client: `EchoClient::new(channel)`.
/// # }
/// ```
///
/// Cheap to clone; the clones share the connections and the turn.
#[derive(Clone)]
pub struct BalancedChannel {
    members: Vec<Member>,
    next: Arc<AtomicUsize>,
    /// The member that has said it is ready for the next call.
    chosen: Option<usize>,
}

#[derive(Clone)]
struct Member {
    channel: Channel,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Connected, or not tried yet.
    Usable,
    Connecting {
        failures: u32,
    },
    Unreachable {
        until: Instant,
        failures: u32,
    },
}

impl BalancedChannel {
    /// A channel over `endpoints`, whose connections `connector` makes. Call it within a tokio runtime. Without endpoints it is
    /// never ready.
    pub fn new(endpoints: impl IntoIterator<Item = Endpoint>, connector: &AltsConnector) -> Self {
        let members = endpoints.into_iter().map(|endpoint| {
            let state = Arc::new(Mutex::new(State::Usable));
            let watched = Watched { connector: connector.clone(), state: Arc::clone(&state) };
            Member { channel: endpoint.connect_with_connector_lazy(watched), state }
        });
        Self { members: members.collect(), next: Arc::default(), chosen: None }
    }

    /// In turn: first those that may be expected to answer, then the others.
    fn order(&self) -> Vec<usize> {
        let count = self.members.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let mut order: Vec<_> = (0..count).map(|at| (first.wrapping_add(at)) % count).collect();
        order.sort_by_key(|member| match *lock(&self.members[*member].state) {
            State::Usable => 0,
            State::Unreachable { until, .. } if until <= now => 0,
            State::Connecting { .. } => 1,
            State::Unreachable { .. } => 2,
        });
        order
    }
}

impl Service<http::Request<Body>> for BalancedChannel {
    type Response = http::Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.chosen.is_some() {
            return Poll::Ready(Ok(()));
        }
        for member in self.order() {
            if let Poll::Ready(ready) = self.members[member].channel.poll_ready(cx) {
                self.chosen = Some(member);
                return Poll::Ready(ready);
            }
        }
        Poll::Pending
    }

    fn call(&mut self, request: http::Request<Body>) -> ResponseFuture {
        let member = self.chosen.take().expect("poll_ready was called before");
        self.members[member].channel.call(request)
    }
}

impl fmt::Debug for BalancedChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states = self.members.iter().map(|member| *lock(&member.state));
        f.debug_list().entries(states).finish()
    }
}

/// A connector that notes how an endpoint's connections fare.
struct Watched {
    connector: AltsConnector,
    state: Arc<Mutex<State>>,
}

impl Service<Uri> for Watched {
    type Response = <AltsConnector as Service<Uri>>::Response;
    type Error = <AltsConnector as Service<Uri>>::Error;
    type Future =
        Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send + 'static>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let attempt = Attempt::begin(&self.state);
        let connecting = self.connector.call(uri);
        Box::pin(async move {
            let connected = connecting.await;
            if connected.is_ok() {
                *lock(&attempt.0) = State::Usable;
            }
            connected
        })
    }
}

/// An attempt to connect; it has failed unless something else is noted when it is dropped.
struct Attempt(Arc<Mutex<State>>);

impl Attempt {
    fn begin(state: &Arc<Mutex<State>>) -> Self {
        let mut noted = lock(state);
        let failures = match *noted {
            State::Usable => 0,
            State::Connecting { failures } | State::Unreachable { failures, .. } => failures,
        };
        *noted = State::Connecting { failures };
        Self(Arc::clone(state))
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut noted = lock(&self.0);
        if let State::Connecting { failures } = *noted {
            let (first, most) = AVOIDED;
            let avoided = first.saturating_mul(2_u32.saturating_pow(failures)).min(most);
            let failures = failures.saturating_add(1);
            *noted = State::Unreachable { until: Instant::now() + avoided, failures };
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
