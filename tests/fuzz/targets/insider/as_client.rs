//! The insider is the client, the engine the server.

use alts::handshaker::{LocalHandshaker, Role};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::rand::SystemRandom;
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

use super::engine::{Engine, Received};
use super::statement::Turn;
use super::{EXTENSIONS, PLAIN, REKEY, RPC_VERSIONS, Rule, options};
use crate::altsh1::keys::{Pair, Secrets, hash};
use crate::altsh1::messages::{ClientInit, Finished, Out, ServerInit};
use crate::altsh1::{frame, judge, kind};
use crate::choices::Choices;
use crate::edits::edit;
use crate::identities::party;

/// Key pairs of both suites.
struct Shares {
    private: [u8; 32],
    public: [u8; 32],
    p256: Option<(EphemeralPrivateKey, Vec<u8>)>,
}

impl Shares {
    fn new(choices: &mut Choices<'_>, p256: bool) -> Self {
        let private = [choices.byte(); 32];
        let make = || {
            let key = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).unwrap();
            let public = key.compute_public_key().unwrap().as_ref().to_vec();
            (key, public)
        };
        let public = x25519(private, X25519_BASEPOINT_BYTES);
        Self { private, public, p256: p256.then(make) }
    }

    fn public(&self, suite: u16) -> &[u8] {
        match (suite, &self.p256) {
            (2, Some(pair)) => &pair.1,
            _ => &self.public,
        }
    }

    fn agree(self, suite: u16, peer: &[u8]) -> Vec<u8> {
        match (suite, self.p256) {
            (2, Some((key, _))) => {
                let peer = UnparsedPublicKey::new(&ECDH_P256, peer);
                agree_ephemeral(key, &peer, <[u8]>::to_vec).unwrap()
            }
            _ => x25519(self.private, peer.try_into().unwrap()).to_vec(),
        }
    }
}

fn offer(choices: &mut Choices<'_>, shares: &Shares, suites: &[u16], offered: &[u16]) -> Vec<u8> {
    let mut list = Out::default();
    for &suite in offered {
        list.number(2, u32::from(suite)).vector(2, shares.public(suite));
    }
    let mut body = Out::default();
    body.numbers(choices.pick(&[&[1][..], &[2, 1], &[2], &[], &[1, 1]]))
        .raw(&[7; 32])
        .numbers(suites)
        .vector(2, &list.0)
        .numbers(choices.pick(&[&[0x0807, 0x0403][..], &[0x0403], &[0x0807, 0x0807], &[9]]))
        .names(choices.pick(&[&[REKEY][..], &[PLAIN, REKEY], &[PLAIN], &["x"], &[REKEY, REKEY]]))
        .names(choices.pick(&[&["grpc"][..], &["h3", "h2", "grpc"], &["h3"], &[""], &[]]));
    for number in choices.pick(&RPC_VERSIONS) {
        body.number(4, number);
    }
    body.number(4, u32::from(choices.byte()) << 8).extensions(choices.pick(&EXTENSIONS));
    edit(choices, &mut body.0);
    body.0
}

pub(super) fn talk(choices: &mut Choices<'_>) {
    let options = options(choices);
    let own = party(choices.pick(&["server", "p256"]));
    let rule = Rule::new(choices);
    let handshaker =
        LocalHandshaker::builder(own.identity.clone()).client_policy(rule.policy.clone()).build();
    let mut engine = Engine::new(handshaker.handshake(Role::Server, &options).unwrap());

    let (suites, offered) = choices.pick(&[
        (&[1][..], &[1][..]),
        (&[1, 2], &[1]),
        (&[2, 1], &[2, 1]),
        (&[2], &[2]),
        (&[9, 1], &[9, 1]),
        (&[9], &[9]),
        (&[1, 2], &[2, 1]),
        (&[1], &[2]),
        (&[1, 1], &[1]),
    ]);
    let shares = Shares::new(choices, offered.contains(&2));
    let first = frame(kind::CLIENT_INIT, &offer(choices, &shares, suites, offered));
    let Received::Message(first) = engine.receive(choices, first, kind::CLIENT_INIT, None) else {
        return;
    };
    let chosen = match judge::client_init(&first[8..], &options, own.scheme) {
        Ok(chosen) => chosen,
        Err(code) => return engine.assert_refused(Some(code), None),
    };

    assert!(engine.end.is_none());
    let answer = std::mem::take(&mut engine.out);
    let len = judge::header(*answer.first_chunk().unwrap(), &[kind::SERVER_INIT]).unwrap();
    let (second, third) = answer.split_at(len);
    let len = judge::header(*third.first_chunk().unwrap(), &[kind::SERVER_FINISHED]).unwrap();
    assert_eq!(third.len(), len);
    let init = ServerInit::read(&second[8..]).unwrap();
    assert_eq!((init.version, init.suite, &init.extensions[..]), (1, chosen.suite, &[][..]));
    let sent = ClientInit::read(&first[8..]).unwrap();
    let public = shares.public(chosen.suite);
    if !sent.shares.iter().any(|share| share.0 == chosen.suite && share.1 == public) {
        // The fuzzer has found another point; nobody knows the keys.
        return;
    }
    let shared = shares.agree(chosen.suite, &init.share);
    let mut transcript = [&first, second].concat();
    let secrets = Secrets::new(&shared, &hash(&transcript));
    let plaintext = secrets.open(Role::Server, Pair::Message, third).unwrap();
    let finished = Finished::read(&plaintext, true).unwrap();
    let choice = finished.choice.as_ref().unwrap();
    assert_eq!(choice.record_protocol, chosen.record_protocol);
    assert_eq!(choice.app_protocol, chosen.app_protocol);
    assert_eq!(choice.max_frame_size, options.max_frame_size);
    assert_eq!(finished.extensions, if chosen.close_notify { vec![1] } else { vec![] });
    assert_eq!((finished.chain, finished.scheme), (own.chain.clone(), own.scheme));
    transcript.extend([finished.statement, finished.signature_item].concat());
    assert_eq!(finished.mac, secrets.mac(Role::Server, &hash(&transcript)));
    transcript.extend(&finished.mac);

    let mut parameters = Out::default();
    parameters.extensions(EXTENSIONS[choices.below(24).saturating_sub(16)]);
    let turn = Turn {
        role: Role::Client,
        secrets: &secrets,
        transcript: &transcript,
        rule: &rule,
        options: &options,
        scheme: own.scheme,
    };
    let Some(accepted) = turn.send(choices, &mut engine, &parameters.0) else { return };
    let Finished { statement, signature_item, mac, .. } = accepted.finished;
    transcript.extend([statement, signature_item, mac].concat());
    let th7 = hash(&transcript);
    assert!(engine.out.is_empty());
    let result = engine.end.take().unwrap().unwrap();
    assert_eq!(result.key_data.as_bytes(), secrets.key_data(&chosen.record_protocol, &th7));
    assert_eq!(result.log_id[..], secrets.log_id(&th7));
    assert_eq!(result.record_protocol.name(), chosen.record_protocol);
    assert_eq!(result.application_protocol, chosen.app_protocol);
    assert_eq!(result.close_notify, chosen.close_notify);
    assert_eq!(result.peer_max_frame_size, chosen.max_frame_size);
    assert_eq!(result.peer.name(), format!("spiffe://test.example/{}", accepted.party.name));
    assert!(result.late_alert.is_none());
}
