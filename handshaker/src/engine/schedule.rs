//! The key schedule: RFC 8446 section 7.1 in shape, under different labels.
//!
//! ```text
//! early  = Extract(0, psk)                  psk: that of an accepted ticket, else 0
//! hs     = Extract(DS(early, "derived", H("")), shared secret)
//! s_hs   = DS(hs, "s hs", TH1)            c_hs = DS(hs, "c hs", TH1)
//! master = Extract(DS(hs, "derived", H("")), 0)
//! ```
//!
//! What no secret goes into, the salt of `hs` without a ticket, stands here as a constant.
//!
//! Every secret has its own heap allocation, is written there and wiped there: moving the value inline would leave a copy behind
//! at every move. What *ring* copies of them it does not wipe.

use ring::hmac;
use zeroize::Zeroize;

use super::protocol::{
    HASH_LEN, Hash, LABEL_ALERT_IV, LABEL_ALERT_KEY, LABEL_BINDER, LABEL_DERIVED, LABEL_FINISHED,
    LABEL_IV, LABEL_KEY, LABEL_LOG_ID, LABEL_NEXT_RESUMPTION, LABEL_RESUMPTION, LABEL_TICKET_IV,
    LABEL_TICKET_KEY, label_handshake, label_record,
};
use super::seal::MessageKey;
use crate::error::Error;
use crate::labels::Expander;
use crate::resumption::Psk;
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
        Expander::of(&self.0)
    }
}

/// What the schedule makes of a secret.
impl Expander {
    fn derive(&self, label: &str, hash: &Hash) -> Secret {
        let mut secret = Secret::blank();
        self.expand(label, hash, &mut *secret.0);
        secret
    }

    fn psk(&self, label: &str, hash: &Hash) -> Psk {
        Psk::written(|psk| self.expand(label, hash, psk))
    }

    fn message_key(&self, key_label: &str, iv_label: &str, context: &[u8]) -> MessageKey {
        let mut message_key = MessageKey::blank();
        self.expand(key_label, context, message_key.key_mut());
        self.expand(iv_label, context, message_key.iv_mut());
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

/// What a ticket's secret makes before shares are exchanged.
pub(super) struct EarlySecret(Secret);

impl EarlySecret {
    pub(super) fn of(psk: &[u8; HASH_LEN]) -> Self {
        Self(Secret::extract(&[0; HASH_LEN], psk))
    }

    /// Shows that the sender of the offer has the ticket's secret. `offer` is the hash of the frame with zeros in its place.
    pub(super) fn binder(&self, offer: &Hash) -> [u8; HASH_LEN] {
        let mut binder = [0; HASH_LEN];
        binder.copy_from_slice(hmac::sign(&self.binder_key(), offer).as_ref());
        binder
    }

    /// Compares in constant time.
    pub(super) fn verify_binder(&self, offer: &Hash, binder: &[u8]) -> Result<(), Error> {
        hmac::verify(&self.binder_key(), offer, binder)
            .map_err(|_| Error::decrypt("the binder of the client's ticket does not fit its offer"))
    }

    fn binder_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &*self.binder_secret().0)
    }

    pub(super) fn binder_secret(&self) -> Secret {
        let mut key = Secret::blank();
        let secret = self.0.expander().derive(LABEL_BINDER, &EMPTY_HASH);
        secret.expander().expand(LABEL_FINISHED, &[], &mut *key.0);
        key
    }
}

/// What one side protects its handshake messages with.
pub(super) struct DirectionSecret(pub(super) Secret);

impl DirectionSecret {
    /// Seals the side's `ServerFinished` or `ClientFinished`.
    pub(super) fn message_key(&self) -> MessageKey {
        self.0.expander().message_key(LABEL_KEY, LABEL_IV, &[])
    }

    /// Seals the side's alert.
    pub(super) fn alert_key(&self) -> MessageKey {
        self.0.expander().message_key(LABEL_ALERT_KEY, LABEL_ALERT_IV, &[])
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

    /// Of a full handshake that issues a ticket: what seals the `Ticket` frame, and the ticket's secret.
    pub(super) fn ticket(&self, th7: &Hash) -> (MessageKey, Psk) {
        let master = self.0.expander();
        let key = master.message_key(LABEL_TICKET_KEY, LABEL_TICKET_IV, th7);
        (key, master.psk(LABEL_RESUMPTION, th7))
    }

    /// The secret of the ticket that a resumed handshake issues.
    pub(super) fn next_ticket(&self, th1: &Hash) -> Psk {
        self.0.expander().psk(LABEL_NEXT_RESUMPTION, th1)
    }
}

/// All secrets that exist once shares are exchanged.
pub(super) struct Secrets {
    pub(super) server: DirectionSecret,
    pub(super) client: DirectionSecret,
    pub(super) master: MasterSecret,
}

impl Secrets {
    /// Of a full handshake.
    pub(super) fn new(shared: &SharedSecret, th1: &Hash) -> Self {
        Self::salted(&DERIVED_EARLY, shared, th1)
    }

