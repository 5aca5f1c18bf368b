//! The handshaker's test identities, whose bytes never change: what the fuzzer learns about them stays true.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use alts::handshaker::identity::{Identity, TrustBundles};
use x509_cert::der::{DecodePem, Encode};

/// In 2027; they are valid from 2025 to 2045.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(500_000 * 60 * 60)
}

macro_rules! data {
    ($($part:literal),+) => {
        include_bytes!(concat!("../../../handshaker/tests/data/", $($part),+)).as_slice()
    };
}

/// Somebody who may be a peer.
pub(crate) struct Party {
    pub(crate) name: &'static str,
    pub(crate) identity: Arc<Identity>,
    pub(crate) chain: Vec<Vec<u8>>,
    /// What its key signs with.
    pub(crate) scheme: u16,
    /// The alert for its chain, from those who trust `test.example` alone.
    pub(crate) chain_verdict: Result<(), u16>,
}

/// Trusts the authorities of `test.example`.
pub(crate) fn trust() -> TrustBundles {
    let mut bundles = TrustBundles::new();
    let home = "test.example".parse().unwrap();
    bundles.insert_pem(&home, data!("test.example.bundle.pem")).unwrap();
    bundles
}

/// The certificate (DER) of the one authority of `test.example`.
pub(crate) fn authority() -> Vec<u8> {
    let bundle = data!("test.example.bundle.pem");
    x509_cert::Certificate::from_pem(bundle).unwrap().to_der().unwrap()
}

/// Everybody, the usual first.
pub(crate) fn parties() -> &'static [Party] {
    static PARTIES: OnceLock<Vec<Party>> = OnceLock::new();
    PARTIES.get_or_init(|| {
        let other = data!("other.example.bundle.pem");
        let mut strangers = TrustBundles::new();
        strangers.insert_pem(&"other.example".parse().unwrap(), other).unwrap();
        // Believes that the other authority may speak for this domain.
        let mut confused = trust();
        confused.insert_pem(&"test.example".parse().unwrap(), other).unwrap();
        let party = |name, chain: &[u8], key: &[u8], trust, scheme, chain_verdict| {
            let identity = Identity::from_pem(chain, key, trust, now()).unwrap();
            let chain = identity.chain().iter().map(|der| der.to_vec()).collect();
            Party { name, identity, chain, scheme, chain_verdict }
        };
        macro_rules! good {
            ($name:literal, $scheme:literal) => {{
                let chain = data!($name, ".chain.pem");
                let key = data!($name, ".key.pem");
                (chain, key, $scheme, $name)
            }};
        }
        let mut parties = Vec::new();
        for (chain, key, scheme, name) in [
            good!("server", 0x0807),
            good!("client", 0x0807),
            good!("deep", 0x0807),
            good!("p256", 0x0403),
            good!("p384", 0x0503),
            good!("rsa", 0x0804),
        ] {
            parties.push(party(name, chain, key, trust(), scheme, Ok(())));
        }
        let (chain, key, scheme, name) = good!("stranger", 0x0807);
        parties.push(party(name, chain, key, strangers, scheme, Err(10)));
        let (chain, key, scheme, name) = good!("impostor", 0x0807);
        parties.push(party(name, chain, key, confused, scheme, Err(7)));
        parties
    })
}

pub(crate) fn party(name: &str) -> &'static Party {
    parties().iter().find(|party| party.name == name).unwrap()
}
