//! Memory, allocated where it is written.

use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use super::{Backend, Capabilities, Sink, Source, ZEROES, Zeroing, extent};
use crate::wire::flags::AllocationFlags;
use crate::wire::reply::Extent;

/// What is allocated at once.
const PAGE: usize = 64 << 10;
/// Pages that share a lock, next to each other: a request seldom needs more than one.
const PAGES_PER_SHARD: usize = 64;

/// Bytes that share a lock.
const SHARD: u64 = (PAGE * PAGES_PER_SHARD) as u64;
/// Pages that are handed on at once.
const AT_ONCE: usize = 16;

type Page = Option<Bytes>;

/// A line of the processor's cache. Copies between the system and a program are several times as fast if they begin at one.
const LINE: usize = 64;

/// The bytes of a page.
struct Bytes {
    /// Some more than a page, so that it can begin at a line.
    room: Box<[u8]>,
    start: usize,
}

impl Bytes {
    fn zeroed() -> Self {
        let room: Box<[u8]> = vec![0; PAGE + LINE - 1].into();
        let start = room.as_ptr().align_offset(LINE).min(LINE - 1);
        Self { room, start }
    }

    fn part(&self, part: Range<usize>) -> &[u8] {
        &self.room[self.start..][part]
    }

    fn part_mut(&mut self, part: Range<usize>) -> &mut [u8] {
        &mut self.room[self.start..][part]
    }
}

/// Memory that reads as zeroes until it is written, and is allocated in pages of 64 KiB then. Trimmed and zeroed pages are
/// freed.
pub struct MemoryBackend {
    size: u64,
    /// The pages in order, in groups.
    shards: Box<[RwLock<Vec<Page>>]>,
}

impl MemoryBackend {
    /// Bytes in a page.
    pub const PAGE: usize = PAGE;

    /// Memory of that many bytes, none of it allocated. A tebibyte without contents takes about 10 MiB.
    pub fn new(size: u64) -> Self {
        let shards = size.div_ceil(SHARD);
        Self { size, shards: (0..shards).map(|_| RwLock::new(Vec::new())).collect() }
    }

    /// Bytes that are allocated.
    pub fn allocated(&self) -> u64 {
        let pages = self.shards.iter().map(|shard| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.iter().filter(|page| page.is_some()).count()
        });
        (pages.sum::<usize>() * PAGE) as u64
    }

    fn shard(&self, page: u64) -> RwLockWriteGuard<'_, Vec<Page>> {
        let shard = &self.shards[page as usize / PAGES_PER_SHARD];
        shard.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the page is allocated.
    fn has(&self, page: u64) -> bool {
        let shard = &self.shards[page as usize / PAGES_PER_SHARD];
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        matches!(shard.get(page as usize % PAGES_PER_SHARD), Some(Some(_)))
    }

    /// Frees what lies wholly in the range, and clears the rest.
    fn clear(&self, range: Range<u64>) {
        for (page, part) in pages(range) {
            let mut shard = self.shard(page);
            let Some(place) = shard.get_mut(page as usize % PAGES_PER_SHARD) else { continue };
            if part == (0..PAGE) {
                *place = None;
            } else if let Some(bytes) = place {
                bytes.part_mut(part).fill(0);
            }
        }
    }
}

/// The parts of a range by pages: the number of each page, and the range inside it.
fn pages(range: Range<u64>) -> impl Iterator<Item = (u64, Range<usize>)> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let start = (at % PAGE as u64) as usize;
        let len = (range.end - at).min((PAGE - start) as u64) as usize;
        let page = at / PAGE as u64;
        at += len as u64;
        (len > 0).then_some((page, start..start + len))
    })
}

