//! The server's answer and both Finished messages with faults.

use super::{
    CLOSE_NOTIFY, CRITICAL, CRITICAL_CLOSE_NOTIFY, CRITICAL_RESUMPTION, Forgery, ForgingClient,
    ForgingServer, PLAIN, RESUMPTION, extensions, frame_of, rpc,
};
use crate::alert::AlertCode;
use crate::engine::client_init::ClientInit;
use crate::engine::extensions::Extensions;
use crate::engine::finished::{ClientParameters, ServerParameters};
use crate::engine::frame;
use crate::engine::protocol::FrameKind;
use crate::engine::server_init::ServerInit;
use crate::engine::tests::{config, identity, step};
use crate::engine::{Config, Handshake, Suite};
use crate::role::Role;
use crate::session::HandshakeOptions;

#[test]
fn without_a_forgery_nothing_is_refused() {
    assert_eq!(ForgingServer::none().judged(HandshakeOptions::default()), Ok(()));
    assert_eq!(ForgingClient::judged(&Forgery::none()), Ok(()));
}

#[test]
fn server_inits_that_are_refused() {
    let refused = |init: fn(&mut ServerInit<'_>)| {
        ForgingServer { init, ..ForgingServer::none() }.init_refused()
    };
    assert_eq!(refused(|init| init.version = 2), AlertCode::IllegalParameter);
    assert_eq!(refused(|init| init.version = 0), AlertCode::IllegalParameter);
    assert_eq!(refused(|init| init.suite = 0x11), AlertCode::IllegalParameter);
    let offered = |init: &mut ServerInit<'_>| init.extensions = extensions(CLOSE_NOTIFY);
    assert_eq!(refused(offered), AlertCode::IllegalParameter);
    let accepted = |init: &mut ServerInit<'_>| init.extensions = extensions(RESUMPTION);
    assert_eq!(refused(accepted), AlertCode::IllegalParameter);
    let twin = |init: &mut ServerInit<'_>| init.extensions = extensions(CRITICAL_RESUMPTION);
    assert_eq!(refused(twin), AlertCode::UnsupportedExtension);
    let unknown = |init: &mut ServerInit<'_>| init.extensions = extensions(PLAIN);
    assert_eq!(refused(unknown), AlertCode::IllegalParameter);
    let critical = |init: &mut ServerInit<'_>| init.extensions = extensions(CRITICAL);
    assert_eq!(refused(critical), AlertCode::UnsupportedExtension);

    let malformed = |init_body: fn(&mut Vec<u8>)| {
        ForgingServer { init_body, ..ForgingServer::none() }.init_refused()
    };
    assert_eq!(malformed(|body| body.push(0)), AlertCode::DecodeError);
    assert_eq!(malformed(Vec::clear), AlertCode::DecodeError);
    assert_eq!(malformed(|body| body.truncate(50)), AlertCode::DecodeError);
    let not_empty = |body: &mut Vec<u8>| {
        body.truncate(body.len() - 2);
        body.extend([0, 5, 0, 0x10, 0, 1, 0]);
    };
    assert_eq!(malformed(not_empty), AlertCode::DecodeError);
}

#[test]
fn a_suite_that_was_not_offered() {
    let config =
        Config { suites: [Suite::P256].into(), ..config("client", HandshakeOptions::default()) };
    let mut client = Handshake::new(Role::Client, config).unwrap();
    let (offer, _) = step(&mut client, &[]);
    let parsed = frame_of(&offer);
    assert_eq!(ClientInit::load(parsed.body()).unwrap().suites, [2]);
    let mut out = Vec::new();
    let init = ServerInit {
        version: 1,
        random: [0; 32],
        suite: 1,
        share: &[9; 32],
        extensions: Extensions::default(),
    };
    frame::write(&mut out, FrameKind::ServerInit, |out| init.encode(out));
    let (_, end) = step(&mut client, &out);
    assert_eq!(end.unwrap_err().alert(), Some(AlertCode::IllegalParameter));
}

