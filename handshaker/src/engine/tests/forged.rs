//! Peers that know the protocol and break it: each fault in a message that otherwise is right.

use std::sync::Arc;

use super::{config, honest, identity, step};
use crate::engine::alert::Alerts;
use crate::engine::client_init::{ClientInit, OfferedShare};
use crate::engine::extensions::Extensions;
use crate::engine::finished::{
    self, ClientParameters, Finished, Parameters, ServerParameters, encode_padding,
};
use crate::engine::frame::{self, Frame, Header};
use crate::engine::key_share::KeyShare;
use crate::engine::proof;
use crate::engine::protocol::{FrameKind, Hash, Stage, Th0, Th4, Transcript};
use crate::engine::schedule::{DirectionSecret, Secrets};
use crate::engine::server_init::ServerInit;
use crate::engine::{Config, Ephemerals, Handshake, Suite, SystemEphemerals};
use crate::error::{AlertCode, Error};
use crate::identity::{Identity, SignatureScheme};
use crate::session::{HandshakeOptions, Role, RpcVersion, RpcVersions};

/// How a Finished message is to differ from a good one.
struct Forgery<P> {
    parameters: fn(&mut P),
    identity: &'static str,
    chain: fn(&mut Vec<Vec<u8>>),
    /// Named; the signature is of the key's own scheme.
    scheme: u16,
    sign_as: Option<Role>,
    signed: fn(&mut Hash),
    signature: fn(&mut Vec<u8>),
    /// Whose MAC key is used.
    mac_of: Option<Role>,
    mac: fn(&mut [u8]),
    /// Before and after the padding is made.
    before_padding: fn(&mut Vec<u8>),
    plaintext: fn(&mut Vec<u8>),
    /// Whose key seals.
    sealed_by: Option<Role>,
}

impl<P> Forgery<P> {
    /// No difference.
    fn none() -> Self {
        Self {
            parameters: |_| {},
            identity: "deep",
            chain: |_| {},
            scheme: SignatureScheme::ED25519.0,
            sign_as: None,
            signed: |_| {},
            signature: |_| {},
            mac_of: None,
            mac: |_| {},
            before_padding: |_| {},
            plaintext: |_| {},
            sealed_by: None,
        }
    }

    /// Seals a Finished message. The stages of the transcript are typed by role, so adding to it is left to `add`, which is
    /// given the statement, then the signature, and answers with the hash.
    fn seal<'a>(
        &self,
        role: Role,
        mut parameters: P,
        secrets: &Secrets,
        mut add: impl FnMut(&[u8]) -> Hash,
    ) -> Vec<u8>
    where
        P: Parameters<'a>,
    {
        let own: Arc<Identity> = identity(self.identity);
        let secret = |role| match role {
            Role::Server => &secrets.server,
            Role::Client => &secrets.client,
        };
        (self.parameters)(&mut parameters);
        let mut chain = own.chain().iter().map(|der| der.to_vec()).collect();
        (self.chain)(&mut chain);
        let mut plaintext = Vec::new();
        finished::encode_statement(&mut plaintext, &parameters, &chain, self.scheme);
        let mut signed = add(&plaintext);
        (self.signed)(&mut signed);
        let scheme = own.signer().schemes()[0];
        let sign_as = self.sign_as.unwrap_or(role);
        let mut signature = proof::sign(&own, scheme, sign_as, &signed).unwrap();
        (self.signature)(&mut signature);
        let at = plaintext.len();
        finished::encode_signature(&mut plaintext, &signature);
        let th = add(&plaintext[at..]);
        let mac_of: &DirectionSecret = secret(self.mac_of.unwrap_or(role));
        let mut mac = mac_of.mac(&th);
        (self.mac)(&mut mac);
        plaintext.extend_from_slice(&mac);
        (self.before_padding)(&mut plaintext);
        encode_padding(&mut plaintext);
        (self.plaintext)(&mut plaintext);
        let kind = match role {
            Role::Server => FrameKind::ServerFinished,
            Role::Client => FrameKind::ClientFinished,
        };
        let key = secret(self.sealed_by.unwrap_or(role)).message_key();
        let mut out = Vec::new();
        frame::write_sealed(&mut out, kind, key, &plaintext);
        out
    }
}

fn frame_of(bytes: &[u8]) -> Frame {
    let header = Header::load(*bytes.first_chunk().unwrap()).unwrap();
    assert_eq!(header.frame_len, bytes.len());
    Frame::new(header.kind, bytes.to_vec())
}

