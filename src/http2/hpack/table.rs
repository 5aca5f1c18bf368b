//! The dynamic table (RFC 7541, sections 2.3.2 and 4), in one allocation that is as large as what it holds.
//!
//! ```text
//!  ┌ text: name value name value … oldest first ┬ entries: end, length of the name; 4 bytes each ┐
//! ```
//!
//! An entry's text begins where that of the one before it ends.

use std::ops::Range;

use super::HpackError;

/// What each entry counts beyond its text.
pub(super) const OVERHEAD: usize = 32;
/// Bytes that describe an entry.
const ENTRY: usize = 4;

/// The table while a block is decoded.
pub(super) struct Table {
    bytes: Vec<u8>,
    /// Bytes of text; the entries follow.
    text: usize,
    /// What text and overhead may add up to.
    max: usize,
}

impl Table {
    /// Opens what [`close`](Self::close) left.
    pub(super) fn open(bytes: Box<[u8]>, max: u32) -> Self {
        let bytes = bytes.into_vec();
        // The newest entry is the last, and its text ends where all text does.
        let text = bytes.len().checked_sub(ENTRY).map_or(0, |at| entry_at(&bytes, at).0);
        Self { bytes, text, max: max as usize }
    }

    /// Gives back what it has beyond its size.
    pub(super) fn close(self) -> Box<[u8]> {
        self.bytes.into_boxed_slice()
    }

    fn len(&self) -> usize {
        (self.bytes.len() - self.text) / ENTRY
    }

    fn size(&self) -> usize {
        self.text + self.len() * OVERHEAD
    }

    pub(super) fn set_max(&mut self, max: u32) {
        self.max = max as usize;
        self.evict(self.max);
    }

    /// The name and the value of an entry; the newest one has index 0.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Result<(&[u8], &[u8]), HpackError> {
        let (text, name) = self.find(index)?;
        Ok(self.bytes[text].split_at(name))
    }

    /// Where the name of an entry stands.
    #[inline]
    pub(super) fn name(&self, index: usize) -> Result<Range<usize>, HpackError> {
        let (text, name) = self.find(index)?;
        Ok(text.start..text.start + name)
    }

    /// Where the text of an entry stands, and how long its name is.
    #[inline]
    fn find(&self, index: usize) -> Result<(Range<usize>, usize), HpackError> {
        let at = self.len().checked_sub(index + 1).ok_or(HpackError::NoSuchEntry)?;
        let (end, name) = self.entry(at);
        let start = match at {
            0 => 0,
            at => self.entry(at - 1).0,
        };
        Ok((start..end, name))
    }

    #[inline]
    pub(super) fn text(&self, place: Range<usize>) -> &[u8] {
        &self.bytes[place]
    }

    /// Adds an entry whose name is copied from elsewhere.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        if let Some(at) = self.grow(name.len(), value.len()) {
            self.bytes[at..at + name.len()].copy_from_slice(name);
            self.finish(at, name.len(), value);
        }
    }

    /// Adds an entry with the name of one that is there, which may have to make room (section 4.4).
    pub(super) fn insert_named(&mut self, name: Range<usize>, value: &[u8]) {
        let len = name.len();
        if let Some(at) = self.grow(len, value.len()) {
            self.bytes.copy_within(name, at);
            self.finish(at, len, value);
        }
    }

    /// Makes room for an entry's text and its description. An entry that is larger than the table empties it (section 4.4).
    fn grow(&mut self, name: usize, value: usize) -> Option<usize> {
        if name + value + OVERHEAD > self.max {
            self.bytes.clear();
            self.text = 0;
            return None;
        }
        let (at, end) = (self.text, self.bytes.len());
        let added = name + value;
        self.bytes.resize(end + added + ENTRY, 0);
        self.bytes.copy_within(at..end, at + added);
        Some(at)
    }

    /// Writes what follows the name of the entry that [`grow`](Self::grow) made room for, then makes the table small enough.
    fn finish(&mut self, at: usize, name: usize, value: &[u8]) {
        self.bytes[at + name..at + name + value.len()].copy_from_slice(value);
        let added = name + value.len();
        let last = self.bytes.len() - ENTRY;
        // Others go first, so that no offset exceeds 16 bits.
        self.bytes.truncate(last);
        self.text += added;
        let gone = self.evict(self.max - OVERHEAD);
        let end = at + added - gone;
        self.bytes.extend_from_slice(&(end as u16).to_le_bytes());
        self.bytes.extend_from_slice(&(name as u16).to_le_bytes());
    }

    /// Drops the oldest entries until the rest takes at most `max`, text that no entry describes yet included. Returns how many
    /// bytes of text went.
    fn evict(&mut self, max: usize) -> usize {
        let (len, mut size) = (self.len(), self.size());
        let (mut count, mut gone) = (0, 0);
        while size > max && count < len {
            let end = self.entry(count).0;
            size -= end - gone + OVERHEAD;
            gone = end;
            count += 1;
        }
        debug_assert!(size <= max);
        if count == 0 {
            return 0;
        }
        for at in count..len {
            let (end, _) = self.entry(at);
            let place = self.text + at * ENTRY;
            self.bytes[place..place + 2].copy_from_slice(&((end - gone) as u16).to_le_bytes());
        }
        let entries = self.text + count * ENTRY;
        self.bytes.copy_within(gone..self.text, 0);
        self.bytes.copy_within(entries.., self.text - gone);
        self.text -= gone;
        self.bytes.truncate(self.text + (len - count) * ENTRY);
        gone
    }

    /// Where an entry's text ends, and how long its name is; the oldest has number 0.
    #[inline]
    fn entry(&self, number: usize) -> (usize, usize) {
        entry_at(&self.bytes, self.text + number * ENTRY)
    }
}

