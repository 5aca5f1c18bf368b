//! The key schedule: RFC 8446 section 7.1 in shape, under labels of its own.
//!
//! ```text
//! early  = Extract(0, 0)
//! hs     = Extract(DS(early, "derived", H("")), shared secret)
//! s_hs   = DS(hs, "s hs", TH1)            c_hs = DS(hs, "c hs", TH1)
//! master = Extract(DS(hs, "derived", H("")), 0)
//! ```
//!
//! Every secret is wiped when it is dropped. What *ring* copies of them it does not wipe.

use ring::{digest, hkdf, hmac};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::protocol::{
    HASH_LEN, Hash, LABEL_ALERT_IV, LABEL_ALERT_KEY, LABEL_DERIVED, LABEL_FINISHED, LABEL_IV,
    LABEL_KEY, LABEL_LOG_ID, LABEL_PREFIX, label_handshake, label_record,
};
use super::seal::MessageKey;
use crate::error::Error;
use crate::session::{KeyData, RecordProtocol, Role};

/// A secret of the schedule.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Secret([u8; HASH_LEN]);

/// The length of a key as *ring* wants it.
struct OutputLen(usize);

impl hkdf::KeyType for OutputLen {
    fn len(&self) -> usize {
        self.0
    }
}

impl Secret {
    /// HKDF-Extract.
    fn extract(salt: &[u8; HASH_LEN], input: &[u8]) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), input);
        let mut secret = Self([0; HASH_LEN]);
        secret.0.copy_from_slice(tag.as_ref());
        secret
    }

    /// HKDF-Expand-Label (RFC 8446 section 7.1) into all of `out`.
    fn expand(&self, label: &str, context: &[u8], out: &mut [u8]) {
        let length = (out.len() as u16).to_be_bytes();
        let label_length = [(LABEL_PREFIX.len() + label.len()) as u8];
        let context_length = [context.len() as u8];
        let info = [
            &length[..],
            &label_length,
            LABEL_PREFIX,
            label.as_bytes(),
            &context_length,
            context,
        ];
        hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &self.0)
            .expand(&info, OutputLen(out.len()))
            .and_then(|okm| okm.fill(out))
            .expect("every output is far below 255 blocks");
    }

    fn derive(&self, label: &str, hash: &Hash) -> Self {
        let mut secret = Self([0; HASH_LEN]);
        self.expand(label, hash, &mut secret.0);
        secret
    }

    fn message_key(&self, key_label: &str, iv_label: &str) -> MessageKey {
        let mut message_key = MessageKey::default();
        self.expand(key_label, &[], &mut message_key.key);
        self.expand(iv_label, &[], &mut message_key.iv);
        message_key
    }

    /// The salt of the next extraction.
    fn next_salt(&self) -> Zeroizing<[u8; HASH_LEN]> {
        let empty = digest::digest(&digest::SHA256, &[]);
        let mut salt = Zeroizing::new([0; HASH_LEN]);
        self.expand(LABEL_DERIVED, empty.as_ref(), &mut *salt);
        salt
    }
}

/// What two key shares make together.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct SharedSecret(pub(super) [u8; 32]);

/// What one side protects its handshake messages with.
pub(super) struct DirectionSecret(Secret);

impl DirectionSecret {
    /// Seals the side's `ServerFinished` or `ClientFinished`.
    pub(super) fn message_key(&self) -> MessageKey {
        self.0.message_key(LABEL_KEY, LABEL_IV)
    }

    /// Seals the side's alert.
    pub(super) fn alert_key(&self) -> MessageKey {
        self.0.message_key(LABEL_ALERT_KEY, LABEL_ALERT_IV)
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
        let mut key = Zeroizing::new([0; HASH_LEN]);
        self.0.expand(LABEL_FINISHED, &[], &mut *key);
        hmac::Key::new(hmac::HMAC_SHA256, &*key)
    }
}

/// What the record layer's keys come from.
pub(super) struct MasterSecret(Secret);

impl MasterSecret {
    /// As many bytes as the protocol takes.
    pub(super) fn key_data(&self, protocol: RecordProtocol, th7: &Hash) -> KeyData {
        let mut bytes = vec![0; protocol.key_len()];
        self.0.expand(label_record(protocol), th7, &mut bytes);
        KeyData::new(bytes)
    }

    pub(super) fn log_id(&self, th7: &Hash) -> [u8; 16] {
        let mut log_id = [0; 16];
        self.0.expand(LABEL_LOG_ID, th7, &mut log_id);
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
        const ZERO: [u8; HASH_LEN] = [0; HASH_LEN];
        let early = Secret::extract(&ZERO, &ZERO);
        let handshake = Secret::extract(&early.next_salt(), &shared.0);
        let side = |role| DirectionSecret(handshake.derive(label_handshake(role), th1));
        Self {
            server: side(Role::Server),
            client: side(Role::Client),
            master: MasterSecret(Secret::extract(&handshake.next_salt(), &ZERO)),
        }
    }
}
