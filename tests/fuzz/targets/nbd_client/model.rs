//! What the protocol says about replies, byte by byte and without the client's own code.

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read { one_chunk: bool },
    Status { one: bool },
    Write,
    Flush,
}

/// What should become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Data(Vec<u8>),
    Extents(Vec<(u32, u32)>),
    Done,
    /// The number of the first error, as the client reports it.
    Refused(u32),
}

/// A request that was sent, and what was sent of its reply.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) kind: Kind,
    pub(super) cookie: u64,
    pub(super) offset: u64,
    pub(super) len: u32,
    /// Of each byte of a read, whether it was sent, and what.
    covered: Vec<bool>,
    data: Vec<u8>,
    chunks: u32,
    extents: Vec<(u32, u32)>,
    status: bool,
    refused: Option<u32>,
}

/// What the client should make of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The reply goes on.
    More,
    /// The reply has ended.
    Ended(Answer),
    /// The connection is of no use any more.
    Broken,
}

/// Takes a number off the front.
fn number(bytes: &mut &[u8], len: usize) -> Option<u64> {
    let (field, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(field.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// What an error counts as: EINVAL, if it is unknown.
fn known(error: u32) -> u32 {
    if [1, 5, 12, 28, 75, 95, 108].contains(&error) { error } else { 22 }
}

impl Pending {
    pub(super) fn new(kind: Kind, cookie: u64, offset: u64, len: u32) -> Self {
        let size = if matches!(kind, Kind::Read { .. }) { len as usize } else { 0 };
        Self {
            kind,
            cookie,
            offset,
            len,
            covered: vec![false; size],
            data: vec![0; size],
            chunks: 0,
            extents: Vec::new(),
            status: false,
            refused: None,
        }
    }

    /// The first range that was not sent, if there is one.
    pub(super) fn gap(&self) -> Option<(u64, u32)> {
        let start = self.covered.iter().position(|&sent| !sent)?;
        let len = self.covered[start..].iter().take_while(|&&sent| !sent).count();
        Some((self.offset + start as u64, len as u32))
    }

    /// Whether an end without an error would be right.
    pub(super) fn is_complete(&self) -> bool {
        self.refused.is_some()
            || match self.kind {
                Kind::Read { .. } => self.covered.iter().all(|&sent| sent),
                Kind::Status { .. } => self.status,
                _ => true,
            }
    }

    /// A simple reply, with `data` behind it if it is a read's.
    pub(super) fn simple(&self, structured: bool, error: u32, data: &[u8]) -> Verdict {
        match self.kind {
            Kind::Read { .. } if structured => Verdict::Broken,
            _ if error != 0 => {
                Verdict::Ended(Answer::Refused(self.refused.unwrap_or_else(|| known(error))))
            }
            Kind::Read { .. } => Verdict::Ended(Answer::Data(data.to_vec())),
            Kind::Status { .. } => Verdict::Broken,
            // A chunk may have told an error before.
            _ => Verdict::Ended(self.refused.map_or(Answer::Done, Answer::Refused)),
        }
    }

    /// A chunk that has these flags, this type and these contents.
    pub(super) fn chunk(&mut self, flags: u16, kind: u16, contents: &[u8]) -> Verdict {
        if flags > 1 || self.contents(flags == 1, kind, contents).is_none() {
            return Verdict::Broken;
        }
        match flags {
            0 => Verdict::More,
            _ if !self.is_complete() => Verdict::Broken,
            _ => Verdict::Ended(self.answer()),
        }
    }

    fn answer(&self) -> Answer {
        match (self.refused, self.kind) {
            (Some(error), _) => Answer::Refused(error),
            (None, Kind::Read { .. }) => Answer::Data(self.data.clone()),
            (None, Kind::Status { .. }) => Answer::Extents(self.extents.clone()),
            (None, _) => Answer::Done,
        }
    }

    /// `None` for what breaks the protocol.
    fn contents(&mut self, done: bool, kind: u16, mut contents: &[u8]) -> Option<()> {
        let rest = &mut contents;
        match (kind, self.kind) {
            (0, _) => (rest.is_empty() && done).then_some(()),
            (1, Kind::Read { .. }) => {
                let offset = number(rest, 8)?;
                (!rest.is_empty()).then_some(())?;
                let data = rest.to_vec();
                self.cover(offset, &data)
            }
            (2, Kind::Read { one_chunk }) => {
                let (offset, len) = (number(rest, 8)?, number(rest, 4)?);
                (rest.is_empty() && len > 0 && !one_chunk).then_some(())?;
                // Longer than any request of this target.
                (len <= 1 << 20).then_some(())?;
                self.cover(offset, &vec![0; len as usize])
            }
            (5, Kind::Status { one }) => {
                let context = number(rest, 4)?;
                (context == u64::from(super::CONTEXT) && !self.status).then_some(())?;
                self.status = true;
                (!rest.is_empty() && rest.len().is_multiple_of(8)).then_some(())?;
                let mut told = 0;
                while !rest.is_empty() {
                    let (len, flags) = (number(rest, 4)?, number(rest, 4)?);
                    let fits = told < u64::from(self.len) && len > 0;
                    let right = !one || (told == 0 && len <= u64::from(self.len));
                    (fits && right).then_some(())?;
                    told += len;
                    self.extents.push((len as u32, flags as u32));
                }
                Some(())
            }
            (0x8000.., _) => {
                (rest.len() <= 8 << 10).then_some(())?;
                let error = number(rest, 4).filter(|&error| error > 0)?;
                let len = number(rest, 2)? as usize;
                let (message, behind) = rest.split_at_checked(len)?;
                *rest = behind;
                let text = std::str::from_utf8(message).ok()?;
                (len <= 4096 && !text.contains('\0')).then_some(())?;
                if kind == 0x8002 {
                    let at = number(rest, 8)?.checked_sub(self.offset)?;
                    (at < u64::from(self.len.max(1))).then_some(())?;
                }
                (kind > 0x8002 || kind == 0x8000 || rest.is_empty()).then_some(())?;
                self.refused.get_or_insert(known(error as u32));
                Some(())
            }
            _ => None,
        }
    }

    fn cover(&mut self, offset: u64, data: &[u8]) -> Option<()> {
        self.chunks += 1;
        let Kind::Read { one_chunk } = self.kind else { return None };
        (self.chunks == 1 || !one_chunk).then_some(())?;
        let start = usize::try_from(offset.checked_sub(self.offset)?).ok()?;
        let range = start..start.checked_add(data.len())?;
        let covered = self.covered.get_mut(range.clone())?;
        covered.iter().all(|&sent| !sent).then_some(())?;
        covered.fill(true);
        self.data[range].copy_from_slice(data);
        // Ranges that do not begin where the request does, nor touch each other.
        let apart = self.covered.windows(2).filter(|pair| *pair == [false, true]).count();
        (apart as u64 <= u64::from(self.len / 1024 + 16)).then_some(())
    }
}
