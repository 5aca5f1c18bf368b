//! Sockets that answer `WouldBlock` themselves.

use std::io;

use super::socket::{Sink, Source};
use crate::pool::{BufferPool, PoolError, PooledBuf, Ticket};

/// A socket that answers `WouldBlock` itself and is polled by its owner's event loop.
#[derive(Debug)]
pub(crate) struct NonBlocking<'io, S>(pub(crate) &'io mut S);

impl<S: io::Read> Source for NonBlocking<'_, S> {
    fn readable(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn take(
        &mut self,
        pool: &BufferPool,
        _ticket: &mut Option<Ticket>,
        size: usize,
    ) -> io::Result<PooledBuf> {
        pool.take(size).map_err(|error| refused(pool, error))
    }
}

/// Makes the error for a caller that cannot wait, and notes in the pool that it would have had to.
pub(crate) fn refused(pool: &BufferPool, error: PoolError) -> io::Error {
    if error == PoolError::AtCap {
        pool.note_refusal();
    }
    error.into()
}

impl<S: io::Write> Sink for NonBlocking<'_, S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}
