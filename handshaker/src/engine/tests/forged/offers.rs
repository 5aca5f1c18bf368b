//! `ClientInit` with faults.

use super::{
    CRITICAL, CRITICAL_CLOSE_NOTIFY, CRITICAL_RESUMPTION, ForgingServer, PLAIN, extensions,
    frame_of, offer, rpc, told,
};
use crate::alert::AlertCode;
use crate::engine::client_init::{ClientInit, OfferedShare};
use crate::engine::codec::{put_u16, vector8, vector16};
use crate::engine::frame::{self, Header};
use crate::engine::key_share::Suite;
use crate::engine::protocol::FrameKind;
use crate::engine::tests::{honest, step};
use crate::engine::{Ephemerals, SystemEphemerals};
use crate::role::Role;
use crate::session::HandshakeOptions;

/// An honest server's judgment of an offer.
fn judged(offer: &[u8]) -> Result<(), AlertCode> {
    let mut server = honest(Role::Server, HandshakeOptions::default());
    let (out, end) = step(&mut server, offer);
    match end {
        Ok(result) => {
            assert!(result.is_none());
            assert_eq!(
                Header::load(*out.first_chunk().unwrap()).unwrap().kind,
                FrameKind::ServerInit
            );
            Ok(())
        }
        Err(error) => {
            let code = error.alert().unwrap();
            assert_eq!(told(Role::Client, None, &out), (code, false));
            Err(code)
        }
    }
}

