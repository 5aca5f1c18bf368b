//! Alerts: how a side tells why it ends the handshake. Those in plaintext (0x4F) can be forged by anybody on the path and are
//! only hints; sealed ones (0x4E) come from the side that made the keys.

use super::codec::{Reader, put_u16, vector8};
use super::frame::{self, Frame};
use super::protocol::{FrameKind, MAX_REASON};
use super::schedule::{DirectionSecret, Secrets};
use super::seal::MessageKey;
use crate::alert::AlertCode;
use crate::error::Error;
use crate::role::Role;

/// `u16 code | reason<u8>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Alert<'a> {
    code: u16,
    /// ASCII, at most 120 bytes. What this side sends is empty: a peer is told a code and no more.
    reason: &'a str,
}

impl<'a> Alert<'a> {
    fn load(body: &'a [u8]) -> Result<Self, Error> {
        let reader = &mut Reader::new("Alert", body);
        let code = reader.u16()?;
        let reason = reader.vector8()?.rest();
        reader.finish()?;
        match std::str::from_utf8(reason) {
            Ok(reason) if reason.len() <= MAX_REASON && reason.bytes().all(printable) => {
                Ok(Self { code, reason })
            }
            _ => {
                Err(reader.error("has a reason that is not at most 120 printable ASCII characters"))
            }
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u16(out, self.code);
        vector8(out, |out| out.extend_from_slice(self.reason.as_bytes()));
    }

    fn code_and_words(&self) -> (AlertCode, String) {
        (AlertCode::from_number(self.code), self.reason.escape_debug().to_string())
    }
}

fn printable(byte: u8) -> bool {
    (0x20..=0x7e).contains(&byte)
}

/// Writes the alert of a side that has sent nothing else.
#[cfg(feature = "remote")]
pub(crate) fn clear_alert(code: AlertCode, out: &mut Vec<u8>) {
    Alerts::clear().send(code, out);
}

/// The peer's alert key: opens the one alert that the peer may have sealed.
pub(super) struct SealedAlertKey(MessageKey);

impl SealedAlertKey {
    fn of(peer: &DirectionSecret) -> Self {
        Self(peer.expander().alert_key())
    }

    pub(super) fn open_frame(&self, frame: &mut Frame) -> Result<(AlertCode, String), Error> {
        Ok(Alert::load(frame.open(&self.0)?)?.code_and_words())
    }
}

/// How this side may still speak, and what it can understand. Keys are derived when there is an alert, which there hardly ever is.
pub(super) struct Alerts {
    voice: Voice,
    peer: Option<DirectionSecret>,
}

enum Voice {
    /// The peer does not have this side's keys yet.
    Clear,
    Sealed(DirectionSecret),
    /// The one alert was sent, or there is nobody to send one to.
    Spent,
}

impl Alerts {
    /// Before keys are agreed on.
    pub(super) fn clear() -> Self {
        Self { voice: Voice::Clear, peer: None }
    }

    pub(super) fn sealed(own: Role, secrets: &Secrets) -> Self {
        let (own, peer) = match own {
            Role::Client => (&secrets.client, &secrets.server),
            Role::Server => (&secrets.server, &secrets.client),
        };
        Self { voice: Voice::Sealed(own.clone()), peer: Some(peer.clone()) }
    }

    /// Nothing will be sent or understood any more.
    pub(super) fn spent() -> Self {
        Self { voice: Voice::Spent, peer: None }
    }

    pub(super) fn opens_sealed(&self) -> bool {
        self.peer.is_some()
    }

    /// Writes this side's only alert.
    pub(super) fn send(self, code: AlertCode, out: &mut Vec<u8>) {
        let body = |code: AlertCode, out: &mut Vec<u8>| {
            Alert { code: code.number(), reason: "" }.encode(out);
        };
        match self.voice {
            Voice::Clear => {
                frame::write(out, FrameKind::Alert, |out| body(code.in_plaintext(), out));
            }
            Voice::Sealed(secret) => {
                let key = secret.expander().alert_key();
                let mut plaintext = Vec::new();
                body(code, &mut plaintext);
                frame::write_sealed(out, FrameKind::SealedAlert, key, &plaintext);
            }
            Voice::Spent => {}
        }
    }

    /// The content of the peer's alert, or its fault. Codes that must not be sent in plaintext read as `handshake_failure` there.
    pub(super) fn receive(&self, frame: &mut Frame) -> Error {
        let result = match (&self.peer, frame.kind()) {
            (Some(secret), FrameKind::SealedAlert) => SealedAlertKey::of(secret)
                .open_frame(frame)
                .map(|(code, reason)| (code, reason, true)),
            _ => Alert::load(frame.body()).map(|alert| {
                let (code, reason) = alert.code_and_words();
                (code.in_plaintext(), reason, false)
            }),
        };
        match result {
            Ok((code, reason, sealed)) => Error::Alert { code, reason, sealed },
            Err(error) => error,
        }
    }

