//! The memory of one buffer.

use std::fmt;
use std::io;

use memmap2::MmapMut;

use super::class::Class;

/// A mapping of its own, so that unmapping it really gives it back. No allocation goes with it: small ones would lie
/// scattered among those of others after a burst, and keep whole pages from being given back.
pub(super) struct Slab {
    pub(super) memory: MmapMut,
}

impl Slab {
    pub(super) fn map(class: Class) -> io::Result<Self> {
        let memory = MmapMut::map_anon(class.capacity())?;
        // Neighboring mappings merge, and where huge pages are always on, the first byte of one
        // buffer would then back 2 MiB, which unmapping that buffer alone does not give back. A
        // kernel without huge pages refuses the advice, and needs none.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::NoHugePage);
        Ok(Self { memory })
    }

    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.memory.len()
    }

    #[inline]
    pub(super) fn class(&self) -> Class {
        Class::of(self.capacity())
    }
}

impl fmt::Debug for Slab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slab").field("class", &self.class()).finish_non_exhaustive()
    }
}
