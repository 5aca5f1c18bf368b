//! DER to be built, changed anywhere, and encoded.

use super::rng::Rng;

#[derive(Clone, Debug)]
pub(crate) struct Node {
    tag: u8,
    body: Body,
    /// The length has one byte more than it needs.
    long: bool,
}

#[derive(Clone, Debug)]
enum Body {
    Bytes(Vec<u8>),
    /// Also what is inside of an OCTET STRING.
    Nodes(Vec<Node>),
}

pub(crate) fn bytes(tag: u8, bytes: impl Into<Vec<u8>>) -> Node {
    Node { tag, body: Body::Bytes(bytes.into()), long: false }
}

pub(crate) fn nodes(tag: u8, nodes: impl Into<Vec<Node>>) -> Node {
    Node { tag, body: Body::Nodes(nodes.into()), long: false }
}

pub(crate) fn sequence(content: impl Into<Vec<Node>>) -> Node {
    nodes(0x30, content)
}

/// A BIT STRING of whole bytes.
pub(crate) fn bits(content: &[u8]) -> Node {
    bytes(0x03, [&[0], content].concat())
}

pub(crate) fn integer(value: u8) -> Node {
    bytes(0x02, [value])
}

pub(crate) fn oid(content: &[u8]) -> Node {
    bytes(0x06, content)
}

impl Node {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let content = match &self.body {
            Body::Bytes(bytes) => bytes.clone(),
            Body::Nodes(nodes) => nodes.iter().flat_map(Self::encode).collect(),
        };
        let length = content.len().to_be_bytes();
        let zeros = length.iter().take_while(|&&byte| byte == 0).count();
        let mut encoded = vec![self.tag];
        if content.len() < 0x80 && !self.long {
            encoded.push(length[length.len() - 1]);
        } else {
            let shortest = &length[zeros.min(length.len() - 1)..];
            encoded.push(0x80 + shortest.len() as u8 + u8::from(self.long));
            encoded.extend(self.long.then_some(0));
            encoded.extend(shortest);
        }
        encoded.extend(content);
        encoded
    }

    /// Changes the node or one below it, anywhere.
    pub(crate) fn damage(&mut self, rng: &mut Rng) {
        let place = rng.below(self.count());
        self.nth(place).expect("there are as many").damage_here(rng);
    }

    fn count(&self) -> usize {
        match &self.body {
            Body::Bytes(_) => 1,
            Body::Nodes(nodes) => 1 + nodes.iter().map(Self::count).sum::<usize>(),
        }
    }

    fn nth(&mut self, mut place: usize) -> Option<&mut Self> {
        if place == 0 {
            return Some(self);
        }
        place -= 1;
        let Body::Nodes(nodes) = &mut self.body else { return None };
        for node in nodes {
            let count = node.count();
            if place < count {
                return node.nth(place);
            }
            place -= count;
        }
        None
    }

    fn damage_here(&mut self, rng: &mut Rng) {
        match (rng.below(8), &mut self.body) {
            (0, _) => self.long = true,
            (1, _) => self.tag ^= 1 << rng.below(8),
            (2 | 3, Body::Bytes(bytes)) if !bytes.is_empty() => {
                let place = rng.below(bytes.len());
                bytes[place] ^= 1 << rng.below(8);
            }
            (4, Body::Bytes(bytes)) => bytes.insert(0, 0),
            (5, Body::Bytes(bytes)) => drop(bytes.pop()),
            (_, Body::Bytes(bytes)) => bytes.push(rng.below(256) as u8),
            (2 | 3, Body::Nodes(nodes)) if !nodes.is_empty() => {
                nodes.remove(rng.below(nodes.len()));
            }
            (4 | 5, Body::Nodes(nodes)) if !nodes.is_empty() => {
                let node = nodes[rng.below(nodes.len())].clone();
                nodes.insert(rng.below(nodes.len() + 1), node);
            }
            (_, Body::Nodes(nodes)) if nodes.len() > 1 => {
                let (one, other) = (rng.below(nodes.len()), rng.below(nodes.len()));
                nodes.swap(one, other);
            }
            (_, Body::Nodes(nodes)) => nodes.push(bytes(0x05, [])),
        }
    }
}
