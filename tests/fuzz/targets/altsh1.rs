//! `altsh1` a second time, from its specification alone: what the fuzz targets play peers with, and what tells them how an
//! engine has to judge a message. Section numbers are those of `PROTOCOL.md`.

pub(crate) mod judge;
pub(crate) mod keys;
pub(crate) mod messages;
pub(crate) mod resumption;

/// Types of frames (section 4).
pub(crate) mod kind {
    pub(crate) const CLIENT_INIT: u32 = 0x41;
    pub(crate) const SERVER_INIT: u32 = 0x42;
    pub(crate) const SERVER_FINISHED: u32 = 0x43;
    pub(crate) const CLIENT_FINISHED: u32 = 0x44;
    pub(crate) const TICKET: u32 = 0x45;
    pub(crate) const SEALED_ALERT: u32 = 0x4E;
    pub(crate) const ALERT: u32 = 0x4F;
    pub(crate) const ALL: [u32; 7] =
        [CLIENT_INIT, SERVER_INIT, SERVER_FINISHED, CLIENT_FINISHED, TICKET, SEALED_ALERT, ALERT];
}

/// Numbers of alerts (section 13).
pub(crate) mod code {
    pub(crate) const HANDSHAKE_FAILURE: u16 = 0;
    pub(crate) const UNEXPECTED_MESSAGE: u16 = 1;
    pub(crate) const DECODE_ERROR: u16 = 2;
    pub(crate) const UNSUPPORTED_VERSION: u16 = 3;
    pub(crate) const NO_COMMON_SUITE: u16 = 4;
    pub(crate) const NO_COMMON_RECORD_PROTOCOL: u16 = 5;
    pub(crate) const NO_COMMON_APP_PROTOCOL: u16 = 6;
    pub(crate) const ACCESS_DENIED: u16 = 11;
    pub(crate) const DECRYPT_ERROR: u16 = 12;
    pub(crate) const TOO_LARGE: u16 = 13;
    pub(crate) const ILLEGAL_PARAMETER: u16 = 17;
    pub(crate) const UNSUPPORTED_EXTENSION: u16 = 18;
    pub(crate) const RPC_VERSION_MISMATCH: u16 = 19;
}

/// A whole frame in plaintext.
pub(crate) fn frame(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (4 + body.len() as u32).to_le_bytes();
    [&length[..], &kind.to_le_bytes(), body].concat()
}
