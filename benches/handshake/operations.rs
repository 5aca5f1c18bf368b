//! The public-key operations that neither protocol can do without, and nothing else: below their time no handshake comes.

use std::hint::black_box;
use std::sync::Arc;
use std::time::SystemTime;

use alts::handshaker::Role;
use alts::handshaker::identity::{
    ChainVerifier, PrivateKey, SignatureScheme, Signer, VerifiedPeer,
};
use rustls::crypto::ring::kx_group::X25519;

use super::altsh1::identity;
use super::certificates::Certificates;

/// As many bytes as both protocols sign, within a few.
const MESSAGE: [u8; 120] = [0x20; 120];

pub(crate) struct Operations {
    key: PrivateKey,
    scheme: SignatureScheme,
    /// Whose key that is.
    peer: Arc<VerifiedPeer>,
}

impl Operations {
    pub(crate) fn new(certificates: &Certificates) -> Self {
        let leaf = &certificates.server;
        let key = PrivateKey::from_pem(leaf.key.as_bytes()).expect("a key");
        let scheme = key.schemes()[0];
        let identity = identity(leaf, &certificates.authority);
        let chain: Vec<_> = identity.chain().iter().map(AsRef::as_ref).collect();
        let verifier = ChainVerifier::new();
        let peer = verifier.verify(&identity, &chain, Role::Server, SystemTime::now());
        let signature = key.sign(scheme, &MESSAGE).expect("a signature");
        let peer = peer.expect("a good chain").verify_signature(scheme, &MESSAGE, &signature);
        Self { key, scheme, peer: peer.expect("a good signature") }
    }

    /// Those of both sides when chains are known: key pairs, agreements, signatures, and their verification.
    pub(crate) fn both_sides(&self) {
        let [client, server] = [(); 2].map(|()| X25519.start().expect("a key pair"));
        let (at_client, at_server) = (client.pub_key().to_vec(), server.pub_key().to_vec());
        for (side, peer) in [(client, at_server), (server, at_client)] {
            black_box(side.complete(&peer).expect("a good share"));
            let signature = self.key.sign(self.scheme, &MESSAGE).expect("a signature");
            self.peer.verify_signature(self.scheme, &MESSAGE, &signature).expect("a good one");
        }
    }
}
