//! Why a handshake did not succeed in time.

use alts_handshaker::{AlertCode, Error as Handshake, Role};

use super::settings::Settings;
use crate::error::Error;

/// The peer has not sent what shows that it speaks.
pub(super) fn silence(settings: &Settings, role: Role) -> Error {
    let timeout = match role {
        Role::Server => settings.first_bytes_timeout.min(settings.handshake_timeout),
        Role::Client => settings.handshake_timeout,
    };
    expired(format!("the peer sent nothing, or less than a header of 8 bytes, in {timeout:?}"))
}

pub(super) fn too_long(settings: &Settings) -> Error {
    expired(format!("the handshake was not finished in {:?}", settings.handshake_timeout))
}

fn expired(detail: String) -> Error {
    Error::Handshake(Handshake::Limit { code: AlertCode::Timeout, detail: detail.into() })
}

#[cfg(feature = "tokio")]
pub(super) fn no_place(settings: &Settings) -> Error {
    let detail = format!(
        "no place for the handshake became free in {:?}: too many others are unfinished",
        settings.handshake_timeout
    );
    Error::Handshake(Handshake::Limit { code: AlertCode::Overloaded, detail: detail.into() })
}
