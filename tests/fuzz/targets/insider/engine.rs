//! The engine under test, and what it is expected to say.

use alts::handshaker::{AlertCode, Error, Handshake, HandshakeResult, Role};

use crate::altsh1::judge;
use crate::altsh1::keys::{Pair, Secrets};
use crate::altsh1::messages::read_alert;
use crate::altsh1::{code, kind};
use crate::choices::Choices;
use crate::edits::edit;
use crate::identities::now;

pub(super) struct Engine {
    handshake: Handshake,
    role: Role,
    /// Since the last look.
    pub(super) out: Vec<u8>,
    pub(super) end: Option<Result<HandshakeResult, Error>>,
    nothing_came: bool,
}

/// What became of a frame.
pub(super) enum Received {
    /// It is the message that was due; this is its body.
    Message(Vec<u8>),
    /// It was something else, and all about it is checked.
    Over,
}

impl Engine {
    pub(super) fn new(handshake: Handshake) -> Self {
        let role = handshake.role();
        Self { handshake, role, out: Vec::new(), end: None, nothing_came: true }
    }

    fn step(&mut self, bytes: &[u8]) {
        match self.handshake.step(bytes, now(), &mut self.out) {
            Ok(step) => {
                assert_eq!(step.consumed, bytes.len(), "there is nothing behind the last frame");
                self.end = step.result.map(Ok);
            }
            Err(error) => self.end = Some(Err(error)),
        }
    }

    /// Feeds it in as many pieces as the fuzzer likes.
    pub(super) fn feed(&mut self, choices: &mut Choices<'_>, mut bytes: &[u8]) {
        let pieces = choices.below(4);
        for _ in 0..pieces {
            let (piece, rest) = bytes.split_at(choices.below(bytes.len() + 1));
            self.step(piece);
            bytes = rest;
            if self.end.is_some() {
                break;
            }
        }
        if self.end.is_none() && (pieces == 0 || !bytes.is_empty()) {
            self.step(bytes);
        }
        if let Some(Err(error)) = &self.end {
            let (error, told) = (error.clone(), self.out.len());
            self.handshake.fail(AlertCode::Timeout, &mut self.out);
            let again = self.handshake.step(&[0; 9], now(), &mut self.out).unwrap_err();
            assert_eq!((again, self.out.len()), (error, told), "the first error repeats");
        }
    }

    /// Sends a frame, which the fuzzer may damage if nothing seals it, and judges all but the body of the message `due`.
    pub(super) fn receive(
        &mut self,
        choices: &mut Choices<'_>,
        mut frame: Vec<u8>,
        due: u32,
        secrets: Option<&Secrets>,
    ) -> Received {
        assert!(self.out.is_empty() && self.end.is_none());
        if choices.one_in(8) {
            let at = choices.below(8);
            frame[at] = choices.byte();
        }
        if choices.one_in(32) {
            edit(choices, &mut frame);
        }
        let mut all_due = vec![due, kind::ALERT];
        if secrets.is_some() {
            all_due.push(kind::SEALED_ALERT);
        }
        let header = frame.first_chunk().map(|header| judge::header(*header, &all_due));
        if let Some(Ok(len)) = header {
            frame.truncate(len);
        }
        self.feed(choices, &frame);
        let first = std::mem::take(&mut self.nothing_came);
        if first && let Some(Err(Error::Foreign(_))) = &self.end {
            assert!(speaks_otherwise(&frame) && self.out.is_empty(), "{frame:02x?}");
            return Received::Over;
        }
        match header {
            Some(Ok(len)) if frame.len() == len => {}
            Some(Err(code)) => {
                self.assert_refused(Some(code), secrets);
                return Received::Over;
            }
            _ => {
                assert!(self.end.is_none() && self.out.is_empty(), "it has to wait");
                return Received::Over;
            }
        }
        let word = u32::from_le_bytes(frame[4..8].try_into().unwrap());
        if word == due {
            return Received::Message(frame);
        }
        let alert = match (word, secrets) {
            (kind::SEALED_ALERT, Some(secrets)) => {
                secrets.open(self.role.peer(), Pair::Alert, &frame).map(|body| (body, true))
            }
            _ => Some((frame[8..].to_vec(), false)),
        };
        let expected = match &alert {
            None => Err(code::DECRYPT_ERROR),
            Some((body, sealed)) => {
                read_alert(body).map(|code| (code, *sealed)).ok_or(code::DECODE_ERROR)
            }
        };
        assert!(self.out.is_empty(), "no alert answers an alert");
        match (self.end.as_ref().unwrap(), expected) {
            (Err(Error::Alert { code, sealed, .. }), Ok((number, was_sealed))) => {
                let hidden = !was_sealed && (7..=11).contains(&number);
                let number = if number > 19 || hidden { 0 } else { number };
                assert_eq!((code.number(), *sealed), (number, was_sealed));
            }
            (Err(error), Err(code)) => assert_eq!(error.alert().unwrap().number(), code),
            (end, expected) => panic!("{end:?} where {expected:?}"),
        }
        Received::Over
    }

    /// The engine has ended with this alert, or with some alert about certificates, and has told its peer.
    #[track_caller]
    pub(super) fn assert_refused(&mut self, expected: Option<u16>, secrets: Option<&Secrets>) {
        let Some(Err(error)) = &self.end else { panic!("{:?} where {expected:?}", self.end) };
        let found = error.alert().expect("the peer is to blame").number();
        match expected {
            Some(code) => assert_eq!(found, code, "{error}"),
            None => assert!((7..=10).contains(&found), "{error}"),
        }
        let word = u32::from_le_bytes(self.out[4..8].try_into().unwrap());
        let told = match secrets {
            Some(secrets) => {
                assert_eq!(word, kind::SEALED_ALERT);
                secrets.open(self.role, Pair::Alert, &self.out).unwrap()
            }
            None => {
                assert_eq!(word, kind::ALERT);
                self.out[8..].to_vec()
            }
        };
        assert_eq!(read_alert(&told), Some(found));
    }
}

/// Looks like HTTP/2 or TLS.
fn speaks_otherwise(bytes: &[u8]) -> bool {
    // HTTP, SSH, PROXY version 1 and any other text; PROXY version 2; TLS; an HTTP/2 server.
    let text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t');
    bytes.first_chunk::<4>().is_some_and(|first| first.iter().all(text))
        || bytes.starts_with(b"\r\n\r\n\0")
        || matches!(bytes, [0x15 | 0x16, 3, ..] | [0, 0, _, 4, 0, 0, 0, 0, ..])
}
