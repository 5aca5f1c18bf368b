//! gRPC's `HandshakerService`: handshakes for callers on the same machine, which hold no keys themselves.
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
//! Callers are gRPC's ALTS implementations, unmodified, and [`RemoteHandshaker`](crate::RemoteHandshaker). They rely on more than the
//! messages, and this service provides it:
//!
//! * every response has a status; the result has every field, 44 bytes of key among them; the stream ends right after it;
//! * all input is consumed, even a part of a message. Only the last response leaves bytes unconsumed: the first record;
//! * a handshake that fails ends with a gRPC status and no response. `PROTOCOL.md` says which.
//!
//! Only `ALTSRP_GCM_AES128_REKEY` is negotiated, and never the authenticated close, which callers do not know.
//!
//! Callers see no tickets. Where the service has [ticket keys](HandshakerServiceBuilder::ticket_keys), the last response to a server may end
//! with one for its client; where it [waits for tickets](HandshakerServiceBuilder::wait_for_tickets), a client has its result when
//! the ticket has come, and what follows that is left to it as the first record.
//!
//! A caller acts under an identity of the service. It never gets the private key, but it gets the session keys, in plaintext. So the
//! service belongs on a Unix socket, or on a loopback address that only one workload reaches. The transport says who calls, with a
//! [`Caller`] in the request's extensions, as the daemon `alts-handshaker serve` does.
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
mod served;
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

/// The caller, as far as the transport knows it. The transport puts it into the request's extensions; a request without one comes
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

/// Limits of a [`HandshakerService`] to what it holds for callers, which may be broken or hostile.
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
    /// Configures a service. Without an identity it refuses every caller.
    pub fn builder() -> HandshakerServiceBuilder {
        HandshakerServiceBuilder::default()
    }

    /// The service as tonic's servers take it, with [`MAX_MESSAGE_BYTES`] set.
    pub fn into_server(self) -> HandshakerServiceServer<Self> {
        HandshakerServiceServer::new(self).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Refuses new handshakes from now on, with UNAVAILABLE. Those in progress continue.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Whether [`drain`](Self::drain) was called.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// Handshakes in progress, including those that wait for a place.
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
