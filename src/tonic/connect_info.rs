//! The connection of a request, as handlers see it.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use alts_handshaker::identity::PeerIdentity;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::ready::Probed;
use crate::stream::{AltsStream, Negotiated, Terms};

/// A request's connection: the peer's authenticated identity, the negotiated parameters, and the peer's address.
///
/// tonic puts it into the extensions of every request that arrived over an [`AltsStream`]; [`RequestExt::alts`] finds it there.
/// It is two pointers, cheap to clone.
#[derive(Clone)]
pub struct AltsConnectInfo {
    terms: Arc<Terms>,
    transport: Arc<dyn Any + Send + Sync>,
}

impl AltsConnectInfo {
    /// The peer's authenticated identity.
    pub fn peer(&self) -> &Arc<PeerIdentity> {
        &self.negotiated().peer
    }

    /// The outcome of the handshake: the peer's identity and this side's, application and record protocol, security level, RPC
    /// protocol versions.
    pub fn negotiated(&self) -> &Negotiated {
        &self.terms.negotiated
    }

    /// The peer's address, if it connects over TCP.
    ///
    /// tonic's own `Request::remote_addr` does not look in here: it works behind an [`Authorization`](super::Authorization).
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.transport::<TcpConnectInfo>()?.remote_addr()
    }

    /// tonic's information about the transport underneath: `TcpConnectInfo` for TCP; for Unix sockets `UdsConnectInfo`,
    /// which has the peer's process and user.
    pub fn transport<T: 'static>(&self) -> Option<&T> {
        self.transport.downcast_ref()
    }
}

impl fmt::Debug for AltsConnectInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AltsConnectInfo")
            .field("negotiated", self.negotiated())
            .field("remote_addr", &self.remote_addr())
            .finish_non_exhaustive()
    }
}

impl<S: Connected> Connected for AltsStream<S> {
    type ConnectInfo = AltsConnectInfo;

    fn connect_info(&self) -> AltsConnectInfo {
        AltsConnectInfo {
            terms: Arc::clone(self.terms()),
            transport: Arc::new(self.get_ref().connect_info()),
        }
    }
}

impl<S: Connected> Connected for Probed<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> S::ConnectInfo {
        self.get_ref().connect_info()
    }
}

/// Finds the [`AltsConnectInfo`] of a request.
pub trait RequestExt {
    /// The connection that the request arrived over. `None` if it was not secured by ALTS, and on requests that a client makes.
    fn alts(&self) -> Option<&AltsConnectInfo>;
}

impl<T> RequestExt for tonic::Request<T> {
    fn alts(&self) -> Option<&AltsConnectInfo> {
        self.extensions().get()
    }
}

impl<T> RequestExt for http::Request<T> {
    fn alts(&self) -> Option<&AltsConnectInfo> {
        self.extensions().get()
    }
}

/// Requests over ALTS have an [`AltsConnectInfo`] in their extensions under this crate's HTTP/2, too.
impl<S: Connected> crate::http2::server::Connected for AltsStream<S> {
    fn extend(&self, extensions: &mut http::Extensions) {
        extensions.insert(self.connect_info());
    }
}