    /// Of a handshake that resumes with the ticket whose secret made `early`.
    pub(super) fn resumed(early: &EarlySecret, shared: &SharedSecret, th1: &Hash) -> Self {
        Self::salted(&early.0.expander().next_salt().0, shared, th1)
    }

    fn salted(salt: &[u8; HASH_LEN], shared: &SharedSecret, th1: &Hash) -> Self {
        let handshake = Secret::extract(salt, &*shared.0).expander();
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

    /// The hash of what the client of the appendix offers with its ticket, the binder being `binder`; and the whole frame.
    fn resuming_offer(binder: &[u8; HASH_LEN]) -> (Hash, Vec<u8>) {
        use super::super::client_init::ClientInit;
        use super::super::extensions::Extensions;
        use super::super::frame;
        use super::super::protocol::{FrameKind, HEADER_LEN};
        use super::super::resumption::{Offer, OfferedTicket};

        let (full, ticket) = (known("ClientInit frame"), known("ticket"));
        let mut init = ClientInit::load(&full[HEADER_LEN..]).unwrap();
        let ticket = Some(OfferedTicket { ticket: &ticket, binder });
        init.extensions = Extensions::ours(true, Some(Offer { want: true, ticket }));
        let mut out = Vec::new();
        frame::write(&mut out, FrameKind::ClientInit, |out| init.encode(out));
        assert_eq!(out.len(), 425);
        let hash = ring::digest::digest(&ring::digest::SHA256, &out);
        (hash.as_ref().try_into().unwrap(), out)
    }

    #[test]
    fn the_appendix_about_resumption() {
        use super::super::protocol::{Stage, Transcript};

        let (th3, th7) = (hash("TH3"), hash("TH7"));
        let (key, psk) = known_secrets().master.ticket(&th7);
        assert_eq!(*key.key(), *known("ticket_key"));
        assert_eq!(*key.iv(), *known("ticket_iv"));
        assert_eq!(*psk.as_bytes(), *known("res"));

        let psk = std::array::from_fn(|at| at as u8);
        let early = EarlySecret::of(&psk);
        assert_eq!(*early.0.0, *known("resumed early"));
        assert_eq!(*early.binder_secret().0, *known("resumed binder_key"));
        let (zeros, _) = resuming_offer(&[0; HASH_LEN]);
        let binder = early.binder(&zeros);
        assert_eq!(binder, *known("resumed binder"));
        assert_eq!(early.verify_binder(&zeros, &binder), Ok(()));
        for (offer, binder) in [(&th3, binder), (&zeros, [0; HASH_LEN])] {
            let error = early.verify_binder(offer, &binder).unwrap_err();
            assert_eq!(error.alert(), Some(crate::AlertCode::DecryptError));
        }

        let offer = Transcript::new().client_init(&resuming_offer(&binder).1);
        let th1 = offer.server_init(&known("resumed ServerInit frame")).hash();
        assert_eq!(th1, *known("resumed TH1"));
        let shared = SharedSecret::copy_of(&known("ss").try_into().unwrap());
        let Secrets { server, client, master } = Secrets::resumed(&early, &shared, &th1);
        assert_eq!(*server.0.0, *known("resumed s_hs"));
        assert_eq!(*client.0.0, *known("resumed c_hs"));
        assert_eq!(*master.0.0, *known("resumed master"));
        assert_eq!(server.mac(&th3), *known("resumed server mac over TH3"));
        assert_eq!(*master.next_ticket(&th1).as_bytes(), *known("resumed res next"));
        let (key_data, _) = master.finish(RecordProtocol::Aes128GcmRekey, &th7);
        assert_eq!(key_data.as_bytes(), known("resumed key_data (REKEY)"));
        let handshake = Secret::extract(&early.0.expander().next_salt().0, &known("ss"));
        assert_eq!(*handshake.0, *known("resumed hs"));
    }
}