#[test]
fn choices_that_were_not_offered() {
    let refused = |parameters: fn(&mut ServerParameters<'static>)| {
        ForgingServer::finished_refused(Forgery { parameters, ..Forgery::none() })
    };
    let illegal = AlertCode::IllegalParameter;
    assert_eq!(refused(|it| it.record_protocol = "ALTSRP_GCM_AES128"), illegal);
    assert_eq!(refused(|it| it.record_protocol = "ALTSRP_GMAC_128"), illegal);
    assert_eq!(refused(|it| it.app_protocol = "h2"), illegal);
    assert_eq!(refused(|it| it.signature_schemes.push(0x0403)), illegal);
    assert_eq!(refused(|it| it.extensions = extensions(CLOSE_NOTIFY)), illegal);
    assert_eq!(refused(|it| it.extensions = extensions(RESUMPTION)), illegal);
    assert_eq!(refused(|it| it.extensions = extensions(PLAIN)), illegal);
    let unsupported = AlertCode::UnsupportedExtension;
    assert_eq!(refused(|it| it.extensions = extensions(CRITICAL)), unsupported);
    assert_eq!(refused(|it| it.extensions = extensions(CRITICAL_CLOSE_NOTIFY)), unsupported);
    // Of two faults the one that is checked first is told: protocols, then extensions, then versions.
    let protocol_first = |it: &mut ServerParameters<'static>| {
        it.extensions = extensions(CRITICAL);
        it.app_protocol = "h3";
    };
    assert_eq!(refused(protocol_first), illegal);
    let extension_first = |it: &mut ServerParameters<'static>| {
        it.extensions = extensions(CRITICAL);
        it.rpc_versions = rpc(3);
    };
    assert_eq!(refused(extension_first), unsupported);
    assert_eq!(refused(|it| it.rpc_versions = rpc(1)), AlertCode::RpcVersionMismatch);
    assert_eq!(refused(|it| it.rpc_versions = rpc(3)), AlertCode::RpcVersionMismatch);
    assert_eq!(
        refused(|it| it.signature_schemes = vec![0x0403]),
        AlertCode::HandshakeFailure,
        "nothing that the client's key can do"
    );
    assert_eq!(refused(|it| it.signature_schemes.clear()), AlertCode::DecodeError);
    assert_eq!(refused(|it| it.app_protocol = ""), AlertCode::DecodeError);

    let close_notify = HandshakeOptions { close_notify: true, ..HandshakeOptions::default() };
    let server = |parameters| ForgingServer {
        finished: Forgery { parameters, ..Forgery::none() },
        ..ForgingServer::none()
    };
    let accepts = |it: &mut ServerParameters<'static>| it.extensions = extensions(CLOSE_NOTIFY);
    assert_eq!(server(accepts).judged(close_notify.clone()), Ok(()));
    let twin =
        |it: &mut ServerParameters<'static>| it.extensions = extensions(CRITICAL_CLOSE_NOTIFY);
    assert_eq!(server(twin).judged(close_notify), Err(unsupported));
}

