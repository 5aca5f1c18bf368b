//! What a caller may ask for.

use super::names::{refuse_duplicates, valid_name};
use super::protocol::MAX_APP_PROTOCOLS;
use crate::error::Error;
use crate::role::Role;
use crate::session::HandshakeOptions;

/// Refuses options that cannot be put into messages or that would be ignored.
pub(super) fn validate(role: Role, options: &HandshakeOptions) -> Result<(), Error> {
    let HandshakeOptions {
        application_protocols,
        record_protocols,
        rpc_versions,
        // 0 leaves the size unstated, and peers raise what is too small for them.
        max_frame_size: _,
        close_notify: _,
        target_identities,
        // Names no rule of this handshaker.
        target_name: _,
    } = options;
    if !(1..=MAX_APP_PROTOCOLS).contains(&application_protocols.len()) {
        return Err(Error::misuse(format!(
            "application_protocols has {} names, not 1 to {MAX_APP_PROTOCOLS}",
            application_protocols.len()
        )));
    }
    if let Some(name) = application_protocols.iter().find(|name| !valid_name(name)) {
        return Err(Error::misuse(format!(
            "application_protocols has {name:?}, which is not 1 to 64 visible ASCII characters"
        )));
    }
    if refuse_duplicates(application_protocols, "").is_err() {
        return Err(Error::misuse("application_protocols has a name twice"));
    }
    if record_protocols.is_empty() {
        return Err(Error::misuse("record_protocols is empty"));
    }
    if refuse_duplicates(record_protocols, "").is_err() {
        return Err(Error::misuse("record_protocols has a protocol twice"));
    }
    if rpc_versions.max < rpc_versions.min {
        return Err(Error::misuse("rpc_versions.max is below rpc_versions.min"));
    }
    if role == Role::Server && !target_identities.is_empty() {
        return Err(Error::misuse("target_identities is for clients; servers have a policy"));
    }
    Ok(())
}
