//! Answers of a service, checked: it is trusted with keys and names, but it may have bugs.

use ring::hmac;

use crate::error::Error;
use crate::identity::PeerIdentity;
use crate::proto::identity::IdentityOneof;
use crate::proto::{self, HandshakerResp, HandshakerResult, RpcProtocolVersions};
use crate::rpc_status::from_code;
use crate::session::{HandshakeOptions, HandshakeResult, KeyData, RecordProtocol};

/// The longest name of a peer, in bytes; the limit of SPIFFE IDs.
const MAX_NAME: usize = 2_048;

/// Refuses a response that reports a failure, or has no status.
pub(super) fn check_status(response: &HandshakerResp) -> Result<(), Error> {
    let status = response.status.as_ref().ok_or_else(|| broken("a response without a status"))?;
    match i32::try_from(status.code) {
        Ok(0) => Ok(()),
        code => Err(from_code(
            code.map_or(tonic::Code::Unknown, tonic::Code::from_i32),
            &status.details,
        )),
    }
}

/// The result, if every field is valid.
pub(super) fn result(
    mut answer: HandshakerResult,
    options: &HandshakeOptions,
) -> Result<HandshakeResult, Error> {
    let record_protocol = RecordProtocol::from_name(&answer.record_protocol)
        .filter(|protocol| options.record_protocols.contains(protocol))
        .ok_or_else(|| not_offered("record protocol", &answer.record_protocol))?;
    let application_protocol = std::mem::take(&mut answer.application_protocol);
    if !options.application_protocols.contains(&application_protocol) {
        return Err(not_offered("application protocol", &application_protocol));
    }
    let key_data = key_data(&answer, record_protocol)?;
    let peer = answer.peer_identity.take().ok_or_else(|| broken("a result without a peer"))?;
    let peer = peer_identity(peer, options)?;
    // gRPC's clients take a result without one only in part; what it says is shown, not relied upon.
    let local = match answer.local_identity.take().and_then(|local| local.identity_oneof) {
        Some(IdentityOneof::ServiceAccount(name) | IdentityOneof::Hostname(name)) => name,
        None => String::new(),
    };
    let peer_rpc_versions = answer
        .peer_rpc_versions
        .and_then(RpcProtocolVersions::range)
        .ok_or_else(|| broken("a result without the peer's RPC versions"))?;
    if !options.rpc_versions.compatible_with(peer_rpc_versions) {
        return Err(broken("a result with RPC versions that are incompatible with this side's"));
    }
    Ok(HandshakeResult {
        log_id: log_id(&key_data),
        key_data,
        record_protocol,
        application_protocol,
        peer: peer.into(),
        local,
        peer_rpc_versions,
        peer_max_frame_size: answer.max_frame_size,
        close_notify: false,
        resumed: None,
        late_alert: None,
    })
}

/// The first bytes count, as many as the protocol takes; Google's service sends more.
fn key_data(answer: &HandshakerResult, protocol: RecordProtocol) -> Result<KeyData, Error> {
    match answer.key_data.get(..protocol.key_len()) {
        Some(key) => Ok(KeyData::new(key.to_vec())),
        None => Err(broken(format!("a result with {} bytes of key", answer.key_data.len()))),
    }
}

fn peer_identity(peer: proto::Identity, options: &HandshakeOptions) -> Result<PeerIdentity, Error> {
    let Some(IdentityOneof::ServiceAccount(name)) = peer.identity_oneof else {
        return Err(broken("a peer without a service account"));
    };
    if name.is_empty() || name.len() > MAX_NAME || name.contains(char::is_control) {
        return Err(broken("a peer whose name is empty, too long or has control characters"));
    }
    // The service has checked this already, if it is any good.
    let targets = &options.target_identities;
    if !targets.is_empty() && !targets.contains(&name) {
        let detail = "it is not one of the target identities, but the service accepted it".into();
        return Err(Error::Denied { peer: name, detail });
    }
    Ok(PeerIdentity::from_service(&name, peer.attributes))
}

/// Does not tell the keys: it is a MAC under the key that also derives the record keys, from shorter texts than this.
fn log_id(key_data: &KeyData) -> [u8; 16] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key_data.as_bytes());
    let tag = hmac::sign(&key, b"alts: log id of a handshake by a service");
    let mut id = [0; 16];
    id.copy_from_slice(&tag.as_ref()[..16]);
    id
}

/// The service breaks the protocol.
pub(super) fn broken(detail: impl Into<String>) -> Error {
    Error::Unavailable(format!("the handshaker service broke its protocol: {}", detail.into()))
}

fn not_offered(what: &str, name: &str) -> Error {
    broken(format!("a result with the {what} {:?}, which was not offered", truncated(name)))
}

