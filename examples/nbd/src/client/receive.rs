//! Reads replies, and checks them.

use tokio::io::AsyncRead;

use super::check::Violation;
use super::error::{Error, Refusal};
use super::input::Input;
use super::table::{Entry, Expects, Table};
use crate::wire::flags::AllocationFlags;
use crate::wire::reply::{
    ChunkHeader, ChunkType, ErrorChunk, Extent, ReplyHeader, SimpleReply, decode_hole,
};
use crate::wire::request::Command;
use crate::wire::{Errno, MAX_EXTENTS, Malformed};

/// The longest error chunk: a message of 4,096 bytes, and room for what a later protocol adds.
const MAX_ERROR: u32 = 8 << 10;

/// Reads replies until the server ends its direction.
pub(super) async fn receive<R: AsyncRead + Unpin>(
    table: &Table,
    structured: bool,
    input: &mut Input<R>,
) -> Result<(), Error> {
    while let Some(header) = input.header(|| table.is_quiet()).await? {
        match header {
            ReplyHeader::Simple(reply) => simple(table, structured, input, reply).await?,
            ReplyHeader::Chunk(_) if !structured => return Err(Violation::Chunk.into()),
            ReplyHeader::Chunk(chunk) => self::chunk(table, input, chunk).await?,
        }
    }
    Ok(())
}

async fn simple<R: AsyncRead + Unpin>(
    table: &Table,
    structured: bool,
    input: &mut Input<R>,
    reply: SimpleReply,
) -> Result<(), Error> {
    let mut taken = table.taken(reply.cookie)?;
    let entry = taken.entry();
    if structured && entry.request.command == Command::Read {
        return Err(Violation::SimpleReply.into());
    }
    match (reply.error, &mut entry.expects) {
        (Some(error), _) => entry.refuse(error, "", None),
        (None, Expects::Nothing) => {}
        (None, Expects::Data(_, buf)) => input.fill(buf).await?,
        (None, Expects::Extents(_)) => return Err(Violation::NoExtents.into()),
    }
    taken.complete();
    Ok(())
}

async fn chunk<R: AsyncRead + Unpin>(
    table: &Table,
    input: &mut Input<R>,
    chunk: ChunkHeader,
) -> Result<(), Error> {
    let mut taken = table.taken(chunk.cookie)?;
    let entry = taken.entry();
    let bad_length = || Error::from(Violation::ChunkLength(chunk.kind, chunk.len));
    match (chunk.kind, &mut entry.expects) {
        (ChunkType::None, _) if chunk.len != 0 => return Err(bad_length()),
        (ChunkType::None, _) if !chunk.done => return Err(Violation::NotDone.into()),
        (ChunkType::None, _) => {}
        (ChunkType::OffsetData, Expects::Data(check, buf)) => {
            let len = chunk.len.checked_sub(8).filter(|&len| len > 0).ok_or_else(bad_length)?;
            let offset = u64::from_be_bytes(input.array().await?);
            let range = check.data(offset, len)?;
            input.fill(&mut buf[range]).await?;
        }
        (ChunkType::OffsetHole, Expects::Data(check, buf)) => {
            if chunk.len != 12 {
                return Err(bad_length());
            }
            let (offset, len) = decode_hole(&input.array::<12>().await?)?;
            buf[check.hole(offset, len)?].fill(0);
        }
        (ChunkType::BlockStatus, Expects::Extents(check)) => {
            let count = chunk.len.checked_sub(4).filter(|len| len % 8 == 0).map(|len| len / 8);
            let count = count.filter(|&count| count > 0 && count as usize <= MAX_EXTENTS);
            check.begin(u32::from_be_bytes(input.array().await?))?;
            for _ in 0..count.ok_or_else(bad_length)? {
                let len = u32::from_be_bytes(input.array().await?);
                let flags = AllocationFlags(u32::from_be_bytes(input.array().await?));
                if len == 0 {
                    return Err(Malformed::Field("length of an extent").into());
                }
                check.extent(Extent { len, flags })?;
            }
        }
        (kind @ (ChunkType::Error | ChunkType::ErrorOffset | ChunkType::OtherError(_)), _) => {
            if chunk.len > MAX_ERROR {
                return Err(bad_length());
            }
            let mut contents = vec![0; chunk.len as usize];
            input.fill(&mut contents).await?;
            let error = ErrorChunk::decode(kind, &contents)?;
            let request = &entry.request;
            let outside = |at: &u64| {
                let within = at.checked_sub(request.offset);
                within.is_none_or(|at| at >= request.len.max(1).into())
            };
            if let Some(at) = error.offset.filter(outside) {
                return Err(Violation::Outside(at, 0).into());
            }
            entry.refuse(error.error, error.message, error.offset);
        }
        (kind, _) => return Err(Violation::WrongChunk(kind, entry.request.command).into()),
    }
    if chunk.done {
        entry.check_end()?;
        taken.complete();
    }
    Ok(())
}

impl Entry {
    fn refuse(&mut self, error: Errno, message: &str, failed_at: Option<u64>) {
        let (command, offset) = (self.request.command, self.request.offset);
        let message = message.to_owned();
        // The first says most.
        self.refused.get_or_insert(Refusal { command, offset, error, message, failed_at });
    }

    /// Checks a reply in chunks that has ended.
    fn check_end(&self) -> Result<(), Violation> {
        match &self.expects {
            _ if self.refused.is_some() => Ok(()),
            Expects::Nothing => Ok(()),
            Expects::Data(check, _) => check.end(),
            Expects::Extents(check) => check.end(),
        }
    }
}