/// What the alert in `out` says to a peer that can read it.
fn told(own: Role, secrets: Option<&Secrets>, out: &[u8]) -> (AlertCode, bool) {
    let alerts = secrets.map_or_else(Alerts::clear, |secrets| Alerts::sealed(own, secrets));
    match alerts.receive(&mut frame_of(out)) {
        Error::Alert { code, authenticated, .. } => (code, authenticated),
        other => panic!("no alert: {other:?}"),
    }
}

/// A server that answers one offer; `reply` may change `ServerInit`.
struct ForgingServer {
    init: fn(&mut ServerInit<'_>),
    init_body: fn(&mut Vec<u8>),
    finished: Forgery<ServerParameters<'static>>,
}

impl ForgingServer {
    fn none() -> Self {
        Self { init: |_| {}, init_body: |_| {}, finished: Forgery::none() }
    }

    /// Both messages, and the secrets unless the client will not get that far.
    fn answer(&self, offer: &[u8]) -> (Vec<u8>, Vec<u8>, Secrets) {
        let offer_frame = frame_of(offer);
        let offer = ClientInit::load(offer_frame.body()).unwrap();
        let share = SystemEphemerals.key_share(Suite::X25519).unwrap();
        let public = share.public().to_vec();
        let mut init = ServerInit {
            version: 1,
            random: [3; 32],
            suite: 1,
            share: &public,
            extensions: Extensions::default(),
        };
        (self.init)(&mut init);
        let mut body = Vec::new();
        init.encode(&mut body);
        (self.init_body)(&mut body);
        let mut first = Vec::new();
        frame::write(&mut first, FrameKind::ServerInit, |out| out.extend_from_slice(&body));

        let shared = share.agree(offer.shares[0].key).unwrap();
        let th1 = Transcript::new().client_init(offer_frame.whole()).server_init(&first);
        let secrets = Secrets::new(&shared, &th1.hash());
        let parameters = ServerParameters {
            record_protocol: "ALTSRP_GCM_AES128_REKEY",
            app_protocol: "grpc",
            rpc_versions: RpcVersions::GRPC,
            max_frame_size: 16_384,
            signature_schemes: vec![0x0807, 0x0403],
            extensions: Extensions::default(),
        };
        let mut before = Some(th1);
        let mut after = None;
        let second = self.finished.seal(Role::Server, parameters, &secrets, |item| {
            if let Some(th1) = before.take() {
                let th2 = th1.server_statement(item);
                after.insert(th2).hash()
            } else {
                after.take().unwrap().server_signature(item).hash()
            }
        });
        (first, second, secrets)
    }

    /// An honest client's judgement of `ServerInit`, when it refuses it.
    #[track_caller]
    fn init_refused(&self) -> AlertCode {
        let mut client = honest(Role::Client, HandshakeOptions::default());
        let (offer, _) = step(&mut client, &[]);
        let (first, ..) = self.answer(&offer);
        let (out, end) = step(&mut client, &first);
        let code = end.unwrap_err().alert().unwrap();
        assert_eq!(told(Role::Server, None, &out), (code, false), "there are no keys yet");
        code
    }

    /// An honest client's judgement of `ServerFinished`.
    fn judged(&self, options: HandshakeOptions) -> Result<(), AlertCode> {
        let mut client = honest(Role::Client, options);
        let (offer, _) = step(&mut client, &[]);
        let (first, second, secrets) = self.answer(&offer);
        let (out, end) = step(&mut client, &first);
        assert!(out.is_empty() && end.unwrap().is_none());
        let (out, end) = step(&mut client, &second);
        match end {
            Ok(result) => {
                assert!(result.is_some());
                assert_eq!(frame_of(&out).kind(), FrameKind::ClientFinished);
                Ok(())
            }
            Err(error) => {
                let code = error.alert().unwrap();
                assert_eq!(told(Role::Server, Some(&secrets), &out), (code, true));
                Err(code)
            }
        }
    }

    #[track_caller]
    fn finished_refused(finished: Forgery<ServerParameters<'static>>) -> AlertCode {
        let server = Self { finished, ..Self::none() };
        server.judged(HandshakeOptions::default()).unwrap_err()
    }
}

/// A client that offers and finishes.
struct ForgingClient {
    share: Box<dyn KeyShare>,
    offer: Vec<u8>,
    transcript: Th0,
}

impl ForgingClient {
    fn new() -> Self {
        let share = SystemEphemerals.key_share(Suite::X25519).unwrap();
        let offer = offer(|_| {}, share.public());
        let transcript = Transcript::new().client_init(&offer);
        Self { share, offer, transcript }
    }

