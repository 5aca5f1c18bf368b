//! What the handshake settled, shared by all connections for which it came out the same.

use std::sync::Arc;
use std::time::Duration;

use alts_handshaker::identity::PeerIdentity;
use alts_handshaker::{HandshakeResult, RecordProtocol, RpcVersions};

use crate::pool::BufferPool;
use crate::record::AeadProvider;

/// What records protect. Both record protocols of this crate encrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SecurityLevel {
    /// Nobody on the path can read or change what is sent.
    IntegrityAndPrivacy,
}

/// What the two sides of a connection agreed on, and who the peer is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// Who the peer proved to be.
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
    /// Whether each direction ends with an authenticated record. Without it the end of a stream between two records could be
    /// anybody's doing.
    pub close_notify: bool,
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
        }
    }
}

/// How a stream uses memory and the network.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamOptions {
    /// The largest record to send, in bytes on the wire; the peer's wish may lower it, and so does `write_batch`, which holds
    /// whole records. 4,096 to 1 MiB, default 16,384, which all peers accept.
    pub max_frame_size: u32,
    /// The most payload that is sealed for one system call, in bytes. Also what one connection holds at most while the kernel
    /// takes no more. 1 to 16 MiB, default 48 KiB: Linux sends up to 64 KiB as one segment, and a batch slightly longer than
    /// that leaves a small one behind each time.
    pub write_batch: usize,
    /// How long part of a record may occupy a buffer without growing while others wait for buffers. Default 30 s.
    pub stall_limit: Duration,
    /// Whose AES-GCM seals and opens records. *ring*'s unless another is chosen.
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

/// What every peer accepts, and what is sent to one that states nothing. As gRPC's Java and C++ do.
const DEFAULT_FRAME_SIZE: u32 = 16 << 10;
/// No peer may ask for smaller records than this: the overhead would be the peer's weapon. gRPC's floor.
const MIN_FRAME_SIZE: u32 = 4 << 10;
/// Larger ones no peer has to accept: with it the length field is within 1 MiB.
const MAX_FRAME_SIZE: u32 = crate::record::MAX_LENGTH;

/// All that the connections of one acceptor or connector with one peer have in common.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) negotiated: Negotiated,
    pub(crate) pool: BufferPool,
    pub(crate) options: StreamOptions,
}

impl Terms {
    /// The most payload of a record to send.
    #[inline]
    pub(crate) fn max_payload(&self) -> usize {
        let ours = self.options.max_frame_size.clamp(MIN_FRAME_SIZE, MAX_FRAME_SIZE);
        let frame = match self.negotiated.peer_max_frame_size {
            0 => ours.min(DEFAULT_FRAME_SIZE),
            theirs => ours.min(theirs.max(MIN_FRAME_SIZE)),
        };
        frame as usize - crate::record::OVERHEAD
    }
}
