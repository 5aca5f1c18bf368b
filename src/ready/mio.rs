//! mio's sockets.

use std::io;

use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;

use super::{NonBlocking, TryReadyReader, read_on_ready};
use crate::pool::{BufferPool, PooledBuf};

impl TryReadyReader for TcpStream {
    fn try_read_on_ready(&mut self, pool: &BufferPool) -> io::Result<Option<PooledBuf>> {
        read_on_ready(&mut NonBlocking(self), pool, &mut None)
    }
}

#[cfg(unix)]
impl TryReadyReader for UnixStream {
    fn try_read_on_ready(&mut self, pool: &BufferPool) -> io::Result<Option<PooledBuf>> {
        read_on_ready(&mut NonBlocking(self), pool, &mut None)
    }
}
