//! One channel over several servers, on this crate's HTTP/2.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use tonic::Status;
use tower::Service;
use tower::load::Load;

use super::channel::{Channel, ChannelBody, ChannelFuture};
use crate::connect::Connector;
use crate::http2::client::BoxError;

/// One channel over several servers of the same service: each call goes to the server with the fewest calls, in turn where that is equal.
///
/// Each server has one connection, which is made when a call first needs it. A server that is being connected to, or to which no
/// connection could be made and the next attempt is not due yet, gets no calls while there are others. The call that finds a server
/// unreachable fails with `UNAVAILABLE`.
///
/// ```no_run
/// # fn make(connector: alts::Connector) -> Result<(), Box<dyn std::error::Error>> {
/// use alts::tonic::Channels;
///
/// let servers = ["http://db-1.example.org:7000".parse()?, "http://db-2.example.org:7000".parse()?];
/// let channels = Channels::new(servers, connector)?;
/// // let mut client = GreeterClient::new(channels.clone());
/// channels.replace(["http://db-3.example.org:7000".parse()?])?; // whenever the list changes
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone; the clones share servers and connections.
#[derive(Clone)]
pub struct Channels(Arc<Shared>);

type Make = dyn Fn(&Uri) -> Result<Channel, Status> + Send + Sync;

struct Shared {
    make: Box<Make>,
    members: Mutex<Vec<(Uri, Channel)>>,
    next: AtomicUsize,
}

impl Channels {
    /// A channel over the servers at `targets`, with which `connector` shakes hands.
    ///
    /// # Errors
    /// `INTERNAL` if a target has no authority.
    pub fn new(
        targets: impl IntoIterator<Item = Uri>,
        connector: Connector,
    ) -> Result<Self, Status> {
        Self::with(targets, move |target| Channel::connect_lazy(target.clone(), connector.clone()))
    }

    /// A channel over what `make` makes of each target, now and when the list changes: channels with other settings, or over plain TCP.
    /// They should connect lazily.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn with(
        targets: impl IntoIterator<Item = Uri>,
        make: impl Fn(&Uri) -> Result<Channel, Status> + Send + Sync + 'static,
    ) -> Result<Self, Status> {
        let (members, next) = (Mutex::default(), AtomicUsize::new(0));
        let channels = Self(Arc::new(Shared { make: Box::new(make), members, next }));
        channels.replace(targets)?;
        Ok(channels)
    }

    /// Puts another list of servers in the place of the present one. Servers that are in both keep their connections; calls that are open at
    /// others go on. Without a server, calls fail with `UNAVAILABLE`.
    ///
    /// # Errors
    /// As for the constructor; the list is what it was then.
    pub fn replace(&self, targets: impl IntoIterator<Item = Uri>) -> Result<(), Status> {
        let mut list: Vec<(Uri, Channel)> = Vec::new();
        for target in targets {
            if list.iter().any(|(listed, _)| *listed == target) {
                continue;
            }
            let present = self.members().iter().find(|(listed, _)| *listed == target).cloned();
            list.push(match present {
                Some(member) => member,
                None => {
                    let channel = (self.0.make)(&target)?;
                    (target, channel)
                }
            });
        }
        // The last handle of a channel closes its connection, not under the lock.
        let before = std::mem::replace(&mut *self.members(), list);
        drop(before);
        Ok(())
    }

    fn members(&self) -> MutexGuard<'_, Vec<(Uri, Channel)>> {
        self.0.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn choose(&self) -> Option<Channel> {
        let members = self.members();
        let first = self.0.next.fetch_add(1, Ordering::Relaxed) % members.len().max(1);
        let (before, after) = members.split_at(first);
        let in_turn = after.iter().chain(before).map(|(_, channel)| channel);
        let chosen = in_turn.min_by_key(|channel| {
            let client = channel.client();
            (client.availability(), client.in_flight())
        });
        chosen.cloned()
    }
}

impl<B> Service<Request<B>> for Channels
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ChannelBody>;
    type Error = Status;
    type Future = ChannelFuture;

    /// Always ready: what has to wait does so in the call.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ChannelFuture {
        match self.choose() {
            Some(mut channel) => channel.call(request),
            None => ChannelFuture::failed(Status::unavailable(
                "the list of servers is empty; see Channels::replace",
            )),
        }
    }
}

/// The number of calls that are open, at all servers of the list.
impl Load for Channels {
    type Metric = usize;

    fn load(&self) -> usize {
        self.members().iter().map(|(_, channel)| channel.client().in_flight()).sum()
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states = self.members().clone().into_iter();
        f.debug_map()
            .entries(states.map(|(target, channel)| (target, channel.client().availability())))
            .finish()
    }
}
