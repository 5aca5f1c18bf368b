//! What the handshake negotiated, shared by all connections with the same outcome.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alts_handshaker::identity::PeerIdentity;
use alts_handshaker::{HandshakeResult, RecordProtocol, RpcVersions};

use crate::record::AeadProvider;

/// What records protect. Both record protocols of this crate encrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SecurityLevel {
    /// An attacker on the path can neither read nor change what is sent.
    IntegrityAndPrivacy,
}

/// What the two sides of a connection agreed on, and the peer's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// The peer's proven identity.
    pub peer: Arc<PeerIdentity>,
    /// The name under which this side proved itself.
    pub local: String,
    /// For instance `grpc`.
    pub application_protocol: String,
    /// How records are protected.
    pub record_protocol: RecordProtocol,
    /// What the record protocol protects.
    pub security_level: SecurityLevel,
    /// What the peer stated about gRPC's RPC protocol.
    pub peer_rpc_versions: RpcVersions,
    /// The largest record that the peer wishes to receive, in bytes on the wire; 0 if it stated nothing.
    pub peer_max_frame_size: u32,
    /// Whether each direction ends with an authenticated record. Without it, an attacker on the path can end a stream between
    /// two records unnoticed.
    pub close_notify: bool,
    /// If the handshake resumed an earlier one: when the peer proved itself with certificates, to the full minute before, so that
    /// connections with one peer share this value.
    pub resumed: Option<SystemTime>,
}

impl Negotiated {
    pub(crate) fn of(result: &HandshakeResult) -> Self {
        Self {
            peer: Arc::clone(&result.peer),
            local: result.local.clone(),
            application_protocol: result.application_protocol.clone(),
            record_protocol: result.record_protocol,
            security_level: SecurityLevel::IntegrityAndPrivacy,
            peer_rpc_versions: result.peer_rpc_versions,
            peer_max_frame_size: result.peer_max_frame_size,
            close_notify: result.close_notify,
            resumed: result.resumed.map(full_minute),
        }
    }
}

fn full_minute(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs() / 60 * 60)
}

/// How a stream uses memory and the network.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamOptions {
    /// The largest record to send, in bytes on the wire; the peer's wish may lower it, and so does `write_batch`, which holds
    /// whole records. Default 16,384, which all peers accept. Values outside of 4,096 to 1 MiB count as the nearest of these.
    pub max_frame_size: u32,
    /// The most payload that is sealed for one system call, in bytes; of more than that, as many whole records as fit. Also the most that one connection holds while the kernel
    /// takes no more. Default 48 KiB: Linux sends up to 64 KiB as one segment, and a batch slightly longer than that leaves a
    /// small segment behind each time. Values outside of 1 byte to 16 MiB count as the nearest of these.
    pub write_batch: usize,
    /// How long a record may take to arrive, once part of it occupies a buffer, while other readers wait for buffers: after
    /// this time for both, the read fails with [`Error::Stalled`](crate::Error::Stalled) and the buffer is free. Bytes that
    /// arrive do not extend it, so that a peer cannot keep a buffer with a byte now and then; time in which the record itself
    /// waits for memory does not count. Default 30 s, in which a record of 16 KiB arrives at 5 kbit/s. Zero gives way at once,
    /// [`Duration::MAX`] never.
    pub stall_limit: Duration,
    /// The implementation of AES-GCM for records. Default *ring*.
    pub aead: AeadProvider,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            max_frame_size: DEFAULT_FRAME_SIZE,
            write_batch: 48 << 10,
            stall_limit: Duration::from_secs(30),
            aead: AeadProvider::default(),
        }
    }
}

/// The size that every peer accepts, and that is sent to a peer that states nothing. As in gRPC's Java and C++.
pub(super) const DEFAULT_FRAME_SIZE: u32 = 16 << 10;
