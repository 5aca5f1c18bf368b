//! The streams of a session: by slot for handles, by id for received frames.
//!
//! A stream that is over on the wire has no id any more, and keeps its slot until its last handle is dropped.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::{Index, IndexMut};
use std::task::Waker;

use super::chunks::Inbox;
use super::marks::Marks;
use crate::yamux::window::{ReceiveWindow, SendWindow};

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// A stream: 96 bytes, and nothing else while no bytes wait.
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) marks: Marks,
    pub(super) cut: Cut,
    pub(super) send: SendWindow,
    pub(super) receive: ReceiveWindow,
    /// Received bytes.
    pub(super) inbox: Inbox,
    /// When credit was granted last, in microseconds, modulo 2^32.
    pub(super) granted_at: u32,
    /// By how many bytes the window has grown.
    pub(super) grown: u32,
    /// The next in the list of streams with a frame to send, and in the list of streams that wait to be accepted or for room.
    next: [u32; 2],
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

/// Whether and how a stream ended before its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cut {
    No,
    ByPeer(u32),
    Here(u32),
    /// The peer sent what nobody takes: behind its own end, or on a stream that was closed and dropped here.
    Untaken,
    OpenTimeout,
    Memory,
}

impl Stream {
    pub(super) fn new(id: u32, marks: Marks, window: u32) -> Self {
        Self {
            id,
            marks,
            cut: Cut::No,
            send: SendWindow::new(),
            receive: ReceiveWindow::new(window),
            inbox: Inbox::EMPTY,
            granted_at: 0,
            grown: 0,
            next: [NONE; 2],
            reader: None,
            writer: None,
        }
    }
}

enum Slot {
    Free(u32),
    Used(Box<Stream>),
}

