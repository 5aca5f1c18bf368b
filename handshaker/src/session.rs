//! The interface of every handshaker: a session takes the peer's bytes, returns bytes for the peer, and ends with a
//! [`HandshakeResult`].

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use zeroize::Zeroize;

use crate::alert::AlertCode;
use crate::error::Error;
use crate::identity::PeerIdentity;
use crate::role::Role;

/// A record protocol of ALTS, by its name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordProtocol {
    /// `ALTSRP_GCM_AES128_REKEY`: a new AES key every 65,536 records. What every gRPC peer uses.
    Aes128GcmRekey,
    /// `ALTSRP_GCM_AES128`: one AES key for the connection. Only used when both sides ask for it.
    Aes128Gcm,
}

impl RecordProtocol {
    /// The name that travels in handshakes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes128GcmRekey => "ALTSRP_GCM_AES128_REKEY",
            Self::Aes128Gcm => "ALTSRP_GCM_AES128",
        }
    }

    /// The protocol of that name, if it is one that this package can key.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Aes128GcmRekey, Self::Aes128Gcm].into_iter().find(|protocol| protocol.name() == name)
    }

    /// The length of the protocol's key material in bytes: 44 (32 for key derivation, a 12-byte nonce mask) or 16.
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128GcmRekey => 44,
            Self::Aes128Gcm => 16,
        }
    }
}

impl fmt::Display for RecordProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A version of gRPC's RPC protocol; ordered by major, then minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RpcVersion {
    /// Compared first.
    pub major: u32,
    /// Compared among equal majors.
    pub minor: u32,
}

/// The RPC protocol versions that a side supports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RpcVersions {
    /// The highest.
    pub max: RpcVersion,
    /// The lowest.
    pub min: RpcVersion,
}

impl RpcVersions {
    /// 2.1 to 2.1: what all gRPC implementations state.
    pub const GRPC: Self =
        Self { max: RpcVersion { major: 2, minor: 1 }, min: RpcVersion { major: 2, minor: 1 } };

    /// gRPC's rule: the lower of the two maxima is at least the higher of the two minima.
    pub fn compatible_with(self, other: Self) -> bool {
        self.max.min(other.max) >= self.min.max(other.min)
    }
}

impl Default for RpcVersions {
    fn default() -> Self {
        Self::GRPC
    }
}

/// The options of one handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandshakeOptions {
    /// Application protocols in order of preference, 1 to 4 names of 1 to 64 visible ASCII characters. Default `["grpc"]`.
    pub application_protocols: Vec<String>,
    /// Record protocols in order of preference. Default: only [`RecordProtocol::Aes128GcmRekey`].
    pub record_protocols: Vec<RecordProtocol>,
    /// RPC protocol versions. Default: [`RpcVersions::GRPC`].
    pub rpc_versions: RpcVersions,
    /// The largest record, in bytes on the wire, that this side wishes to receive; 0 leaves it unstated. Default 16,384.
    pub max_frame_size: u32,
    /// Whether the caller's record layer understands the authenticated close. Default `false`.
    pub close_notify: bool,
    /// For clients: the server must be one of these identities, in addition to the policy's decision. Empty: the policy decides alone.
    pub target_identities: Vec<String>,
    /// The name the client connects to, for naming policies and logs.
    pub target_name: Option<String>,
}

impl Default for HandshakeOptions {
    fn default() -> Self {
        Self {
            application_protocols: vec!["grpc".to_owned()],
            record_protocols: vec![RecordProtocol::Aes128GcmRekey],
            rpc_versions: RpcVersions::GRPC,
            max_frame_size: 16_384,
            close_notify: false,
            target_identities: Vec::new(),
            target_name: None,
        }
    }
}

/// The record layer's key material. Zeroized when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyData(Vec<u8>);

impl KeyData {
    /// Keeps `bytes`, which a record protocol will use.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes; [`RecordProtocol::key_len`] of them when they come from this package.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for KeyData {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for KeyData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyData({} bytes)", self.0.len())
    }
}

/// What a finished handshake gives to the record layer and to the application.
///
/// A [`Handshaker`] from elsewhere makes one with [`new`](Self::new) and changes fields.
#[derive(Debug)]
#[non_exhaustive]
pub struct HandshakeResult {
    /// Keys for `record_protocol`, the same on both sides.
    pub key_data: KeyData,
    /// The negotiated record protocol.
    pub record_protocol: RecordProtocol,
    /// The negotiated application protocol.
    pub application_protocol: String,
    /// The peer's authenticated identity.
    pub peer: Arc<PeerIdentity>,
    /// The name that this side authenticated as.
    pub local: String,
    /// The RPC protocol versions that the peer stated.
    pub peer_rpc_versions: RpcVersions,
    /// The largest record the peer wishes to receive, in bytes on the wire; 0 if it stated nothing.
    pub peer_max_frame_size: u32,
    /// Whether both sides end each direction with an authenticated empty record.
    pub close_notify: bool,
    /// A public name for the connection that both sides share, for logs.
    pub log_id: [u8; 16],
    /// If this handshake resumed an earlier one: when the peer proved itself with certificates.
    pub resumed: Option<SystemTime>,
    /// Recognizes and opens an alert in the place of the first record, by which a client learns that the server refused its
    /// certificate. `None` on servers and where the handshaker has no alerts.
    pub late_alert: Option<Box<dyn LateAlert>>,
}

