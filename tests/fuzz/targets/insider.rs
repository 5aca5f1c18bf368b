//! An engine against a peer that knows the protocol, holds the keys and proves what it says, and says what the fuzzer likes. So
//! nothing hides behind signatures, MACs and tags: each message is judged a second time ([`judge`](crate::altsh1::judge)), and
//! the engine must come to the same verdict, tell its peer so, and in the end have the same keys.

mod as_client;
mod as_server;
mod engine;
mod statement;

use alts::handshaker::identity::Policy;
use alts::handshaker::{HandshakeOptions, RecordProtocol, RpcVersion, RpcVersions};

use crate::FEW;
use crate::choices::Choices;
use crate::identities::Party;

/// The options of an engine; the usual ones if the fuzzer says nothing.
fn options(choices: &mut Choices<'_>) -> HandshakeOptions {
    let mut options = HandshakeOptions::default();
    let bits = choices.byte();
    options.close_notify = bits & 1 != 0;
    if bits & 2 != 0 {
        options.record_protocols = vec![RecordProtocol::Aes128Gcm, RecordProtocol::Aes128GcmRekey];
    }
    if bits & 4 != 0 {
        options.application_protocols = vec!["h2".to_owned(), "grpc".to_owned()];
    }
    if bits & 8 != 0 {
        let version = |major, minor| RpcVersion { major, minor };
        options.rpc_versions = RpcVersions { max: version(3, 7), min: version(2, 0) };
    }
    if bits & 16 != 0 {
        options.max_frame_size = u32::from(choices.byte()) << 10;
    }
    options
}

/// A policy, and what it says to somebody.
struct Rule {
    policy: Policy,
    only: Option<&'static str>,
}

impl Rule {
    fn new(choices: &mut Choices<'_>) -> Self {
        if choices.one_in(4) {
            let policy = Policy::from_rules(["spiffe://test.example/deep"]).unwrap();
            return Self { policy, only: Some("deep") };
        }
        Self { policy: Policy::own_trust_domain(), only: None }
    }

    fn verdict(&self, party: &Party) -> Result<(), u16> {
        match self.only {
            Some(only) if only != party.name => Err(crate::altsh1::code::ACCESS_DENIED),
            _ => Ok(()),
        }
    }
}

const REKEY: &str = "ALTSRP_GCM_AES128_REKEY";
const PLAIN: &str = "ALTSRP_GCM_AES128";

/// RPC versions to state: maximum, then minimum.
const RPC_VERSIONS: [[u32; 4]; 6] = [
    [2, 1, 2, 1],
    [3, 9, 1, 0],
    [2, 0, 2, 0],
    [3, 8, 3, 8],
    [0, 0, u32::MAX, u32::MAX],
    [2, 7, 2, 2],
];

/// Extensions to send.
const EXTENSIONS: [&[(u16, &[u8])]; 8] = [
    &[],
    &[(1, b"")],
    &[(1, b""), (0x7fff, b"skip")],
    &[(0x8001, b"")],
    &[(1, b""), (0x8001, b"")],
    &[(2, b""), (1, b"")],
    &[(1, b"x")],
    &[(0x0203, b"unknown"), (0x8203, b"twin")],
];

#[test]
fn insider() {
    bolero::check!(name = "insider").with_iterations(FEW).with_max_len(600).for_each(
        |input: &[u8]| {
            for mut choices in Choices::several(input) {
                match choices.below(2) {
                    0 => as_client::talk(&mut choices),
                    _ => as_server::talk(&mut choices),
                }
            }
        },
    );
}