#[inline]
fn entry_at(bytes: &[u8], at: usize) -> (usize, usize) {
    let field = |at| u16::from_le_bytes([bytes[at], bytes[at + 1]]).into();
    (field(at), field(at + 2))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Against a list of pairs, with a xorshift for choices.
    #[test]
    fn behaves_as_a_list_of_pairs() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut choose = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        for limit in [0, 31, 32, 40, 100, 300, 4_096, 65_536] {
            let mut max = limit;
            let mut table = Table::open(Box::default(), max as u32);
            let mut model: VecDeque<(Vec<u8>, Vec<u8>)> = VecDeque::new();
            for step in 0..600_u32 {
                let longest = choose(1 + max / 2);
                let value = vec![step as u8; choose(1 + longest)];
                let name = match choose(3) {
                    0 if !model.is_empty() => {
                        let index = choose(model.len());
                        let name = table.name(index).unwrap();
                        table.insert_named(name, &value);
                        Some(model[index].0.clone())
                    }
                    1 => {
                        max = choose(limit + 1);
                        table.set_max(max as u32);
                        None
                    }
                    _ => {
                        let longest = choose(1 + max / 8);
                        let name = vec![!step as u8; choose(1 + longest)];
                        table.insert(&name, &value);
                        Some(name)
                    }
                };
                if let Some(name) = name {
                    model.push_front((name, value));
                }
                let size = |model: &VecDeque<(Vec<u8>, Vec<u8>)>| {
                    model.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>()
                };
                while size(&model) > max {
                    model.pop_back();
                }
                assert_eq!(table.size(), size(&model));
                assert_eq!(table.len(), model.len());
                for (index, (name, value)) in model.iter().enumerate() {
                    assert_eq!(table.get(index).unwrap(), (&name[..], &value[..]));
                    assert_eq!(table.text(table.name(index).unwrap()), name);
                }
                assert_eq!(table.get(model.len()), Err(HpackError::NoSuchEntry));
                let bytes = table.close();
                assert_eq!(bytes.len(), size(&model) - model.len() * (OVERHEAD - ENTRY));
                table = Table::open(bytes, max as u32);
            }
        }
    }
}
