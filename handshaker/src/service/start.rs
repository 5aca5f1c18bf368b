//! The first message of a call, checked.

use super::rejection::Rejection;
use crate::proto::{
    self, HandshakeProtocol, RpcProtocolVersions, StartClientHandshakeReq, StartServerHandshakeReq,
    identity::IdentityOneof,
};
use crate::role::Role;
use crate::rpc_status::Refusal;
use crate::session::{HandshakeOptions, RecordProtocol, RpcVersions};

/// Names of identities that a message may hold. Callers name a handful; each is compared.
const MAX_IDENTITIES: usize = 64;

/// A valid start message.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) role: Role,
    pub(super) options: HandshakeOptions,
    /// The identities under which the caller is willing to act; empty if any will do.
    pub(super) local_identities: Vec<String>,
    /// The peer's first bytes.
    pub(super) received: Vec<u8>,
}

/// Why a name is needed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// An entry that names nobody is a mistake: dropping it would drop a demand.
    Demand,
    /// An entry that names nobody asks for nothing.
    Wish,
}

impl Start {
    // Unnamed: endpoints and transport protocols, which decide nothing.
    pub(super) fn client(start: StartClientHandshakeReq) -> Result<Self, Rejection> {
        if start.handshake_security_protocol != HandshakeProtocol::Alts as i32 {
            return Err(Rejection::bad_request("handshake_security_protocol is not ALTS"));
        }
        refuse_token("access_token", Some(&start.access_token))?;
        check_record_protocols(&start.record_protocols)?;
        let target_identities =
            names("target_identities", start.target_identities, Naming::Demand)?;
        let local_identities =
            names("local_identity", start.local_identity.into_iter().collect(), Naming::Wish)?;
        let options = HandshakeOptions {
            target_identities,
            target_name: (!start.target_name.is_empty()).then_some(start.target_name),
            ..options(start.application_protocols, start.rpc_versions, start.max_frame_size)?
        };
        Ok(Self { role: Role::Client, options, local_identities, received: Vec::new() })
    }

    pub(super) fn server(mut start: StartServerHandshakeReq) -> Result<Self, Rejection> {
        let alts = HandshakeProtocol::Alts as i32;
        let parameters = start
            .handshake_parameters
            .remove(&alts)
            .ok_or_else(|| Rejection::bad_request("handshake_parameters has none for ALTS"))?;
        refuse_token("token", parameters.token.as_deref())?;
        check_record_protocols(&parameters.record_protocols)?;
        let local_identities =
            names("local_identities", parameters.local_identities, Naming::Wish)?;
        let options =
            options(start.application_protocols, start.rpc_versions, start.max_frame_size)?;
        Ok(Self { role: Role::Server, options, local_identities, received: start.in_bytes })
    }
}

/// The service decides the other options: one record protocol, no authenticated close.
fn options(
    application_protocols: Vec<String>,
    rpc_versions: Option<RpcProtocolVersions>,
    max_frame_size: u32,
) -> Result<HandshakeOptions, Rejection> {
    Ok(HandshakeOptions {
        application_protocols,
        record_protocols: vec![RecordProtocol::Aes128GcmRekey],
        rpc_versions: rpc_range(rpc_versions)?,
        max_frame_size,
        close_notify: false,
        target_identities: Vec::new(),
        target_name: None,
    })
}

fn rpc_range(versions: Option<RpcProtocolVersions>) -> Result<RpcVersions, Rejection> {
    versions
        .and_then(RpcProtocolVersions::range)
        .ok_or_else(|| Rejection::bad_request("rpc_versions lacks max or min"))
}

fn check_record_protocols(names: &[String]) -> Result<(), Rejection> {
    let only = RecordProtocol::Aes128GcmRekey.name();
    if names.iter().any(|name| name == only) {
        return Ok(());
    }
    let detail = format!("record_protocols lacks {only}, the only one this service negotiates");
    Err(Rejection::refused(Refusal::NoCommonRecordProtocol, detail))
}

/// The service cannot verify tokens, and ignoring one would ignore what it restricts.
fn refuse_token(field: &str, token: Option<&str>) -> Result<(), Rejection> {
    if token.is_none_or(str::is_empty) {
        return Ok(());
    }
    let detail = format!("{field} is not empty, but this service cannot verify tokens");
    Err(Rejection::refused(Refusal::Token, detail))
}

fn names(
    field: &str,
    identities: Vec<proto::Identity>,
    naming: Naming,
) -> Result<Vec<String>, Rejection> {
    if identities.len() > MAX_IDENTITIES {
        return Err(Rejection::bad_request(format!(
            "{field} has more than {MAX_IDENTITIES} identities"
        )));
    }
    let name = |identity: proto::Identity| match identity.identity_oneof {
        Some(IdentityOneof::ServiceAccount(name)) if !name.is_empty() => Some(Ok(name)),
        Some(IdentityOneof::Hostname(_)) => Some(Err(Rejection::bad_request(format!(
            "{field} has a hostname; identities are service accounts"
        )))),
        _ if naming == Naming::Demand => Some(Err(Rejection::bad_request(format!(
            "{field} has an identity without a service account"
        )))),
        _ => None,
    };
    identities.into_iter().filter_map(name).collect()
}
