//! The codes of alerts: all that a peer is told about a failure.

use std::fmt;

/// A handshake error code: all that a peer is told. The numbers are those of the wire (`PROTOCOL.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u16)]
#[expect(missing_docs, reason = "the names say it; PROTOCOL.md has the meanings")]
pub enum AlertCode {
    HandshakeFailure = 0,
    UnexpectedMessage = 1,
    DecodeError = 2,
    UnsupportedVersion = 3,
    NoCommonSuite = 4,
    NoCommonRecordProtocol = 5,
    NoCommonAppProtocol = 6,
    BadCertificate = 7,
    CertificateExpired = 8,
    CertificateRevoked = 9,
    UnknownTrustDomain = 10,
    AccessDenied = 11,
    DecryptError = 12,
    TooLarge = 13,
    Timeout = 14,
    Overloaded = 15,
    Internal = 16,
    IllegalParameter = 17,
    UnsupportedExtension = 18,
    RpcVersionMismatch = 19,
    NoIdentity = 20,
}

impl AlertCode {
    /// Every code with its name in the protocol.
    const NAMES: [(Self, &'static str); 21] = [
        (Self::HandshakeFailure, "handshake_failure"),
        (Self::UnexpectedMessage, "unexpected_message"),
        (Self::DecodeError, "decode_error"),
        (Self::UnsupportedVersion, "unsupported_version"),
        (Self::NoCommonSuite, "no_common_suite"),
        (Self::NoCommonRecordProtocol, "no_common_record_protocol"),
        (Self::NoCommonAppProtocol, "no_common_app_protocol"),
        (Self::BadCertificate, "bad_certificate"),
        (Self::CertificateExpired, "certificate_expired"),
        (Self::CertificateRevoked, "certificate_revoked"),
        (Self::UnknownTrustDomain, "unknown_trust_domain"),
        (Self::AccessDenied, "access_denied"),
        (Self::DecryptError, "decrypt_error"),
        (Self::TooLarge, "too_large"),
        (Self::Timeout, "timeout"),
        (Self::Overloaded, "overloaded"),
        (Self::Internal, "internal"),
        (Self::IllegalParameter, "illegal_parameter"),
        (Self::UnsupportedExtension, "unsupported_extension"),
        (Self::RpcVersionMismatch, "rpc_version_mismatch"),
        (Self::NoIdentity, "no_identity"),
    ];

    /// The number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The code of that number; a number from a later version reads as [`HandshakeFailure`](Self::HandshakeFailure).
    pub fn from_number(number: u16) -> Self {
        Self::NAMES
            .into_iter()
            .map(|(code, _)| code)
            .find(|code| code.number() == number)
            .unwrap_or(Self::HandshakeFailure)
    }

    /// The name in the protocol, such as `decrypt_error`.
    pub fn name(self) -> &'static str {
        // The table is in the order of the numbers, which a test checks.
        Self::NAMES[usize::from(self.number())].1
    }

    /// What may be said where anybody can listen: nothing about certificates and access.
    pub(crate) fn in_plaintext(self) -> Self {
        match self {
            Self::BadCertificate
            | Self::CertificateExpired
            | Self::CertificateRevoked
            | Self::UnknownTrustDomain
            | Self::AccessDenied => Self::HandshakeFailure,
            other => other,
        }
    }
}

impl fmt::Display for AlertCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_keep_their_numbers() {
        for (number, (code, _)) in AlertCode::NAMES.into_iter().enumerate() {
            assert_eq!(usize::from(code.number()), number);
            assert_eq!(AlertCode::from_number(code.number()), code);
        }
        assert_eq!(AlertCode::from_number(21), AlertCode::HandshakeFailure);
        assert_eq!(AlertCode::from_number(u16::MAX), AlertCode::HandshakeFailure);
        assert_eq!(AlertCode::DecryptError.name(), "decrypt_error");
    }

    #[test]
    fn certificates_and_access_are_not_discussed_in_plaintext() {
        for number in 0..21 {
            let told = AlertCode::from_number(number).in_plaintext().number();
            assert_eq!(told, if (7..=11).contains(&number) { 0 } else { number });
        }
    }
}
