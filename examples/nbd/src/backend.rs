//! Where the bytes of an export are.
//!
//! [`Backend`] is all that a storage has to implement; only [`size`](Backend::size) and [`read`](Backend::read) have no default.
//! Its calls are ordinary blocking calls on slices; the server runs them where blocking is allowed.
//!
//! | backend | |
//! | --- | --- |
//! | [`FileBackend`] | a file or a block device |
//! | [`MemoryBackend`] | pages that are allocated when they are written |
//! | [`SliceBackend`] | a range of another backend |
//! | [`OverlayBackend`] | changes in one backend over another, which is never written |
//!
//! # A custom backend
//!
//! ```
//! use std::io;
//! use alts_nbd::backend::{Backend, Capabilities};
//!
//! /// A disk whose every 8 bytes contain their own offset.
//! struct Offsets(u64);
//!
//! impl Backend for Offsets {
//!     fn size(&self) -> u64 {
//!         self.0
//!     }
//!
//!     fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
//!         for (at, byte) in (offset..).zip(buf) {
//!             *byte = (at & !7).to_be_bytes()[(at & 7) as usize];
//!         }
//!         Ok(())
//!     }
//!
//!     fn capabilities(&self) -> Capabilities {
//!         let mut capabilities = Capabilities::default(); // read-only
//!         capabilities.blocks = false;
//!         capabilities
//!     }
//! }
//!
//! let mut buf = [0; 4];
//! Offsets(1 << 20).read(4102, &mut buf)?;
//! assert_eq!(buf, [0x10, 0, 0, 0]);
//! # Ok::<(), io::Error>(())
//! ```

#[cfg(target_os = "linux")]
mod file;
mod memory;
mod overlay;
mod passing;
mod slice;

use std::io;
use std::ops::Range;

use crate::wire::flags::AllocationFlags;
use crate::wire::reply::Extent;

#[cfg(target_os = "linux")]
pub use file::{FileBackend, FileOptions};
pub use memory::MemoryBackend;
pub use overlay::OverlayBackend;
pub use passing::{Sink, Source};
pub use slice::SliceBackend;

