//! gRPC's messages to a handshaker service, made from `proto/alts_handshaker.proto`.

#[expect(
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    reason = "generated"
)]
#[rustfmt::skip]
mod generated;

use std::fmt;

use zeroize::Zeroize;

pub use self::generated::*;
use crate::session::{RpcVersion, RpcVersions};

impl fmt::Debug for HandshakerResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakerResult")
            .field("record_protocol", &self.record_protocol)
            .field("key_data", &format_args!("{} bytes", self.key_data.len()))
            .field("peer_identity", &self.peer_identity)
            .field("local_identity", &self.local_identity)
            .finish_non_exhaustive()
    }
}

impl Drop for HandshakerResult {
    /// Wipes the keys. What gRPC has copied into its buffers is out of reach.
    fn drop(&mut self) {
        self.key_data.zeroize();
    }
}

impl Identity {
    /// The name of a workload.
    pub(crate) fn of_service_account(name: String) -> Self {
        let name = identity::IdentityOneof::ServiceAccount(name);
        Self { identity_oneof: Some(name), ..Self::default() }
    }
}

impl From<RpcVersions> for RpcProtocolVersions {
    fn from(versions: RpcVersions) -> Self {
        let version = |RpcVersion { major, minor }| rpc_protocol_versions::Version { major, minor };
        Self {
            max_rpc_version: Some(version(versions.max)),
            min_rpc_version: Some(version(versions.min)),
        }
    }
}

impl RpcProtocolVersions {
    /// Both ends of the range; `None` if one is missing.
    pub(crate) fn range(self) -> Option<RpcVersions> {
        let version = |rpc_protocol_versions::Version { major, minor }| RpcVersion { major, minor };
        Some(RpcVersions {
            max: version(self.max_rpc_version?),
            min: version(self.min_rpc_version?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_not_printed() {
        let mut result = HandshakerResult::default();
        result.key_data = vec![0xab; 44];
        let printed =
            format!("{:?}", HandshakerResp { result: Some(result), ..Default::default() });
        assert!(printed.contains("44 bytes"), "{printed}");
        assert!(!printed.contains("171") && !printed.contains("ab, "), "{printed}");
    }
}
