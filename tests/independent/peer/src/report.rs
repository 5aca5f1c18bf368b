//! How a connection ended, in JSON. The names of errors are `../altsh1/expected.py`'s.

use alts::handshaker::Error as Handshake;
use alts::{AltsStream, Error};
use serde_json::{Value, json};
use tokio::net::TcpStream;

pub(crate) fn failure(stage: &str, error: &Error) -> Value {
    json!({
        "stage": stage,
        "error": name(error),
        "fault": format!("{:?}", error.fault()),
        "detail": error.to_string(),
    })
}

pub(crate) fn negotiated(stream: &AltsStream<TcpStream>) -> Value {
    let negotiated = stream.negotiated();
    let (max, min) = (negotiated.peer_rpc_versions.max, negotiated.peer_rpc_versions.min);
    json!({
        "peer": negotiated.peer.name(),
        "local": negotiated.local,
        "app_protocol": negotiated.application_protocol,
        "record_protocol": negotiated.record_protocol.name(),
        "peer_rpc_versions": [max.major, max.minor, min.major, min.minor],
        "peer_max_frame_size": negotiated.peer_max_frame_size,
        "close_notify": negotiated.close_notify,
    })
}

pub(crate) fn name(error: &Error) -> String {
    match error {
        Error::Handshake(error) => handshake_name(error),
        Error::Record(error) => format!("record {error:?}"),
        Error::Truncated { at } => format!("truncated {at:?}"),
        Error::Io { kind, .. } => format!("io {kind:?}"),
        other => format!("{other:?}"),
    }
}

pub(crate) fn handshake_name(error: &Handshake) -> String {
    match error {
        Handshake::Peer { code, .. } => format!("peer {code}"),
        Handshake::Incompatible { code, .. } => format!("incompatible {code}"),
        Handshake::Limit { code, .. } => format!("limit {code}"),
        Handshake::Alert { code, reason, sealed } => {
            let kind = if *sealed { "sealed-alert" } else { "alert" };
            let reason = if reason.is_empty() { String::new() } else { format!(" {reason:?}") };
            format!("{kind} {code}{reason}")
        }
        Handshake::Foreign(protocol) => format!("foreign {}", protocol.name()),
        Handshake::Denied { peer, .. } => format!("denied {peer}"),
        Handshake::Identity(_) => "identity".to_owned(),
        other => format!("{other:?}"),
    }
}
