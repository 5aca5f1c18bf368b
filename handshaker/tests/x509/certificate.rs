//! Certificates and revocation lists, good and otherwise, of authorities whose keys are all known.

use ring::signature::{Ed25519KeyPair, KeyPair};

use super::der::{Node, bits, bytes, integer, nodes, oid, sequence};
use super::rng::Rng;

/// The time at which chains are judged: 2026-03-01, midnight.
pub(crate) const NOW: u64 = 1_772_323_200;

const ED25519: &[u8] = &[0x2B, 0x65, 0x70];

fn key_pair(key: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[key; 32]).unwrap()
}

fn algorithm() -> Node {
    sequence([oid(ED25519)])
}

/// A name with a common name, or an empty one.
pub(crate) fn name(common: &str) -> Node {
    let attribute =
        |value: &str| nodes(0x31, [sequence([oid(&[0x55, 4, 3]), bytes(0x0C, value.as_bytes())])]);
    sequence(if common.is_empty() { vec![] } else { vec![attribute(common)] })
}

/// A name that has an email address.
pub(crate) fn mail_name(address: &str) -> Node {
    let kind = oid(&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 1]);
    sequence([nodes(0x31, [sequence([kind, bytes(0x16, address.as_bytes())])])])
}

pub(crate) fn extension(number: u8, critical: bool, value: Node) -> Node {
    let mut fields = vec![oid(&[0x55, 0x1D, number])];
    if critical {
        fields.push(bytes(0x01, [0xFF]));
    }
    fields.push(nodes(0x04, [value]));
    sequence(fields)
}

/// Times in February, March and April 2026.
#[derive(Clone, Copy)]
pub(crate) enum Times {
    Current,
    Ended,
    Future,
}

impl Times {
    fn fields(self) -> [Node; 2] {
        let (from, to) = match self {
            Self::Current => ("260201000000Z", "260401000000Z"),
            Self::Ended => ("260201000000Z", "260228235959Z"),
            Self::Future => ("260301000001Z", "260401000000Z"),
        };
        [from, to].map(|text| bytes(0x17, text.as_bytes()))
    }
}

#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) subject: Node,
    pub(crate) issuer: Node,
    pub(crate) key: u8,
    pub(crate) issuer_key: u8,
    pub(crate) serial: u8,
    pub(crate) times: Times,
    pub(crate) extensions: Vec<Node>,
    /// How many times it is damaged before it is signed.
    pub(crate) damages: usize,
    /// It has an unknown critical extension.
    pub(crate) is_odd: bool,
}

impl Certificate {
    pub(crate) fn sign(&self, rng: &mut Rng) -> Vec<u8> {
        let public = key_pair(self.key);
        let mut signed = sequence([
            nodes(0xA0, [integer(2)]),
            integer(self.serial),
            algorithm(),
            self.issuer.clone(),
            sequence(self.times.fields()),
            self.subject.clone(),
            sequence([algorithm(), bits(public.public_key().as_ref())]),
            nodes(0xA3, [sequence(self.extensions.clone())]),
        ]);
        for _ in 0..self.damages {
            signed.damage(rng);
        }
        let signature = key_pair(self.issuer_key).sign(&signed.encode());
        sequence([signed, algorithm(), bits(signature.as_ref())]).encode()
    }
}

/// Of an authority key identifier and a subject key identifier.
pub(crate) fn key_id(key: u8) -> Vec<u8> {
    key_pair(key).public_key().as_ref()[..20].to_vec()
}

pub(crate) struct List {
    pub(crate) issuer: Node,
    pub(crate) issuer_key: u8,
    pub(crate) times: Times,
    pub(crate) serials: Vec<u8>,
    /// Of an issuingDistributionPoint.
    pub(crate) point: Option<&'static str>,
    /// The tag of onlyContainsUserCerts or onlyContainsCACerts.
    pub(crate) only: Option<u8>,
    pub(crate) damages: usize,
}

/// A `DistributionPointName`.
pub(crate) fn full_name(uri: &str) -> Node {
    nodes(0xA0, [nodes(0xA0, [bytes(0x86, uri.as_bytes())])])
}

impl List {
    pub(crate) fn sign(&self, rng: &mut Rng) -> Vec<u8> {
        let [this_update, next_update] = self.times.fields();
        let mut fields =
            vec![integer(1), algorithm(), self.issuer.clone(), this_update, next_update];
        if !self.serials.is_empty() {
            let entry = |&serial| sequence([integer(serial), bytes(0x17, *b"260201000000Z")]);
            fields.push(sequence(self.serials.iter().map(entry).collect::<Vec<_>>()));
        }
        let mut extensions = vec![
            extension(20, false, integer(1)),
            extension(35, false, sequence([bytes(0x80, key_id(self.issuer_key))])),
        ];
        if let Some(uri) = self.point {
            let only = self.only.map(|tag| bytes(tag, [0xFF]));
            let point = [Some(full_name(uri)), only].into_iter().flatten();
            extensions.push(extension(28, true, sequence(point.collect::<Vec<_>>())));
        }
        fields.push(nodes(0xA0, [sequence(extensions)]));
        let mut signed = sequence(fields);
        for _ in 0..self.damages {
            signed.damage(rng);
        }
        let signature = key_pair(self.issuer_key).sign(&signed.encode());
        sequence([signed, algorithm(), bits(signature.as_ref())]).encode()
    }
}