fn offered(change: fn(&mut ClientInit<'_>)) -> Result<(), AlertCode> {
    let share = SystemEphemerals.key_share(Suite::X25519).unwrap();
    judged(&offer(change, share.public()))
}

/// A good offer's body, changed as bytes.
fn offered_bytes(change: fn(&mut Vec<u8>)) -> Result<(), AlertCode> {
    let share = SystemEphemerals.key_share(Suite::X25519).unwrap();
    let mut body = frame_of(&offer(|_| {}, share.public())).body().to_vec();
    change(&mut body);
    let mut out = Vec::new();
    frame::write(&mut out, FrameKind::ClientInit, |out| out.extend_from_slice(&body));
    judged(&out)
}

#[test]
fn without_a_fault_nothing_is_refused() {
    assert_eq!(offered(|_| {}), Ok(()));
    assert_eq!(offered_bytes(|_| {}), Ok(()));
}

#[test]
fn offers_with_unknown_parts_are_understood() {
    assert_eq!(offered(|init| init.versions = vec![0xff00, 1, 2]), Ok(()));
    assert_eq!(offered(|init| init.signature_schemes = vec![0x0999, 0x0807]), Ok(()));
    assert_eq!(offered(|init| init.record_protocols.insert(0, "ALTSRP_GMAC_128")), Ok(()));
    assert_eq!(offered(|init| init.app_protocols.insert(0, "h5")), Ok(()));
    assert_eq!(offered(|init| init.extensions = extensions(PLAIN)), Ok(()));
    assert_eq!(
        offered(|init| {
            init.suites = vec![0x11, 1, 2];
            init.shares.insert(0, OfferedShare { suite: 0x11, key: &[] });
        }),
        Ok(())
    );
}

#[test]
fn offers_with_nothing_for_us() {
    assert_eq!(offered(|init| init.versions = vec![2, 0]), Err(AlertCode::UnsupportedVersion));
    assert_eq!(
        offered(|init| {
            init.suites = vec![0x11];
            init.shares[0].suite = 0x11;
        }),
        Err(AlertCode::NoCommonSuite)
    );
    assert_eq!(
        offered(|init| {
            init.suites = vec![1, 0x11];
            init.shares[0].suite = 0x11;
        }),
        Err(AlertCode::NoCommonSuite),
        "a suite without a share is not on offer"
    );
    assert_eq!(
        offered(|init| init.record_protocols = vec!["ALTSRP_GCM_AES128", "ALTSRP_GMAC_128"]),
        Err(AlertCode::NoCommonRecordProtocol)
    );
    assert_eq!(
        offered(|init| init.app_protocols = vec!["GRPC"]),
        Err(AlertCode::NoCommonAppProtocol),
        "names are compared exactly"
    );
    assert_eq!(offered(|init| init.rpc_versions = rpc(1)), Err(AlertCode::RpcVersionMismatch));
    assert_eq!(offered(|init| init.rpc_versions = rpc(3)), Err(AlertCode::RpcVersionMismatch));
    assert_eq!(
        offered(|init| init.signature_schemes = vec![0x0403]),
        Err(AlertCode::HandshakeFailure)
    );
    let unsupported = Err(AlertCode::UnsupportedExtension);
    assert_eq!(offered(|init| init.extensions = extensions(CRITICAL)), unsupported);
    assert_eq!(offered(|init| init.extensions = extensions(CRITICAL_CLOSE_NOTIFY)), unsupported);
    assert_eq!(offered(|init| init.extensions = extensions(CRITICAL_RESUMPTION)), unsupported);
}

/// What is wrong with resumption is told whether or not this side resumes, in the order in which it is read.
#[test]
fn resumption_that_is_malformed() {
    fn with(data: &[u8]) -> Result<(), AlertCode> {
        let share = SystemEphemerals.key_share(Suite::X25519).unwrap();
        let mut body = frame_of(&offer(|_| {}, share.public())).body().to_vec();
        body.truncate(body.len() - 2);
        vector16(&mut body, |out| {
            put_u16(out, 0x10);
            vector16(out, |out| out.extend_from_slice(data));
        });
        let mut out = Vec::new();
        frame::write(&mut out, FrameKind::ClientInit, |out| out.extend_from_slice(&body));
        judged(&out)
    }
    let ticket = |length: usize, binder: usize| {
        let mut data = vec![1];
        vector16(&mut data, |out| out.resize(3 + length, 5));
        vector8(&mut data, |out| out.resize(out.len() + binder, 6));
        data
    };
    let malformed = Err(AlertCode::DecodeError);
    assert_eq!(with(&[1, 0, 0, 0]), Ok(()));
    assert_eq!(
        with(&ticket(1_024, 32)),
        Ok(()),
        "nothing of it is known, so it is refused silently"
    );
    assert_eq!(with(&ticket(1_025, 32)), malformed);
    assert_eq!(with(&ticket(20, 31)), malformed);
    assert_eq!(with(&ticket(20, 0)), malformed);
    assert_eq!(with(&ticket(0, 32)), malformed);
    assert_eq!(with(&[]), malformed);
    assert_eq!(with(&[1, 0, 0, 0, 0]), malformed);
    assert_eq!(with(&[0, 0, 0, 0]), Err(AlertCode::IllegalParameter));
    assert_eq!(with(&[3, 0, 0, 0]), Err(AlertCode::IllegalParameter));
}

#[test]
fn offers_that_contradict_themselves() {
    let illegal = Err(AlertCode::IllegalParameter);
    assert_eq!(offered(|init| init.versions = vec![1, 1]), illegal);
    assert_eq!(offered(|init| init.suites = vec![1, 1]), illegal);
    assert_eq!(offered(|init| init.signature_schemes = vec![0x0807, 0x0403, 0x0807]), illegal);
    assert_eq!(offered(|init| init.app_protocols = vec!["grpc", "grpc"]), illegal);
    assert_eq!(offered(|init| init.record_protocols = vec!["a", "b", "a"]), illegal);
    assert_eq!(offered(|init| init.suites = vec![2]), illegal, "a share of no offered suite");
    let twice: fn(&mut ClientInit<'_>) = |init| init.shares.push(init.shares[0]);
    assert_eq!(offered(twice), illegal);
    assert_eq!(
        offered(|init| {
            init.suites = vec![2, 1];
            init.shares.push(OfferedShare { suite: 2, key: &[4; 65] });
        }),
        illegal,
        "shares in another order"
    );
}

/// 64 characters.
const LONGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// 65 characters.
const TOO_LONG: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0";

#[test]
fn offers_that_cannot_be_read() {
    let malformed = Err(AlertCode::DecodeError);
    assert_eq!(offered_bytes(|body| body.push(0)), malformed);
    assert_eq!(offered_bytes(|body| body.truncate(body.len() - 1)), malformed);
    assert_eq!(offered_bytes(Vec::clear), malformed);
    assert_eq!(offered(|init| init.versions.clear()), malformed);
    assert_eq!(offered(|init| init.versions = (1..=9).collect()), malformed);
    assert_eq!(offered(|init| init.suites.clear()), malformed);
    assert_eq!(offered(|init| init.shares.clear()), malformed);
    assert_eq!(
        offered(|init| {
            init.suites = vec![1, 2, 3];
            init.shares.push(OfferedShare { suite: 2, key: &[] });
            init.shares.push(OfferedShare { suite: 3, key: &[] });
        }),
        malformed,
        "three shares"
    );
    assert_eq!(offered(|init| init.record_protocols.clear()), malformed);
    assert_eq!(
        offered(|init| init.record_protocols = vec!["1", "2", "3", "4", "5", "6", "7", "8", "9"]),
        malformed
    );
    assert_eq!(offered(|init| init.app_protocols = vec!["1", "2", "3", "4", "5"]), malformed);
    for name in ["", "a b", "a\0", "grpc\u{e9}", "a\u{7f}"] {
        // The share is not looked at.
        assert_eq!(
            judged(&offer(|init| init.app_protocols.push(name), &[])),
            malformed,
            "{name:?}"
        );
    }
    assert_eq!(offered(|init| init.app_protocols.push(LONGEST)), Ok(()));
    assert_eq!(offered(|init| init.app_protocols.push(TOO_LONG)), malformed);
    // An odd number of bytes where numbers of two bytes are due.
    assert_eq!(
        offered_bytes(|body| {
            body[0] = 3;
            body.insert(3, 0);
        }),
        malformed
    );
}

#[test]
fn shares_that_make_no_secret() {
    let refused = Err(AlertCode::DecryptError);
    assert_eq!(offered(|init| init.shares[0].key = &[0; 32]), refused);
    assert_eq!(offered(|init| init.shares[0].key = &[9; 31]), refused);
    assert_eq!(offered(|init| init.shares[0].key = &[]), refused);
    let server = ForgingServer { init: |init| init.share = &[0; 32], ..ForgingServer::none() };
    assert_eq!(server.init_refused(), AlertCode::DecryptError);
    let server = ForgingServer { init: |init| init.share = &[9; 33], ..ForgingServer::none() };
    assert_eq!(server.init_refused(), AlertCode::DecryptError);
}
