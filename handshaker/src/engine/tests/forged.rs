//! Peers that know the protocol and break it: each fault in a message that otherwise is right.

mod answers;
mod offers;
mod resumption;

use std::sync::Arc;

use super::{honest, identity, step};
use crate::alert::AlertCode;
use crate::engine::alert::Alerts;
use crate::engine::client_init::{ClientInit, OfferedShare};
use crate::engine::extensions::{Extensions, Form};
use crate::engine::finished::{self, ClientParameters, Finished, Parameters, ServerParameters};
use crate::engine::frame::{self, Frame, Header};
use crate::engine::key_share::KeyShare;
use crate::engine::padding;
use crate::engine::proof;
use crate::engine::protocol::{FrameKind, Hash, Stage, Th0, Th4, Transcript};
use crate::engine::schedule::{DirectionSecret, Secrets};
use crate::engine::server_init::ServerInit;
use crate::engine::{Ephemerals, Suite, SystemEphemerals};
use crate::error::Error;
use crate::identity::{Identity, SignatureScheme};
use crate::role::Role;
use crate::session::{HandshakeOptions, RpcVersion, RpcVersions};

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
        let mut mac = mac_of.expander().mac(&th);
        (self.mac)(&mut mac);
        plaintext.extend_from_slice(&mac);
        (self.before_padding)(&mut plaintext);
        padding::encode(&mut plaintext);
        (self.plaintext)(&mut plaintext);
        let kind = match role {
            Role::Server => FrameKind::ServerFinished,
            Role::Client => FrameKind::ClientFinished,
        };
        let key = secret(self.sealed_by.unwrap_or(role)).expander().message_key();
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
        Error::Alert { code, sealed, .. } => (code, sealed),
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

    /// An honest client's judgment of `ServerInit`, when it refuses it.
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

    /// An honest client's judgment of `ServerFinished`.
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
        let plaintext = second.open(&secrets.server.expander().message_key()).unwrap();
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

    /// An honest server's judgment of `ClientFinished`.
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

fn rpc(major: u32) -> RpcVersions {
    let version = RpcVersion { major, minor: 0 };
    RpcVersions { max: version, min: version }
}

/// Loads `extensions<u16>` that own nothing.
fn extensions<R: Form<'static>>(encoded: &'static [u8]) -> Extensions<'static, R> {
    let mut reader = crate::engine::codec::Reader::new("it", encoded);
    Extensions::load(&mut reader).unwrap()
}

const PLAIN: &[u8] = &[0, 4, 0x7f, 0x01, 0, 0];
const CRITICAL: &[u8] = &[0, 4, 0xff, 0x01, 0, 0];
const CLOSE_NOTIFY: &[u8] = &[0, 4, 0, 1, 0, 0];
const RESUMPTION: &[u8] = &[0, 4, 0, 0x10, 0, 0];
const CRITICAL_RESUMPTION: &[u8] = &[0, 4, 0x80, 0x10, 0, 0];
const CRITICAL_CLOSE_NOTIFY: &[u8] = &[0, 4, 0x80, 1, 0, 0];
