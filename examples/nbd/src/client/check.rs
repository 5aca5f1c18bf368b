//! What has to be true of replies, without I/O.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Bound, Range};

use crate::wire::reply::{ChunkType, Extent};
use crate::wire::request::{Command, Request};

/// How many extents of one reply are kept: 128 KiB of them.
pub const MAX_KEPT_EXTENTS: usize = 16 << 10;
/// Separate ranges of a read that may have arrived at any time, beside one for each of these bytes.
const BYTES_FOR_A_RANGE: u32 = 1 << 10;
const RANGES: u32 = 16;

/// How a server breaks the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A reply has a cookie that no request had.
    UnknownCookie(u64),
    /// A reply goes on after its end, or is a second one.
    AnsweredTwice(u64),
    /// A read is answered by a simple reply, although structured replies were agreed on.
    SimpleReply,
    /// Block status is answered without extents.
    NoExtents,
    /// A chunk arrives although structured replies were not agreed on.
    Chunk,
    /// A chunk of this kind does not answer this command.
    WrongChunk(ChunkType, Command),
    /// A chunk of this kind cannot have this length.
    ChunkLength(ChunkType, u32),
    /// A chunk without contents is not the reply's last.
    NotDone,
    /// A chunk does not lie within the request: its offset and length.
    Outside(u64, u64),
    /// Two chunks cover the same bytes: offset and length of the later one.
    Overlap(u64, u32),
    /// Several chunks, or a hole, although one chunk of data was asked for.
    Fragmented,
    /// The reply arrives in more separate ranges than there can be a reason for.
    TooManyRanges,
    /// The reply has ended, and this byte and perhaps others are missing.
    Missing(u64),
    /// Extents of a metadata context that was not selected.
    UnknownContext(u32),
    /// Extents of one metadata context come twice.
    RepeatedContext(u32),
    /// More extents than one, although one was asked for, or one that is longer than asked.
    NotOneExtent,
    /// An extent begins where the request has ended already.
    ExtentBeyond,
    /// A reply to an option that was not sent last.
    WrongOption(u32),
    /// A reply of this kind does not answer this option.
    WrongOptionReply {
        /// The option.
        option: u32,
        /// The number of the kind.
        reply: u32,
    },
    /// A reply to an option is longer than any can be.
    OptionReplyLength(u32),
    /// The replies to one option are longer together than there can be a reason for.
    TooManyOptionReplies,
    /// The export was opened without its size.
    NoExportInfo,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCookie(cookie) => {
                write!(f, "a reply to a request that was never sent (cookie {cookie:#x})")
            }
            Self::AnsweredTwice(cookie) => {
                write!(f, "a reply to a request that was answered before (cookie {cookie:#x})")
            }
            Self::SimpleReply => f.write_str("a simple reply to a read"),
            Self::NoExtents => f.write_str("a reply to block status without extents"),
            Self::Chunk => f.write_str("a chunk, without structured replies being agreed on"),
            Self::WrongChunk(kind, command) => {
                write!(f, "a chunk of type {:#x} answers command {}", kind.code(), command.code())
            }
            Self::ChunkLength(kind, len) => {
                write!(f, "a chunk of type {:#x} has {len} bytes", kind.code())
            }
            Self::NotDone => f.write_str("an empty chunk is not the last"),
            Self::Outside(offset, len) => {
                write!(f, "{len} bytes at {offset} do not lie within the request")
            }
            Self::Overlap(offset, len) => {
                write!(f, "{len} bytes at {offset} overlap what was sent before")
            }
            Self::Fragmented => f.write_str("several chunks, where one was asked for"),
            Self::TooManyRanges => f.write_str("a reply in too many separate ranges"),
            Self::Missing(offset) => write!(f, "the reply lacks bytes from {offset} on"),
            Self::UnknownContext(id) => write!(f, "extents of the unknown context {id}"),
            Self::RepeatedContext(id) => write!(f, "extents of the context {id} come twice"),
            Self::NotOneExtent => f.write_str("not one extent, where one was asked for"),
            Self::ExtentBeyond => f.write_str("an extent begins beyond the request"),
            Self::WrongOption(option) => {
                write!(f, "a reply to option {option}, which was not sent")
            }
            Self::WrongOptionReply { option, reply } => {
                write!(f, "a reply of type {reply:#x} to option {option}")
            }
            Self::OptionReplyLength(len) => write!(f, "a reply to an option has {len} bytes"),
            Self::TooManyOptionReplies => f.write_str("the replies to an option do not end"),
            Self::NoExportInfo => f.write_str("an export without its size"),
        }
    }
}

impl std::error::Error for Violation {}

/// What has arrived of a read.
#[derive(Debug)]
pub(super) struct ReadCheck {
    offset: u64,
    len: u32,
    one_chunk: bool,
    chunks: u32,
    /// All before is covered. Chunks in order change nothing else.
    covered: u32,
    /// What is covered beyond, from the keys up to the values; these ranges do not touch.
    apart: BTreeMap<u32, u32>,
}

