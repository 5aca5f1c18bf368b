//! Two engines joined in memory, under the identities in `tests/data`, at a time that the tests choose.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use alts_handshaker::identity::{Identity, Policy, Signer, TrustBundles};
use alts_handshaker::{
    AlertCode, Error, Handshake, HandshakeOptions, HandshakeResult, LocalHandshaker,
    LocalHandshakerBuilder, Role,
};

/// In 2027; the test identities are valid from 2025 to 2045.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(500_000 * 60 * 60)
}

/// In 2050.
pub(crate) fn too_late() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(701_280 * 60 * 60)
}

pub(crate) fn data(file: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Trusts the authorities of `domains`.
pub(crate) fn trusting(domains: &[&str]) -> TrustBundles {
    let mut bundles = TrustBundles::new();
    for domain in domains {
        let pem = data(&format!("{domain}.bundle.pem"));
        bundles.insert_pem(&domain.parse().unwrap(), &pem).unwrap();
    }
    bundles
}

pub(crate) fn identity_trusting(name: &str, domains: &[&str]) -> Arc<Identity> {
    let chain = data(&format!("{name}.chain.pem"));
    let key = data(&format!("{name}.key.pem"));
    Identity::from_pem(&chain, &key, trusting(domains), now()).unwrap()
}

/// An identity of `test.example` that trusts its own domain.
pub(crate) fn identity(name: &str) -> Arc<Identity> {
    identity_trusting(name, &["test.example"])
}

/// Named by `test.example`, vouched for by the authority of `other.example`. It believes itself.
pub(crate) fn impostor() -> Arc<Identity> {
    let mut bundles = TrustBundles::new();
    let home = "test.example".parse().unwrap();
    bundles.insert_pem(&home, &data("other.example.bundle.pem")).unwrap();
    bundles.insert_pem(&home, &data("test.example.bundle.pem")).unwrap();
    let (chain, key) = (data("impostor.chain.pem"), data("impostor.key.pem"));
    Identity::from_pem(&chain, &key, bundles, now()).unwrap()
}

/// As [`identity`], with the revocation list of `test.example`.
pub(crate) fn identity_with_revocations(name: &str) -> Arc<Identity> {
    let mut bundles = trusting(&["test.example"]);
    let home = "test.example".parse().unwrap();
    bundles.insert_crl_pem(&home, &data("test.example.crl.pem")).unwrap();
    let (chain, key) = (data(&format!("{name}.chain.pem")), data(&format!("{name}.key.pem")));
    Identity::from_pem(&chain, &key, bundles, now()).unwrap()
}

/// As [`identity`], with the key elsewhere.
pub(crate) fn identity_signing(name: &str, signer: Arc<dyn Signer>) -> Arc<Identity> {
    let chain = identity(name).chain().to_vec();
    Identity::new(chain, signer, trusting(&["test.example"]), now()).unwrap()
}

/// Identities of one authority, each valid for the hour that begins that many hours after the tests' time.
pub(crate) fn of_one_hour(names: [(&str, i64); 2]) -> [Arc<Identity>; 2] {
    use rcgen::string::Ia5String;
    use rcgen::{
        BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    };

    let hour = |hours: i64| time::OffsetDateTime::from(now()) + time::Duration::hours(hours);
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    names.map(|(name, begin)| {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (hour(begin), hour(begin + 1));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let id = Ia5String::try_from(format!("spiffe://hour.example/{name}")).unwrap();
        params.subject_alt_names = vec![SanType::URI(id)];
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &issuer).unwrap().pem();
        let mut trust = TrustBundles::new();
        trust.insert_pem(&"hour.example".parse().unwrap(), authority.as_bytes()).unwrap();
        let key = key.serialize_pem();
        Identity::from_pem(chain.as_bytes(), key.as_bytes(), trust, hour(begin).into()).unwrap()
    })
}

/// A handshaker for both roles that accepts everybody of its own trust domain.
pub(crate) fn builder(identity: &Arc<Identity>) -> LocalHandshakerBuilder {
    LocalHandshaker::builder(Arc::new(Arc::clone(identity)))
        .server_policy(Policy::own_trust_domain())
}

/// What the two sides are made of.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) client: LocalHandshaker,
    pub(crate) server: LocalHandshaker,
    pub(crate) client_options: HandshakeOptions,
    pub(crate) server_options: HandshakeOptions,
}

impl Pair {
    pub(crate) fn of(client: LocalHandshaker, server: LocalHandshaker) -> Self {
        Self {
            client,
            server,
            client_options: HandshakeOptions::default(),
            server_options: HandshakeOptions::default(),
        }
    }

    pub(crate) fn named(client: &str, server: &str) -> Self {
        Self::of(builder(&identity(client)).build(), builder(&identity(server)).build())
    }

    pub(crate) fn usual() -> Self {
        Self::named("client", "server")
    }

    pub(crate) fn client(&self) -> Side {
        Side::new(self.client.handshake(Role::Client, &self.client_options).unwrap())
    }

    pub(crate) fn server(&self) -> Side {
        Side::new(self.server.handshake(Role::Server, &self.server_options).unwrap())
    }

    /// A handshake that nobody disturbs.
    pub(crate) fn run(&self) -> Outcome {
        Outcome::of(self.client(), self.server())
    }