impl Backend for MemoryBackend {
    fn size(&self) -> u64 {
        self.size
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            write: true,
            trim: true,
            fast_zero: true,
            extents: true,
            blocks: false,
            ..Capabilities::default()
        }
    }

    fn read(&self, offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
        for (page, part) in pages(offset..offset + buf.len() as u64) {
            let (now, later) = buf.split_at_mut(part.len());
            let shard = &self.shards[page as usize / PAGES_PER_SHARD];
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            match shard.get(page as usize % PAGES_PER_SHARD) {
                Some(Some(bytes)) => now.copy_from_slice(bytes.part(part)),
                _ => now.fill(0),
            }
            buf = later;
        }
        Ok(())
    }

    /// Straight from the pages.
    fn read_to(&self, offset: u64, len: usize, sink: &mut dyn Sink) -> Option<io::Result<usize>> {
        let end = offset + len as u64;
        let mut at = offset;
        while at < end {
            // As much as one lock covers, in one go.
            let number = (at / SHARD) as usize;
            let part = at..end.min((number as u64 + 1) * SHARD);
            let shard = self.shards[number].read().unwrap_or_else(PoisonError::into_inner);
            let mut slices = [IoSlice::new(&[]); AT_ONCE];
            let mut found = 0;
            let mut wanted = 0;
            for ((page, part), slice) in pages(part).zip(&mut slices) {
                let bytes = match shard.get(page as usize % PAGES_PER_SHARD) {
                    Some(Some(bytes)) => bytes.part(part),
                    _ => &ZEROES[part],
                };
                *slice = IoSlice::new(bytes);
                found += 1;
                wanted += bytes.len();
            }
            let sent = sink.send(&slices[..found]);
            at += sent as u64;
            if sent < wanted {
                break;
            }
        }
        Some(Ok((at - offset) as usize))
    }

    /// Straight into the pages.
    fn write_from(
        &self,
        offset: u64,
        len: usize,
        source: &mut dyn Source,
    ) -> Option<io::Result<usize>> {
        let mut stored = 0;
        for (page, part) in pages(offset..offset + len as u64) {
            let mut shard = self.shard(page);
            let allocated = shard.get_mut(page as usize % PAGES_PER_SHARD);
            let received = if let Some(Some(bytes)) = allocated {
                receive(bytes.part_mut(part.clone()), source)
            } else {
                // Allocated, but not for nothing.
                let mut bytes = Bytes::zeroed();
                let received = receive(bytes.part_mut(part.clone()), source);
                if received > 0 {
                    if shard.is_empty() {
                        shard.resize_with(PAGES_PER_SHARD, || None);
                    }
                    shard[page as usize % PAGES_PER_SHARD] = Some(bytes);
                }
                received
            };
            stored += received;
            if received < part.len() {
                break;
            }
        }
        Some(Ok(stored))
    }

    fn write(&self, offset: u64, mut data: &[u8]) -> io::Result<()> {
        for (page, part) in pages(offset..offset + data.len() as u64) {
            let (now, later) = data.split_at(part.len());
            let mut shard = self.shard(page);
            if shard.is_empty() {
                shard.resize_with(PAGES_PER_SHARD, || None);
            }
            let place = &mut shard[page as usize % PAGES_PER_SHARD];
            place.get_or_insert_with(Bytes::zeroed).part_mut(part).copy_from_slice(now);
            data = later;
        }
        Ok(())
    }

    fn trim(&self, range: Range<u64>) -> io::Result<()> {
        self.clear(range);
        Ok(())
    }

    fn zero(&self, range: Range<u64>, zeroing: Zeroing) -> io::Result<()> {
        if zeroing.may_punch {
            self.clear(range);
            return Ok(());
        }
        // Allocated afterwards: that is what the caller wants.
        super::write_zeroes(range, |offset, zeroes| self.write(offset, zeroes))
    }

    fn extents(&self, range: Range<u64>, most: usize) -> io::Result<Vec<Extent>> {
        let mut extents = Vec::new();
        let mut current: Option<(u64, bool)> = None;
        for (page, part) in pages(range) {
            let allocated = self.has(page);
            match &mut current {
                Some((len, same)) if *same == allocated => *len += part.len() as u64,
                current => {
                    if let Some(done) = current.replace((part.len() as u64, allocated)) {
                        extents.push(described(done));
                        if extents.len() == most {
                            return Ok(extents);
                        }
                    }
                }
            }
        }
        extents.extend(current.map(described));
        Ok(extents)
    }
}

/// Fills `buf` as far as there is something.
fn receive(buf: &mut [u8], source: &mut dyn Source) -> usize {
    let mut filled = 0;
    while filled < buf.len() {
        match source.receive(&mut buf[filled..]) {
            0 => break,
            received => filled += received,
        }
    }
    filled
}

fn described((len, allocated): (u64, bool)) -> Extent {
    extent(len, if allocated { AllocationFlags::NONE } else { AllocationFlags::ALL })
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend").field("size", &self.size).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(backend: &MemoryBackend, offset: u64, len: usize) -> Vec<u8> {
        let mut buf = vec![0xee; len];
        backend.read(offset, &mut buf).unwrap();
        buf
    }

    #[test]
    fn bytes_come_back_across_pages() {
        let backend = MemoryBackend::new(10 * PAGE as u64 + 100);
        assert_eq!(read(&backend, 5, 1000), [0; 1000]);
        assert_eq!(backend.allocated(), 0);
        let data: Vec<u8> = (0..3 * PAGE).map(|at| (at % 251) as u8).collect();
        backend.write(1000, &data).unwrap();
        assert_eq!(read(&backend, 1000, data.len()), data);
        assert_eq!(read(&backend, 990, 10), [0; 10]);
        assert_eq!(backend.allocated(), 4 * PAGE as u64);
        let end = 10 * PAGE as u64;
        backend.write(end, &[7; 100]).unwrap();
        assert_eq!(read(&backend, end, 100), [7; 100]);
    }

    #[test]
    fn what_is_zeroed_is_freed() {
        let page = PAGE as u64;
        let backend = MemoryBackend::new(100 * page);
        backend.write(0, &vec![1; 4 * PAGE]).unwrap();
        backend.zero(100..3 * page, Zeroing { may_punch: true, fast: true }).unwrap();
        assert_eq!(backend.allocated(), 2 * page);
        assert_eq!(read(&backend, 99, 2), [1, 0]);
        assert_eq!(read(&backend, 3 * page - 1, 2), [0, 1]);
        let extents = backend.extents(10..10 + 90 * page, 10).unwrap();
        let lens: Vec<_> = extents.iter().map(|extent| u64::from(extent.len)).collect();
        assert_eq!(lens, [page - 10, 2 * page, page, 86 * page + 10]);
        assert_eq!(extents[1].flags, AllocationFlags::ALL);
        assert_eq!(extents[2].flags, AllocationFlags::NONE);
        assert_eq!(backend.extents(0..100 * page, 2).unwrap().len(), 2);

        backend.zero(page..2 * page, Zeroing::default()).unwrap();
        assert_eq!(backend.allocated(), 3 * page, "not a hole, since none was allowed");
        backend.trim(0..100 * page).unwrap();
        assert_eq!(backend.allocated(), 0);
    }
}