/// Opens the one alert that a server may send after the client's handshake is done.
///
/// A client is done before the server has seen its certificate. If the server refuses the certificate, an alert arrives where
/// the first record is due: [`frame_len`](Self::frame_len) recognizes it, [`open`](Self::open) reads it. In the same place, a
/// server that accepts may send a ticket, see [`awaits_ticket`](Self::awaits_ticket). Drop the value, which holds keys, when the
/// first record has opened.
pub trait LateAlert: Send + Sync + fmt::Debug {
    /// If `header`, the first 8 bytes of a frame, begins such an alert: the length of the whole frame in bytes, header included.
    fn frame_len(&self, header: [u8; 8]) -> Option<usize>;

    /// Opens a whole frame, header included. Gives the code and the peer's reason, escaped and possibly empty.
    ///
    /// # Errors
    ///
    /// The frame is not an alert of this connection's peer.
    fn open(&self, frame: &[u8]) -> Result<(AlertCode, String), Error>;

    /// Whether the server announced a ticket for the next handshake. Then the ticket or the alert comes before any record: the
    /// stream is cut if it ends before, and a record in that place is not valid. This default is `false`.
    fn awaits_ticket(&self) -> bool {
        false
    }

    /// If `header`, the first 8 bytes of a frame, begins the ticket that was announced: the length of the whole frame in bytes,
    /// header included. This default is always `None`.
    fn ticket_len(&self, header: [u8; 8]) -> Option<usize> {
        let _ = header;
        None
    }

    /// Takes a whole frame with the ticket, header included. Records follow it.
    ///
    /// # Errors
    ///
    /// The frame is not the server's, or not what it should be. The connection is of no use then.
    fn take_ticket(self: Box<Self>, frame: &[u8]) -> Result<(), Error> {
        let _ = frame;
        Err(Error::misuse("no ticket is awaited"))
    }
}

impl HandshakeResult {
    /// A result with the keys of a record protocol and the peer's identity. The other fields say: the application protocol
    /// `grpc`, an empty `local` and `log_id`, [`RpcVersions::GRPC`], no largest record stated, no authenticated close, no late
    /// alert.
    ///
    /// `key_data` has [`record_protocol.key_len()`](RecordProtocol::key_len) bytes; more are ignored, fewer are refused when a
    /// stream is made of the result.
    pub fn new(
        record_protocol: RecordProtocol,
        key_data: KeyData,
        peer: impl Into<Arc<PeerIdentity>>,
    ) -> Self {
        Self {
            key_data,
            record_protocol,
            application_protocol: "grpc".to_owned(),
            peer: peer.into(),
            local: String::new(),
            peer_rpc_versions: RpcVersions::GRPC,
            peer_max_frame_size: 0,
            close_notify: false,
            log_id: [0; 16],
            resumed: None,
            late_alert: None,
        }
    }
}

/// The outcome of one step of a handshake.
#[derive(Debug)]
pub struct Step {
    /// How many of the received bytes belong to the handshake and were taken. All of them unless `result` is there; what is
    /// left then is the start of the first record.
    pub consumed: usize,
    /// Set once, at the end. Bytes for the peer may come with it, and go out first.
    pub result: Option<HandshakeResult>,
}

/// One handshake in progress.
///
/// Contract: call [`poll_step`](Self::poll_step) first with nothing received on a client, with the first bytes received on a
/// server; after each call write everything in `out` to the peer; then, while there is no result, call it again with newly
/// received bytes. On an error write `out` too (it may hold an alert), then close.
pub trait HandshakeSession: Send + fmt::Debug {
    /// Takes `received`, appends to `out`. `now` decides about certificates. `Pending` means that another process is being
    /// asked: call again with the same `received` when woken. The engine of this package is never pending.
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        received: &[u8],
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Step, Error>>;

    /// To be called while the driver waits for the peer's bytes: `Ready` if the handshake has ended meanwhile, for a reason that
    /// lies with the handshaker; the driver need not wait any longer. This default is always `Pending`.
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let _ = cx;
        Poll::Pending
    }

    /// Ends the handshake for a reason of the driver, [`AlertCode::Timeout`] or [`AlertCode::Overloaded`] for
    /// instance: appends an alert that says so to `out`, if the handshaker has alerts and the peer may still get one. Every
    /// later step fails. Does nothing after a result or an error; this default never does anything.
    fn fail(&mut self, code: AlertCode, out: &mut Vec<u8>) {
        let _ = (code, out);
    }
}

/// Makes handshake sessions: in this process, or with the help of a service.
pub trait Handshaker: Send + Sync + fmt::Debug + 'static {
    /// Begins a handshake. Does no I/O.
    fn start(
        &self,
        role: Role,
        options: &HandshakeOptions,
    ) -> Result<Box<dyn HandshakeSession>, Error>;
}
