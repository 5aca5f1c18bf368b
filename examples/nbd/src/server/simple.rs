//! Requests without data: flush, trim, cache, zeroes, and what is allocated.

use std::ops::Range;

use tokio::io::{AsyncRead, AsyncWrite};

use super::carrier::Half;
use super::connection::{Connection, InFlight};
use super::output::Broken;
use crate::backend::{Backend, Zeroing};
use crate::negotiation::ALLOCATION_ID;
use crate::wire::Errno;
use crate::wire::flags::CommandFlags;
use crate::wire::reply::encode_block_status;
use crate::wire::request::{Command, Request};

/// Extents in one reply. A client asks on where they end.
const MAX_EXTENTS: usize = 1024;
/// What is zeroed by one call of the backend: the server's threads are not kept for gigabytes.
const ZEROED_AT_ONCE: u64 = 64 << 20;

impl<S> Connection<'_, Half<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    pub(super) async fn answer_simple(&self, in_flight: InFlight<'_>) {
        let request = &in_flight.request;
        // An error means that the connection is broken, which is noticed elsewhere.
        let _ = if request.command == Command::BlockStatus {
            self.block_status(request).await
        } else {
            let result = self.change(request).await;
            self.send_result(request, result).await
        };
    }

    async fn change(&self, request: &Request) -> Result<(), Errno> {
        let range = request.offset..request.offset.saturating_add(request.len.into());
        let len = request.len as usize;
        let flush = request.command == Command::Flush;
        if range.is_empty() && !flush {
            return Ok(());
        }
        let through = request.flags.contains(CommandFlags::FUA);
        match request.command {
            Command::Trim => self.run(len, move |backend| backend.trim(range)).await?,
            Command::Cache => {
                return self.run(len, move |backend| backend.cache(range)).await;
            }
            Command::WriteZeroes => self.write_zeroes(range, request.flags).await?,
            _ => {}
        }
        if flush || through {
            self.run(0, Backend::flush).await?;
        }
        Ok(())
    }

    async fn write_zeroes(&self, range: Range<u64>, flags: CommandFlags) -> Result<(), Errno> {
        let fast = flags.contains(CommandFlags::FAST_ZERO);
        let zeroing = Zeroing { may_punch: !flags.contains(CommandFlags::NO_HOLE), fast };
        let mut at = range.start;
        while at < range.end {
            // A quick one changes everything or nothing.
            let end = if fast { range.end } else { range.end.min(at + ZEROED_AT_ONCE) };
            let part = at..end;
            match self.run((end - at) as usize, move |backend| backend.zero(part, zeroing)).await {
                Err(Errno::NotSup) if !fast => return Err(Errno::Io),
                result => result?,
            }
            at = end;
        }
        Ok(())
    }

    async fn block_status(&self, request: &Request) -> Result<(), Broken> {
        let one = request.flags.contains(CommandFlags::REQ_ONE);
        let most = if one { 1 } else { MAX_EXTENTS };
        let range = request.offset..request.offset + u64::from(request.len);
        let found = self.run(0, move |backend| backend.extents(range, most)).await;
        let mut extents = match found {
            Ok(extents) => extents,
            Err(error) => {
                return self.send_error(request, error, &error.to_string(), None).await;
            }
        };
        // Whatever the backend says: not too many, none empty, and nothing beyond what was asked.
        let mut left = request.len;
        extents.retain_mut(|extent| {
            extent.len = extent.len.min(left);
            left -= extent.len;
            extent.len > 0
        });
        extents.truncate(most);
        if extents.is_empty() {
            return self.send_error(request, Errno::Io, "the storage told nothing", None).await;
        }
        self.output.send(&encode_block_status(true, request.cookie, ALLOCATION_ID, &extents)).await
    }
}
