//! Files and block devices.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSliceMut, Read as _, Seek as _, SeekFrom as StdSeekFrom};
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Advice, FallocateFlags, OFlags, SeekFrom, fadvise, fallocate, fdatasync, seek};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::{Backend, Capabilities, Sink, Zeroing, extent, write_zeroes};
use crate::wire::flags::AllocationFlags;
use crate::wire::reply::Extent;

/// What buffers, offsets and lengths are multiples of if they pass the page cache by. Disks have sectors of this size, or accept
/// them.
const DIRECT_BLOCK: u64 = 512;

/// Of what is to be sent without waiting, a byte in so many is looked for in the page cache. The system reads ahead by more.
const PROBED: usize = 64 << 10;

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileOptions {
    /// Only for reading.
    pub read_only: bool,
    /// Pass the page cache by (`O_DIRECT`) where a request is aligned to 512 bytes.
    pub direct: bool,
}

/// A file or a block device, whose size is fixed when it is opened.
#[derive(Debug)]
pub struct FileBackend {
    path: PathBuf,
    file: File,
    /// The same, without the page cache.
    direct: Option<File>,
    size: u64,
    read_only: bool,
    rotational: bool,
    /// The file system has refused to punch holes; asking again would take time and change nothing.
    no_holes: AtomicBool,
    /// The same of zeroing in place.
    no_zero_range: AtomicBool,
}

impl FileBackend {
    /// Opens what is at `path`.
    ///
    /// # Errors
    /// What the system reports; `InvalidInput` for what is neither a regular file nor a block device.
    pub fn open(path: &Path, options: FileOptions) -> io::Result<Self> {
        let mut how = OpenOptions::new();
        how.read(true).write(!options.read_only);
        // A FIFO must not keep the program from starting.
        how.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let mut file = how.open(path)?;
        let metadata = file.metadata()?;
        let kind = metadata.file_type();
        let size = if kind.is_block_device() {
            file.seek(StdSeekFrom::End(0))?
        } else if kind.is_file() {
            metadata.len()
        } else {
            let text = "it is neither a regular file nor a block device";
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        };
        let direct = match options.direct {
            true => Some(how.custom_flags(OFlags::DIRECT.bits().cast_signed()).open(path)?),
            false => None,
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            direct,
            size,
            read_only: options.read_only,
            rotational: kind.is_block_device() && is_rotational(path),
            no_holes: AtomicBool::new(false),
            no_zero_range: AtomicBool::new(false),
        })
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file to use for a transfer between `memory` and `offset`.
    fn file_for(&self, offset: u64, memory: &[u8]) -> &File {
        let address = memory.as_ptr().addr() as u64;
        match &self.direct {
            Some(direct)
                if (offset | address | memory.len() as u64).is_multiple_of(DIRECT_BLOCK) =>
            {
                direct
            }
            _ => &self.file,
        }
    }

    /// Whether this range is most likely in the page cache. Only samples are looked at, so sending it may still wait for the
    /// device, and with it whatever else its thread serves. `cachestat(2)`, which knows, is out of reach without unsafe code;
    /// strategies with buffers never wait there, since they ask for every byte.
    fn is_cached(&self, offset: u64, len: usize) -> bool {
        let is_there = |at: usize| {
            let mut byte = [0];
            let buf = &mut [IoSliceMut::new(&mut byte)];
            preadv2(&self.file, buf, offset + at as u64, ReadWriteFlags::NOWAIT) == Ok(1)
        };
        (0..len).step_by(PROBED).chain(len.checked_sub(1)).all(is_there)
    }

