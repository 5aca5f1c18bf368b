//! Received bytes that wait for their readers: pooled buffers in lists, one list for each stream.
//!
//! ```text
//!  Inbox ─► │      unread │─► │ unread            │─► │ unread │  free  │
//!           start       end   full to the end         joined with what comes next
//! ```
//!
//! Each buffer but the last is full to its end, so that a stream holds at most what is unread, what was read of its first buffer,
//! and one chunk, however small the frames were: of 32 KiB at most if small bodies were joined in it, and else the buffer that they were
//! read into, at least a quarter of it full.

use super::after::After;
use crate::pool::PooledBuf;

/// No node.
const NONE: u32 = u32::MAX;

/// Places in lists that are kept while streams are open: 640 bytes.
const KEPT_NODES: usize = 16;

/// The lists of all streams of a session.
pub(super) struct Chunks {
    nodes: Vec<Node>,
    free: u32,
    /// Nodes in use.
    used: u32,
    /// Capacity of all buffers in lists.
    held: usize,
}

struct Node {
    buffer: Option<PooledBuf>,
    next: u32,
}

/// One list.
#[derive(Clone, Copy)]
pub(super) struct Inbox {
    head: u32,
    tail: u32,
}

impl Inbox {
    pub(super) const EMPTY: Self = Self { head: NONE, tail: NONE };

    pub(super) fn is_empty(self) -> bool {
        self.head == NONE
    }
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { nodes: Vec::new(), free: NONE, used: 0, held: 0 }
    }

    /// Bytes of the pool in all lists.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    fn buffer(&mut self, node: u32) -> Option<&mut PooledBuf> {
        self.nodes.get_mut(node as usize)?.buffer.as_mut()
    }

    pub(super) fn push(&mut self, inbox: &mut Inbox, buffer: PooledBuf) {
        self.held += buffer.capacity();
        self.used += 1;
        let node = Node { buffer: Some(buffer), next: NONE };
        let at = if self.free == NONE {
            if self.nodes.is_empty() {
                self.nodes.reserve_exact(2);
            }
            self.nodes.push(node);
            self.nodes.len() as u32 - 1
        } else {
            let at = self.free;
            self.free = self.nodes[at as usize].next;
            self.nodes[at as usize] = node;
            at
        };
        match inbox.tail {
            NONE => inbox.head = at,
            tail => self.nodes[tail as usize].next = at,
        }
        inbox.tail = at;
    }

    pub(super) fn pop(&mut self, inbox: &mut Inbox) -> Option<PooledBuf> {
        let at = inbox.head;
        let node = self.nodes.get_mut(at as usize)?;
        let buffer = node.buffer.take()?;
        inbox.head = node.next;
        if inbox.head == NONE {
            inbox.tail = NONE;
        }
        node.next = self.free;
        self.free = at;
        self.used -= 1;
        self.held -= buffer.capacity();
        if self.used == 0 && self.nodes.len() > KEPT_NODES {
            self.nodes = Vec::new();
            self.free = NONE;
        }
        Some(buffer)
    }

    /// The first buffer.
    pub(super) fn first(&mut self, inbox: Inbox) -> Option<&mut PooledBuf> {
        self.buffer(inbox.head)
    }

    /// Fills the end of the last buffer, and says how many bytes that took.
    pub(super) fn append(&mut self, inbox: Inbox, bytes: &[u8]) -> usize {
        let Some(buffer) = self.buffer(inbox.tail) else { return 0 };
        let range = buffer.range();
        let count = bytes.len().min(buffer.capacity() - range.end);
        buffer.whole_mut()[range.end..range.end + count].copy_from_slice(&bytes[..count]);
        buffer.set_range(range.start..range.end + count);
        count
    }

    pub(super) fn clear(&mut self, inbox: &mut Inbox, after: &mut After) {
        while let Some(buffer) = self.pop(inbox) {
            after.drop_buffer(buffer);
        }
    }
}
