//! Payload in several slices, read in order.

use std::io::IoSlice;

/// Reads through slices in order.
pub(super) struct Gather<'payload> {
    slices: &'payload [IoSlice<'payload>],
    offset: usize,
}

impl<'payload> Gather<'payload> {
    pub(super) fn new(slices: &'payload [IoSlice<'payload>]) -> Self {
        Self { slices, offset: 0 }
    }

    /// The next `count` bytes, if they lie in one piece. The slices have that much left.
    pub(super) fn contiguous(&mut self, count: usize) -> Option<&'payload [u8]> {
        while let Some((slice, later)) = self.slices.split_first() {
            if self.offset < slice.len() {
                let bytes = slice.get(self.offset..self.offset + count)?;
                self.offset += count;
                return Some(bytes);
            }
            self.slices = later;
            self.offset = 0;
        }
        (count == 0).then_some(&[])
    }

    /// Fills `to`; the slices have that much left.
    pub(super) fn copy_to(&mut self, mut to: &mut [u8]) {
        while !to.is_empty() {
            let Some((slice, later)) = self.slices.split_first() else { return };
            let from = &slice[self.offset..];
            let count = from.len().min(to.len());
            let (now, unfilled) = to.split_at_mut(count);
            now.copy_from_slice(&from[..count]);
            to = unfilled;
            self.offset += count;
            if count == from.len() {
                self.slices = later;
                self.offset = 0;
            }
        }
    }
}