/// Zeroes to write where nothing better is possible: as large as a write should be, in the read-only part of the program.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// Storage.
///
/// The server checks every range against [`size`](Self::size) and every flag against [`capabilities`](Self::capabilities) before it
/// calls, never calls with an empty range, and calls from several threads at once. Of two overlapping calls under way at the
/// same time either may win.
///
/// # Errors
/// The kind of an error decides what the client gets: `StorageFull`, `QuotaExceeded` and `FileTooLarge` become `ENOSPC`,
/// `ReadOnlyFilesystem` and `PermissionDenied` `EPERM`, `OutOfMemory` `ENOMEM`, `InvalidInput` `EINVAL`, and all others `EIO`.
pub trait Backend: Send + Sync + 'static {
    /// Bytes. Asked once.
    fn size(&self) -> u64;

    /// Fills `buf` with what is stored from `offset`.
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// What else there is. By default nothing: the export is read-only.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Reads if that is possible without waiting for a device. `None` has the server call [`read`](Self::read) where waiting is
    /// allowed; what `buf` contains does not matter then.
    fn read_now(&self, _offset: u64, _buf: &mut [u8]) -> Option<io::Result<()>> {
        None
    }

    /// Passes what is stored from `offset` on to `sink`, until `len` bytes have gone or it takes no more, and says how many have
    /// gone. The server calls again for the rest. `None`, which is right only if nothing has gone, has it go by
    /// [`read`](Self::read).
    ///
    /// Called for exports with [`Strategy::Unbuffered`](crate::export::Strategy::Unbuffered), where waiting is not allowed. A
    /// backend that [`blocks`](Capabilities::blocks) may still fail in the middle, and is not asked for short reads, which are
    /// faster by a buffer. One that does not block is expected to have all of it: an error in the middle ends the connection.
    fn read_to(
        &self,
        _offset: u64,
        _len: usize,
        _sink: &mut dyn Sink,
    ) -> Option<io::Result<usize>> {
        None
    }

    /// Stores at `offset` what `source` has, until there are `len` bytes or it has no more now, and says how many were stored:
    /// all that were received, unless it fails. The server calls again for the rest. `None`, which is right only if nothing was
    /// received, has it go by [`write`](Self::write).
    ///
    /// Called for exports with [`Strategy::Unbuffered`](crate::export::Strategy::Unbuffered) whose backend does not
    /// [block](Capabilities::blocks), nor has a minimum block.
    fn write_from(
        &self,
        _offset: u64,
        _len: usize,
        _source: &mut dyn Source,
    ) -> Option<io::Result<usize>> {
        None
    }

    /// Stores `data` at `offset`.
    fn write(&self, _offset: u64, _data: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    /// As [`write`](Self::write), and returns when the data are on stable storage.
    fn write_through(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write(offset, data)?;
        self.flush()
    }

    /// Returns when all that was completed before is on stable storage.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    /// The range's contents are no longer needed. Doing nothing is right.
    fn trim(&self, _range: Range<u64>) -> io::Result<()> {
        Ok(())
    }

    /// Has the range read as zeroes.
    ///
    /// # Errors
    /// `Unsupported` if it would not be quick and [`Zeroing::fast`] is set; nothing was changed then.
    fn zero(&self, range: Range<u64>, zeroing: Zeroing) -> io::Result<()> {
        match zeroing.fast {
            true => Err(io::ErrorKind::Unsupported.into()),
            false => write_zeroes(range, |offset, zeroes| self.write(offset, zeroes)),
        }
    }

    /// The range will be read soon.
    fn cache(&self, _range: Range<u64>) -> io::Result<()> {
        Ok(())
    }

    /// What is allocated from the start of `range`, at most `most` extents, at least one. They follow each other without gaps.
    /// The last may end beyond `range`, but not beyond the storage. By default all is allocated, which is never wrong.
    fn extents(&self, range: Range<u64>, _most: usize) -> io::Result<Vec<Extent>> {
        Ok(vec![extent(range.end - range.start, AllocationFlags::NONE)])
    }
}

/// What a backend is capable of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is independent of the others")]
#[non_exhaustive]
pub struct Capabilities {
    /// It can be written.
    pub write: bool,
    /// [`Backend::trim`] does something.
    pub trim: bool,
    /// [`Backend::zero`] is sometimes quicker than writing zeroes.
    pub fast_zero: bool,
    /// [`Backend::cache`] does something.
    pub cache: bool,
    /// [`Backend::extents`] knows what is allocated.
    pub extents: bool,
    /// The bytes are on a rotating disk.
    pub rotational: bool,
    /// Calls may wait for a device; the server makes them on threads of their own.
    pub blocks: bool,
    /// Offsets and lengths have to be multiples of this: a power of two, at most 64 KiB.
    pub minimum_block: u32,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            write: false,
            trim: false,
            fast_zero: false,
            cache: false,
            extents: false,
            rotational: false,
            blocks: true,
            minimum_block: 1,
        }
    }
}

/// How a range is to be zeroed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Zeroing {
    /// The range may become a hole. If not, later writes to it must not fail for want of space.
    pub may_punch: bool,
    /// Quick, or not at all.
    pub fast: bool,
}

/// An extent of at most what the protocol has room for, on a block boundary.
pub(crate) fn extent(len: u64, flags: AllocationFlags) -> Extent {
    const MOST: u32 = !0xffff;
    Extent { len: u32::try_from(len).unwrap_or(MOST), flags }
}

/// Writes zeroes over a range, piece by piece.
pub(crate) fn write_zeroes(
    range: Range<u64>,
    mut write: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut offset = range.start;
    while offset < range.end {
        let len = (range.end - offset).min(ZEROES.len() as u64);
        write(offset, &ZEROES[..len as usize])?;
        offset += len;
    }
    Ok(())
}
