//! A source of records that does as a test wants.

use std::io::{self, Read};
use std::task::Waker;

use super::Ends;
use crate::pool::{BufferPool, PooledBuf, Ticket};
use crate::ready::Source;
use crate::stream::stall::RecordSource;

/// A socket and a pool.
pub(super) struct Given<'io> {
    /// `None` where the socket has nothing to read.
    pub(super) io: Option<&'io mut Ends>,
    /// Whether the pool has no larger buffers now.
    pub(super) starved: bool,
}

impl Given<'_> {
    pub(super) fn silent() -> Self {
        Self { io: None, starved: false }
    }
}

impl Source for Given<'_> {
    fn readable(&mut self) -> io::Result<()> {
        match self.io {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.io {
            Some(io) => io.read(buf),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn take(
        &mut self,
        pool: &BufferPool,
        _: &mut Option<Ticket>,
        size: usize,
    ) -> io::Result<PooledBuf> {
        Ok(pool.take(size)?)
    }
}

impl RecordSource for Given<'_> {
    fn grow(
        &mut self,
        pool: &BufferPool,
        _: &mut Option<Ticket>,
        _: &PooledBuf,
        size: usize,
    ) -> io::Result<PooledBuf> {
        match self.starved {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => Ok(pool.take(size)?),
        }
    }

    fn yield_now(&mut self) -> bool {
        self.io.is_none()
    }

    fn waker(&self) -> &Waker {
        Waker::noop()
    }
}
