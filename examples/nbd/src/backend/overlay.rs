//! Changes over what is never changed.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Backend, Capabilities, Zeroing, extent};
use crate::wire::flags::AllocationFlags;
use crate::wire::reply::Extent;

/// What is copied at once.
const CLUSTER: u64 = 64 << 10;
/// Clusters that share a lock, by the remainder of their number.
const LOCKS: usize = 64;

/// A base that is only read, with changes that are kept in another backend of at least its size (copy on write).
///
/// Which clusters of 64 KiB were changed is kept in memory, one bit for each, so the changes last as long as this value.
pub struct OverlayBackend {
    base: Arc<dyn Backend>,
    changes: Arc<dyn Backend>,
    /// A bit for each cluster.
    changed: Mutex<Vec<u64>>,
    /// Held while a cluster is written, so that its first write copies it once.
    writing: [Mutex<()>; LOCKS],
}

impl OverlayBackend {
    /// Bytes that are copied from the base at the first write to any of them.
    pub const CLUSTER: u64 = CLUSTER;

    /// `changes` over `base`. Nothing that `changes` contains before counts.
    ///
    /// # Errors
    /// `InvalidInput` if `changes` cannot be written, is smaller than `base`, or has blocks that are larger than a cluster.
    pub fn new(base: Arc<dyn Backend>, changes: Arc<dyn Backend>) -> io::Result<Self> {
        let fault = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        let (size, room) = (base.size(), changes.size());
        if room < size {
            return fault(format!("the changes have room for {room} bytes, the base has {size}"));
        }
        if !changes.capabilities().write {
            return fault("the changes cannot be written".to_owned());
        }
        let changed = Mutex::new(vec![0; size.div_ceil(CLUSTER * 64) as usize]);
        Ok(Self { base, changes, changed, writing: [const { Mutex::new(()) }; LOCKS] })
    }

    fn bits(&self) -> MutexGuard<'_, Vec<u64>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_changed(&self, cluster: u64) -> bool {
        self.bits()[(cluster / 64) as usize] >> (cluster % 64) & 1 == 1
    }

    fn mark(&self, cluster: u64) {
        self.bits()[(cluster / 64) as usize] |= 1 << (cluster % 64);
    }

    /// The parts of a range in which all clusters are changed, or none is.
    fn runs(&self, range: Range<u64>) -> impl Iterator<Item = (bool, Range<u64>)> {
        let mut at = range.start;
        std::iter::from_fn(move || {
            let start = at;
            let changed = (at < range.end).then(|| self.is_changed(at / CLUSTER))?;
            while at < range.end && self.is_changed(at / CLUSTER) == changed {
                at = ((at / CLUSTER + 1) * CLUSTER).min(range.end);
            }
            Some((changed, start..at))
        })
    }

    /// Has every cluster of the range changed by `change`, which is called for the part of the range that lies in it.
    fn change(
        &self,
        range: Range<u64>,
        mut change: impl FnMut(Range<u64>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut at = range.start;
        while at < range.end {
            let cluster = at / CLUSTER;
            let whole = cluster * CLUSTER..((cluster + 1) * CLUSTER).min(self.base.size());
            let part = at..whole.end.min(range.end);
            let lock = &self.writing[cluster as usize % LOCKS];
            let _writing = lock.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.is_changed(cluster) {
                // What the change leaves as it is.
                for kept in [whole.start..part.start, part.end..whole.end] {
                    self.copy(kept)?;
                }
            }
            change(part.clone())?;
            self.mark(cluster);
            at = part.end;
        }
        Ok(())
    }

    fn copy(&self, range: Range<u64>) -> io::Result<()> {
        let mut buf = [0; 4096];
        let mut at = range.start;
        while at < range.end {
            let len = (range.end - at).min(buf.len() as u64);
            let buf = &mut buf[..len as usize];
            self.base.read(at, buf)?;
            self.changes.write(at, buf)?;
            at += len;
        }
        Ok(())
    }
}

impl Backend for OverlayBackend {
    fn size(&self) -> u64 {
        self.base.size()
    }