impl ReadCheck {
    pub(super) fn new(request: &Request, one_chunk: bool) -> Self {
        let (offset, len) = (request.offset, request.len);
        Self { offset, len, one_chunk, chunks: 0, covered: 0, apart: BTreeMap::new() }
    }

    /// Forgets what has arrived: it is asked for again.
    pub(super) fn restart(&mut self) {
        (self.chunks, self.covered) = (0, 0);
        self.apart.clear();
    }

    /// Where in the caller's buffer these data belong.
    pub(super) fn data(&mut self, offset: u64, len: u32) -> Result<Range<usize>, Violation> {
        self.chunks = self.chunks.saturating_add(1);
        if self.one_chunk && self.chunks > 1 {
            return Err(Violation::Fragmented);
        }
        let outside = || Violation::Outside(offset, len.into());
        let start = offset.checked_sub(self.offset).ok_or_else(outside)?;
        let end = start.checked_add(len.into()).filter(|&end| end <= self.len.into());
        let end = end.ok_or_else(outside)? as u32;
        let start = start as u32;
        self.cover(start, end).map_err(|()| Violation::Overlap(offset, len))?;
        if self.apart.len() as u64 > u64::from(self.len / BYTES_FOR_A_RANGE + RANGES) {
            return Err(Violation::TooManyRanges);
        }
        Ok(start as usize..end as usize)
    }

    /// The same for zeroes that are not sent.
    pub(super) fn hole(&mut self, offset: u64, len: u32) -> Result<Range<usize>, Violation> {
        if self.one_chunk {
            return Err(Violation::Fragmented);
        }
        self.data(offset, len)
    }

    /// The reply has ended without an error.
    pub(super) fn end(&self) -> Result<(), Violation> {
        match self.covered == self.len {
            true => Ok(()),
            false => Err(Violation::Missing(self.offset + u64::from(self.covered))),
        }
    }

    fn cover(&mut self, mut start: u32, mut end: u32) -> Result<(), ()> {
        if start < self.covered {
            return Err(());
        }
        if let Some((&before, &until)) = self.apart.range(..=start).next_back() {
            match until.cmp(&start) {
                Ordering::Greater => return Err(()),
                Ordering::Equal => start = before,
                Ordering::Less => {}
            }
        }
        let behind = (Bound::Excluded(start), Bound::Unbounded);
        if let Some((&next, &until)) = self.apart.range(behind).next() {
            if next < end {
                return Err(());
            }
            if next == end {
                self.apart.remove(&next);
                end = until;
            }
        }
        if start == self.covered {
            self.covered = end;
        } else {
            self.apart.insert(start, end);
        }
        Ok(())
    }
}

/// What has arrived of a block status.
#[derive(Debug)]
pub(super) struct StatusCheck {
    len: u64,
    one: bool,
    context: u32,
    answered: bool,
    told: u64,
    extents: Vec<Extent>,
}

impl StatusCheck {
    pub(super) fn new(request: &Request, one: bool, context: u32) -> Self {
        let len = request.len.into();
        Self { len, one, context, answered: false, told: 0, extents: Vec::new() }
    }

    /// Forgets what has arrived: it is asked for again, where the context has this id.
    pub(super) fn restart(&mut self, context: u32) {
        (self.context, self.answered, self.told) = (context, false, 0);
        self.extents.clear();
    }

    /// A chunk of this context follows.
    pub(super) fn begin(&mut self, context: u32) -> Result<(), Violation> {
        match context == self.context {
            false => Err(Violation::UnknownContext(context)),
            true if self.answered => Err(Violation::RepeatedContext(context)),
            true => {
                self.answered = true;
                Ok(())
            }
        }
    }

    /// The next extent of the chunk.
    pub(super) fn extent(&mut self, extent: Extent) -> Result<(), Violation> {
        if self.one && (self.told > 0 || u64::from(extent.len) > self.len) {
            return Err(Violation::NotOneExtent);
        }
        if self.told >= self.len {
            return Err(Violation::ExtentBeyond);
        }
        self.told += u64::from(extent.len);
        if self.extents.len() < MAX_KEPT_EXTENTS {
            self.extents.push(extent);
        }
        Ok(())
    }

    /// The reply has ended without an error.
    pub(super) fn end(&self) -> Result<(), Violation> {
        if self.extents.is_empty() { Err(Violation::NoExtents) } else { Ok(()) }
    }