/// The faults that either side may commit, and what each is called.
fn faults<P>() -> Vec<(&'static str, AlertCode, Forgery<P>)> {
    use AlertCode::{BadCertificate, DecodeError, DecryptError, IllegalParameter, TooLarge};
    let none = Forgery::none;
    vec![
        ("no chain", DecodeError, Forgery { chain: Vec::clear, ..none() }),
        (
            "six certificates",
            DecodeError,
            Forgery { chain: |chain| chain.push(chain[0].clone()), ..none() },
        ),
        (
            "the leaf behind its issuer",
            BadCertificate,
            Forgery { chain: |chain| chain.swap(0, 1), ..none() },
        ),
        (
            "a chain without its middle",
            BadCertificate,
            Forgery { chain: |chain| drop(chain.remove(2)), ..none() },
        ),
        (
            "garbage for a leaf",
            BadCertificate,
            Forgery { chain: |chain| chain[0].truncate(99), ..none() },
        ),
        ("an empty leaf", BadCertificate, Forgery { chain: |chain| chain[0].clear(), ..none() }),
        (
            "a leaf over 8 KiB",
            TooLarge,
            Forgery { chain: |chain| chain[0].resize(8_193, 0), ..none() },
        ),
        (
            "a chain over 24 KiB",
            TooLarge,
            Forgery {
                chain: |chain| chain.iter_mut().for_each(|der| der.resize(4_914, 0)),
                ..none()
            },
        ),
        ("a scheme not offered", IllegalParameter, Forgery { scheme: 0x0401, ..none() }),
        ("a scheme for another key", DecryptError, Forgery { scheme: 0x0403, ..none() }),
        (
            "somebody else's chain",
            DecryptError,
            Forgery {
                chain: |chain| {
                    *chain = identity("server").chain().iter().map(|der| der.to_vec()).collect();
                },
                ..none()
            },
        ),
        (
            "a signature cut short",
            DecryptError,
            Forgery { signature: |it| it.truncate(63), ..none() },
        ),
        ("no signature", DecryptError, Forgery { signature: Vec::clear, ..none() }),
        ("a wrong signature", DecryptError, Forgery { signature: |it| it[5] ^= 1, ..none() }),
        ("another transcript signed", DecryptError, Forgery { signed: |it| it[0] ^= 1, ..none() }),
        ("a wrong mac", DecryptError, Forgery { mac: |it| it[31] ^= 0x80, ..none() }),
        (
            "bytes before the padding",
            DecodeError,
            Forgery { before_padding: |it| it.push(0), ..none() },
        ),
        (
            "a bit in the padding",
            DecodeError,
            Forgery { plaintext: |it| *it.last_mut().unwrap() |= 1, ..none() },
        ),
        (
            "no padding",
            DecodeError,
            Forgery {
                plaintext: |it| {
                    let zeros = it.iter().rev().take_while(|&&byte| byte == 0).count();
                    it.truncate(it.len() - zeros);
                    let at = it.len() - 2;
                    it[at..].fill(0);
                },
                ..none()
            },
        ),
        (
            "padding not announced",
            DecodeError,
            Forgery { plaintext: |it| it.resize(it.len() + 512, 0), ..none() },
        ),
        ("nothing at all", DecodeError, Forgery { plaintext: Vec::clear, ..none() }),
    ]
}

#[test]
fn server_finished_with_faults() {
    for (fault, code, finished) in faults() {
        let server = ForgingServer { finished, ..ForgingServer::none() };
        assert_eq!(server.judged(HandshakeOptions::default()), Err(code), "{fault}");
    }
    let other = Some(Role::Client);
    for (fault, finished) in [
        ("signed as the client", Forgery { sign_as: other, ..Forgery::none() }),
        ("the client's mac", Forgery { mac_of: other, ..Forgery::none() }),
        ("sealed with the client's key", Forgery { sealed_by: other, ..Forgery::none() }),
    ] {
        let code = ForgingServer::finished_refused(finished);
        assert_eq!(code, AlertCode::DecryptError, "{fault}");
    }
}

/// What follows the leaf may come in any order.
#[test]
fn chains_in_disorder_are_accepted() {
    let finished = Forgery { chain: |chain| chain.swap(1, 2), ..Forgery::none() };
    let server = ForgingServer { finished, ..ForgingServer::none() };
    assert_eq!(server.judged(HandshakeOptions::default()), Ok(()));
    let forgery = Forgery { chain: |chain| chain.swap(1, 2), ..Forgery::none() };
    assert_eq!(ForgingClient::judged(&forgery), Ok(()));
}

#[test]
fn client_finished_with_faults() {
    for (fault, code, forgery) in faults() {
        assert_eq!(ForgingClient::judged(&forgery), Err(code), "{fault}");
    }
    let other = Some(Role::Server);
    for (fault, forgery) in [
        ("signed as the server", Forgery { sign_as: other, ..Forgery::none() }),
        ("the server's mac", Forgery { mac_of: other, ..Forgery::none() }),
        ("sealed with the server's key", Forgery { sealed_by: other, ..Forgery::none() }),
    ] {
        assert_eq!(ForgingClient::judged(&forgery), Err(AlertCode::DecryptError), "{fault}");
    }
    let refused = |parameters: fn(&mut ClientParameters<'static>)| {
        ForgingClient::judged(&Forgery { parameters, ..Forgery::none() }).unwrap_err()
    };
    let illegal = AlertCode::IllegalParameter;
    assert_eq!(refused(|it| it.extensions = extensions(CLOSE_NOTIFY)), illegal);
    assert_eq!(refused(|it| it.extensions = extensions(RESUMPTION)), illegal);
    assert_eq!(refused(|it| it.extensions = extensions(PLAIN)), illegal);
    let critical = |it: &mut ClientParameters<'static>| it.extensions = extensions(CRITICAL);
    assert_eq!(refused(critical), AlertCode::UnsupportedExtension);
}
