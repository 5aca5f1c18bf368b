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

    /// The memory is looked at from outside, as a debugger would. It is free then, and something else may be there already.
    #[cfg(target_os = "linux")]
    #[test]
    fn keys_are_wiped() {
        use std::os::unix::fs::FileExt;

        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut result = HandshakerResult::default();
        result.key_data = vec![0xab; 4_096];
        let address = result.key_data.as_ptr().addr() as u64;
        let mut bytes = [0; 4_096];
        memory.read_exact_at(&mut bytes, address).unwrap();
        assert_eq!(bytes, [0xab; 4_096]);
        drop(result);
        if memory.read_exact_at(&mut bytes, address).is_ok() {
            assert!(!bytes.windows(16).any(|window| window == [0xab; 16]));
        }
    }
}
