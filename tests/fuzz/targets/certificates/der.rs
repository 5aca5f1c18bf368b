//! DER as a tree that can be changed and written again, lengths and all.

use crate::choices::Choices;
use crate::edits::edit;

#[derive(Clone)]
pub(super) struct Node {
    tag: u8,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Bytes(Vec<u8>),
    Nodes(Vec<Node>),
}

impl Node {
    pub(super) fn new(tag: u8, bytes: &[u8]) -> Self {
        Self { tag, content: Content::Bytes(bytes.to_vec()) }
    }

    pub(super) fn of(tag: u8, nodes: Vec<Self>) -> Self {
        Self { tag, content: Content::Nodes(nodes) }
    }

    pub(super) fn sequence(nodes: Vec<Self>) -> Self {
        Self::of(0x30, nodes)
    }

    /// Reads one value, and what is in it as far as that looks like DER.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut nodes = Self::read_all(bytes)?;
        (nodes.len() == 1).then(|| nodes.remove(0))
    }

    fn read_all(mut bytes: &[u8]) -> Option<Vec<Self>> {
        let mut nodes = Vec::new();
        while let [tag, first, rest @ ..] = bytes {
            let (len, rest) = match (first, rest) {
                (0..=0x7F, _) => (usize::from(*first), rest),
                (0x81, [len, rest @ ..]) => (usize::from(*len), rest),
                (0x82, [high, low, rest @ ..]) => {
                    (usize::from(*high) << 8 | usize::from(*low), rest)
                }
                _ => return None,
            };
            let (content, rest) = rest.split_at_checked(len)?;
            let inner = (tag & 0x20 != 0 || *tag == 4).then(|| Self::read_all(content)).flatten();
            nodes.push(match inner {
                Some(inner) if !inner.is_empty() => Self::of(*tag, inner),
                _ => Self::new(*tag, content),
            });
            bytes = rest;
        }
        bytes.is_empty().then_some(nodes)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let content = match &self.content {
            Content::Bytes(bytes) => bytes.clone(),
            Content::Nodes(nodes) => nodes.iter().flat_map(Self::encode).collect(),
        };
        let len = (content.len() as u16).to_be_bytes();
        let length = match content.len() {
            0..=0x7F => vec![len[1]],
            0x80..=0xFF => vec![0x81, len[1]],
            _ => vec![0x82, len[0], len[1]],
        };
        [&[self.tag][..], &length, &content].concat()
    }

    fn count(&self) -> usize {
        match &self.content {
            Content::Bytes(_) => 1,
            Content::Nodes(nodes) => 1 + nodes.iter().map(Self::count).sum::<usize>(),
        }
    }

    /// Changes one node below.
    pub(super) fn mutate(&mut self, choices: &mut Choices<'_>) {
        let at = choices.below(self.count());
        self.mutate_at(at, choices);
    }

    fn mutate_at(&mut self, mut at: usize, choices: &mut Choices<'_>) {
        if let (Content::Nodes(nodes), 1..) = (&mut self.content, at) {
            at -= 1;
            for child in 0..nodes.len() {
                let count = nodes[child].count();
                if at >= count {
                    at -= count;
                    continue;
                }
                match (at, choices.below(8)) {
                    (0, 0) => drop(nodes.remove(child)),
                    (0, 1) => nodes.insert(child, nodes[child].clone()),
                    (0, 2) => {
                        let last = nodes.len() - 1;
                        nodes.swap(child, last);
                    }
                    _ => nodes[child].mutate_at(at, choices),
                }
                return;
            }
        }
        match (&mut self.content, choices.below(4)) {
            (Content::Bytes(bytes), 0..3) => match choices.below(3) {
                0 => edit(choices, bytes),
                1 => bytes.extend(choices.bytes(20)),
                _ => *bytes = choices.bytes(60).to_vec(),
            },
            (Content::Nodes(nodes), 0) => nodes.clear(),
            (Content::Nodes(_), 1) => self.content = Content::Bytes(choices.bytes(40).to_vec()),
            _ => self.tag ^= choices.byte(),
        }
    }
}
