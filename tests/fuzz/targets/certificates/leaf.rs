//! Certificates as the fuzzer orders them, and the authority that signs them.

use alts::handshaker::Role;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::der::Node;
use super::is_spiffe_id;
use crate::choices::Choices;

const INTEGER: u8 = 0x02;
const BOOLEAN: u8 = 0x01;
const BITS: u8 = 0x03;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;

const ED25519: &[u8] = &[0x2B, 0x65, 0x70];
const GOOD: &str = "spiffe://fuzz.example/leaf";

fn name(common: &str) -> Node {
    let text = Node::new(0x0C, common.as_bytes());
    let attribute = Node::sequence(vec![Node::new(OID, &[0x55, 4, 3]), text]);
    Node::sequence(vec![Node::of(0x31, vec![attribute])])
}

fn algorithm() -> Node {
    Node::sequence(vec![Node::new(OID, ED25519)])
}

fn validity(from: &str, to: &str) -> Node {
    Node::sequence([from, to].map(|time| Node::new(0x17, time.as_bytes())).to_vec())
}

fn extension(last: u8, critical: bool, value: Node) -> Node {
    let mut fields = vec![Node::new(OID, &[0x55, 0x1D, last])];
    if critical {
        fields.push(Node::new(BOOLEAN, &[0xFF]));
    }
    fields.push(Node::of(OCTETS, vec![value]));
    Node::sequence(fields)
}

fn constraints(authority: bool) -> Node {
    let flag = authority.then(|| Node::new(BOOLEAN, &[0xFF]));
    extension(0x13, true, Node::sequence(flag.into_iter().collect()))
}

fn usage(bits: u8) -> Node {
    extension(0x0F, true, Node::new(BITS, &[bits.trailing_zeros().min(7) as u8, bits]))
}

fn tbs(
    issuer: &Authority,
    subject: &str,
    key: &[u8],
    validity: Node,
    extensions: Vec<Node>,
) -> Node {
    Node::sequence(vec![
        Node::of(0xA0, vec![Node::new(INTEGER, &[2])]),
        Node::new(INTEGER, &[0x11]),
        algorithm(),
        name(&issuer.name),
        validity,
        name(subject),
        Node::sequence(vec![algorithm(), Node::new(BITS, &[&[0], key].concat())]),
        Node::of(0xA3, vec![Node::sequence(extensions)]),
    ])
}

pub(super) struct Authority {
    name: String,
    key: Ed25519KeyPair,
    pub(super) certificate: Vec<u8>,
}

impl Authority {
    fn unsigned(name: &str) -> Self {
        let seed = [name.len() as u8; 32];
        let key = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        Self { name: name.to_owned(), key, certificate: Vec::new() }
    }

    pub(super) fn root() -> Self {
        let mut root = Self::unsigned("root");
        let extensions = vec![constraints(true), usage(0x06)];
        let years = validity("250101000000Z", "450101000000Z");
        let tree = tbs(&root, "root", root.key.public_key().as_ref(), years, extensions);
        root.certificate = root.sign(&tree.encode());
        root
    }

    /// One below this, and whether it may issue.
    pub(super) fn intermediate(&self, choices: &mut Choices<'_>) -> (Self, bool) {
        let mut below = Self::unsigned("intermediate");
        let fault = choices.below(10);
        let years = match fault {
            7 => validity("250101000000Z", "260101000000Z"),
            _ => validity("250101000000Z", "450101000000Z"),
        };
        let usages = usage(if fault == 8 { 0x80 } else { 0x04 });
        let extensions = vec![constraints(fault != 9), usages];
        let tree = tbs(self, &below.name, below.key.public_key().as_ref(), years, extensions);
        below.certificate = self.sign(&tree.encode());
        (below, fault < 7)
    }

    /// A certificate.
    pub(super) fn sign(&self, tbs: &[u8]) -> Vec<u8> {
        let signature = [&[0], self.key.sign(tbs).as_ref()].concat();
        let rest = [algorithm().encode(), Node::new(BITS, &signature).encode()].concat();
        // Whatever `tbs` is, it goes in as it is.
        let body = Node::new(0x30, &[tbs, &rest].concat());
        body.encode()
    }
}

