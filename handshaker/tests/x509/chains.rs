//! Chains with a peer at the end, authorities above, and strange certificates beside. Each is made from a seed, and most of them
//! have faults.

use super::certificate::{Certificate, List, Times, extension, full_name, key_id, mail_name, name};
use super::der::{Node, bytes, integer, nodes, oid, sequence};
use super::rng::Rng;

const POINT: &str = "http://lists.example/1";
const SERVER_AUTH: u8 = 1;
const CLIENT_AUTH: u8 = 2;

/// What a verifier is given. All in DER.
#[expect(clippy::struct_excessive_bools, reason = "what is strange is independent of each other")]
pub(crate) struct Chain {
    pub(crate) leaf: Vec<u8>,
    /// In the order in which the peer sends them.
    pub(crate) others: Vec<Vec<u8>>,
    pub(crate) anchors: Vec<Vec<u8>>,
    pub(crate) lists: Vec<Vec<u8>>,
    /// In the role of a server; otherwise of a client.
    pub(crate) server: bool,
    /// A key identifier may be wrong.
    pub(crate) has_odd_key_ids: bool,
    /// Something was changed in the DER of a certificate.
    pub(crate) is_damaged: bool,
    /// An anchor has an unknown critical extension.
    pub(crate) anchor_is_odd: bool,
    /// A certificate below a root may have the root's name, perhaps an empty one.
    pub(crate) has_self_issued: bool,
}

/// Makes faults, or none.
struct Maker {
    rng: Rng,
    /// One field in so many is strange.
    strange: Option<usize>,
    has_odd_key_ids: bool,
    is_damaged: bool,
    has_self_issued: bool,
}

impl Chain {
    pub(crate) fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let strange = rng.pick(&[None, Some(10), Some(30), Some(60)]);
        Maker { rng, strange, has_odd_key_ids: false, is_damaged: false, has_self_issued: false }
            .chain()
    }
}

impl Maker {
    fn is_strange(&mut self) -> bool {
        self.strange.is_some_and(|count| self.rng.one_in(count))
    }

    fn chain(mut self) -> Chain {
        let depth = self.rng.below(4);
        let mut authorities = vec![self.authority("root", None)];
        for place in 0..depth {
            let above = authorities.last().cloned();
            authorities.push(self.authority(&format!("middle {place}"), above.as_ref()));
        }
        let leaf = self.leaf(&authorities[depth]);
        let mut roots = vec![authorities[0].clone()];
        if self.rng.one_in(4) {
            let title = self.rng.pick(&["root", "other root", "middle 0"]);
            roots.push(self.authority(title, None));
        }
        // Of an anchor that is not self-signed, openssl wants to see a revocation list.
        let is_partial = depth > 0 && self.rng.one_in(6);
        let has_lists = !is_partial && self.rng.one_in(3);
        let lists = if has_lists { self.lists(&authorities, &leaf) } else { Vec::new() };

        let mut others: Vec<_> = authorities[1..].iter().rev().cloned().collect();
        while others.len() < 4 && self.rng.one_in(3) {
            let other = self.other(&authorities, &roots, &leaf);
            others.push(other);
        }
        if self.is_strange() && !others.is_empty() {
            others.remove(self.rng.below(others.len()));
        }
        if self.rng.one_in(3) {
            self.rng.shuffle(&mut others);
        }
        let mut anchors = roots;
        if is_partial {
            if self.rng.one_in(2) {
                anchors.clear();
            }
            anchors.push(authorities[1].clone());
        }
        if self.rng.one_in(2) {
            self.rng.shuffle(&mut anchors);
        }
        let server = self.rng.one_in(2);
        let mut sign = |certificate: &Certificate| certificate.sign(&mut self.rng);
        Chain {
            leaf: sign(&leaf),
            others: others.iter().map(&mut sign).collect(),
            anchors: anchors.iter().map(&mut sign).collect(),
            lists: lists.iter().map(|list| list.sign(&mut self.rng)).collect(),
            server,
            has_odd_key_ids: self.has_odd_key_ids || self.is_damaged,
            is_damaged: self.is_damaged,
            anchor_is_odd: anchors.iter().any(|anchor| anchor.is_odd),
            has_self_issued: self.has_self_issued,
        }
    }