    /// Calls `fallocate`, or answers `None` if the file system does not know this mode.
    fn allocate(
        &self,
        unknown: &AtomicBool,
        mode: FallocateFlags,
        range: &Range<u64>,
    ) -> Option<io::Result<()>> {
        if unknown.load(Ordering::Relaxed) {
            return None;
        }
        let len = range.end - range.start;
        match fallocate(&self.file, mode | FallocateFlags::KEEP_SIZE, range.start, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                unknown.store(true, Ordering::Relaxed);
                None
            }
            // A block device refuses what is not aligned to its sectors.
            Err(Errno::INVAL) => None,
            result => Some(result.map_err(Into::into)),
        }
    }

    fn punch(&self, range: &Range<u64>) -> Option<io::Result<()>> {
        self.allocate(&self.no_holes, FallocateFlags::PUNCH_HOLE, range)
    }

    /// The next offset from `at` that is data or a hole; the end of the file if there is none.
    fn next(&self, whence: fn(u64) -> SeekFrom, at: u64) -> io::Result<u64> {
        match seek(&self.file, whence(at)) {
            Ok(found) => Ok(found.min(self.size)),
            Err(Errno::NXIO) => Ok(self.size),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the system says that the device rotates. What cannot be found out does not.
fn is_rotational(path: &Path) -> bool {
    let read = || {
        let real = path.canonicalize().ok()?;
        let name = real.file_name()?.to_str()?.to_owned();
        let mut text = String::new();
        let queue = format!("/sys/class/block/{name}/queue/rotational");
        File::open(queue).ok()?.take(8).read_to_string(&mut text).ok()?;
        Some(text.trim() == "1")
    };
    read().unwrap_or(false)
}

impl Backend for FileBackend {
    fn size(&self) -> u64 {
        self.size
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            write: !self.read_only,
            trim: !self.read_only,
            fast_zero: !self.read_only,
            cache: true,
            extents: true,
            rotational: self.rotational,
            blocks: true,
            ..Capabilities::default()
        }
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file_for(offset, buf).read_exact_at(buf, offset)
    }

    fn read_now(&self, offset: u64, buf: &mut [u8]) -> Option<io::Result<()>> {
        if self.direct.is_some() {
            return None;
        }
        let len = buf.len();
        let buf = &mut [IoSliceMut::new(buf)];
        // Anything else, errors too, is found out again where waiting is allowed.
        match preadv2(&self.file, buf, offset, ReadWriteFlags::NOWAIT) {
            Ok(read) if read == len => Some(Ok(())),
            _ => None,
        }
    }

    /// From the page cache to the socket, if it is there. Which pages are sent is decided now, but a page that is written before
    /// the client has received it is sent as it is then.
    fn read_to(&self, offset: u64, len: usize, sink: &mut dyn Sink) -> Option<io::Result<usize>> {
        if self.direct.is_some() || !self.is_cached(offset, len) {
            return None;
        }
        sink.send_file(self.file.as_fd(), offset, len)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file_for(offset, data).write_all_at(data, offset)
    }

    fn flush(&self) -> io::Result<()> {
        fdatasync(&self.file).map_err(Into::into)
    }

    fn trim(&self, range: Range<u64>) -> io::Result<()> {
        // It is a hint: a file system without holes ignores it.
        self.punch(&range).unwrap_or(Ok(()))
    }

    fn zero(&self, range: Range<u64>, zeroing: Zeroing) -> io::Result<()> {
        if zeroing.may_punch
            && let Some(done) = self.punch(&range)
        {
            return done;
        }
        if let Some(done) = self.allocate(&self.no_zero_range, FallocateFlags::ZERO_RANGE, &range) {
            return done;
        }
        if zeroing.fast {
            return Err(ErrorKind::Unsupported.into());
        }
        write_zeroes(range, |offset, zeroes| self.file.write_all_at(zeroes, offset))
    }

    fn cache(&self, range: Range<u64>) -> io::Result<()> {
        let len = std::num::NonZeroU64::new(range.end - range.start);
        fadvise(&self.file, range.start, len, Advice::WillNeed).map_err(Into::into)
    }

    fn extents(&self, range: Range<u64>, most: usize) -> io::Result<Vec<Extent>> {
        let mut extents = Vec::new();
        let mut at = range.start;
        while at < range.end && extents.len() < most {
            let Ok(data) = self.next(SeekFrom::Data, at) else {
                // Block devices do not know.
                extents.push(extent(range.end - at, AllocationFlags::NONE));
                break;
            };
            let (end, flags) = if data > at {
                (data, AllocationFlags::ALL)
            } else {
                (self.next(SeekFrom::Hole, at)?.max(at + 1), AllocationFlags::NONE)
            };
            let found = extent(end.min(range.end) - at, flags);
            at += u64::from(found.len);
            extents.push(found);
        }
        Ok(extents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn file(size: u64) -> (tempfile::NamedTempFile, FileBackend) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size).unwrap();
        let backend = FileBackend::open(file.path(), FileOptions::default()).unwrap();
        (file, backend)
    }

    fn read(backend: &FileBackend, offset: u64, len: usize) -> Vec<u8> {
        let mut buf = vec![0xee; len];
        backend.read(offset, &mut buf).unwrap();
        buf
    }

    #[test]
    fn bytes_come_back() {
        let (_file, backend) = file(4 * MIB);
        backend.write(5, b"hello").unwrap();
        backend.write_through(2 * MIB, b"there").unwrap();
        assert_eq!(read(&backend, 4, 7), b"\0hello\0");
        assert_eq!(read(&backend, 2 * MIB, 5), b"there");
        let mut buf = [0; 5];
        if let Some(result) = backend.read_now(5, &mut buf) {
            result.unwrap();
            assert_eq!(&buf, b"hello");
        }
        backend.cache(0..MIB).unwrap();
    }

    #[test]
    fn zeroes_with_and_without_holes() {
        let (_file, backend) = file(4 * MIB);
        backend.write(0, &vec![7; 2 * MIB as usize]).unwrap();
        backend.zero(1000..MIB, Zeroing { may_punch: true, fast: false }).unwrap();
        backend.zero(MIB..MIB + 100, Zeroing::default()).unwrap();
        assert_eq!(read(&backend, 999, 2), [7, 0]);
        assert_eq!(read(&backend, MIB - 1, 102), [&[0; 101][..], &[7]].concat());
        backend.trim(0..4 * MIB).unwrap();
    }

    #[test]
    fn extents_cover_what_was_asked() {
        let (_file, backend) = file(4 * MIB);
        backend.write(MIB, &vec![7; MIB as usize]).unwrap();
        let extents = backend.extents(0..4 * MIB, 100).unwrap();
        assert_eq!(extents.iter().map(|e| u64::from(e.len)).sum::<u64>(), 4 * MIB);
        assert!(extents.iter().all(|extent| extent.len > 0));
        // What was written is data, whatever the file system says of the rest.
        let at_data = backend.extents(MIB..MIB + 4096, 1).unwrap();
        assert_eq!((at_data.len(), at_data[0].flags), (1, AllocationFlags::NONE));
    }

    #[test]
    fn a_file_that_shrank_is_an_error() {
        let (file, backend) = file(4 * MIB);
        file.as_file().set_len(MIB).unwrap();
        let mut buf = [0; 10];
        let error = backend.read(2 * MIB, &mut buf).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(backend.read_now(2 * MIB, &mut buf).is_none());
    }

    #[test]
    fn directories_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let options = FileOptions { read_only: true, direct: false };
        let error = FileBackend::open(directory.path(), options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn direct_transfers_where_they_are_aligned() {
        let file = tempfile::NamedTempFile::new_in(".").unwrap();
        file.as_file().set_len(MIB).unwrap();
        let options = FileOptions { read_only: false, direct: true };
        // Not every file system allows it.
        let Ok(backend) = FileBackend::open(file.path(), options) else { return };
        let pool = alts::pool::BufferPool::new();
        let mut buf = pool.take(8192).unwrap();
        buf.truncate(8192);
        buf.fill(9);
        backend.write(4096, &buf).unwrap();
        backend.write(3, b"unaligned").unwrap();
        buf.fill(0);
        backend.read(4096, &mut buf).unwrap();
        assert!(buf.iter().all(|&byte| byte == 9));
        assert_eq!(read(&backend, 3, 9), b"unaligned");
    }
}