    pub(super) fn into_extents(self) -> Vec<Extent> {
        self.extents
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::flags::{AllocationFlags, CommandFlags};

    fn request(offset: u64, len: u32) -> Request {
        let (flags, command) = (CommandFlags::NONE, Command::Read);
        Request { flags, command, cookie: 1, offset, len }
    }

    fn read(offset: u64, len: u32) -> ReadCheck {
        ReadCheck::new(&request(offset, len), false)
    }

    #[test]
    fn chunks_in_any_order_cover_the_request() {
        let order = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1], [0, 3, 1, 2]];
        for order in order {
            let mut check = read(1000, 400);
            for (nth, part) in order.into_iter().enumerate() {
                assert!(check.end().is_err(), "{order:?} after {nth}");
                let at = part * 100;
                assert_eq!(check.data(1000 + at, 100), Ok(at as usize..at as usize + 100));
            }
            assert_eq!(check.end(), Ok(()));
            assert!(check.apart.is_empty());
            assert_eq!(check.data(1000, 1), Err(Violation::Overlap(1000, 1)));
        }
    }

    #[test]
    fn overlaps_are_found_wherever_they_are() {
        for (offset, len) in [
            (0, 1),
            (99, 2),
            (0, 1000),
            (199, 2),
            (200, 1),
            (250, 10),
            (299, 9),
            (150, 400),
            (100, 101),
        ] {
            let mut check = read(0, 1000);
            check.data(0, 100).unwrap();
            check.data(200, 100).unwrap();
            let found = check.data(offset, len);
            assert_eq!(found, Err(Violation::Overlap(offset, len)), "{offset}+{len}");
        }
        let mut check = read(0, 1000);
        check.data(200, 100).unwrap();
        assert!(check.data(100, 100).is_ok() && check.data(300, 5).is_ok());
        assert_eq!(check.apart, BTreeMap::from([(100, 305)]), "what touches becomes one");
    }

    #[test]
    fn what_does_not_lie_within_the_request() {
        for (offset, len) in
            [(999, 1), (999, 401), (1000, 401), (1400, 1), (u64::MAX, 1), (0, u32::MAX)]
        {
            let found = read(1000, 400).data(offset, len);
            assert_eq!(found, Err(Violation::Outside(offset, len.into())));
        }
        let mut end = read(u64::MAX - 10, 10);
        assert_eq!(end.data(u64::MAX - 10, 10), Ok(0..10));
        assert!(read(u64::MAX - 10, 10).data(u64::MAX - 10, u32::MAX).is_err());
    }

    #[test]
    fn gaps_are_told() {
        let mut check = read(1000, 400);
        check.data(1000, 100).unwrap();
        check.data(1200, 200).unwrap();
        assert_eq!(check.end(), Err(Violation::Missing(1100)));
        check.restart();
        assert_eq!(check.data(1000, 400), Ok(0..400));
        assert_eq!(check.end(), Ok(()));
    }

    #[test]
    fn one_chunk_is_one_chunk_of_data() {
        let one = || ReadCheck::new(&request(0, 100), true);
        let mut check = one();
        check.data(0, 50).unwrap();
        assert_eq!(check.data(50, 50), Err(Violation::Fragmented));
        assert_eq!(one().hole(0, 100), Err(Violation::Fragmented));
    }

    #[test]
    fn single_bytes_apart_are_too_many() {
        let mut check = read(0, 1 << 20);
        let found = (0..1 << 19).find_map(|at| check.data(at * 2 + 1, 1).err());
        assert_eq!(found, Some(Violation::TooManyRanges));
        assert!(check.apart.len() < 1 << 11);
        // Sectors in the worst order are not.
        let mut check = read(0, 1 << 20);
        for at in (1..2048).step_by(2).chain((0..2048).step_by(2)) {
            check.data(at * 512, 512).unwrap();
        }
        assert_eq!(check.end(), Ok(()));
    }

    fn extent(len: u32) -> Extent {
        Extent { len, flags: AllocationFlags::NONE }
    }

    #[test]
    fn extents() {
        let status = |one| StatusCheck::new(&request(0, 1000), one, 0);
        let mut check = status(false);
        assert_eq!(check.end(), Err(Violation::NoExtents));
        assert_eq!(check.begin(1), Err(Violation::UnknownContext(1)));
        check.begin(0).unwrap();
        check.extent(extent(500)).unwrap();
        check.extent(extent(5000)).expect("the last may go beyond");
        assert_eq!(check.extent(extent(1)), Err(Violation::ExtentBeyond));
        assert_eq!(check.begin(0), Err(Violation::RepeatedContext(0)));
        assert_eq!((check.end(), check.into_extents().len()), (Ok(()), 2));

        let mut check = status(true);
        check.begin(0).unwrap();
        assert_eq!(check.extent(extent(1001)), Err(Violation::NotOneExtent));
        let mut check = status(true);
        check.extent(extent(10)).unwrap();
        assert_eq!(check.extent(extent(10)), Err(Violation::NotOneExtent));

        let mut many = StatusCheck::new(&request(0, u32::MAX), false, 0);
        for _ in 0..MAX_KEPT_EXTENTS + 5 {
            many.extent(extent(1)).unwrap();
        }
        assert_eq!(many.into_extents().len(), MAX_KEPT_EXTENTS);
    }
}
