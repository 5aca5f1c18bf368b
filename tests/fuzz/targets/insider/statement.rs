//! `ServerFinished` and `ClientFinished` as an insider makes them: whatever it states it also signs.

use alts::handshaker::identity::SignatureScheme;
use alts::handshaker::{HandshakeOptions, Role};

use super::Rule;
use super::engine::{Engine, Received};
use crate::altsh1::keys::{Hash, Pair, Secrets, hash, signed};
use crate::altsh1::messages::{Finished, Out, pad};
use crate::altsh1::{code, judge, kind};
use crate::choices::Choices;
use crate::edits::edit;
use crate::identities::{Party, parties};

/// What the insider knows when it is its turn.
pub(super) struct Turn<'a> {
    pub(super) role: Role,
    pub(super) secrets: &'a Secrets,
    /// All that the transcript holds so far.
    pub(super) transcript: &'a [u8],
    pub(super) rule: &'a Rule,
    /// Of the engine.
    pub(super) options: &'a HandshakeOptions,
    pub(super) scheme: u16,
}

/// A message that was accepted.
pub(super) struct Accepted {
    pub(super) party: &'static Party,
    pub(super) finished: Finished,
}

impl Turn<'_> {
    /// Sends the message with `parameters`, or something in its place. An answer means that the engine had to accept it.
    pub(super) fn send(
        &self,
        choices: &mut Choices<'_>,
        engine: &mut Engine,
        parameters: &[u8],
    ) -> Option<Accepted> {
        let Self { role, secrets, .. } = *self;
        let due = if role == Role::Server { kind::SERVER_FINISHED } else { kind::CLIENT_FINISHED };
        if choices.one_in(8) {
            self.send_alert(choices, engine, due);
            return None;
        }
        let party = &parties()[choices.below(parties().len())];
        let mut statement = Out(parameters.to_vec());
        let mut chain = Out::default();
        let (leaf, others) = party.chain.split_first().unwrap();
        chain.vector(2, leaf);
        let first = if choices.one_in(8) { choices.below(others.len() + 1) } else { 0 };
        for certificate in others[first..].iter().chain(&others[..first]) {
            chain.vector(2, certificate);
        }
        if choices.one_in(16) {
            chain.vector(2, &party.chain[0]);
        }
        let schemes = [party.scheme, 0x0807, 0x0403, 0x0503, 0x0804, 0x0401, 0];
        let scheme = schemes[choices.below(32).saturating_sub(25)];
        statement.vector(2, &chain.0).number(2, u32::from(scheme));
        let mut statement = statement.0;
        edit(choices, &mut statement);

        // What is wrong with the proofs, if anything.
        let fault = choices.below(24);
        let before: Hash = hash(&[self.transcript, &statement].concat());
        let content = signed(if fault == 20 { role.peer() } else { role }, &before);
        let own = SignatureScheme(party.scheme);
        let mut signature = party.identity.signer().sign(own, &content).unwrap();
        if fault == 21 {
            let at = choices.below(signature.len());
            signature[at] ^= 1 << choices.below(8);
        }
        let mut item = Out::default();
        item.vector(2, &signature);
        let after = hash(&[self.transcript, &statement, &item.0].concat());
        let mac = secrets.mac(role, &after);
        let sent_mac = if fault == 22 { secrets.mac(role.peer(), &after) } else { mac };
        let mut plaintext = [&statement[..], &item.0, &sent_mac].concat();
        if fault != 19 {
            pad(&mut plaintext);
        }
        if choices.one_in(4) {
            edit(choices, &mut plaintext);
        }
        let (sealer, pair) = match fault {
            23 => (role.peer(), Pair::Message),
            18 => (role, Pair::Alert),
            _ => (role, Pair::Message),
        };
        let frame = secrets.seal(sealer, pair, due, &plaintext);
        let Received::Message(frame) = engine.receive(choices, frame, due, Some(secrets)) else {
            return None;
        };
        let sender = judge::Sender {
            role,
            chain: &party.chain,
            scheme: party.scheme,
            chain_verdict: party.chain_verdict,
            name_verdict: self.rule.verdict(party),
            statement: &statement,
            signature_item: &item.0,
            signed: !matches!(fault, 20 | 21),
            mac: &mac,
        };
        let verdict = match secrets.open(role, Pair::Message, &frame) {
            Some(plaintext) => judge::finished(&plaintext, self.options, self.scheme, &sender),
            None => Err(Some(code::DECRYPT_ERROR)),
        };
        match verdict {
            Ok(finished) => Some(Accepted { party, finished }),
            Err(code) => {
                engine.assert_refused(code, Some(secrets));
                None
            }
        }
    }

    fn send_alert(&self, choices: &mut Choices<'_>, engine: &mut Engine, due: u32) {
        let mut body = Out::default();
        body.number(2, choices.below(24) as u32).vector(1, choices.pick(&[&b""[..], b"why"]));
        edit(choices, &mut body.0);
        let frame = match choices.below(2) {
            0 => self.secrets.seal(self.role, Pair::Alert, kind::SEALED_ALERT, &body.0),
            _ => crate::altsh1::frame(kind::ALERT, &body.0),
        };
        // All of it is judged there: the message itself is none of these.
        let received = engine.receive(choices, frame, due, Some(self.secrets));
        if let Received::Message(_) = received {
            engine.assert_refused(Some(code::DECRYPT_ERROR), Some(self.secrets));
        }
    }
}
