//! mio's sockets.

use std::io;

use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;

use super::TryReadyReader;
use crate::pool::{BufferPool, PooledBuf};
use crate::transport::{self, NonBlocking};

impl TryReadyReader for TcpStream {
    fn try_read_ready(&mut self, pool: &BufferPool) -> io::Result<Option<PooledBuf>> {
        transport::read_ready(&mut NonBlocking(self), pool, &mut None)
    }
}

#[cfg(unix)]
impl TryReadyReader for UnixStream {
    fn try_read_ready(&mut self, pool: &BufferPool) -> io::Result<Option<PooledBuf>> {
        transport::read_ready(&mut NonBlocking(self), pool, &mut None)
    }
}