    /// The three flights of a good handshake.
    pub(crate) fn flights(&self) -> Flights {
        let (mut client, mut server) = (self.client(), self.server());
        let offer = client.feed(&[]);
        let answer = server.feed(&offer);
        let finish = client.feed(&answer);
        server.feed(&finish);
        client.result();
        server.result();
        Flights { offer, answer, finish }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Flights {
    /// `ClientInit`.
    pub(crate) offer: Vec<u8>,
    /// `ServerInit`, `ServerFinished`.
    pub(crate) answer: Vec<u8>,
    /// `ClientFinished`.
    pub(crate) finish: Vec<u8>,
}

/// One end, with what became of it.
#[derive(Debug)]
pub(crate) struct Side {
    handshake: Handshake,
    pub(crate) end: Option<Result<HandshakeResult, Error>>,
    /// Bytes after the handshake.
    pub(crate) records: Vec<u8>,
    pub(crate) time: SystemTime,
}

impl Side {
    pub(crate) fn new(handshake: Handshake) -> Self {
        Self { handshake, end: None, records: Vec::new(), time: now() }
    }

    /// Gives bytes of the peer, takes bytes for the peer. After the end, bytes are only collected.
    pub(crate) fn feed(&mut self, received: &[u8]) -> Vec<u8> {
        if self.end.is_some() {
            self.records.extend_from_slice(received);
            return Vec::new();
        }
        let mut out = Vec::new();
        match self.handshake.step(received, self.time, &mut out) {
            Ok(step) => match step.result {
                Some(result) => {
                    self.records.extend_from_slice(&received[step.consumed..]);
                    self.end = Some(Ok(result));
                }
                None => assert_eq!(step.consumed, received.len(), "all is taken until the end"),
            },
            Err(error) => {
                let mut more = Vec::new();
                for received in [&[][..], &[0x41; 100]] {
                    let again = self.handshake.step(received, self.time, &mut more);
                    assert_eq!(again.unwrap_err(), error, "the first error stays");
                }
                assert_eq!(more, [], "an error is told once");
                self.end = Some(Err(error));
            }
        }
        out
    }

    pub(crate) fn fail(&mut self, code: AlertCode) -> Vec<u8> {
        let mut out = Vec::new();
        self.handshake.fail(code, &mut out);
        out
    }

    pub(crate) fn handshake(&mut self) -> &mut Handshake {
        &mut self.handshake
    }

    pub(crate) fn succeeded(&self) -> bool {
        matches!(self.end, Some(Ok(_)))
    }

    #[track_caller]
    pub(crate) fn result(&self) -> &HandshakeResult {
        match &self.end {
            Some(Ok(result)) => result,
            other => panic!("no result but {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn error(&self) -> &Error {
        match &self.end {
            Some(Err(error)) => error,
            other => panic!("no error but {other:?}"),
        }
    }
}

/// Both ends after everything was delivered.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) client: Side,
    pub(crate) server: Side,
}

impl Outcome {
    /// Joins two ends until neither has anything to say. A handshake takes three flights and perhaps two alerts.
    pub(crate) fn of(mut client: Side, mut server: Side) -> Self {
        let mut to_server = client.feed(&[]);
        for _ in 0..3 {
            let to_client = server.feed(&to_server);
            to_server = client.feed(&to_client);
        }
        assert_eq!(to_server, [], "the ends are quiet");
        Self { client, server }
    }
}

/// Cuts a flight into its frames.
pub(crate) fn frames(mut flight: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some(header) = flight.first_chunk::<4>() {
        let (frame, rest) = flight.split_at(4 + u32::from_le_bytes(*header) as usize);
        frames.push(frame);
        flight = rest;
    }
    assert_eq!(flight, []);
    frames
}

/// A frame with that type.
pub(crate) fn frame(kind: u32, body: &[u8]) -> Vec<u8> {
    [&(4 + body.len() as u32).to_le_bytes(), &kind.to_le_bytes(), body].concat()
}

pub(crate) fn clear_alert(code: u16) -> Vec<u8> {
    let [high, low] = code.to_be_bytes();
    frame(0x4f, &[high, low, 0])
}

/// Both ends finished, and with the same.
#[track_caller]
pub(crate) fn assert_agreed(outcome: &Outcome) {
    let (client, server) = (outcome.client.result(), outcome.server.result());
    assert_eq!(client.key_data, server.key_data);
    assert_eq!(client.key_data.as_bytes().len(), client.record_protocol.key_len());
    assert_eq!(client.log_id, server.log_id);
    assert_eq!(client.record_protocol, server.record_protocol);
    assert_eq!(client.application_protocol, server.application_protocol);
    assert_eq!(client.close_notify, server.close_notify);
    assert_eq!(client.peer.name(), server.local);
    assert_eq!(server.peer.name(), client.local);
    assert!(client.late_alert.is_some());
    assert!(server.late_alert.is_none());
}

/// A side that waits for `frame(awaited)`; the server's peer is there to open what it answers.
pub(crate) fn waiting_for(awaited: u32) -> Side {
    let pair = Pair::usual();
    let (mut client, mut server) = (pair.client(), pair.server());
    let offer = client.feed(&[]);
    match awaited {
        0x41 => pair.server(),
        0x42 => client,
        0x43 => {
            let answer = server.feed(&offer);
            client.feed(frames(&answer)[0]);
            client
        }
        0x44 => {
            server.feed(&offer);
            server
        }
        other => panic!("{other:#x} is not awaited"),
    }
}

#[track_caller]
pub(crate) fn refuses(awaited: u32, bytes: &[u8], code: AlertCode) {
    let mut side = waiting_for(awaited);
    let told = side.feed(bytes);
    assert_eq!(side.error().alert(), Some(code), "{awaited:#x}: {bytes:02x?}");
    let sealed = awaited >= 0x43;
    assert_eq!(frames(&told).len(), 1);
    assert_eq!(told[4], if sealed { 0x4e } else { 0x4f }, "{awaited:#x}: {bytes:02x?}");
    if !sealed {
        assert_eq!(told, clear_alert(code.number()));
    }
}
