//! A range of another backend.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::{Backend, Capabilities, Sink, Source, Zeroing};
use crate::wire::reply::Extent;

/// A range of another backend, as if it were one of its own: a partition, say.
pub struct SliceBackend {
    whole: Arc<dyn Backend>,
    range: Range<u64>,
}

impl SliceBackend {
    /// That range of `whole`.
    ///
    /// # Errors
    /// `InvalidInput` if it does not lie in `whole`, or does not start at a multiple of its minimum block.
    pub fn new(whole: Arc<dyn Backend>, range: Range<u64>) -> io::Result<Self> {
        let fault = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        let (size, block) = (whole.size(), u64::from(whole.capabilities().minimum_block));
        if range.start > range.end || range.end > size {
            return fault(format!("the range {range:?} does not lie within {size} bytes"));
        }
        if !range.start.is_multiple_of(block) || !range.end.is_multiple_of(block) {
            return fault(format!(
                "the range {range:?} does not consist of blocks of {block} bytes"
            ));
        }
        Ok(Self { whole, range })
    }

    fn shifted(&self, range: Range<u64>) -> Range<u64> {
        self.range.start + range.start..self.range.start + range.end
    }
}

impl Backend for SliceBackend {
    fn size(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn capabilities(&self) -> Capabilities {
        self.whole.capabilities()
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.whole.read(self.range.start + offset, buf)
    }

    fn read_now(&self, offset: u64, buf: &mut [u8]) -> Option<io::Result<()>> {
        self.whole.read_now(self.range.start + offset, buf)
    }

    fn read_to(&self, offset: u64, len: usize, sink: &mut dyn Sink) -> Option<io::Result<usize>> {
        self.whole.read_to(self.range.start + offset, len, sink)
    }

    fn write_from(
        &self,
        offset: u64,
        len: usize,
        source: &mut dyn Source,
    ) -> Option<io::Result<usize>> {
        self.whole.write_from(self.range.start + offset, len, source)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.whole.write(self.range.start + offset, data)
    }

    fn write_through(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.whole.write_through(self.range.start + offset, data)
    }

    fn flush(&self) -> io::Result<()> {
        self.whole.flush()
    }

    fn trim(&self, range: Range<u64>) -> io::Result<()> {
        self.whole.trim(self.shifted(range))
    }

    fn zero(&self, range: Range<u64>, zeroing: Zeroing) -> io::Result<()> {
        self.whole.zero(self.shifted(range), zeroing)
    }

    fn cache(&self, range: Range<u64>) -> io::Result<()> {
        self.whole.cache(self.shifted(range))
    }

    fn extents(&self, range: Range<u64>, most: usize) -> io::Result<Vec<Extent>> {
        // The last may end beyond the slice: it is cut there.
        let mut left = self.range.end - self.range.start - range.start;
        let mut extents = self.whole.extents(self.shifted(range), most)?;
        extents.retain_mut(|extent| {
            extent.len = u32::try_from(left).unwrap_or(u32::MAX).min(extent.len);
            left -= u64::from(extent.len);
            extent.len > 0
        });
        Ok(extents)
    }
}

impl std::fmt::Debug for SliceBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SliceBackend").field("range", &self.range).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryBackend;
    use super::*;

    #[test]
    fn a_slice_reaches_no_further_than_its_range() {
        let page = MemoryBackend::PAGE as u64;
        let whole = Arc::new(MemoryBackend::new(10 * page));
        let slice = SliceBackend::new(Arc::clone(&whole) as _, 1000..1000 + 2 * page).unwrap();
        assert_eq!(slice.size(), 2 * page);
        slice.write(5, b"hello").unwrap();
        let mut buf = [0; 5];
        whole.read(1005, &mut buf).unwrap();
        assert_eq!(&buf, b"hello");
        let extents = slice.extents(0..2 * page, 10).unwrap();
        assert_eq!(extents.iter().map(|extent| u64::from(extent.len)).sum::<u64>(), 2 * page);

        for range in [0..10 * page + 1, Range { start: 5, end: 4 }] {
            assert!(SliceBackend::new(Arc::clone(&whole) as _, range).is_err());
        }
    }
}
