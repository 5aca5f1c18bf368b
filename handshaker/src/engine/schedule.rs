//! The key schedule: RFC 8446 section 7.1 in shape, under different labels.
//!
//! ```text
//! early  = Extract(0, 0)
//! hs     = Extract(DS(early, "derived", H("")), shared secret)
//! s_hs   = DS(hs, "s hs", TH1)            c_hs = DS(hs, "c hs", TH1)
//! master = Extract(DS(hs, "derived", H("")), 0)
//! ```
//!
//! What no secret goes into, the salt of `hs`, stands here as a constant.
//!
//! Every secret has its own heap allocation, is written there and wiped there: moving the value inline would leave a copy behind
//! at every move. What *ring* copies of them it does not wipe.

use ring::error::Unspecified;
use ring::{hkdf, hmac};
use zeroize::Zeroize;

use super::protocol::{
    HASH_LEN, Hash, LABEL_ALERT_IV, LABEL_ALERT_KEY, LABEL_DERIVED, LABEL_FINISHED, LABEL_IV,
    LABEL_KEY, LABEL_LOG_ID, LABEL_PREFIX, label_handshake, label_record,
};
use super::seal::MessageKey;
use crate::error::Error;
use crate::role::Role;
use crate::session::{KeyData, RecordProtocol};

/// SHA-256 of nothing.
const EMPTY_HASH: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// `DS(early, "derived", H(""))`, which is the same in every handshake.
const DERIVED_EARLY: [u8; HASH_LEN] = [
    0xd6, 0xd5, 0x52, 0xd9, 0xe3, 0x10, 0x28, 0xb0, 0xb5, 0xe6, 0xc4, 0x38, 0xd8, 0xf8, 0x4c, 0xea,
    0x48, 0x72, 0x0c, 0x90, 0xdf, 0xcc, 0xf6, 0xc9, 0x8e, 0x9b, 0xc9, 0x7f, 0xdb, 0x8d, 0xac, 0x77,
];

/// A secret of the schedule.
pub(super) struct Secret(pub(super) Box<[u8; HASH_LEN]>);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The length of a key as *ring* wants it.
struct OutputLen(usize);

impl hkdf::KeyType for OutputLen {
    fn len(&self) -> usize {
        self.0
    }
}

impl Secret {
    /// To be written in its place.
    fn blank() -> Self {
        Self(Box::new([0; HASH_LEN]))
    }

    /// HKDF-Extract.
    pub(super) fn extract(salt: &[u8; HASH_LEN], input: &[u8]) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), input);
        let mut secret = Self::blank();
        secret.0.copy_from_slice(tag.as_ref());
        secret
    }

    /// Makes ready to expand the secret: once for all that is derived from it in one place, since that takes a fourth of the
    /// time of an output. It holds a copy that *ring* does not wipe, so it is not kept.
    pub(super) fn expander(&self) -> Expander {
        Expander(hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &*self.0))
    }
}

/// A secret, ready to be expanded.
pub(super) struct Expander(hkdf::Prk);

impl Expander {
    /// HKDF-Expand-Label (RFC 8446 section 7.1) into all of `out`.
    fn expand(&self, label: &str, context: &[u8], out: &mut [u8]) {
        let length = (out.len() as u16).to_be_bytes();
        let label_length = [(LABEL_PREFIX.len() + label.len()) as u8];
        let context_length = [context.len() as u8];
        let info =
            [&length[..], &label_length, LABEL_PREFIX, label.as_bytes(), &context_length, context];
        self.expand_info(&info, out).expect("every output is far below 255 blocks");
    }

    /// HKDF-Expand, over the concatenation of `info`.
    pub(super) fn expand_info(&self, info: &[&[u8]], out: &mut [u8]) -> Result<(), Unspecified> {
        self.0.expand(info, OutputLen(out.len())).and_then(|okm| okm.fill(out))
    }

    fn derive(&self, label: &str, hash: &Hash) -> Secret {
        let mut secret = Secret::blank();
        self.expand(label, hash, &mut *secret.0);
        secret
    }

    fn message_key(&self, key_label: &str, iv_label: &str) -> MessageKey {
        let mut message_key = MessageKey::blank();
        self.expand(key_label, &[], message_key.key_mut());
        self.expand(iv_label, &[], message_key.iv_mut());
        message_key
    }

    /// The salt of the next extraction.
    pub(super) fn next_salt(&self) -> Secret {
        self.derive(LABEL_DERIVED, &EMPTY_HASH)
    }
}

/// What two key shares make together.
pub(crate) struct SharedSecret(pub(super) Box<[u8; 32]>);

impl SharedSecret {
    /// A copy of `bytes`, which are the caller's to wipe.
    pub(super) fn copy_of(bytes: &[u8; 32]) -> Self {
        let mut shared = Self(Box::new([0; 32]));
        shared.0.copy_from_slice(bytes);
        shared
    }
}

impl Drop for SharedSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What one side protects its handshake messages with.
pub(super) struct DirectionSecret(pub(super) Secret);

impl DirectionSecret {
    /// Seals the side's `ServerFinished` or `ClientFinished`.
    pub(super) fn message_key(&self) -> MessageKey {
        self.0.expander().message_key(LABEL_KEY, LABEL_IV)
    }

    /// Seals the side's alert.
    pub(super) fn alert_key(&self) -> MessageKey {
        self.0.expander().message_key(LABEL_ALERT_KEY, LABEL_ALERT_IV)
    }