    fn capabilities(&self) -> Capabilities {
        let (base, changes) = (self.base.capabilities(), self.changes.capabilities());
        Capabilities {
            write: true,
            extents: base.extents || changes.extents,
            blocks: base.blocks || changes.blocks,
            minimum_block: base.minimum_block.max(changes.minimum_block),
            rotational: base.rotational || changes.rotational,
            ..Capabilities::default()
        }
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        for (changed, run) in self.runs(offset..offset + buf.len() as u64) {
            let part = &mut buf[(run.start - offset) as usize..(run.end - offset) as usize];
            let from = if changed { &self.changes } else { &self.base };
            from.read(run.start, part)?;
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(offset..offset + data.len() as u64, |part| {
            let data = &data[(part.start - offset) as usize..(part.end - offset) as usize];
            self.changes.write(part.start, data)
        })
    }

    fn flush(&self) -> io::Result<()> {
        self.changes.flush()
    }

    fn zero(&self, range: Range<u64>, zeroing: Zeroing) -> io::Result<()> {
        if zeroing.fast {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.change(range, |part| self.changes.zero(part, zeroing))
    }

    fn extents(&self, range: Range<u64>, most: usize) -> io::Result<Vec<Extent>> {
        let mut extents: Vec<Extent> = Vec::new();
        for (changed, run) in self.runs(range) {
            let (from, mut at) = (if changed { &self.changes } else { &self.base }, run.start);
            while at < run.end {
                if extents.len() == most {
                    return Ok(extents);
                }
                let capable = from.capabilities().extents;
                let found = if capable { from.extents(at..run.end, most)? } else { Vec::new() };
                // Beyond the run something else counts.
                let all = [extent(run.end - at, AllocationFlags::NONE)];
                for found in if found.is_empty() { &all[..] } else { &found } {
                    let len = u64::from(found.len).min(run.end - at);
                    if len == 0 || extents.len() == most {
                        break;
                    }
                    extents.push(extent(len, found.flags));
                    at += len;
                }
            }
        }
        Ok(extents)
    }
}

impl std::fmt::Debug for OverlayBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OverlayBackend").field("size", &self.size()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryBackend;
    use super::*;

    fn overlay(size: u64) -> (Arc<MemoryBackend>, OverlayBackend) {
        let base = Arc::new(MemoryBackend::new(size));
        let pattern: Vec<u8> = (0..size).map(|at| (at % 253) as u8).collect();
        base.write(0, &pattern).unwrap();
        let changes = Arc::new(MemoryBackend::new(size));
        (Arc::clone(&base), OverlayBackend::new(base, changes).unwrap())
    }

    #[test]
    fn the_base_stays_and_the_rest_of_a_changed_cluster_shows_it() {
        let size = 3 * CLUSTER + 1000;
        let (base, overlay) = overlay(size);
        let mut expected: Vec<u8> = (0..size).map(|at| (at % 253) as u8).collect();
        let before = expected.clone();
        for (offset, len) in [(10, 5), (CLUSTER - 3, 7), (2 * CLUSTER, 10), (size - 4, 4)] {
            overlay.write(offset, &vec![0xff; len]).unwrap();
            expected[offset as usize..offset as usize + len].fill(0xff);
        }
        overlay.zero(100..200, Zeroing::default()).unwrap();
        expected[100..200].fill(0);
        let mut seen = vec![0; size as usize];
        overlay.read(0, &mut seen).unwrap();
        assert!(seen == expected);
        base.read(0, &mut seen).unwrap();
        assert!(seen == before);
    }

    #[test]
    fn extents_are_those_of_whichever_counts() {
        let size = 4 * CLUSTER;
        let base = Arc::new(MemoryBackend::new(size));
        base.write(CLUSTER, &[1]).unwrap();
        let changes = Arc::new(MemoryBackend::new(size));
        changes.write(3 * CLUSTER, &[1]).unwrap();
        let overlay = OverlayBackend::new(base, changes).unwrap();
        overlay.write(0, &[1]).unwrap();
        let extents = overlay.extents(0..size, 10).unwrap();
        let found: Vec<_> =
            extents.iter().map(|e| (u64::from(e.len) / CLUSTER, e.flags.0)).collect();
        assert_eq!(found, [(1, 0), (1, 0), (2, 3)], "what the changes had before does not count");
        assert_eq!(overlay.extents(0..size, 1).unwrap().len(), 1);
    }

    #[test]
    fn changes_need_room() {
        let base = Arc::new(MemoryBackend::new(100));
        let small = Arc::new(MemoryBackend::new(99));
        assert!(OverlayBackend::new(base, small).is_err());
    }
}