fn truncated(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{HandshakerStatus, Identity};
    use crate::session::RpcVersions;

    fn good() -> HandshakerResult {
        HandshakerResult {
            application_protocol: "grpc".into(),
            record_protocol: "ALTSRP_GCM_AES128_REKEY".into(),
            key_data: (0..44).collect(),
            peer_identity: Some(Identity::of_service_account("peer@example".into())),
            local_identity: Some(Identity::of_service_account("me@example".into())),
            keep_channel_open: false,
            peer_rpc_versions: Some(RpcVersions::GRPC.into()),
            max_frame_size: 7,
            transport_protocol: None,
        }
    }

    fn check(change: impl FnOnce(&mut HandshakerResult)) -> Result<HandshakeResult, Error> {
        let mut answer = good();
        change(&mut answer);
        result(answer, &HandshakeOptions::default())
    }

    #[test]
    fn a_good_result() {
        let result = check(|_| ()).unwrap();
        assert_eq!(result.peer.name(), "peer@example");
        assert_eq!(result.local, "me@example");
        assert_eq!(result.peer_max_frame_size, 7);
        assert_eq!(result.key_data.as_bytes(), (0..44).collect::<Vec<u8>>());
        assert_ne!(result.log_id, [0; 16]);
        assert!(!result.close_notify && result.late_alert.is_none());
    }

    #[test]
    fn what_services_may_do() {
        let longer = check(|answer| answer.key_data = (0..128).collect()).unwrap();
        assert_eq!(longer.key_data.as_bytes().len(), 44);
        assert_eq!(longer.log_id, check(|_| ()).unwrap().log_id);
        assert_eq!(check(|answer| answer.local_identity = None).unwrap().local, "");
        check(|answer| answer.keep_channel_open = true).unwrap();
        check(|answer| answer.max_frame_size = u32::MAX).unwrap();
    }

    #[test]
    fn results_that_are_refused() {
        type Change = fn(&mut HandshakerResult);
        let changes: [(&str, Change); 14] = [
            ("no record protocol", |answer| answer.record_protocol.clear()),
            ("unknown record protocol", |answer| answer.record_protocol = "X".into()),
            ("not offered", |answer| answer.record_protocol = "ALTSRP_GCM_AES128".into()),
            ("no application protocol", |answer| answer.application_protocol.clear()),
            ("other application protocol", |answer| answer.application_protocol = "h2".into()),
            ("short key", |answer| answer.key_data.truncate(43)),
            ("no peer", |answer| answer.peer_identity = None),
            ("nameless peer", |answer| answer.peer_identity = Some(Identity::default())),
            ("empty peer", |answer| {
                answer.peer_identity = Some(Identity::of_service_account(String::new()));
            }),
            ("hostname", |answer| {
                let identity_oneof = Some(IdentityOneof::Hostname("peer.example".into()));
                answer.peer_identity = Some(Identity { identity_oneof, ..Identity::default() });
            }),
            ("control characters", |answer| {
                answer.peer_identity = Some(Identity::of_service_account("a\nb".into()));
            }),
            ("no versions", |answer| answer.peer_rpc_versions = None),
            ("half a range", |answer| {
                answer.peer_rpc_versions.as_mut().unwrap().min_rpc_version = None;
            }),
            ("other versions", |answer| {
                answer
                    .peer_rpc_versions
                    .as_mut()
                    .unwrap()
                    .min_rpc_version
                    .as_mut()
                    .unwrap()
                    .major = 3;
            }),
        ];
        for (name, change) in changes {
            assert!(matches!(check(change), Err(Error::Unavailable(_))), "{name}");
        }
    }

    #[test]
    fn target_identities_hold_even_if_the_service_forgets_them() {
        let mut options = HandshakeOptions {
            target_identities: vec!["somebody.else".into()],
            ..HandshakeOptions::default()
        };
        assert!(matches!(result(good(), &options), Err(Error::Denied { .. })));
        options.target_identities.push("peer@example".into());
        assert!(result(good(), &options).is_ok());
    }

    #[test]
    fn statuses() {
        let response = |status| HandshakerResp { status, ..HandshakerResp::default() };
        let status = |code| Some(HandshakerStatus { code, details: "words".into() });
        assert_eq!(check_status(&response(status(0))), Ok(()));
        assert!(matches!(check_status(&response(None)), Err(Error::Unavailable(_))));
        assert!(matches!(check_status(&response(status(7))), Err(Error::Denied { .. })));
        for code in [1, 16, 17, u32::MAX, 1 << 31] {
            assert!(matches!(check_status(&response(status(code))), Err(Error::Unavailable(_))));
        }
    }
}