    /// The side's authenticator.
    pub(super) fn mac(&self, transcript: &Hash) -> [u8; HASH_LEN] {
        let mut mac = [0; HASH_LEN];
        mac.copy_from_slice(hmac::sign(&self.finished_key(), transcript).as_ref());
        mac
    }

    /// Compares in constant time.
    pub(super) fn verify_mac(&self, transcript: &Hash, mac: &[u8]) -> Result<(), Error> {
        hmac::verify(&self.finished_key(), transcript, mac)
            .map_err(|_| Error::decrypt("the peer's authenticator does not fit the handshake"))
    }

    fn finished_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &*self.finished_secret().0)
    }

    pub(super) fn finished_secret(&self) -> Secret {
        let mut key = Secret::blank();
        self.0.expander().expand(LABEL_FINISHED, &[], &mut *key.0);
        key
    }
}

/// What the record layer's keys come from.
pub(super) struct MasterSecret(pub(super) Secret);

impl MasterSecret {
    /// Key material, as many bytes as the protocol takes, and the connection's public name.
    pub(super) fn finish(&self, protocol: RecordProtocol, th7: &Hash) -> (KeyData, [u8; 16]) {
        let master = self.0.expander();
        let mut key_data = vec![0; protocol.key_len()];
        master.expand(label_record(protocol), th7, &mut key_data);
        (KeyData::new(key_data), self.log_id(th7))
    }

    /// The connection's public name, which both sides know once the client has sent its last message.
    pub(super) fn log_id(&self, th7: &Hash) -> [u8; 16] {
        let mut log_id = [0; 16];
        self.0.expander().expand(LABEL_LOG_ID, th7, &mut log_id);
        log_id
    }
}

/// All secrets that exist once shares are exchanged.
pub(super) struct Secrets {
    pub(super) server: DirectionSecret,
    pub(super) client: DirectionSecret,
    pub(super) master: MasterSecret,
}

impl Secrets {
    pub(super) fn new(shared: &SharedSecret, th1: &Hash) -> Self {
        let handshake = Secret::extract(&DERIVED_EARLY, &*shared.0).expander();
        let side = |role| DirectionSecret(handshake.derive(label_handshake(role), th1));
        Self {
            server: side(Role::Server),
            client: side(Role::Client),
            master: MasterSecret(Secret::extract(&handshake.next_salt().0, &[0; HASH_LEN])),
        }
    }
}

/// The secrets of the specification's appendix.
#[cfg(test)]
pub(super) fn known_secrets() -> Secrets {
    use super::tests::document::known;
    let shared = known("ss").try_into().expect("32 bytes");
    let th1 = known("TH1").try_into().expect("32 bytes");
    Secrets::new(&SharedSecret::copy_of(&shared), &th1)
}

#[cfg(test)]
mod tests {
    use super::super::tests::document::{hash, known};
    use super::*;

    #[test]
    fn the_appendix_of_the_specification() {
        let Secrets { server, client, master } = known_secrets();
        assert_eq!(*server.0.0, *known("s_hs"));
        assert_eq!(*client.0.0, *known("c_hs"));
        assert_eq!(*master.0.0, *known("master"));
        for (secret, name) in [(&server, "s_hs"), (&client, "c_hs")] {
            let known = |value: &str| known(&format!("{value} of {name}"));
            assert_eq!(*secret.message_key().key(), *known("message_key"));
            assert_eq!(*secret.message_key().iv(), *known("message_nonce"));
            assert_eq!(*secret.alert_key().key(), *known("alert_key"));
            assert_eq!(*secret.alert_key().iv(), *known("alert_nonce"));
            assert_eq!(*secret.finished_secret().0, *known("finished_key"));
        }
        let th3 = hash("TH3");
        assert_eq!(server.mac(&th3), *known("server mac over TH3"));
        assert_eq!(server.verify_mac(&th3, &server.mac(&th3)), Ok(()));
        for (secret, transcript, mac) in [
            (&client, th3, server.mac(&th3)),
            (&server, hash("TH4"), server.mac(&th3)),
            (&server, th3, [0; HASH_LEN]),
        ] {
            let error = secret.verify_mac(&transcript, &mac).unwrap_err();
            assert_eq!(error.alert(), Some(crate::AlertCode::DecryptError));
        }
        let th7 = hash("TH7");
        for (protocol, name) in [
            (RecordProtocol::Aes128GcmRekey, "key_data (REKEY)"),
            (RecordProtocol::Aes128Gcm, "key_data (plain)"),
        ] {
            let (key_data, log_id) = master.finish(protocol, &th7);
            assert_eq!(key_data.as_bytes(), known(name));
            assert_eq!(log_id, *known("log_id"));
        }
    }

    #[test]
    fn extractions_and_salts() {
        let early = Secret::extract(&[0; 32], &[0; 32]);
        assert_eq!(*early.0, *known("early"));
        assert_eq!(*early.expander().next_salt().0, *known("derived_early"));
        assert_eq!(DERIVED_EARLY, *known("derived_early"));
        assert_eq!(EMPTY_HASH, hash(""));
        let handshake = Secret::extract(&DERIVED_EARLY, &known("ss"));
        assert_eq!(*handshake.0, *known("hs"));
        assert_eq!(*handshake.expander().next_salt().0, *known("derived_hs"));
    }
}
