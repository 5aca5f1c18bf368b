//! The insider is the server, the engine the client.

use alts::handshaker::{AlertCode, LocalHandshaker, Role, Suite};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::rand::SystemRandom;
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

use super::engine::{Engine, Received};
use super::statement::Turn;
use super::{EXTENSIONS, PLAIN, REKEY, RPC_VERSIONS, Rule, options};
use crate::altsh1::keys::{Pair, Secrets, hash};
use crate::altsh1::messages::{ClientInit, Finished, Out, read_alert};
use crate::altsh1::{frame, judge, kind};
use crate::choices::Choices;
use crate::edits::edit;
use crate::identities::{Party, party};

/// The insider's share for a suite, and the shared secret.
fn share(choices: &mut Choices<'_>, suite: u16, peer: &[u8]) -> (Vec<u8>, Vec<u8>) {
    if suite == 2 {
        let key = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).unwrap();
        let public = key.compute_public_key().unwrap().as_ref().to_vec();
        let peer = UnparsedPublicKey::new(&ECDH_P256, peer);
        return (public, agree_ephemeral(key, &peer, <[u8]>::to_vec).unwrap());
    }
    let private = [choices.byte(); 32];
    let public = x25519(private, X25519_BASEPOINT_BYTES);
    (public.to_vec(), x25519(private, peer.try_into().unwrap()).to_vec())
}

fn parameters(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut parameters = Out::default();
    for names in [[REKEY, PLAIN, "ALTSRP_GMAC_128", ""], ["grpc", "h2", "h3", "\u{7f}"]] {
        parameters.vector(1, names[choices.below(12).saturating_sub(8)].as_bytes());
    }
    for number in RPC_VERSIONS[choices.below(24).saturating_sub(18)] {
        parameters.number(4, number);
    }
    let schemes = [&[0x0807, 0x0403][..], &[0x0403], &[0x0807], &[1, 1], &[]];
    parameters
        .number(4, u32::from(choices.byte()) << 8)
        .numbers(schemes[choices.below(16).saturating_sub(11)])
        .extensions(EXTENSIONS[choices.below(24).saturating_sub(16)]);
    parameters.0
}

/// What the engine offers is what it was told to.
fn check_offer(offer: &ClientInit, suites: &[u16], options: &alts::handshaker::HandshakeOptions) {
    assert_eq!((&offer.versions[..], &offer.signature_schemes.len()), (&[1][..], &4));
    assert!(offer.shares.iter().map(|share| share.0).eq(suites.iter().copied()));
    assert!(offer.record_protocols.iter().eq(options.record_protocols.iter().map(|p| p.name())));
    assert_eq!(offer.app_protocols, options.application_protocols);
    assert_eq!(offer.max_frame_size, options.max_frame_size);
    assert_eq!(offer.extensions, if options.close_notify { vec![1] } else { vec![] });
    let (max, min) = (options.rpc_versions.max, options.rpc_versions.min);
    assert_eq!(offer.rpc_versions, [max.major, max.minor, min.major, min.minor]);
}