    /// What a client keeps after its end of the handshake.
    pub(super) fn into_peers(self) -> Option<SealedAlertKey> {
        self.peer.as_ref().map(SealedAlertKey::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::first_frame::FirstFrame;
    use crate::engine::frame::Header;
    use crate::engine::schedule::SharedSecret;
    use crate::session::LateAlert;

    fn frame(bytes: &[u8]) -> Frame {
        let header = Header::load(*bytes.first_chunk().unwrap()).unwrap();
        assert_eq!(header.frame_len, bytes.len());
        Frame::new(header.kind, bytes.to_vec())
    }

    fn pair() -> (Alerts, Alerts) {
        let secrets = Secrets::new(&SharedSecret::copy_of(&[5; 32]), &[6; 32]);
        (Alerts::sealed(Role::Client, &secrets), Alerts::sealed(Role::Server, &secrets))
    }

    #[test]
    fn plaintext_says_only_what_anybody_may_know() {
        for number in 0..21 {
            let code = AlertCode::from_number(number);
            let mut out = Vec::new();
            Alerts::clear().send(code, &mut out);
            let told = if (7..=11).contains(&number) { 0 } else { number as u8 };
            assert_eq!(out, [7, 0, 0, 0, 0x4f, 0, 0, 0, 0, told, 0]);
            assert_eq!(
                Alerts::clear().receive(&mut frame(&out)),
                Error::Alert { code: code.in_plaintext(), reason: String::new(), sealed: false }
            );
        }
    }

    #[test]
    fn a_clear_alert_about_certificates_says_nothing() {
        for number in 7..=11 {
            let bytes = [7, 0, 0, 0, 0x4f, 0, 0, 0, 0, number, 0];
            assert_eq!(
                Alerts::clear().receive(&mut frame(&bytes)),
                Error::Alert {
                    code: AlertCode::HandshakeFailure,
                    reason: String::new(),
                    sealed: false
                }
            );
        }
    }

    #[test]
    fn sealed_both_ways_with_different_keys() {
        for number in 0..21 {
            let code = AlertCode::from_number(number);
            let told = Error::Alert { code, reason: String::new(), sealed: true };
            let (client, server) = pair();
            let mut out = Vec::new();
            client.send(code, &mut out);
            assert_eq!(out.len(), 8 + 3 + 16);
            assert_eq!(server.receive(&mut frame(&out)), told);

            let (client, server) = pair();
            let mut back = Vec::new();
            server.send(code, &mut back);
            assert_eq!(client.receive(&mut frame(&back)), told);
            assert_ne!(out[8..], back[8..]);
            let key = FirstFrame::new(client.into_peers().unwrap(), None);
            assert_eq!(key.frame_len(*back.first_chunk().unwrap()), Some(back.len()));
            assert_eq!(key.open(&back), Ok((code, String::new())));
            assert!(key.open(&out).is_err());
            for at in 0..back.len() {
                let mut back = back.clone();
                back[at] ^= 0x10;
                assert!(key.open(&back).is_err(), "byte {at}");
                assert!(key.open(&back[..at]).is_err());
            }
        }
    }

    #[test]
    fn records_are_not_alerts() {
        let key = FirstFrame::new(pair().0.into_peers().unwrap(), None);
        assert_eq!(key.frame_len([27, 0, 0, 0, 6, 0, 0, 0]), None);
        assert_eq!(key.frame_len([27, 0, 0, 0, 0x4f, 0, 0, 0]), None);
        assert_eq!(key.frame_len([27, 1, 0, 0, 0x4e, 0, 0, 0]), None);
        assert_eq!(key.frame_len([27, 0, 0, 0, 0x4e, 0, 0, 1]), None);
    }

    #[test]
    fn the_words_of_a_peer_are_escaped() {
        let load = |body: &[u8]| Alert::load(body).map(|alert| alert.code_and_words());
        assert_eq!(
            load(b"\x00\x0b\x04no\"\\").unwrap(),
            (AlertCode::AccessDenied, "no\\\"\\\\".to_owned())
        );
        assert_eq!(load(b"\x12\x34\x00").unwrap().0, AlertCode::HandshakeFailure);
        assert!(load(&[&[0, 1, 120][..], &[b'a'; 120]].concat()).is_ok());
        assert!(load(&[&[0, 1, 121][..], &[b'a'; 121]].concat()).is_err());
        for byte in [0, b'\n', 0x1b, 0x1f, 0x7f, 0x80, 0xff] {
            assert!(load(&[0, 1, 1, byte]).is_err(), "{byte:#x}");
        }
        assert!(load(&[0, 1, 0, 0]).is_err());
        assert!(load(&[0, 1]).is_err());
    }

    #[test]
    fn debug_shows_no_key() {
        let key = FirstFrame::new(pair().0.into_peers().unwrap(), None);
        assert_eq!(format!("{key:?}"), "FirstFrame { awaits_ticket: false, .. }");
    }
}
