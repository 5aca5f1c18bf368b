//! Sections 8 to 10: the key schedule, SEAL, what is signed.

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::hmac;

use super::frame;
use alts::handshaker::Role;

pub(crate) type Hash = [u8; 32];

pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Hash {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &parts.concat());
    tag.as_ref().try_into().unwrap()
}

pub(crate) fn hash(bytes: &[u8]) -> Hash {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

/// `EL` of section 8.
pub(crate) fn expand(secret: &Hash, label: &str, context: &[u8], len: usize) -> Vec<u8> {
    let label = [b"altsh1 ", label.as_bytes()].concat();
    let lengths = [(len as u16).to_be_bytes().to_vec(), vec![label.len() as u8]].concat();
    let info = [&lengths[..], &label, &[context.len() as u8], context].concat();
    let mut output = Vec::new();
    let mut block = Vec::new();
    while output.len() < len {
        let number = [(output.len() / 32 + 1) as u8];
        block = hmac(secret, &[&block, &info, &number]).to_vec();
        output.extend_from_slice(&block);
    }
    output.truncate(len);
    output
}

fn derive(secret: &Hash, label: &str, context: &Hash) -> Hash {
    expand(secret, label, context, 32).try_into().unwrap()
}

/// Everything that comes from the shared secret and TH1.
#[derive(Clone)]
pub(crate) struct Secrets {
    server: Hash,
    client: Hash,
    master: Hash,
}

/// Which pair of key and nonce seals.
#[derive(Clone, Copy)]
pub(crate) enum Pair {
    Message,
    Alert,
    /// Of a `Ticket`, by TH7.
    Ticket(Hash),
}

impl Secrets {
    pub(crate) fn new(shared: &[u8], th1: &Hash) -> Self {
        Self::resumed(&[0; 32], shared, th1)
    }

    /// With the secret of a ticket.
    pub(crate) fn resumed(psk: &Hash, shared: &[u8], th1: &Hash) -> Self {
        let early = hmac(&[0; 32], &[psk]);
        let handshake = hmac(&derive(&early, "derived", &hash(b"")), &[shared]);
        Self {
            server: derive(&handshake, "s hs", th1),
            client: derive(&handshake, "c hs", th1),
            master: hmac(&derive(&handshake, "derived", &hash(b"")), &[&[0; 32]]),
        }
    }

    fn of(&self, sender: Role) -> &Hash {
        if sender == Role::Server { &self.server } else { &self.client }
    }

    fn key(&self, sender: Role, pair: Pair) -> (LessSafeKey, Nonce) {
        let (secret, key, nonce, context) = match &pair {
            Pair::Message => (self.of(sender), "key", "iv", &b""[..]),
            Pair::Alert => (self.of(sender), "alert key", "alert iv", &b""[..]),
            Pair::Ticket(th7) => (&self.master, "ticket key", "ticket iv", &th7[..]),
        };
        let key = expand(secret, key, context, 16);
        let nonce = expand(secret, nonce, context, 12);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
        (key, Nonce::try_assume_unique_for_key(&nonce).unwrap())
    }

    /// A whole sealed frame.
    pub(crate) fn seal(&self, sender: Role, pair: Pair, kind: u32, plaintext: &[u8]) -> Vec<u8> {
        let mut out = frame(kind, &[plaintext, &[0; 16]].concat());
        let (header, body) = out.split_at_mut(8);
        let (payload, tag) = body.split_at_mut(plaintext.len());
        let (key, nonce) = self.key(sender, pair);
        let made = key.seal_in_place_separate_tag(nonce, Aad::from(&*header), payload).unwrap();
        tag.copy_from_slice(made.as_ref());
        out
    }

    /// The plaintext of a whole sealed frame.
    pub(crate) fn open(&self, sender: Role, pair: Pair, frame: &[u8]) -> Option<Vec<u8>> {
        let (header, body) = frame.split_at_checked(8)?;
        let (key, nonce) = self.key(sender, pair);
        let mut body = body.to_vec();
        let opened = key.open_in_place(nonce, Aad::from(header), &mut body).ok()?;
        Some(opened.to_vec())
    }

    pub(crate) fn mac(&self, sender: Role, th: &Hash) -> Hash {
        let finished = expand(self.of(sender), "finished", b"", 32);
        hmac(&finished, &[th])
    }

    pub(crate) fn key_data(&self, protocol: &str, th7: &Hash) -> Vec<u8> {
        let len = if protocol.ends_with("_REKEY") { 44 } else { 16 };
        expand(&self.master, &format!("rec {protocol}"), th7, len)
    }

    /// The secret of the ticket in a `Ticket`.
    pub(crate) fn psk(&self, th7: &Hash) -> Hash {
        derive(&self.master, "res", th7)
    }

    pub(crate) fn log_id(&self, th7: &Hash) -> Vec<u8> {
        expand(&self.master, "log id", th7, 16)
    }
}

/// Section 8.1: the binder. `unbound` is the hash of the offer with zeros in its place.
pub(crate) fn binder(psk: &Hash, unbound: &Hash) -> Hash {
    let early = hmac(&[0; 32], &[psk]);
    let secret = derive(&early, "binder", &hash(b""));
    hmac(&expand(&secret, "finished", b"", 32), &[unbound])
}

/// Section 10: what a side signs.
pub(crate) fn signed(signer: Role, th: &Hash) -> Vec<u8> {
    let context = match signer {
        Role::Server => "altsh1 server signature",
        Role::Client => "altsh1 client signature",
    };
    [&[0x20; 64][..], context.as_bytes(), &[0], th].concat()
}