pub(super) fn talk(choices: &mut Choices<'_>) {
    let options = options(choices);
    let own = party(choices.pick(&["client", "p256"]));
    let rule = Rule::new(choices);
    let (suites, numbers): (&[Suite], &[u16]) =
        choices.pick(&[(&[Suite::X25519][..], &[1][..]), (&[Suite::P256, Suite::X25519], &[2, 1])]);
    let handshaker = LocalHandshaker::builder(own.identity.clone())
        .server_policy(rule.policy.clone())
        .suites(suites)
        .build();
    let mut engine = Engine::new(handshaker.handshake(Role::Client, &options).unwrap());
    engine.feed(&mut Choices::new(&[]), &[]);
    let first = std::mem::take(&mut engine.out);
    let offer = ClientInit::read(&first[8..]).unwrap();
    check_offer(&offer, numbers, &options);

    let suite = numbers[choices.below(numbers.len())];
    let peer = &offer.shares.iter().find(|share| share.0 == suite).unwrap().1;
    let (public, shared) = share(choices, suite, peer);
    let mut body = Out::default();
    body.number(2, choices.pick(&[1, 1, 1, 1, 1, 1, 2, 0]))
        .raw(&[9; 32])
        .number(2, u32::from([suite, 1, 2, 9][choices.below(12).saturating_sub(8)]))
        .vector(2, &public)
        .extensions(EXTENSIONS[choices.below(24).saturating_sub(16)]);
    edit(choices, &mut body.0);
    let second = frame(kind::SERVER_INIT, &body.0);
    let Received::Message(second) = engine.receive(choices, second, kind::SERVER_INIT, None) else {
        return;
    };
    let init = match judge::server_init(&second[8..], numbers) {
        Ok(init) => init,
        Err(code) => return engine.assert_refused(Some(code), None),
    };
    assert!(engine.end.is_none() && engine.out.is_empty());
    if (init.suite, &init.share) != (suite, &public) {
        return;
    }
    let mut transcript = [first, second].concat();
    let secrets = Secrets::new(&shared, &hash(&transcript));
    let turn = Turn {
        role: Role::Server,
        secrets: &secrets,
        transcript: &transcript,
        rule: &rule,
        options: &options,
        scheme: own.scheme,
    };
    let parameters = parameters(choices);
    let Some(accepted) = turn.send(choices, &mut engine, &parameters) else { return };
    let Finished { choice, extensions, statement, signature_item, mac, .. } = accepted.finished;
    transcript.extend([statement, signature_item, mac].concat());
    check_finish(&engine.out, &secrets, &mut transcript, own);

    let th7 = hash(&transcript);
    let choice = choice.unwrap();
    let result = engine.end.take().unwrap().unwrap();
    assert_eq!(result.key_data.as_bytes(), secrets.key_data(&choice.record_protocol, &th7));
    assert_eq!(result.log_id[..], secrets.log_id(&th7));
    assert_eq!(result.record_protocol.name(), choice.record_protocol);
    assert_eq!(result.application_protocol, choice.app_protocol);
    assert_eq!(result.close_notify, extensions == [1]);
    assert_eq!(result.peer_max_frame_size, choice.max_frame_size);
    assert_eq!(result.peer.name(), format!("spiffe://test.example/{}", accepted.party.name));

    // An alert may still come in the place of the first record.
    let late = result.late_alert.unwrap();
    let mut body = Out::default();
    body.number(2, choices.below(24) as u32).vector(1, b"");
    edit(choices, &mut body.0);
    let mut alert = secrets.seal(Role::Server, Pair::Alert, kind::SEALED_ALERT, &body.0);
    edit(choices, &mut alert);
    let whole = alert.first_chunk().map(|header| judge::header(*header, &[kind::SEALED_ALERT]));
    let expected = (whole == Some(Ok(alert.len())))
        .then(|| secrets.open(Role::Server, Pair::Alert, &alert))
        .and_then(|opened| read_alert(&opened?));
    let told = late.open(&alert).ok().map(|(code, _)| code);
    assert_eq!(told, expected.map(AlertCode::from_number));
}

/// The client's last message is its own, and right.
fn check_finish(frame: &[u8], secrets: &Secrets, transcript: &mut Vec<u8>, own: &Party) {
    let len = judge::header(*frame.first_chunk().unwrap(), &[kind::CLIENT_FINISHED]).unwrap();
    assert_eq!(frame.len(), len);
    let plaintext = secrets.open(Role::Client, Pair::Message, frame).unwrap();
    let finished = Finished::read(&plaintext, false).unwrap();
    assert_eq!((&finished.chain, finished.scheme), (&own.chain, own.scheme));
    assert!(finished.extensions.is_empty());
    transcript.extend([finished.statement, finished.signature_item].concat());
    assert_eq!(finished.mac, secrets.mac(Role::Client, &hash(transcript)));
    transcript.extend(finished.mac);
}
