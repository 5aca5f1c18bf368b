//! The sizes in which memory is kept.

/// A size class: a power of two from 4 KiB to 32 MiB, with a little more room than its name says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Class(u8);

impl Class {
    /// 4 KiB: what a partial record may still be copied out of cheaply, and a page on most systems.
    const SMALLEST_SHIFT: u32 = 12;
    /// 32 KiB, the default.
    pub(super) const USUAL: Self = Self(3);
    /// How many classes there are: 4 KiB up to 32 MiB.
    pub(super) const COUNT: usize = 14;
    /// The nominal size of the smallest class.
    pub(super) const MIN: usize = 1 << Self::SMALLEST_SHIFT;
    /// The nominal size of the largest class.
    pub(super) const MAX: usize = Self::MIN << (Self::COUNT - 1);
    /// Bytes every buffer has beyond the name of its class. Two records of 16,388 bytes, which is
    /// what the C++ implementation of ALTS sends, fit into 32 KiB only with 8 bytes more; the rest
    /// is for a lead-in that brings a payload to a 64-byte boundary.
    pub(super) const EXTRA: usize = 512;

    /// The smallest class whose buffers have `size` bytes.
    #[inline]
    pub(super) fn fitting(size: usize) -> Option<Self> {
        let nominal = size.saturating_sub(Self::EXTRA).max(Self::MIN);
        if nominal > Self::MAX {
            return None;
        }
        let shift = nominal.next_power_of_two().trailing_zeros();
        Some(Self((shift - Self::SMALLEST_SHIFT) as u8))
    }

    /// The class of exactly this nominal size.
    pub(super) fn exactly(size: usize) -> Option<Self> {
        Self::fitting(size).filter(|class| class.nominal() == size)
    }

    /// The class whose buffers have exactly so many bytes.
    #[inline]
    pub(super) fn of(capacity: usize) -> Self {
        let nominal = capacity - Self::EXTRA;
        debug_assert_eq!(Self::exactly(nominal).map(Self::capacity), Some(capacity));
        Self((nominal.trailing_zeros() - Self::SMALLEST_SHIFT) as u8)
    }

    /// The bytes of the largest buffer that fits into `bytes`; 0 if none does.
    pub(super) fn within(bytes: usize) -> usize {
        (0..Self::COUNT as u8)
            .map(Self)
            .take_while(|class| class.capacity() <= bytes)
            .last()
            .map_or(0, Self::capacity)
    }

    #[inline]
    pub(super) const fn nominal(self) -> usize {
        Self::MIN << self.0
    }

    /// Bytes in a buffer of this class.
    #[inline]
    pub(super) fn capacity(self) -> usize {
        self.nominal() + Self::EXTRA
    }

    #[inline]
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_class_that_fits() {
        for (size, nominal) in [
            (0, 4096),
            (1, 4096),
            (4096, 4096),
            (4097, 4096),
            (4608, 4096),
            (4609, 8192),
            (32 << 10, 32 << 10),
            ((32 << 10) + 512, 32 << 10),
            ((32 << 10) + 513, 64 << 10),
            ((32 << 20) + 512, 32 << 20),
        ] {
            assert_eq!(Class::fitting(size).unwrap().nominal(), nominal, "{size}");
        }
        assert_eq!(Class::fitting((32 << 20) + 513), None);
        assert_eq!(Class::fitting(usize::MAX), None);
    }

    #[test]
    fn every_class_is_found_by_its_name() {
        for index in 0..Class::COUNT {
            let class = Class::exactly(Class::MIN << index).unwrap();
            assert_eq!(class.index(), index);
            assert_eq!(class.capacity(), class.nominal() + 512);
            assert_eq!(Class::of(class.capacity()), class);
        }
        assert_eq!(Class::exactly(5000), None);
        assert_eq!(Class::exactly(0), None);
    }
}
