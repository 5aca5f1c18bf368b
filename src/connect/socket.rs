//! What a handshake asks of the transport under it.

use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use crate::ready::{Probed, ReadyReader};
use crate::stream::AltsStream;

/// A transport that a handshake can secure. All methods are optional.
pub trait Socket: ReadyReader + AsyncRead + AsyncWrite + Send + Unpin {
    /// The address the peer connects from, for the limits per source. `None`: no limit per source applies.
    fn source(&self) -> Option<IpAddr> {
        None
    }

    /// Turns off the delay of small segments (`TCP_NODELAY`), where there is one.
    fn set_nodelay(&self) -> io::Result<()> {
        Ok(())
    }

    /// Limits how many unsent bytes the kernel accepts (`TCP_NOTSENT_LOWAT`), where it can be limited. A failure only costs
    /// an optimization.
    fn limit_unsent(&self, bytes: u32) -> io::Result<()> {
        let _ = bytes;
        Ok(())
    }
}

impl Socket for TcpStream {
    fn source(&self) -> Option<IpAddr> {
        self.peer_addr().ok().map(|address| address.ip())
    }

    fn set_nodelay(&self) -> io::Result<()> {
        Self::set_nodelay(self, true)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn limit_unsent(&self, bytes: u32) -> io::Result<()> {
        socket2::SockRef::from(self).set_tcp_notsent_lowat(bytes)
    }
}

#[cfg(unix)]
impl Socket for UnixStream {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for Probed<S> {}

impl<S: Socket> Socket for AltsStream<S> {
    fn source(&self) -> Option<IpAddr> {
        self.get_ref().source()
    }
}