    /// A certificate that need not be there.
    fn other(
        &mut self,
        authorities: &[Certificate],
        roots: &[Certificate],
        leaf: &Certificate,
    ) -> Certificate {
        let one = self.rng.pick(authorities);
        match self.rng.below(5) {
            0 => one,
            1 => leaf.clone(),
            2 => self.authority("stranger", None),
            // Cross-signed: its name and key, under somebody else.
            3 => {
                let above = self.rng.pick(roots);
                let other = self.authority("middle 9", Some(&above));
                // With the other's key identifier.
                self.has_odd_key_ids = true;
                Certificate { subject: one.subject, key: one.key, ..other }
            }
            // A namesake.
            _ => {
                let above = self.rng.pick(roots);
                let other = self.authority("middle 9", Some(&above));
                Certificate { subject: one.subject, ..other }
            }
        }
    }

    fn common(&mut self, subject: Node, above: Option<&Certificate>) -> Certificate {
        let key = 1 + self.rng.below(200) as u8;
        let is_forged = self.is_strange();
        let times = match self.is_strange() {
            true => self.rng.pick(&[Times::Ended, Times::Future]),
            false => Times::Current,
        };
        let mut extensions = Vec::new();
        if self.rng.one_in(2) {
            let mut id = key_id(above.map_or(key, |above| above.key));
            if self.is_strange() {
                id[0] ^= 1;
                self.has_odd_key_ids = true;
            }
            extensions.push(extension(35, false, sequence([bytes(0x80, id)])));
        }
        let mut is_odd = false;
        if self.is_strange() {
            // An extension that nobody knows.
            let critical = self.rng.one_in(2);
            is_odd = critical;
            extensions.push(extension(99, critical, sequence([])));
        }
        let damages = if self.is_strange() { 1 + self.rng.below(2) } else { 0 };
        self.is_damaged |= damages > 0;
        Certificate {
            issuer: above.map_or_else(|| subject.clone(), |above| above.subject.clone()),
            subject,
            key,
            issuer_key: above.map_or(key, |above| above.key) ^ u8::from(is_forged),
            serial: 1 + self.rng.below(100) as u8,
            times,
            extensions,
            damages,
            is_odd,
        }
    }

    fn authority(&mut self, title: &str, above: Option<&Certificate>) -> Certificate {
        let subject = match (self.is_strange(), above) {
            (true, Some(above)) => {
                self.has_self_issued = true;
                above.subject.clone()
            }
            (true, None) => {
                self.has_self_issued = true;
                name("")
            }
            (false, _) => name(title),
        };
        let mut certificate = self.common(subject, above);
        let mut extensions = vec![extension(14, false, bytes(0x04, key_id(certificate.key)))];
        if !self.is_strange() {
            let mut fields = vec![];
            if !self.is_strange() {
                fields.push(bytes(0x01, [0xFF]));
            }
            if self.rng.one_in(4) {
                fields.push(integer(self.rng.pick(&[0, 0, 1, 1, 2, 3])));
            }
            extensions.push(extension(19, true, sequence(fields)));
        }
        if !self.is_strange() {
            // keyCertSign and cRLSign, one of them, or another.
            let usage = if self.is_strange() { self.rng.pick(&[4, 2, 0x80, 0]) } else { 6 };
            extensions.push(key_usage(usage));
        }
        if self.is_strange() || self.rng.one_in(8) {
            extensions.push(self.purposes());
        }
        if self.rng.one_in(6) {
            extensions.push(self.constraints());
        }
        if self.rng.one_in(8) {
            let names = self.names(0);
            extensions.push(extension(17, false, sequence(names)));
        }
        if self.rng.one_in(3) {
            extensions.push(points());
        }
        certificate.extensions.extend(extensions);
        certificate
    }

    fn leaf(&mut self, above: &Certificate) -> Certificate {
        let subject = match self.rng.below(8) {
            0 | 1 => name("peer"),
            2 => mail_name("peer@example.org"),
            _ => name(""),
        };
        let mut certificate = self.common(subject, Some(above));
        let mut extensions = Vec::new();
        if self.rng.one_in(3) {
            let fields = if self.is_strange() { vec![bytes(0x01, [0xFF])] } else { vec![] };
            extensions.push(extension(19, true, sequence(fields)));
        }
        if !self.is_strange() {
            let usage =
                if self.is_strange() { self.rng.pick(&[0x84, 0x82, 0x20, 0]) } else { 0x80 };
            extensions.push(key_usage(usage));
        }
        if self.rng.one_in(3) {
            extensions.push(self.purposes());
        }
        let uris = if self.is_strange() { self.rng.pick(&[0, 2]) } else { 1 };
        let names = self.names(uris);
        extensions.push(extension(17, self.rng.one_in(3), sequence(names)));
        if self.rng.one_in(3) {
            extensions.push(points());
        }
        certificate.extensions.extend(extensions);
        certificate
    }