/// What a leaf is to have.
pub(super) struct Plan {
    names: Vec<(u8, Vec<u8>)>,
    twice: bool,
    usage: Option<u8>,
    authority: Option<bool>,
    purposes: Option<&'static [u8]>,
    years: (&'static str, &'static str, bool),
    unknown_critical: bool,
}

const URIS: [&str; 14] = [
    GOOD,
    "spiffe://fuzz.example/other/leaf",
    "spiffe://fuzz.example/UPPER_case-0.9",
    "spiffe://fuzz.example",
    "spiffe://fuzz.example/",
    "spiffe://fuzz.example//x",
    "spiffe://fuzz.example/../x",
    "spiffe://fuzz.example/x?y",
    "spiffe://FUZZ.example/x",
    "spiffe://elsewhere.example/x",
    "spiffe://user@fuzz.example/x",
    "SPIFFE://fuzz.example/x",
    "https://fuzz.example/x",
    "",
];

impl Plan {
    pub(super) fn new(choices: &mut Choices<'_>) -> Self {
        let mut names = Vec::new();
        for _ in 0..choices.below(3) {
            names.push(match choices.below(8) {
                0 => (0x82, b"fuzz.example".to_vec()),
                1 => (0x81, b"leaf@fuzz.example".to_vec()),
                2 => (0x87, vec![127, 0, 0, 1]),
                3 => (0x88, vec![0x2B, 1]),
                4 => (0x86, choices.bytes(20).to_vec()),
                5 => (0xA4, name("directory").encode()),
                _ => (0x86, URIS[choices.below(URIS.len())].as_bytes().to_vec()),
            });
        }
        if !choices.one_in(4) {
            let at = choices.below(names.len() + 1);
            let uri = URIS[choices.below(28).saturating_sub(14)];
            names.insert(at, (0x86, uri.as_bytes().to_vec()));
        }
        let rarely = |choices: &mut Choices<'_>| choices.one_in(16);
        Self {
            names,
            twice: rarely(choices),
            usage: [Some(0x80), Some(0xA0), None, Some(0x04), Some(0x84), Some(0x82), Some(0x20)]
                [choices.below(24).saturating_sub(17)],
            authority: [Some(false), None, Some(true)][choices.below(12).saturating_sub(9)],
            purposes: [Some(&[1, 2][..]), None, Some(&[1]), Some(&[2]), Some(&[9])]
                [choices.below(16).saturating_sub(11)],
            years: [
                ("250101000000Z", "450101000000Z", true),
                ("250101000000Z", "260101000000Z", false),
                ("400101000000Z", "450101000000Z", false),
                ("450101000000Z", "250101000000Z", false),
            ][choices.below(24).saturating_sub(20)],
            unknown_critical: rarely(choices),
        }
    }

    pub(super) fn tree(&self, issuer: &Authority) -> Node {
        let names = self.names.iter().map(|(tag, bytes)| Node::new(*tag, bytes)).collect();
        let names = extension(0x11, false, Node::sequence(names));
        let mut extensions = vec![names.clone()];
        extensions.extend(self.usage.map(usage));
        extensions.extend(self.authority.map(constraints));
        extensions.extend(self.purposes.map(|purposes| {
            let purpose = |last: &u8| Node::new(OID, &[0x2B, 6, 1, 5, 5, 7, 3, *last]);
            extension(0x25, false, Node::sequence(purposes.iter().map(purpose).collect()))
        }));
        if self.unknown_critical {
            extensions.push(extension(0x7F, true, Node::new(0x05, &[])));
        }
        if self.twice {
            extensions.push(names);
        }
        let (from, to, _) = self.years;
        tbs(issuer, "leaf", &[9; 32], validity(from, to), extensions)
    }

    /// Whether the leaf may act in this role.
    pub(super) fn is_sound(&self, role: Role) -> bool {
        let uris: Vec<_> = self.names.iter().filter(|name| name.0 == 0x86).collect();
        let known = |uri: &[u8]| uri.starts_with(b"spiffe://fuzz.example/");
        let named = uris.len() == 1 && is_spiffe_id(&uris[0].1) && known(&uris[0].1);
        let usage = self.usage.is_some_and(|usage| usage & 0x86 == 0x80);
        let purpose = if role == Role::Server { 1 } else { 2 };
        named
            && usage
            && !self.twice
            && self.authority != Some(true)
            && self.purposes.is_none_or(|purposes| purposes.contains(&purpose))
            && self.years.2
            && !self.unknown_critical
    }
}