pub(super) struct Table {
    slots: Vec<Slot>,
    free: u32,
    used: u32,
    ids: HashMap<u32, u32, BuildHasherDefault<IdHasher>>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), free: NONE, used: 0, ids: HashMap::default() }
    }

    pub(super) fn insert(&mut self, stream: Stream) -> u32 {
        let id = stream.id;
        let slot = if self.free == NONE {
            self.slots.push(Slot::Used(Box::new(stream)));
            self.slots.len() as u32 - 1
        } else {
            let slot = self.free;
            if let Slot::Free(next) = self.slots[slot as usize] {
                self.free = next;
            }
            self.slots[slot as usize] = Slot::Used(Box::new(stream));
            slot
        };
        self.used += 1;
        self.ids.insert(id, slot);
        slot
    }

    pub(super) fn find(&self, id: u32) -> Option<u32> {
        self.ids.get(&id).copied()
    }

    /// Forgets the id. The memory that many streams needed is freed when none is left.
    pub(super) fn forget_id(&mut self, id: u32) {
        self.ids.remove(&id);
        if self.ids.is_empty() {
            self.ids = HashMap::default();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Streams that exist on the wire.
    pub(super) fn on_wire(&self) -> u32 {
        self.ids.len() as u32
    }

    pub(super) fn remove(&mut self, slot: u32) -> Stream {
        let place = std::mem::replace(&mut self.slots[slot as usize], Slot::Free(self.free));
        self.free = slot;
        self.used -= 1;
        if self.used == 0 {
            self.slots = Vec::new();
            self.free = NONE;
        }
        match place {
            Slot::Used(stream) => *stream,
            Slot::Free(_) => unreachable!("slot {slot} is removed once"),
        }
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + use<> {
        0..self.slots.len() as u32
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Stream> {
        match self.slots.get_mut(slot as usize)? {
            Slot::Used(stream) => Some(stream),
            Slot::Free(_) => None,
        }
    }
}

impl Index<u32> for Table {
    type Output = Stream;

    fn index(&self, slot: u32) -> &Stream {
        match &self.slots[slot as usize] {
            Slot::Used(stream) => stream,
            Slot::Free(_) => unreachable!("slot {slot} is used while somebody has its number"),
        }
    }
}

impl IndexMut<u32> for Table {
    fn index_mut(&mut self, slot: u32) -> &mut Stream {
        match &mut self.slots[slot as usize] {
            Slot::Used(stream) => stream,
            Slot::Free(_) => unreachable!("slot {slot} is used while somebody has its number"),
        }
    }
}

/// Which of a stream's links a list uses. A stream waits to be accepted before anybody can write on it, so that these two
/// share one.
#[derive(Clone, Copy)]
pub(super) enum Link {
    Due,
    Waiting,
}

/// A list of slots, in the streams themselves.
pub(super) struct List {
    head: u32,
    tail: u32,
    link: Link,
}

impl List {
    pub(super) fn new(link: Link) -> Self {
        Self { head: NONE, tail: NONE, link }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head == NONE
    }

    pub(super) fn push(&mut self, table: &mut Table, slot: u32) {
        let link = self.link as usize;
        table[slot].next[link] = NONE;
        match self.tail {
            NONE => self.head = slot,
            tail => table[tail].next[link] = slot,
        }
        self.tail = slot;
    }

    pub(super) fn pop(&mut self, table: &Table) -> Option<u32> {
        if self.head == NONE {
            return None;
        }
        let slot = self.head;
        self.head = table[slot].next[self.link as usize];
        if self.head == NONE {
            self.tail = NONE;
        }
        Some(slot)
    }

    /// Takes `slot` out, wherever it is.
    pub(super) fn remove(&mut self, table: &mut Table, slot: u32) {
        let link = self.link as usize;
        let (mut before, mut at) = (NONE, self.head);
        while at != NONE && at != slot {
            (before, at) = (at, table[at].next[link]);
        }
        if at == NONE {
            return;
        }
        let next = table[slot].next[link];
        match before {
            NONE => self.head = next,
            before => table[before].next[link] = next,
        }
        if self.tail == slot {
            self.tail = before;
        }
    }
}

/// Spreads ids, which are odd or even in a row, over a table. The peer chooses them; a session has a thousand at most of its, so
/// that even the worst choice costs little.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(byte.into());
        }
    }

    fn write_u32(&mut self, id: u32) {
        let spread = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ spread >> 32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_small() {
        assert!(size_of::<Stream>() <= 96, "{}", size_of::<Stream>());
    }

    #[test]
    fn lists_keep_their_order() {
        let mut table = Table::new();
        let slots: Vec<_> =
            (0..4).map(|id| table.insert(Stream::new(id, Marks::default(), 0))).collect();
        let mut list = List::new(Link::Due);
        for &slot in &slots {
            list.push(&mut table, slot);
        }
        list.remove(&mut table, slots[3]);
        list.remove(&mut table, slots[1]);
        list.push(&mut table, slots[1]);
        list.remove(&mut table, slots[0]);
        assert_eq!(list.pop(&table), Some(slots[2]));
        assert_eq!(list.pop(&table), Some(slots[1]));
        assert_eq!(list.pop(&table), None);
        list.remove(&mut table, slots[1]);
        assert!(list.is_empty());
    }

    #[test]
    fn slots_are_used_again_and_nothing_is_kept_in_the_end() {
        let mut table = Table::new();
        let slot = table.insert(Stream::new(1, Marks::default(), 0));
        let other = table.insert(Stream::new(3, Marks::default(), 0));
        table.forget_id(1);
        assert_eq!((table.find(1), table.find(3)), (None, Some(other)));
        table.remove(slot);
        assert_eq!(table.insert(Stream::new(5, Marks::default(), 0)), slot);
        for slot in [slot, other] {
            let id = table[slot].id;
            table.forget_id(id);
            table.remove(slot);
        }
        assert_eq!((table.slots.capacity(), table.ids.capacity()), (0, 0));
    }
}