    fn purposes(&mut self) -> Node {
        let purpose = |last| oid(&[0x2B, 6, 1, 5, 5, 7, 3, last]);
        let any = oid(&[0x55, 0x1D, 0x25, 0]);
        let both = vec![purpose(SERVER_AUTH), purpose(CLIENT_AUTH)];
        let all = match self.rng.below(10) {
            0 => vec![purpose(SERVER_AUTH)],
            1 => vec![purpose(CLIENT_AUTH)],
            2 => vec![any],
            3 => vec![purpose(8), purpose(CLIENT_AUTH)],
            _ => both,
        };
        extension(37, self.rng.one_in(2), sequence(all))
    }

    /// Names with so many SPIFFE IDs.
    fn names(&mut self, ids: usize) -> Vec<Node> {
        let mut names = Vec::new();
        for _ in 0..ids {
            let id = match self.is_strange() {
                true => self.rng.pick(&["spiffe://example.org", "spiffe://Example.org/a", "urn:a"]),
                false => "spiffe://example.org/peer",
            };
            names.push(bytes(0x86, id.as_bytes()));
        }
        for _ in 0..self.rng.below(3) {
            names.push(match self.rng.below(4) {
                0 => bytes(0x82, *b"a.example.org"),
                1 => bytes(0x82, *b"b.example.com"),
                2 => bytes(0x87, [10, 1, 2, 3]),
                _ => bytes(0x81, *b"a@example.org"),
            });
        }
        if names.is_empty() {
            names.push(bytes(0x82, *b"a.example.org"));
        }
        names
    }

    fn constraints(&mut self) -> Node {
        let mut fields = Vec::new();
        for (tag, odds) in [(0xA0, 2), (0xA1, 3)] {
            if !self.rng.one_in(odds) {
                continue;
            }
            let mut subtrees = Vec::new();
            for _ in 0..=self.rng.below(3) {
                let base = match self.rng.below(9) {
                    0 | 1 => bytes(0x86, *b"example.org"),
                    2 => bytes(0x86, *b".org"),
                    3 => bytes(0x86, *b"other.org"),
                    4 => bytes(0x82, *b"example.org"),
                    5 => bytes(0x82, *b".example.com"),
                    6 => bytes(0x87, [10, 0, 0, 0, 255, 0, 0, 0]),
                    7 => bytes(0x81, *b"example.org"),
                    _ => nodes(0xA4, [name("peer")]),
                };
                subtrees.push(sequence([base]));
            }
            fields.push(nodes(tag, subtrees));
        }
        if fields.is_empty() {
            fields.push(nodes(0xA0, [sequence([bytes(0x86, *b"example.org")])]));
        }
        extension(30, self.rng.one_in(2), sequence(fields))
    }

    /// Of every authority, as a rule.
    fn lists(&mut self, authorities: &[Certificate], leaf: &Certificate) -> Vec<List> {
        let mut lists = Vec::new();
        for (place, authority) in authorities.iter().enumerate() {
            if self.is_strange() {
                continue;
            }
            let below = authorities.get(place + 1).unwrap_or(leaf);
            for _ in 0..=usize::from(self.rng.one_in(6)) {
                let revoked = if self.rng.one_in(8) { below.serial } else { 101 };
                lists.push(List {
                    issuer: authority.subject.clone(),
                    issuer_key: authority.key ^ u8::from(self.is_strange()),
                    times: match self.is_strange() {
                        true => self.rng.pick(&[Times::Ended, Times::Future]),
                        false => Times::Current,
                    },
                    serials: if self.rng.one_in(3) { vec![] } else { vec![revoked, 102] },
                    point: (place > 0 && self.rng.one_in(5)).then_some(POINT),
                    only: self.rng.one_in(2).then(|| self.rng.pick(&[0x81, 0x82])),
                    damages: usize::from(self.is_strange()),
                });
            }
        }
        lists
    }
}

fn key_usage(bits: u8) -> Node {
    let unused = if bits == 0 { 0 } else { bits.trailing_zeros() as u8 };
    extension(15, true, bytes(0x03, if bits == 0 { vec![0] } else { vec![unused, bits] }))
}

fn points() -> Node {
    extension(31, false, sequence([sequence([full_name(POINT)])]))
}
