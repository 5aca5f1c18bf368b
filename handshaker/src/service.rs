//! gRPC's `HandshakerService`: handshakes for callers on the same machine, who hold no keys themselves.
//!
//! ```text
//!  caller                                this service                          peer
//!    ├─ client_start, server_start ──────────►│
//!    │◄──────────── out_frames, bytes_consumed┤
//!    ├─────────────────────────── out_frames ─┼────────────────────────────────►
//!    │◄───────────────────────────────────────┼──────────────── handshake bytes ┤
//!    ├─ next{in_bytes} ──────────────────────►│
//!    │◄──────────────── result, end of stream ┤
//! ```
//!
//! Callers are the ALTS implementations of gRPC, unchanged, and [`RemoteHandshaker`](crate::RemoteHandshaker). What these need
//! beyond the messages themselves, and this service does:
//!
//! * every response has a status; the result has every field, 44 bytes of key among them; the stream ends right after it;
//! * input is taken whole, also when it is only a part of a message. Only the last response leaves something: the first record;
//! * a handshake that fails ends with a gRPC status and no response. `PROTOCOL.md` says which.
//!
//! Only `ALTSRP_GCM_AES128_REKEY` is negotiated, and never the authenticated close, of which callers know nothing.
//!
//! A caller gets to act in the name of an identity. It never sees the private key, but has the session keys in plaintext: the
//! service belongs on a Unix socket, or on a loopback address where nobody else listens. Who calls is for the transport to say,
//! with a [`Caller`] in the request's extensions; `alts-handshaker serve` is a daemon that does.
//!
//! ```no_run
//! # async fn example(identity: alts_handshaker::identity::IdentityFiles) -> Result<(), Box<dyn std::error::Error>> {
//! use alts_handshaker::identity::Policy;
//! use alts_handshaker::service::HandshakerService;
//!
//! let service = HandshakerService::builder()
//!     .identity(identity)
//!     .server_policy(Policy::from_rules(["spiffe://example.org/ns/shop/*"])?)
//!     .build()?;
//! let _for_tonic = service.clone().into_server();
//! # Ok(())
//! # }
//! ```

mod admission;
mod builder;
mod call;
mod identities;
mod observer;
mod rejection;
mod start;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::Stream;
use tonic::{Request, Response, Status, Streaming};

use self::admission::Admission;
use self::call::Call;
use self::identities::Identities;
use self::rejection::Rejection;
use crate::proto::handshaker_service_server::{HandshakerService as Rpc, HandshakerServiceServer};
use crate::proto::{HandshakerReq, HandshakerResp};

pub use self::builder::HandshakerServiceBuilder;
pub use self::observer::{Finished, Observer};

/// The largest message that is read, in bytes. Callers pass on what one read from a socket gave them; grpc-go reads at most
/// 65,536 bytes at a time, and the rest of a message is small.
pub const MAX_MESSAGE_BYTES: usize = 128 << 10;

/// Who calls, as far as the transport knows. The transport puts it into the request's extensions; a request without one comes
/// from an unknown caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Caller {
    /// The user, on a Unix socket.
    pub uid: Option<u32>,
}

impl Caller {
    /// A caller on a Unix socket.
    pub fn with_uid(uid: u32) -> Self {
        Self { uid: Some(uid) }
    }
}

/// Limits of a [`HandshakerService`]. What they bound is held for callers that may be broken or hostile.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceLimits {
    /// Handshakes in progress, at least one. Default 512: each holds up to a frame of 32 KiB, and a message of 128 KiB for a
    /// moment. A caller gets another one only while more are free than it has, so that a newcomer finds room: one caller alone
    /// gets half of them, two get a third each.
    pub streams: usize,
    /// Handshakes in progress for one user, or for all callers whose user is not known; at least one. Default 256: gRPC clients
    /// have at most 100 in each role.
    pub streams_per_caller: usize,
    /// Handshakes of one caller that may wait for a place; all callers together may have twice as many. Default 256. One more is
    /// refused. So is a caller with this many and [`streams_per_caller`](Self::streams_per_caller) open streams whose ends it does
    /// not read.
    pub queue: usize,
    /// The longest that a handshake may take, waiting included; more than zero. Default 10 s, below the 20 s and 30 s of gRPC's
    /// clients.
    pub handshake_timeout: Duration,
    /// The longest that a caller may take for its next message; more than zero. Default 5 s.
    pub idle_timeout: Duration,
}

impl Default for ServiceLimits {
    fn default() -> Self {
        Self {
            streams: 512,
            streams_per_caller: 256,
            queue: 256,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(5),
        }
    }
}

/// Handshakes for callers over gRPC; see the [module's documentation](self). Clones are the same service.
#[derive(Clone, Debug)]
pub struct HandshakerService(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    identities: Identities,
    limits: ServiceLimits,
    admission: Admission,
    observer: Option<Arc<dyn Observer>>,
    in_flight: AtomicUsize,
    draining: AtomicBool,
}

impl HandshakerService {
    /// A service without identities, which refuses everybody.
    pub fn builder() -> HandshakerServiceBuilder {
        HandshakerServiceBuilder::default()
    }

    /// For a tonic server, with [`MAX_MESSAGE_BYTES`] set.
    pub fn into_server(self) -> HandshakerServiceServer<Self> {
        HandshakerServiceServer::new(self).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Refuses new handshakes from now on, with UNAVAILABLE. Those under way go on.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Whether [`drain`](Self::drain) was called.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// Handshakes under way, those that wait for a place included.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::Relaxed)
    }
}

#[tonic::async_trait]
impl Rpc for HandshakerService {
    type DoHandshakeStream = Pin<Box<dyn Stream<Item = Result<HandshakerResp, Status>> + Send>>;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakerReq>>,
    ) -> Result<Response<Self::DoHandshakeStream>, Status> {
        let caller = request.extensions().get().copied().unwrap_or_default();
        let call = Call::new(Arc::clone(&self.0), caller, request.into_inner());
        if self.is_draining() {
            return Err(call.refuse(Rejection::draining()));
        }
        match self.0.admission.open(caller) {
            Ok(open) => Ok(Response::new(Box::pin(call.start(open)))),
            Err(overloaded) => Err(call.refuse(overloaded.into())),
        }
    }
}