    fn finish(
        self,
        answer: &[u8],
        forgery: &Forgery<ClientParameters<'static>>,
    ) -> (Vec<u8>, Secrets) {
        let first = Header::load(*answer.first_chunk().unwrap()).unwrap();
        let (first, second) = answer.split_at(first.frame_len);
        let first = frame_of(first);
        let init = ServerInit::load(first.body()).unwrap();
        let shared = self.share.agree(init.share).unwrap();
        let th1 = self.transcript.server_init(first.whole());
        let secrets = Secrets::new(&shared, &th1.hash());
        let mut second = frame_of(second);
        let plaintext = second.open(&secrets.server.message_key()).unwrap();
        let finished = Finished::<ServerParameters<'_>>::load(plaintext).unwrap();
        let th4: Th4 = th1
            .server_statement(finished.statement)
            .server_signature(finished.signature_item)
            .server_mac(&finished.mac);
        let mut before = Some(th4);
        let mut after = None;
        let own = forgery.seal(Role::Client, ClientParameters::default(), &secrets, |item| {
            if let Some(th4) = before.take() {
                let th5 = th4.client_statement(item);
                after.insert(th5).hash()
            } else {
                after.take().unwrap().client_signature(item).hash()
            }
        });
        (own, secrets)
    }

    /// An honest server's judgement of `ClientFinished`.
    fn judged(forgery: &Forgery<ClientParameters<'static>>) -> Result<(), AlertCode> {
        let client = Self::new();
        let mut server = honest(Role::Server, HandshakeOptions::default());
        let (answer, _) = step(&mut server, &client.offer);
        let (finish, secrets) = client.finish(&answer, forgery);
        let (out, end) = step(&mut server, &finish);
        match end {
            Ok(result) => {
                assert!(result.is_some() && out.is_empty());
                Ok(())
            }
            Err(error) => {
                let code = error.alert().unwrap();
                assert_eq!(told(Role::Client, Some(&secrets), &out), (code, true));
                Err(code)
            }
        }
    }
}

/// A good offer, changed.
fn offer(change: impl FnOnce(&mut ClientInit<'_>), public: &[u8]) -> Vec<u8> {
    let mut init = ClientInit {
        versions: vec![1],
        random: [1; 32],
        suites: vec![1],
        shares: vec![OfferedShare { suite: 1, key: public }],
        signature_schemes: vec![0x0807],
        record_protocols: vec!["ALTSRP_GCM_AES128_REKEY"],
        app_protocols: vec!["grpc"],
        rpc_versions: RpcVersions::GRPC,
        max_frame_size: 0,
        extensions: Extensions::default(),
    };
    change(&mut init);
    let mut out = Vec::new();
    frame::write(&mut out, FrameKind::ClientInit, |out| init.encode(out));
    out
}

/// An honest server's judgement of an offer.
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

fn rpc(major: u32) -> RpcVersions {
    let version = RpcVersion { major, minor: 0 };
    RpcVersions { max: version, min: version }
}

/// Loads `extensions<u16>` that own nothing.
fn extensions(encoded: &'static [u8]) -> Extensions<'static> {
    let mut reader = crate::engine::codec::Reader::new("it", encoded);
    Extensions::load(&mut reader).unwrap()
}

const PLAIN: &[u8] = &[0, 4, 0x7f, 0x01, 0, 0];
const CRITICAL: &[u8] = &[0, 4, 0xff, 0x01, 0, 0];
const CLOSE_NOTIFY: &[u8] = &[0, 4, 0, 1, 0, 0];
const CRITICAL_CLOSE_NOTIFY: &[u8] = &[0, 4, 0x80, 1, 0, 0];

#[test]
fn without_a_forgery_nothing_is_refused() {
    assert_eq!(ForgingServer::none().judged(HandshakeOptions::default()), Ok(()));
    assert_eq!(ForgingClient::judged(&Forgery::none()), Ok(()));
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
    assert_eq!(refused(|it| it.extensions = extensions(PLAIN)), illegal);
    let unsupported = AlertCode::UnsupportedExtension;
    assert_eq!(refused(|it| it.extensions = extensions(CRITICAL)), unsupported);
    assert_eq!(refused(|it| it.extensions = extensions(CRITICAL_CLOSE_NOTIFY)), unsupported);
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
            "a chain in disorder",
            BadCertificate,
            Forgery { chain: |chain| chain.swap(1, 2), ..none() },
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
    assert_eq!(refused(|it| it.extensions = extensions(PLAIN)), illegal);
    let critical = |it: &mut ClientParameters<'static>| it.extensions = extensions(CRITICAL);
    assert_eq!(refused(critical), AlertCode::UnsupportedExtension);
}
